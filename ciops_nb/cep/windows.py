"""Windows by which records are cut: tumbling, hopping, sessions and the calendar of a place.

Their meaning is that of Flink: a window holds what is at or after its start and before its end, tumbling and hopping
ones are aligned to 1970 in UTC, and sessions that touch are one. The calendar is that of the local clocks, so that an
hour which they show twice is one window.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import model_validator

from ciops_nb.cep.fields import Duration, Piece, Zone
from ciops_nb.cep.samples import Ints
from ciops_nb.errors import BadRule
from ciops_nb.estate.times import micros, micros_of, parse_zone

__all__ = ["Window"]

_UNITS = {"hour": ("1h", timedelta(hours=1)), "day": ("1d", timedelta(days=1)), "week": ("1w", timedelta(days=7)),
          "month": ("1mo", timedelta(days=31))}  # fmt: skip
_MOST = 20_000_000


class Window(Piece):
    """One of *tumbling* (its length), *hop* (from start to start, with *size*), *session* (the gap) or *calendar*.

    *tz* is the place whose calendar it is; without it that of the replay. Weeks start on Monday.
    """

    NOUN: ClassVar[str] = "window"
    SUCH_AS: ClassVar[str] = "{tumbling: 5m}"

    tumbling: Duration | None = None
    hop: Duration | None = None
    size: Duration | None = None
    session: Duration | None = None
    calendar: Literal["hour", "day", "week", "month"] | None = None
    tz: Zone | None = None

    @model_validator(mode="after")
    def _one(self) -> Window:
        kinds = {"tumbling": self.tumbling, "hop": self.hop, "session": self.session, "calendar": self.calendar}
        said = [name for name, value in kinds.items() if value is not None]
        if len(said) != 1:
            raise ValueError(f"says {' and '.join(said) or 'no window'}. Write one of {', '.join(kinds)}")
        if (self.hop is None) != (self.size is None):
            raise ValueError("'hop' and 'size' belong together. Write {hop: 1m, size: 5m}")
        if self.tz is not None and self.calendar is None:
            raise ValueError("'tz' is for 'calendar': other windows are aligned to UTC. Leave it out")
        return self

    @property
    def reach(self) -> timedelta:
        """How long it is; sessions go on for as long as something comes."""
        length = self.tumbling or self.size or self.session
        return length if length is not None else _UNITS[self.calendar or "month"][1]

    def cut(self, key: Ints, ts: Ints, zone: tzinfo) -> pl.DataFrame:
        """The windows of records by key and then time: of (number of a record), begin and end, a row each pairing."""
        of = np.arange(len(ts), dtype=np.int64)
        if self.calendar is not None:
            return _calendar(of, ts, self.calendar, zone if self.tz is None else parse_zone(self.tz))
        if self.session is not None:
            return _sessions(of, key, ts, micros_of(self.session))
        size = micros_of(self.tumbling or self.size or timedelta())
        step = size if self.hop is None else micros_of(self.hop)
        last = ts // step  # windows are numbered by their starts; the first that holds a record starts after ts - size
        count = last - (ts - size) // step
        if count.sum() > _MOST:
            raise BadRule("window", f"puts records into {count.sum():,} windows", "Take longer steps or fewer records")
        of = np.repeat(of, count)
        begin = (np.repeat(last, count) - (np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count))) * step
        return pl.DataFrame({"of": of, "begin": begin, "end": begin + size})


def _sessions(of: Ints, key: Ints, ts: Ints, gap: int) -> pl.DataFrame:
    fresh = np.ones(len(ts), dtype=np.bool_)
    fresh[1:] = (key[1:] != key[:-1]) | (ts[1:] - ts[:-1] > gap)
    rows = pl.DataFrame({"of": of, "ts": ts, "run": np.cumsum(fresh)})
    return rows.select("of", begin=pl.col("ts").first().over("run"), end=pl.col("ts").last().over("run") + gap)


def _calendar(of: Ints, ts: Ints, unit: str, zone: tzinfo) -> pl.DataFrame:
    every = _UNITS[unit][0]
    local = pl.Series("ts", ts, pl.Int64).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(str(zone))
    begin = local.dt.replace_time_zone(None).dt.truncate(every)
    starts = pl.DataFrame({"local": begin.unique().sort()})
    bounds = starts.with_columns(
        begin=_instants(starts["local"], zone), end=_instants(starts["local"].dt.offset_by(every), zone)
    )
    rows = pl.DataFrame({"of": of, "local": begin}).join(bounds, on="local", how="left", maintain_order="left")
    return rows.select("of", "begin", "end")


def _instants(local: pl.Series, zone: tzinfo) -> pl.Series:
    """When the clocks of *zone* first show *local*, or first go past it where they leave it out."""
    told = local.dt.replace_time_zone(str(zone), ambiguous="earliest", non_existent="null").dt.epoch("us")
    left_out = {moment: _past(moment, zone) for moment in local.filter(told.is_null())}
    return pl.Series(
        [left_out[moment] if found is None else found for moment, found in zip(local, told, strict=True)],
        dtype=pl.Int64,
    )


def _past(local: datetime, zone: tzinfo) -> int:
    """When the clocks go past *local*, which they never show."""
    before, after = (micros(local.replace(tzinfo=zone, fold=fold).astimezone(UTC)) for fold in (1, 0))
    while after - before > 1:
        middle = (before + after) // 2
        shown = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=middle)).astimezone(zone)
        before, after = (middle, after) if shown.replace(tzinfo=None) < local else (before, middle)
    return after
