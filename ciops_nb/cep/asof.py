"""A metric as it was known at each tick: samples that came in later are not there yet.

Of several samples of a series at one time the one that came in last by then counts, so that a correction replaces what
it corrects. Aggregates are those of ``samples``: a window that misses nothing and holds no correction is taken as ever,
and each other one by itself, as a series of its own that holds what had come in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ciops_nb.cep.parts import Sources
from ciops_nb.cep.records import Latest, Spans, members
from ciops_nb.cep.samples import Bools, Floats, Grid, Ints, Labels, Samples, Seen, aggregate, gather

__all__ = ["Known"]

_CELLS = 2_000_000  # samples that are looked at together


class Known:
    """A metric, at each tick the newest sample that had come in, or an aggregate of those that had."""

    def __init__(self, samples: Samples, grid: Grid, over: int, offset: int, agg: str | None) -> None:
        assert samples.known is not None
        self._agg, self._offset = agg, offset
        self._seen, self._real = (Seen(some, grid, over, offset) for some in (samples, samples.real))
        self._known = np.maximum(self._seen.ts, samples.known)  # an offset moves samples, and not when they came in
        self._latest = Latest(samples.series, self._known, len(samples.labels))
        self._unlike = Spans(*_unlike(samples.series, self._seen.ts, self._known, over))
        self.labels: Sequence[Labels] = samples.labels

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        moments = self._seen.grid.moments(ticks)[None, :]
        keys = np.arange(len(self.labels), dtype=np.int64)[:, None]
        samples = self._seen.samples
        if self._agg is None:
            newest = self._newest(keys, moments)
            there = (newest >= 0) & ~np.append(samples.stale, False)[newest]
            return np.where(there, np.append(samples.value, np.nan)[newest], np.nan), there
        value, there = gather(self._real, self._agg, ticks)
        series, column = np.nonzero(self._unlike.covering(keys, moments) > 0)
        value[series, column], there[series, column] = self._apart(self._agg, series, ticks[column])
        return value, there

    def _newest(self, series: Ints, moments: Ints) -> Ints:
        """The newest sample for each, -1 where it is too old or there is none."""
        found = self._latest.at(series, moments)
        young = np.append(self._seen.ts, 0)[found] > moments - self._seen.over
        return np.where((found >= 0) & young, found, -1)

    def _apart(self, agg: str, series: Ints, ticks: Ints) -> tuple[Floats, Bools]:
        """Some pairs of series and tick, each window by itself."""
        value, there = np.full(len(series), np.nan), np.zeros(len(series), dtype=np.bool_)
        low, high = self._seen.bounds(series, ticks)
        begin = 0
        while begin < len(series):
            sizes = np.cumsum(high[begin:] - low[begin:])
            end = begin + max(1, int(np.searchsorted(sizes, _CELLS, "right")))
            value[begin:end], there[begin:end] = self._few(agg, series[begin:end], ticks[begin:end])
            begin = end
        return value, there

    def _few(self, agg: str, series: Ints, ticks: Ints) -> tuple[Floats, Bools]:
        row, of = self._held(series, ticks)
        every, samples, moments = np.arange(len(series)), self._seen.samples, self._seen.grid.moments(ticks)
        alone = Samples(samples.metric, (), row, samples.ts[of], samples.value[of], samples.stale[of])
        first, after = np.searchsorted(row, every), np.searchsorted(row, every, "right")
        there = after - first > (1 if agg in ("rate", "increase") else 0)
        value = np.full(len(series), np.nan)
        with np.errstate(all="ignore"):  # the arithmetic of NaN and Inf is wanted as it is
            seen = Seen(alone, self._seen.grid, self._seen.over, self._offset)
            value[there] = aggregate(seen, agg, first[there], after[there], moments[there])
        return value, there

    def _held(self, series: Ints, ticks: Ints) -> tuple[Ints, Ints]:
        """What the windows of some pairs of series and tick held: the number of the pair, and of the sample."""
        row, of = members(*self._seen.bounds(series, ticks))
        had_come = self._known[of] <= self._seen.grid.moments(ticks)[row]
        row, of = row[had_come], of[had_come]
        ts = self._seen.ts[of]
        last = np.ones(len(of), dtype=np.bool_)  # of those at one time the one that came in last
        last[:-1] = (row[1:] != row[:-1]) | (ts[1:] != ts[:-1])
        kept = last & ~self._seen.samples.stale[of]
        return row[kept], of[kept]

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        """The newest sample of each, as ``parts.Selected`` says it."""
        samples = self._seen.samples
        if self._agg is None:
            newest = self._newest(series, self._seen.grid.moments(ticks))
        else:
            row, of = self._held(series, ticks)
            newest = of[np.searchsorted(row, np.arange(len(series)), "right") - 1]
        return [
            [{"metric": samples.metric, "ts": ts, "value": value, "ci_code": dict(self.labels[row]).get("ci")}]
            for row, ts, value in zip(
                series.tolist(), samples.ts[newest].tolist(), samples.value[newest].tolist(), strict=True
            )
        ]


def _unlike(series: Ints, ts: Ints, known: Ints, over: int) -> tuple[Ints, Ints, Ints]:
    """When the windows of a series hold other samples than those of their times: some are late, or there twice."""
    late = np.flatnonzero(known > ts)
    same = (series[1:] == series[:-1]) & (ts[1:] == ts[:-1])
    twice = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False)) if len(ts) else late
    of = np.concatenate([late, twice])
    end = np.concatenate([np.minimum(known[late], ts[late] + over), ts[twice] + over])
    return series[of], ts[of], end
