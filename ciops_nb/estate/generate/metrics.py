"""The points of a made estate: a level of each series, a daily wave that is flatter at weekends, noise, and the faults.

A day is made metric by metric and some series at a time, in the order of the table, so that memory stays small however
many there are. Points are missing before and after the life of a CI, and while its agent was silent. A counter starts
again from zero when its CI was restarted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from ciops_nb.estate.generate.faults import FAULTS
from ciops_nb.estate.generate.items import END, micros, times

__all__ = ["METRICS", "Measured", "definitions"]

_FOREVER = np.iinfo(np.int64).max
_CHUNK = 1_000_000  # points that are made at once


@dataclass(frozen=True)
class _Metric:
    unit: str
    kind: str
    bad_direction: str
    description: str
    level: float
    swing: float  # share of the daily wave
    noise: float
    parts: tuple[str, ...]  # that have it


METRICS = {
    "cpu_usage": _Metric("percent", "gauge", "up", "Processor time in use", 35, 0.4, 0.05, ("srv",)),
    "disk_latency": _Metric("ms", "gauge", "up", "Time of a read or write", 4, 0.1, 0.05, ("sto-san",)),
    "disk_usage": _Metric("percent", "gauge", "up", "Space in use", 55, 0.0, 0.002, ("srv",)),
    "error_rate": _Metric("percent", "gauge", "up", "Requests that failed", 0.5, 0.1, 0.1, ("app",)),
    "io_wait": _Metric("percent", "gauge", "up", "Processor time waiting for storage", 3, 0.2, 0.08, ("srv",)),
    "query_time": _Metric("ms", "gauge", "up", "Time of a query", 12, 0.3, 0.06, ("db",)),
    "queue_length": _Metric("1", "gauge", "up", "Messages that wait", 40, 0.5, 0.08, ("mw",)),
    "request_count": _Metric("1", "counter", "none", "Requests served", 900, 0.6, 0.05, ("lb",)),
    "response_time": _Metric("ms", "gauge", "up", "Time of a request", 180, 0.3, 0.05, ("app",)),
}
# The file systems of a server: mount point, device and type; servers with an even number lack the second.
_MOUNTS = (("/", "sda1", "ext4"), ("/data", "sdb1", "xfs"), ("/var", "sda2", "ext4"))


def definitions() -> pl.DataFrame:
    """The rows of table metric_def."""
    rows = [(name, m.unit, m.kind, m.description, m.bad_direction) for name, m in METRICS.items()]
    return pl.DataFrame(rows, schema=["metric", "unit", "kind", "description", "bad_direction"], orient="row")


@dataclass(frozen=True)
class _Grid:
    """The moments of one day, every so many minutes since the first day of all."""

    day: int
    start: datetime
    every: int
    stamps: np.ndarray  # microseconds

    @classmethod
    def of(cls, day: int, days: int, every: int) -> _Grid:
        minutes = np.arange(-(-day * 1440 // every) * every, (day + 1) * 1440, every) - day * 1440
        start = END - timedelta(days=days - day)
        return cls(day, start, every, micros(start) + minutes * 60_000_000)

    @property
    def wave(self) -> np.ndarray:
        minutes = (self.stamps - micros(self.start)) // 60_000_000
        week = 0.5 if self.start.weekday() >= 5 else 1.0
        return np.asarray(np.sin((minutes / 1440 - 0.3) * 2 * np.pi) * week)


@dataclass(frozen=True)
class _Owners:
    """The series of one metric, as arrays: their CIs, when these lived and were silent, what a counter has reached."""

    ci_id: pl.Series
    series: pl.Series
    born: np.ndarray
    gone: np.ndarray
    silent: np.ndarray  # from, to
    effects: list[tuple[int, int, int, float]]  # place among the series, from, to, factor
    restarts: np.ndarray  # place and moment, by time
    reached: np.ndarray


@dataclass(frozen=True)
class Measured:
    """What of one tenant is measured, and its points day by day; days must be asked for in their order."""

    found: pl.DataFrame
    seed: int
    earlier: timedelta
    _owners: dict[str, _Owners] = field(default_factory=dict)

    @property
    def rows(self) -> pl.Series:
        """The numbers of the CIs that have metrics."""
        parts = {part for metric in METRICS.values() for part in metric.parts}
        return self.found.with_row_index("row").filter(pl.col("part").is_in(parts))["row"].cast(pl.Int64)

    def labels(self, days: int) -> pl.DataFrame:
        """The rows of table label: what tells the file systems of a server apart that was there in the last *days*."""
        mounts = pl.DataFrame(_MOUNTS, schema=["series", "device", "fstype"], orient="row")
        there = pl.col("gone").is_null() | (pl.col("gone") > END - timedelta(days=days))
        disks = self._series("disk_usage").filter(there).join(mounts, on="series", maintain_order="left")
        wide = disks.select("ci_id", "series", "device", "fstype", metric=pl.lit("disk_usage"), mountpoint="series")
        return wide.unpivot(
            ["device", "fstype", "mountpoint"], index=["ci_id", "metric", "series"], variable_name="name"
        )

    def watch(self, silent: pl.DataFrame, restarts: pl.DataFrame) -> None:
        """Be told when agents were *silent* (row, start, end) and CIs restarted (ci_id, ts)."""
        for name in METRICS:
            owned = self._series(name)
            off = owned.join(silent, on="row", how="left", maintain_order="left").select("start", "end").fill_null(0)
            self._owners[name] = _Owners(
                owned["ci_id"],
                owned["series"],
                owned["born"].dt.timestamp("us").to_numpy(),
                owned["gone"].dt.timestamp("us").fill_null(_FOREVER).to_numpy(),
                off.to_numpy(),
                self._effects(name, owned),
                _restarts(owned, restarts),
                np.zeros((owned.height, 1)),
            )

    def points(self, metric: str, day: int, days: int, every: int) -> Iterator[pl.DataFrame]:
        """The points of a metric on one day, sorted, in parts."""
        grid, owners, made = _Grid.of(day, days, every), self._owners[metric], METRICS[metric]
        count = len(owners.ci_id)
        place = list(METRICS).index(metric)
        levels = made.level * np.random.default_rng([self.seed, place]).uniform(0.7, 1.3, (count, 1))
        rng = np.random.default_rng([self.seed, place, day])
        width = len(grid.stamps)
        step = max(1, _CHUNK // max(1, width))
        for first in range(0, count, step):
            last = min(first + step, count)
            values = rng.standard_normal((last - first, width))
            values *= made.noise
            values += 1 + made.swing * grid.wave
            values *= levels[first:last]
            _disturb(values, owners, grid, first, last)
            np.clip(values, 0, 100 if made.unit == "percent" else None, out=values)
            if made.kind == "counter":
                values = _count(values.round(), owners, grid, first, last)
            yield _frame(metric, values.round(2), owners, grid, first, last)

    def _series(self, metric: str) -> pl.DataFrame:
        """The series of *metric* in the order of the table: row, ci_id, series, born, gone."""
        rows = self.found.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
        owned = rows.filter(pl.col("part").is_in(METRICS[metric].parts))
        if metric == "disk_usage":
            mounts = pl.DataFrame({"series": [mount for mount, *_ in _MOUNTS]})
            owned = owned.join(mounts, how="cross", maintain_order="left_right")
            owned = owned.filter((pl.col("number") % 2 == 1) | (pl.col("series") != "/data"))
        else:
            owned = owned.with_columns(series=pl.lit(""))
        return owned.select("row", "ci_id", "ci_code", "series", "born", "gone")

    def _effects(self, metric: str, owned: pl.DataFrame) -> list[tuple[int, int, int, float]]:
        wanted = [(fault, effect) for fault in FAULTS for effect in fault.effects if effect.metric == metric]
        near = owned.with_row_index("place").filter(pl.col("ci_code").is_in([effect.ci_code for _, effect in wanted]))
        places = {(code, series): at for at, code, series in near.select("place", "ci_code", "series").iter_rows()}
        found = []
        for fault, effect in wanted:
            place = places.get((effect.ci_code, effect.series))
            if place is not None:
                start = micros(fault.at - self.earlier + timedelta(minutes=effect.offset))
                found.append((place, start, start + effect.minutes * 60_000_000, effect.factor))
        return found


def _restarts(owned: pl.DataFrame, restarts: pl.DataFrame) -> np.ndarray:
    joined = owned.select("ci_id").with_row_index("place").join(restarts, on="ci_id").sort("ts", "place")
    return joined.select(pl.col("place").cast(pl.Int64), pl.col("ts").dt.timestamp("us")).to_numpy()


def _disturb(values: np.ndarray, owners: _Owners, grid: _Grid, first: int, last: int) -> None:
    """Multiply by the effects of the faults; an effect rises in ten minutes, or at once where points are rarer."""
    for place, start, end, factor in owners.effects:
        if first <= place < last:
            since = (grid.stamps - start) / 60e6
            rise = np.clip((since + grid.every) / 10, 0, 1) * ((grid.stamps >= start) & (grid.stamps < end))
            values[place - first] *= 1 + (factor - 1) * rise


def _count(steps: np.ndarray, owners: _Owners, grid: _Grid, first: int, last: int) -> np.ndarray:
    """A counter from its steps: on from what it had reached, from zero after each restart."""
    # A column before the points holds what was reached, one after them what is carried to the next day.
    total = np.pad(steps, ((0, 0), (1, 1)))
    total[:, :1] = owners.reached[first:last]
    total = total.cumsum(axis=1)
    begin, end = micros(grid.start), micros(grid.start + timedelta(days=1))
    place, moment = owners.restarts.T
    today = (place >= first) & (place < last) & (moment >= begin) & (moment < end)
    for row, at in zip(place[today] - first, np.searchsorted(grid.stamps, moment[today]), strict=True):
        total[row, at + 1 :] -= total[row, at]
    owners.reached[first:last] = total[:, -1:]
    return np.asarray(total[:, 1:-1])


def _frame(metric: str, values: np.ndarray, owners: _Owners, grid: _Grid, first: int, last: int) -> pl.DataFrame:
    """The points that are there: in the life of the CI, and not while its agent was silent."""
    stamps = grid.stamps
    born, gone, silent = (array[first:last, None] for array in (owners.born, owners.gone, owners.silent))
    there = (stamps >= born) & (stamps < gone) & ~((stamps >= silent[..., 0]) & (stamps < silent[..., 1]))
    row, column = np.nonzero(there)
    return pl.DataFrame(
        {
            "ci_id": owners.ci_id.gather(row + first),
            "metric": pl.repeat(metric, len(row), eager=True),
            "series": owners.series.gather(row + first),
            "ts": times(stamps[column]),
            "value": values[row, column],
        }
    )
