"""Conditions on what is near a CI, by the relations of that moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from ciops_nb.cep.conditions.base import AnyCondition, Condition, Read
from ciops_nb.cep.conditions.logic import Not
from ciops_nb.cep.fields import Names, Parts, Piece
from ciops_nb.cep.parts import Part, Sources, breadth
from ciops_nb.cep.relations import OPPOSITE, Direction, Relations
from ciops_nb.cep.samples import Bools, Floats, Grid, Ints, Labels
from ciops_nb.cep.world import World
from ciops_nb.topology.csr import runs

__all__ = ["MOST_HOPS", "Hops", "Near", "NearPart", "Vicinity", "ci_numbers"]

MOST_HOPS = 10
_CELLS = 4_000_000


def _hops(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is not a whole number. Write how many hops away a CI may be, such as 2")
    if not 1 <= value <= MOST_HOPS:
        raise ValueError(f"{value} is not between 1 and {MOST_HOPS}. Write how many hops away a CI may be, such as 2")
    return value


Hops = Annotated[int, BeforeValidator(_hops)]


class Vicinity(Piece):
    """Where to look for what holds: on CIs up to *hops* upstream or downstream, or either way at each step."""

    NOUN: ClassVar[str] = "mapping of what is near"
    SUCH_AS: ClassVar[str] = "{of: {metric: errors, op: '>', value: 5}, is: upstream, hops: 2}"
    PARTS: ClassVar[Parts] = {"of": Condition}

    of: AnyCondition
    is_: Direction = Field(alias="is")
    hops: Hops = 1
    relations: Annotated[Names, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _holds(self) -> Vicinity:
        if isinstance(self.of, Not):
            raise ValueError(Not.MISPLACED)
        return self


class Near(Condition):
    """Holds on a CI if a condition holds on a CI near it, by the relations of that moment.

    It has the value of the nearest one (of several the first by code), and meets other conditions by the label ``ci``.
    """

    KIND: ClassVar[str] = "near"
    PARTS: ClassVar[Parts] = {"near": Vicinity}

    near: Vicinity

    def inner(self) -> Iterator[Condition]:
        yield self.near.of

    def reads(self) -> Iterator[Read]:
        yield Read("relation", back=timedelta(0))
        yield from self.near.of.reads()

    def part(self, world: World) -> Part:
        asked = self.near
        world.relations.check(asked.relations or (), "near, relations")
        return NearPart(asked.of.part(world), world.relations, world.grid, asked.is_, asked.hops, asked.relations)


def ci_numbers(labels: Any, relations: Relations) -> Ints:
    """The number of the CI of each series, -1 where it has none or one without relations."""
    return relations.numbers(pl.Series([dict(one).get("ci") for one in labels], dtype=pl.String))


class NearPart:
    """A series a CI near which one of *inner* is or was; each is looked at by the relations of the tick."""

    def __init__(
        self,
        inner: Part,
        relations: Relations,
        grid: Grid,
        direction: Direction,
        hops: int,
        types: Names | None,
    ) -> None:
        self._inner, self._relations, self._grid = inner, relations, grid
        self._way, self._hops, self._types = OPPOSITE[direction], hops, types
        self._ci = ci_numbers(inner.labels, relations)
        order = sorted(range(len(inner.labels)), key=lambda row: (int(self._ci[row]), inner.labels[row]))
        self._rank = np.empty(len(order), dtype=np.int64)
        self._rank[order] = np.arange(len(order))
        known = np.unique(self._ci[self._ci >= 0])
        span = grid.start, grid.start + grid.step * (grid.count - 1)
        self._cis = relations.within(known, span, self._way, hops, types)
        names: list[str] = relations.cis.gather(self._cis).to_list()
        self.labels: tuple[Labels, ...] = tuple((("ci", name),) for name in names)
        self.on = [("ci",)] * len(self.labels)
        self.breadth = max(len(self.labels), breadth(inner))

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        row, _ = self._chosen(there, ticks)
        holds = row >= 0
        found = np.full(row.shape, np.nan)
        found[holds] = value[row[holds], np.nonzero(holds)[1]]
        return found, holds

    def _chosen(self, there: Bools, ticks: Ints) -> tuple[Ints, Ints]:
        """For each CI at each tick the series of the inner part that is nearest and holds (-1: none), and its hops."""
        rows = np.full((len(self.labels), len(ticks)), -1, dtype=np.int64)
        hops = np.zeros_like(rows)
        moments = self._grid.moments(ticks)
        first, count = runs(self._relations.epochs(moments))
        for begin, length in zip(first.tolist(), count.tolist(), strict=True):
            some = slice(begin, begin + length)
            self._choose(there[:, some], int(moments[begin]), rows[:, some], hops[:, some])
        return rows, hops

    def _choose(self, there: Bools, moment: int, rows: Ints, hops: Ints) -> None:
        """Fill *rows* and *hops* for ticks at which the relations are the same."""
        active = np.flatnonzero(there.any(axis=1) & (self._ci >= 0))
        if not len(active):
            return
        active = active[np.argsort(self._ci[active], kind="stable")]
        start, count = runs(self._ci[active])
        near = self._relations.near(self._ci[active[start]], moment, self._way, self._hops, self._types)
        # Each pair of CIs, once for each series of the one on which something holds.
        repeat = count[near.of]
        first = np.repeat(start[near.of] - (np.cumsum(repeat) - repeat), repeat)
        series = active[first + np.arange(len(first))]
        centre, apart = np.repeat(near.near, repeat), np.repeat(near.hops, repeat)
        order = np.lexsort((self._rank[series], apart, centre))
        series, centre, apart = series[order], centre[order], apart[order]
        starts, _ = runs(centre)
        if not len(starts):
            return
        into = np.searchsorted(self._cis, centre[starts])
        place, none = np.arange(len(series))[:, None], len(series)
        width = max(1, _CELLS // none)
        for begin in range(0, there.shape[1], width):
            held = there[series, begin : begin + width]
            best = np.minimum.reduceat(np.where(held, place, none), starts, axis=0)
            holds = best < none
            best[~holds] = 0
            rows[into, begin : begin + width] = np.where(holds, series[best], -1)
            hops[into, begin : begin + width] = np.where(holds, apart[best], 0)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        chosen, hops = np.zeros_like(series), np.zeros_like(series)
        asked, column = np.unique(ticks, return_inverse=True)
        width = max(1, _CELLS // self.breadth)
        for begin in range(0, len(asked), width):
            now = asked[begin : begin + width]
            rows, apart = self._chosen(self._inner.at(now)[1], now)
            some = (column >= begin) & (column < begin + width)
            chosen[some] = rows[series[some], column[some] - begin]
            hops[some] = apart[series[some], column[some] - begin]
        return [
            [source | {"hops": (source.get("hops") or 0) + away} for source in sources]
            for sources, away in zip(self._inner.sources(chosen, ticks), hops.tolist(), strict=True)
        ]
