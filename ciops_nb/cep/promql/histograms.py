"""``histogram_quantile`` of classic buckets: bucketQuantile of Prometheus 2.42 (promql/quantile.go)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ciops_nb.cep.promql.parts import NAME, Part, Sources, chosen, without
from ciops_nb.cep.samples import Bools, Floats, Ints, Labels

__all__ = ["Quantile"]


class Quantile:
    """The quantile of each histogram: the series that differ in ``le`` only."""

    def __init__(self, inner: Part, share: Part) -> None:
        self._inner, self._share = inner, share
        members: dict[Labels, list[tuple[float, int]]] = {}
        for row, labels in enumerate(inner.labels):
            bound = _bound(dict(labels).get("le"))
            if bound is not None:
                members.setdefault(without(labels, (NAME, "le")), []).append((bound, row))
        self.labels: Sequence[Labels] = tuple(sorted(members))
        self._buckets = [sorted(members[labels]) for labels in self.labels]
        self._of = np.full(len(inner.labels), -1, dtype=np.int64)
        for group, buckets in enumerate(self._buckets):
            self._of[[row for _, row in buckets]] = group

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        share = self._share.at(ticks)[0][0]
        found = np.full((len(self.labels), len(ticks)), np.nan)
        any_there = np.zeros(found.shape, dtype=np.bool_)
        with np.errstate(all="ignore"):  # the arithmetic of NaN and Inf is wanted as it is
            for group, buckets in enumerate(self._buckets):
                rows = np.array([row for _, row in buckets])
                bounds, starts = np.unique([bound for bound, _ in buckets], return_index=True)
                held = np.logical_or.reduceat(there[rows], starts, axis=0)
                counts = np.add.reduceat(np.where(there[rows], value[rows], 0.0), starts, axis=0)
                any_there[group] = held.any(axis=0)
                found[group] = _quantile(share, bounds, counts, held)
        return found, any_there

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        """The widest bucket, which counts all there was."""
        bounds = np.array([_bound(dict(labels).get("le")) or 0.0 for labels in self._inner.labels])
        order = np.argsort(-bounds, kind="stable")
        found = chosen(_Reordered(self._inner, order), self._of[order], series, ticks, None)
        return self._inner.sources(order[found], ticks)


class _Reordered:
    def __init__(self, inner: Part, order: Ints) -> None:
        self._inner, self._order = inner, order
        self.labels: Sequence[Labels] = [inner.labels[row] for row in order.tolist()]

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        return value[self._order], there[self._order]

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._inner.sources(self._order[series], ticks)


def _bound(text: str | None) -> float | None:
    try:
        return None if text is None or "_" in text or text != text.strip() else float(text)
    except ValueError:
        return None


def _quantile(share: Floats, bounds: Floats, counts: Floats, held: Bools) -> Floats:
    """Of buckets by ticks; those that are not *held* are missing at their tick."""
    order = np.argsort(~held, axis=0, kind="stable")  # what is there first, still by bound
    size = held.sum(axis=0)
    upper = bounds[order]
    count = np.where(np.arange(len(bounds))[:, None] < size, np.take_along_axis(counts, order, axis=0), np.nan)
    endless = np.take_along_axis(upper, np.maximum(size - 1, 0)[None], axis=0)[0] == np.inf
    count = _never_falling(count)
    last = np.maximum(size - 1, 0)
    column = np.arange(count.shape[1])
    observed = count[last, column]
    rank = share * observed
    place = _first_at_least(count, rank, last)
    before = np.maximum(place - 1, 0)
    start = np.where(place > 0, upper[before, column], 0.0)
    below = np.where(place > 0, count[before, column], 0.0)
    within = (rank - below) / (count[place, column] - below)
    found = start + (upper[place, column] - start) * within
    found = np.where((place == 0) & (upper[0] <= 0), upper[0], found)
    found = np.where(place == last, upper[np.maximum(last - 1, 0), column], found)
    found = np.where((size < 2) | ~endless | (observed == 0), np.nan, found)
    odd = [np.isnan(share), share < 0, share > 1]
    return np.select(odd, [np.nan, -np.inf, np.inf], found)


def _never_falling(count: Floats) -> Floats:
    """Each bucket raised to the greatest before it; a NaN stays, and the first one rules all after it."""
    most = count[0].copy()
    raised = count.copy()
    for row in range(1, len(count)):
        most = np.where(count[row] > most, count[row], most)
        raised[row] = np.where(count[row] < most, most, count[row])
    return raised


def _first_at_least(count: Floats, rank: Floats, last: Ints) -> Ints:
    """Go's sort.Search: by halves, which matters where counts are NaN."""
    low, high = np.zeros_like(last), last.copy()
    column = np.arange(len(last))
    for _ in range(len(count).bit_length() + 1):
        middle = (low + high) // 2
        open_ = low < high
        reached = count[middle, column] >= rank
        high = np.where(open_ & reached, middle, high)
        low = np.where(open_ & ~reached, middle + 1, low)
    return low
