"""Series of samples, and what each tick of a grid sees of them: the newest one, or an aggregate of a window.

Windows are left open: of ``over`` before tick t count the samples with t - over < ts <= t (Prometheus 3). A sum over a
window is taken from the samples of that window only, never as the difference of two running sums: time is cut into
blocks as long as the window, so that each window is the tail of one block and the head of the next. What lies outside
a window can therefore not change its last bit, and comparing with a threshold is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = [
    "NEVER", "Bools", "Floats", "Grid", "Ints", "Labels", "Samples", "Seen", "aggregate", "gather", "in_matrix",
    "quantiles", "unique",
]  # fmt: skip

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Labels: TypeAlias = tuple[tuple[str, str], ...]
"""The labels of a series by name, without empty ones and without the name of the metric: its identity."""

NEVER = 2**62
"""The time of what does not come: far in the future."""

_CELLS = 2_000_000  # of a window matrix at a time: 16 MB
_SPREAD = 4  # times the samples: so large a matrix of blocks may be
_ACCUMULATE: dict[str, tuple[Any, float]] = {
    "sum": (np.add.accumulate, 0.0),
    "max": (np.maximum.accumulate, -np.inf),
    "min": (np.minimum.accumulate, np.inf),
}


@dataclass(frozen=True)
class Grid:
    """Ticks in microseconds since 1970: *count* of them, from *start*, one each *step*."""

    start: int
    step: int
    count: int

    def moments(self, ticks: Ints) -> Ints:
        return self.start + ticks * self.step

    def first_at(self, ts: Ints) -> Ints:
        """The first tick at or after each of *ts*, between 0 and *count*."""
        return np.clip(-((self.start - ts) // self.step), 0, self.count)


@dataclass(frozen=True)
class Samples:
    """The samples of one metric, by series and then time; *labels* is indexed by series.

    Those that are *late* are seen only after the tick at whose time they stand. *known*, where it matters when a sample
    came in: from when on each could be seen. There may then be several of a series at one time: the last one known
    counts.
    """

    metric: str
    labels: tuple[Labels, ...]
    series: Ints
    ts: Ints
    value: Floats
    stale: Bools
    late: bool = False
    known: Ints | None = None

    @cached_property
    def real(self) -> Samples:
        """Without the markers that a series ended: what a window is made of."""
        return self._kept(~self.stale, self.labels, self.series) if self.stale.any() else self

    def of(self, met: Sequence[bool]) -> Samples:
        """Those of the series that are *met*."""
        if all(met):
            return self
        flags = np.array(met, dtype=np.bool_)
        labels = tuple(labels for labels, wanted in zip(self.labels, met, strict=True) if wanted)
        return self._kept(flags[self.series], labels, (np.cumsum(flags, dtype=np.int64) - 1)[self.series])

    def _kept(self, kept: Bools, labels: tuple[Labels, ...], series: Ints) -> Samples:
        known = None if self.known is None else self.known[kept]
        return Samples(
            self.metric, labels, series[kept], self.ts[kept], self.value[kept], self.stale[kept], self.late, known
        )


class Seen:
    """Which samples each tick sees: those of its window of *over*, moved *offset* into the past.

    A window is open on the left: what is as old as it is long has left it, unless it is *closed*. One that lies ahead
    of its tick (*offset* below 0) is *blind* to what has not happened by then.
    """

    def __init__(
        self, samples: Samples, grid: Grid, over: int, offset: int, *, closed: bool = False, blind: bool = False
    ) -> None:
        self.samples, self.grid, self.over, self.offset = samples, grid, over, offset
        self.ts = samples.ts + offset  # as if they had happened later: the ticks stay
        base = samples.series * (grid.count + 1)
        enters = np.maximum(self.ts, samples.ts) if blind and offset < 0 else self.ts
        self._enter = base + grid.first_at(enters + samples.late)
        self._leave = base + grid.first_at(self.ts + over + closed)

    def bounds(self, series: Ints, ticks: Ints) -> tuple[Ints, Ints]:
        """The samples of each pair of series and tick: those from the first number up to before the second."""
        asked = series * (self.grid.count + 1) + ticks
        return np.searchsorted(self._leave, asked, "right"), np.searchsorted(self._enter, asked, "right")

    def everywhere(self) -> tuple[Ints, Ints]:
        """The bounds at every tick of every series: counted, which is faster than to search."""
        cells = len(self.samples.labels) * (self.grid.count + 1)
        low, high = (
            np.cumsum(np.bincount(at, minlength=cells)).reshape(-1, self.grid.count + 1)[:, :-1].ravel()
            for at in (self._leave, self._enter)
        )
        return low, high

    @cached_property
    def blocks(self) -> _Blocks:
        return _Blocks(self.samples.series, (self.ts - 1) // self.over)

    @cached_property
    def sums(self) -> _Sums:
        return _Sums(self.samples.value, self.blocks)

    @cached_property
    def lost(self) -> Floats:
        """What a counter had before each sample that is a reset (below the one before), else nothing."""
        value, series = self.samples.value, self.samples.series
        before = np.zeros_like(value)
        fell = (value[1:] < value[:-1]) & (series[1:] == series[:-1])
        before[1:] = np.where(fell, value[:-1], 0.0)
        return before

    @cached_property
    def resets(self) -> _Sums:
        """Sums of what was lost between samples of one block."""
        return _Sums(np.where(self.blocks.first, 0.0, self.lost), self.blocks)

    @cached_property
    def lines(self) -> _Lines:
        return _Lines(self)

    @cached_property
    def nans(self) -> Ints:
        return _counted(np.isnan(self.samples.value))

    def extreme(self, how: str) -> tuple[Floats, Floats]:
        return self._extremes[how] if how in self._extremes else self._extreme(how)

    @cached_property
    def _extremes(self) -> dict[str, tuple[Floats, Floats]]:
        return {}

    def _extreme(self, how: str) -> tuple[Floats, Floats]:
        value = self.samples.value
        least = -np.inf if how == "max" else np.inf
        plain = np.where(np.isnan(value), least, value)
        found = self.blocks.forward(plain, how), self.blocks.backward(plain, how)
        self._extremes[how] = found
        return found


class _Blocks:
    """Samples of one series in one stretch of time, numbered in their order."""

    def __init__(self, series: Ints, stretch: Ints) -> None:
        first = np.ones(len(series), dtype=np.bool_)
        first[1:] = (series[1:] != series[:-1]) | (stretch[1:] != stretch[:-1])
        self.first = first
        self.stretch = stretch
        self.number = np.cumsum(first) - 1
        starts = np.append(np.flatnonzero(first), len(series))
        self.end = starts[self.number + 1] if len(series) else starts[:0]

    def forward(self, value: Floats, how: str) -> Floats:
        """The sum, max or min from the start of its block up to each sample."""
        return self._running(value, how, back=False)

    def backward(self, value: Floats, how: str) -> Floats:
        """The same from each sample to the end of its block."""
        return self._running(value, how, back=True)

    def _running(self, value: Floats, how: str, *, back: bool) -> Floats:
        if not len(value):
            return value
        if len(self._lengths) * self._width > _SPREAD * len(value):
            # Blocks differ so much in length that a matrix of them would be mostly empty.
            x = pl.col("x")
            made = {"sum": x.cum_sum, "max": x.cum_max, "min": x.cum_min}[how](reverse=back)
            return pl.DataFrame({"x": value, "block": self.number}).select(made.over("block")).to_series().to_numpy()
        accumulate, nothing = _ACCUMULATE[how]
        at = self._from_end if back else self._from_start
        cells = np.full(len(self._lengths) * self._width, nothing)
        cells[at] = value
        rows = cells.reshape(-1, self._width)
        with np.errstate(all="ignore"):  # an overflow is infinite, as it is without the rows
            found: Floats = accumulate(rows, axis=1, out=rows).reshape(-1)[at]
        return found

    @cached_property
    def _lengths(self) -> Ints:
        found: Ints = self.end[self.first] - np.flatnonzero(self.first)
        return found

    @cached_property
    def _width(self) -> int:
        return int(self._lengths.max())

    @cached_property
    def _from_start(self) -> Ints:
        """The place of each sample in a matrix with a row a block."""
        found: Ints = self.number * self._width + (
            np.arange(len(self.number)) - np.flatnonzero(self.first)[self.number]
        )
        return found

    @cached_property
    def _from_end(self) -> Ints:
        found: Ints = self.number * self._width + (self.end - 1 - np.arange(len(self.number)))
        return found

    def split(self, low: Ints, high: Ints, moments: Ints) -> Ints:
        """Where the windows from *low* up to before *high* (not empty) go over from one block to the next."""
        same = self.stretch[low] == moments
        return np.where(same, low, np.minimum(self.end[low], high))


class _Sums:
    """Sums over windows, rounded once: each running sum carries its rounding error along (Knuth's two-sum)."""

    def __init__(self, value: Floats, blocks: _Blocks, tails: Floats | None = None) -> None:
        """Of *value*; of *tails*, if given, in the part of a window that is the tail of a block."""
        finite = np.isfinite(value)
        self._odd = (
            None
            if finite.all()
            else tuple(_counted(odd) for odd in (np.isnan(value), value == np.inf, value == -np.inf))
        )
        plain = value if self._odd is None else np.where(finite, value, 0.0)
        behind = plain if tails is None else np.where(finite, tails, 0.0)
        self._head, self._tail = blocks.forward(plain, "sum"), blocks.backward(behind, "sum")
        last = np.append(blocks.first[1:], True)[: len(plain)]
        head = _lost(self._head[:-1], plain[1:], self._head[1:], blocks.first[1:])
        tail = _lost(self._tail[1:], behind[:-1], self._tail[:-1], last[:-1])
        self._head_lost = blocks.forward(np.concatenate([np.zeros(len(plain[:1])), head]), "sum")
        self._tail_lost = blocks.backward(np.concatenate([tail, np.zeros(len(plain[:1]))]), "sum")

    def of(self, low: Ints, high: Ints, split: Ints) -> tuple[Floats, Floats]:
        """The sums from *low* up to *split* and from there up to before *high*, and what rounding took from them."""
        with_tail, with_head = split > low, high > split
        tail = _picked(self._tail, low, with_tail)
        head = _picked(self._head, high - 1, with_head)
        total, lost = _two_sum(tail, head)
        lost = lost + _picked(self._tail_lost, low, with_tail) + _picked(self._head_lost, high - 1, with_head)
        if self._odd is not None:
            nan, up, down = (counted[high] - counted[low] > 0 for counted in self._odd)
            odd = np.select([nan | (up & down), up, down], [np.nan, np.inf, -np.inf], 0.0)
            total, lost = np.where(odd == 0.0, total, odd), np.where(odd == 0.0, lost, 0.0)
        return total, lost


class _Lines:
    """Straight lines through windows: linearRegression of Prometheus 2.42 (promql/functions.go), of running sums.

    Time is told from where the window goes over from one block to the next, which both blocks know.
    """

    def __init__(self, seen: Seen) -> None:
        value, blocks = seen.samples.value, seen.blocks
        self._seen = seen
        head = (seen.ts - blocks.stretch * seen.over) / 1e6
        tail = (seen.ts - (blocks.stretch + 1) * seen.over) / 1e6
        with np.errstate(all="ignore"):  # what is not finite is left out of the sums, and its windows are NaN
            self._sums = [
                _Sums(ours, blocks, theirs)
                for ours, theirs in ((head, tail), (head * head, tail * tail), (head * value, tail * value))
            ]
        self._odd = _counted(~np.isfinite(value))
        changed = np.zeros(len(value), dtype=np.bool_)
        changed[1:] = value[1:] != value[:-1]
        self._changed = _counted(changed)

    def of(self, low: Ints, high: Ints, moments: Ints, zero: Ints) -> tuple[Floats, Floats]:
        """The slopes, and the heights at *zero*, of windows that end at *moments* in the time of ``seen.ts``."""
        seen = self._seen
        value, blocks, over = seen.samples.value, seen.blocks, seen.over
        split = blocks.split(low, high, (moments - 1) // over)
        count = (high - low).astype(np.float64)
        x, xx, xy = (total + lost for total, lost in (sums.of(low, high, split) for sums in self._sums))
        total, lost = seen.sums.of(low, high, split)
        y = total + lost
        slope = (xy - x * y / count) / (xx - x * x / count)
        origin = np.where(split > low, (blocks.stretch[low] + 1) * over, blocks.stretch[high - 1] * over)
        height = y / count - slope * (x / count - (zero - origin) / 1e6)
        # Equal values are no slope at all, not one as small as the rounding of their sums.
        level = self._changed[high] == self._changed[low + 1]
        odd = self._odd[high] > self._odd[low]
        return (
            np.where(odd, np.nan, np.where(level, 0.0, slope)),
            np.where(odd, np.nan, np.where(level, value[low], height)),
        )


def unique(values: Ints) -> Ints:
    """As ``np.unique``, which in numpy 2.4 takes ten times as long for a million different numbers."""
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def _counted(flags: Bools) -> Ints:
    """How many are set before each place."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(flags, dtype=np.int64)])


def _picked(value: Floats, place: Ints, wanted: Bools) -> Floats:
    return np.where(wanted, value[np.where(wanted, place, 0)], 0.0)


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _lost(before: Floats, added: Floats, after: Floats, fresh: Bools) -> Floats:
    """What the step from *before* to *after* lost of *added*, nothing where a running sum starts afresh."""
    total, lost = _two_sum(before, added)
    return np.where(fresh, 0.0, (total - after) + lost)


def _mean(total: Floats, lost: Floats, count: Floats) -> Floats:
    """(total + lost) / count, rounded once, so that the mean of equal values is that value (Dekker's product)."""
    rough = (total + lost) / count
    factor = 134217729.0  # 2**27 + 1
    wide = rough * factor
    high = wide - (wide - rough)
    low = rough - high
    product = rough * count
    missed = (high * count - product) + low * count  # exact for fewer than 2**26 samples
    better = rough + (((total - product) - missed) + lost) / count
    return np.where(np.isfinite(better), better, rough)


# ── aggregates ──────────────────────────────────────────────────────────────────────────────────────────────────────


def aggregate(seen: Seen, agg: str, low: Ints, high: Ints, moments: Ints) -> Floats:
    """*agg* of the windows from *low* up to before *high*, of which none is empty, at *moments*; NaN where it is none.

    Counters need two samples: their windows with one give NaN, and ``gather`` leaves them out.
    """
    value = seen.samples.value
    if agg == "count":
        return (high - low).astype(np.float64)
    if agg == "last":
        return value[high - 1]
    if agg in ("stddev", "variance"):
        found = in_matrix(value, low, high, lambda rows, held, _: _variance(rows, held))
        return np.sqrt(found) if agg == "stddev" else found
    if agg.startswith("p"):
        share = float(agg[1:]) / 100
        return in_matrix(value, low, high, lambda rows, held, _: quantiles(rows, held, share))
    split = seen.blocks.split(low, high, (moments - 1) // seen.over)
    if agg in ("rate", "increase", "delta"):
        return _extrapolated(seen, agg, low, high, split, moments)
    if agg in ("min", "max"):
        return _extreme(seen, agg, low, high, split)
    total, lost = seen.sums.of(low, high, split)
    return total + lost if agg == "sum" else _mean(total, lost, (high - low).astype(np.float64))


def _extreme(seen: Seen, how: str, low: Ints, high: Ints, split: Ints) -> Floats:
    head, tail = seen.extreme(how)
    least = -np.inf if how == "max" else np.inf
    left = np.where(split > low, tail[low], least)
    right = np.where(high > split, head[high - 1], least)
    found = np.maximum(left, right) if how == "max" else np.minimum(left, right)
    only_nan = seen.nans[high] - seen.nans[low] == high - low
    return np.where(only_nan, np.nan, found)


def _extrapolated(seen: Seen, agg: str, low: Ints, high: Ints, split: Ints, moments: Ints) -> Floats:
    """``rate``, ``increase`` and ``delta``: extrapolatedRate of Prometheus 2.42 (promql/functions.go)."""
    value, ts = seen.samples.value, seen.ts
    count = high - low
    first, last = value[low], value[high - 1]
    grown = last - first
    if agg != "delta":
        # A reset counts if both of its samples are in the window: the one before the window's first sample does not,
        # and the one where the window goes over to the next block belongs to neither block.
        total, lost = seen.resets.of(low + 1, high, split)
        between_blocks = _picked(seen.lost, split, (split > low) & (split < high))
        grown = grown + ((total + between_blocks) + lost)
    to_start = (ts[low] - (moments - seen.over)) / 1e6
    to_end = (moments - ts[high - 1]) / 1e6
    sampled = (ts[high - 1] - ts[low]) / 1e6
    between = sampled / (count - 1)
    if agg != "delta":
        to_zero = np.where((grown > 0) & (first >= 0), sampled * (first / grown), np.inf)  # counters are not negative
        to_start = np.minimum(to_start, np.where(np.isnan(to_zero), np.inf, to_zero))
    near = between * 1.1
    reach = sampled + np.where(to_start < near, to_start, between / 2) + np.where(to_end < near, to_end, between / 2)
    factor = reach / sampled
    if agg == "rate":
        factor = factor / (seen.over / 1e6)
    found: Floats = np.where(count > 1, grown * factor, np.nan)
    return found


def in_matrix(value: Floats, low: Ints, high: Ints, function: Any) -> Floats:
    """*function* of the windows as the rows of a matrix, a few at a time.

    It is given the rows, which of their cells are samples, and the numbers of the windows.
    """
    found = np.empty(len(low))
    lengths = high - low
    order = np.argsort(lengths, kind="stable")  # windows of like length share a matrix
    begin = 0
    while begin < len(order):
        width = int(lengths[order[begin]])
        some = order[begin : begin + max(1, _CELLS // max(1, width))]
        width = int(lengths[some[-1]])
        some = some[: max(1, _CELLS // max(1, width))]
        width = int(lengths[some[-1]])
        place = np.arange(width)
        held = place < lengths[some][:, None]
        rows = value[np.where(held, low[some][:, None] + place, low[some][:, None])]
        found[some] = function(rows, held, some)
        begin += len(some)
    return found


def _variance(rows: Floats, held: Bools) -> Floats:
    """The variance of each row as a whole population, as ``stdvar_over_time``."""
    count = held.sum(axis=1)
    starts = np.cumsum(count) - count
    apart = (rows - rows[:, :1])[held]  # from the first value: equal values deviate by nothing
    # Added up without what fills the rows: numpy adds in an order that depends on how long a row is.
    mean = np.add.reduceat(apart, starts) / count
    squares: Floats = (apart - np.repeat(mean, count)) ** 2
    found: Floats = np.add.reduceat(squares, starts) / count
    return found


def quantiles(rows: Floats, held: Bools, share: float | Floats) -> Floats:
    """Linear between samples, NaN below all others: ``quantile_over_time``."""
    count = held.sum(axis=1)
    nan = np.isnan(rows) & held
    ordered = np.sort(np.where(held, np.where(nan, -np.inf, rows), np.inf), axis=1)
    nans = nan.sum(axis=1)
    rank = share * (count - 1)
    below = np.floor(rank).astype(np.int64)
    above = np.minimum(below + 1, count - 1)
    line = np.arange(len(rows))
    lower, upper = (np.where(at < nans, np.nan, ordered[line, at]) for at in (below, above))
    weight = rank - below
    found: Floats = lower * (1 - weight) + upper * weight
    return found


def gather(seen: Seen, agg: str | None, ticks: Ints) -> tuple[Floats, Bools]:
    """The value of each series at each of *ticks*, and whether it has one: matrices of series by ticks."""
    count = len(seen.samples.labels)
    if len(ticks) == seen.grid.count:
        low, high = seen.everywhere()
    else:
        series = np.repeat(np.arange(count, dtype=np.int64), len(ticks))
        low, high = seen.bounds(series, np.tile(ticks, count))
    there = high > low
    if agg is None:
        newest = high[there] - 1
        there[there] = ~seen.samples.stale[newest]
        value = np.full(len(there), np.nan)
        value[there] = seen.samples.value[high[there] - 1]
    else:
        if agg in ("rate", "increase"):
            there = high > low + 1
        moments = np.tile(seen.grid.moments(ticks), count)[there]
        value = np.full(len(there), np.nan)
        with np.errstate(all="ignore"):  # the arithmetic of NaN and Inf is wanted as it is
            value[there] = aggregate(seen, agg, low[there], high[there], moments)
    shape = (count, len(ticks))
    return value.reshape(shape), there.reshape(shape)
