"""Nothing came for too long: events or samples of a key that was seen before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import polars as pl

from ciops_nb.cep.conditions.base import Condition, Read
from ciops_nb.cep.conditions.event import Meant
from ciops_nb.cep.fields import Duration, Names, Parts
from ciops_nb.cep.parts import Part, Sources
from ciops_nb.cep.records import Latest, Records, found_rows
from ciops_nb.cep.samples import Bools, Floats, Grid, Ints, Labels
from ciops_nb.cep.world import World
from ciops_nb.estate.times import micros_of

__all__ = ["Absent", "Missed"]


class Missed(Meant):
    """What should have come at least each *over*, of each key by the fields or labels *by*."""

    over: Duration
    by: Names = ()


class Absent(Condition):
    """No such event or sample for more than ``over``, of a key that was seen before; the value is how many seconds.

    A pause of exactly ``over`` is none. Directly under ``when``, of events, and in a rule that says nothing of ticks,
    it is found at moments of its own: active since the last one seen, fired ``over`` later, ended at the next one
    (null where none has come up to the end). Everywhere else it holds at the ticks that lie more than ``over`` after
    the last one.
    """

    KIND: ClassVar[str] = "absent"
    PARTS: ClassVar[Parts] = {"absent": Missed}
    AS_OF: ClassVar[bool] = True

    absent: Missed

    @property
    def momentary(self) -> bool:
        return self.absent.metric is None

    def reads(self) -> Iterator[Read]:
        yield self.absent.read(self.absent.over)

    def part(self, world: World) -> Part:
        return Pause(self.absent.records(world, self.absent.by), micros_of(self.absent.over), world.grid)

    def matches(self, world: World) -> pl.DataFrame:
        over = micros_of(self.absent.over)
        records = self.absent.records(world, self.absent.by).up_to(world.end)
        key, ts = records.key, records.ts
        following = np.append(ts[1:], world.end)
        last = np.append(key[1:] != key[:-1], True)[: len(ts)]
        until = np.where(last, world.end, following[: len(ts)])
        place = np.flatnonzero((until - ts > over) & (ts + over >= world.start))
        rows = pl.DataFrame(
            {
                "key": key[place],
                "active": ts[place],
                "fired": ts[place] + over,
                "ended": pl.select(pl.when(pl.Series(~last[place])).then(pl.Series(until[place]))).to_series(),
                "value": pl.Series([over / 1e6], dtype=pl.Float64).new_from_index(0, len(place)),
            }
        )
        return found_rows(records, rows, (np.arange(len(place)), place), step="active")


class Pause:
    """Keys of which nothing came for more than *over*, and for how many seconds."""

    def __init__(self, records: Records, over: int, grid: Grid) -> None:
        self._records, self._over, self._grid = records, over, grid
        self._latest = Latest(records.key, records.known, len(records.labels))
        self.labels: Sequence[Labels] = records.labels

    def _last(self, key: Ints, moments: Ints) -> Ints:
        return self._latest.at(key, moments)

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        moments = self._grid.moments(ticks)[None, :]
        last = self._last(np.arange(len(self.labels), dtype=np.int64)[:, None], moments)
        since = np.append(self._records.ts, 0)[last]
        pause = np.where(last < 0, 0, moments - since)
        return pause / 1e6, pause > self._over

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        last = self._last(series, self._grid.moments(ticks))
        return [self._records.sources(np.array([row])) for row in last.tolist()]
