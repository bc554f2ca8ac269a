"""How much of something there was: events or samples counted over a window, the distinct values of a field, sums.

Directly under ``when``, of events, and in a rule that says neither ``every`` nor ``for``, ``keep_firing_for`` or
``data_as_of``, they are judged at the events themselves, as Sigma's correlations are: once at each time at which one
of these events lies, over a window that is closed on both ends. Everywhere else they are judged at ticks, over windows
that are left open, and each key counts from its first record on; without ``by`` there is one key, which counts from
the start.

With ``window`` they are judged once a window, of what that holds of each key: active at its start, fired and ended at
its end. Windows that hold nothing are not there, so that a count of 0 is never found; one that is not over at the end
of the replay is judged by what it holds up to there, and its end may lie after that of the replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import StrictFloat, model_validator

from ciops_nb.cep.conditions.base import Condition, Read
from ciops_nb.cep.conditions.event import Meant
from ciops_nb.cep.conditions.metric import Op
from ciops_nb.cep.fields import Duration, Name, Names, Parts
from ciops_nb.cep.parts import COMPARED, Compared, Part, Sources
from ciops_nb.cep.records import Records, Spans, found_rows, members, merged, pairs_of
from ciops_nb.cep.samples import Bools, Floats, Grid, Ints, Labels
from ciops_nb.cep.windows import Window
from ciops_nb.cep.world import World
from ciops_nb.errors import BadRule
from ciops_nb.estate.times import micros_of

__all__ = ["Aggregate", "Count", "Counted", "Counting", "Distinct"]

Values = Callable[[Ints, Ints], Ints]
"""The numbers of some pairs of key and moment."""


class Counted:
    """A number for each key, at ticks from that on at which the key is known."""

    def __init__(self, records: Records, number: Values, over: int, grid: Grid) -> None:
        self._records, self._number, self._over, self._grid = records, number, over, grid
        self.labels: Sequence[Labels] = records.labels

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        moments = self._grid.moments(ticks)
        keys = np.arange(len(self.labels), dtype=np.int64)[:, None]
        value = self._number(keys, moments[None, :]).astype(np.float64)
        return value, moments[None, :] >= self._records.since[:, None]

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        moments = self._grid.moments(ticks)
        return pairs_of(self._records, series, moments - self._over, moments)


class Counting(Condition):
    """A number of records over a window, compared with *value*.

    *over* is how long the window is that ends at each moment, or *window* says how records are cut. *by* names the
    fields of events (labels of samples) that keep keys apart: without it everything is put together.
    """

    AS_OF: ClassVar[bool] = True

    over: Duration | None = None
    window: Window | None = None
    by: Names = ()
    op: Op
    value: StrictFloat

    @property
    def meant(self) -> Meant:
        raise NotImplementedError

    @model_validator(mode="after")
    def _countable(self) -> Counting:
        if self.value != self.value:
            raise ValueError("'value' is NaN, with which nothing can be compared. Give a number")
        if (self.over is None) == (self.window is None):
            raise ValueError("needs either 'over' or 'window'. Write over: 5m, or window: {tumbling: 5m}")
        return self

    @property
    def momentary(self) -> bool:
        return self.windowed or self.meant.metric is None

    @property
    def windowed(self) -> bool:
        return self.window is not None

    def reads(self) -> Iterator[Read]:
        yield self.meant.read(self.over if self.window is None else self.window.reach)

    def in_window(self, records: Records, world: World) -> tuple[pl.Series | None, pl.Expr]:
        """What each record has a value ``x`` of, and the number of a window made of these."""
        return None, pl.len()

    def numbers(self, records: Records, world: World, reach: int) -> Values:
        """The numbers of windows in which a record stays for *reach*."""
        raise NotImplementedError

    def part(self, world: World) -> Part:
        assert self.over is not None
        over = micros_of(self.over)
        records = self.meant.records(world, self.by)
        return Compared(Counted(records, self.numbers(records, world, over), over, world.grid), self.op, self.value)

    def matches(self, world: World) -> pl.DataFrame:
        records = self.meant.records(world, self.by).up_to(world.end)
        if self.window is not None:
            return self._windows(self.window, records, world)
        assert self.over is not None
        over = micros_of(self.over)
        numbers = self.numbers(records, world, over + 1)  # the window is closed: it holds what is exactly *over* old
        return anchored(records, over, numbers, lambda value: COMPARED[self.op](value, self.value), world)

    def _windows(self, window: Window, records: Records, world: World) -> pl.DataFrame:
        cut = window.cut(records.key, records.ts, world.zone).filter(pl.col("end") > world.start)
        of = cut["of"].to_numpy()
        values, number = self.in_window(records, world)
        held = cut.with_columns(key=pl.Series(records.key[of], dtype=pl.Int64))
        if values is not None:
            held = held.with_columns(x=values[records.place[of]])
        whole = held.group_by("key", "begin", "end").agg(number.cast(pl.Float64).alias("value")).drop_nulls("value")
        met = whole.filter(pl.Series(COMPARED[self.op](whole["value"].to_numpy(), self.value), dtype=pl.Boolean))
        met = met.sort("begin", "end", "key")
        numbered = met.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
        pairs = held.join(numbered, on=["key", "begin", "end"], how="inner").sort("row", "of")
        rows = numbered.select("key", "value", active="begin", fired="end", ended="end")
        return found_rows(records, rows, (pairs["row"].to_numpy(), pairs["of"].to_numpy()))


def anchored(records: Records, over: int, numbers: Values, wanted: Callable[[Any], Any], world: World) -> pl.DataFrame:
    """What is found at the times of *records*: closed windows whose number is *wanted*."""
    last = np.ones(len(records), dtype=np.bool_)  # of those of a key at one time
    last[:-1] = (records.key[1:] != records.key[:-1]) | (records.ts[1:] != records.ts[:-1])
    place = np.flatnonzero(last & (records.ts >= world.start))
    key, ts = records.key[place], records.ts[place]
    value = numbers(key, ts)
    met = wanted(value)
    place, key, ts, value = place[met], key[met], ts[met], value[met]
    # Of the records up to this one those that the window held are the last ones.
    held = Spans(records.key, records.ts, records.ts + over + 1).covering(key, ts)
    rows = pl.DataFrame({"key": key, "active": ts, "fired": ts, "ended": ts, "value": value.astype(np.float64)})
    return found_rows(records, rows, members(place + 1 - held, place + 1))


class Count(Counting):
    """How many events or samples there were."""

    KIND: ClassVar[str] = "count"
    PARTS: ClassVar[Parts] = {"count": Meant, "window": Window}

    count: Meant

    @property
    def meant(self) -> Meant:
        return self.count

    def numbers(self, records: Records, world: World, reach: int) -> Values:
        return spans(records, reach).covering


class Fields(Meant):
    """Events or samples, and a *field* of them: of samples a label, or ``value``."""

    field: Name


class Distinct(Counting):
    """How many different values of a field there were; records without one have no part in that."""

    KIND: ClassVar[str] = "distinct"
    PARTS: ClassVar[Parts] = {"distinct": Fields, "window": Window}

    distinct: Fields

    @property
    def meant(self) -> Meant:
        return self.distinct

    def numbers(self, records: Records, world: World, reach: int) -> Values:
        values = self.distinct.values(world, self.distinct.field)
        number = values.rank("dense").cast(pl.Int64).fill_null(0).to_numpy()[records.place]
        there = (number > 0) & (records.known < records.ts + reach)
        key, begin, end = records.key[there], records.known[there], records.ts[there] + reach
        most = int(number.max(initial=0)) + 1
        of, begin, end = merged(key * most + number[there], begin, end)
        return Spans(of // most, begin, end).covering

    def in_window(self, records: Records, world: World) -> tuple[pl.Series | None, pl.Expr]:
        return self.distinct.values(world, self.distinct.field), pl.col("x").drop_nulls().n_unique()


class Numbers(Meant):
    """Events and a *field* of numbers, or the samples of a metric."""

    field: Name | None = None

    @model_validator(mode="after")
    def _which(self) -> Numbers:
        if self.metric is None and self.field is None:
            raise ValueError("says no numbers. Give 'field', which of the events' fields it is, or 'metric'")
        if self.metric is not None and self.field not in (None, "value"):
            raise ValueError("'field' is for events: samples have their value. Leave it out")
        return self


class Aggregate(Counting):
    """The sum, mean, least or greatest of the numbers in a *window*; what has no number (or NaN) has no part in it."""

    KIND: ClassVar[str] = "aggregate"
    PARTS: ClassVar[Parts] = {"aggregate": Numbers, "window": Window}

    aggregate: Numbers
    agg: Literal["sum", "avg", "min", "max"]

    @model_validator(mode="after")
    def _in_windows(self) -> Aggregate:
        if self.window is None:
            raise ValueError("'aggregate' is taken over windows. Write window: {tumbling: 5m}, or 'metric' with 'over'")
        return self

    @property
    def meant(self) -> Meant:
        return self.aggregate

    def in_window(self, records: Records, world: World) -> tuple[pl.Series | None, pl.Expr]:
        field = self.aggregate.field or "value"
        values, x = self.aggregate.values(world, field), pl.col("x")
        if values.dtype == pl.String:
            values = values.str.strip_chars().cast(pl.Float64, strict=False)
        if not values.dtype.is_numeric() and values.dtype != pl.Null:
            raise BadRule(f"field, {field!r}", f"holds {values.dtype}, and no numbers", "Name a field of numbers")
        number = {"sum": x.sum(), "avg": x.mean(), "min": x.min(), "max": x.max()}[self.agg]
        return values.cast(pl.Float64).fill_nan(None), pl.when(x.count() > 0).then(number)


def spans(records: Records, reach: int) -> Spans:
    """The stretches of time for which a window holds each record."""
    there = records.known < records.ts + reach  # what came in too late was in none
    return Spans(records.key[there], records.known[there], records.ts[there] + reach)
