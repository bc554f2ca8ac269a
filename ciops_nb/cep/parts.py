"""Conditions at work: each part gives, at the ticks it is asked for, the series for which it holds, and their values.

A part is made once for a replay (which series meet which is a matter of labels, not of time) and then asked for some
ticks at a time, which bounds memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ciops_nb.cep.samples import Bools, Floats, Ints, Labels, Seen, gather

__all__ = [
    "COMPARED", "Both", "Compared", "Divided", "Either", "Pair", "Part", "Reduced", "Selected", "Sources", "Times",
    "Unless", "joined",
]  # fmt: skip

Sources = list[list[dict[str, Any]]]
"""For each of some pairs of series and tick, the samples on which its value rests: metric, ts, value, ci_code."""

COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    ">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal, "==": np.equal, "!=": np.not_equal,
}  # fmt: skip
_CELLS = 4_000_000


class Part(Protocol):
    """One part of a condition; its *labels* are indexed by series."""

    @property
    def labels(self) -> Sequence[Labels]: ...

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        """Values, and whether there is one: matrices of series by ticks."""

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        """On what the value of each series at each tick (pair by pair, where it has one) rests."""


def joined(parts: Sequence[Part], two: Callable[[Part, Part], Part]) -> Part:
    """*two* of the first and the second, and so on."""
    first, *others = parts
    for other in others:
        first = two(first, other)
    return first


class Selected:
    """A metric, at each tick the newest sample or an aggregate."""

    def __init__(self, seen: Seen, agg: str | None) -> None:
        self._seen, self._agg = seen, agg
        self.labels = seen.samples.labels

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        return gather(self._seen, self._agg, ticks)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        samples = self._seen.samples
        newest = self._seen.bounds(series, ticks)[1] - 1
        return [
            [{"metric": samples.metric, "ts": ts, "value": value, "ci_code": dict(self.labels[row]).get("ci")}]
            for row, ts, value in zip(
                series.tolist(), samples.ts[newest].tolist(), samples.value[newest].tolist(), strict=True
            )
        ]


class Times:
    def __init__(self, inner: Part, factor: float) -> None:
        self._inner, self._factor = inner, factor
        self.labels = inner.labels

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        with np.errstate(all="ignore"):
            return value * self._factor, there

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._inner.sources(series, ticks)


class Reduced:
    """Series put together that have the same values of some labels."""

    def __init__(self, inner: Part, by: Sequence[str], how: str) -> None:
        self._inner, self._how = inner, how
        keys = [tuple(pair for pair in labels if pair[0] in by) for labels in inner.labels]
        self.labels = tuple(sorted(set(keys)))
        number = {key: place for place, key in enumerate(self.labels)}
        group = np.array([number[key] for key in keys], dtype=np.int64)
        self._order = np.argsort(group, kind="stable")
        self._group = group
        self._starts = np.searchsorted(group[self._order], np.arange(len(self.labels)))

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        if not len(self.labels):
            return value, there
        value, there = value[self._order], there[self._order]
        count = self._add(there.astype(np.int64))
        with np.errstate(all="ignore"):
            return self._reduced(value, there, count), count > 0

    def _add(self, rows: Any) -> Any:
        return np.add.reduceat(rows, self._starts, axis=0)

    def _reduced(self, value: Floats, there: Bools, count: Ints) -> Floats:
        if self._how == "count":
            return count.astype(np.float64)
        if self._how == "sum":
            return self._sum(value, there)
        missing_as_nan = np.where(there, value, np.nan)  # fmax and fmin pass over NaN, as Prometheus' max and min do
        most = np.fmax.reduceat(missing_as_nan, self._starts, axis=0)
        if self._how == "max":
            return most
        least = np.fmin.reduceat(missing_as_nan, self._starts, axis=0)
        if self._how == "min":
            return least
        # From the greatest value on, so that the mean of equal values is that value.
        apart = np.where(there, value - most[self._group[self._order]], 0.0)
        mean = most + self._add(apart) / count
        return np.where(np.isfinite(most) & np.isfinite(least), mean, self._sum(value, there) / count)

    def _sum(self, value: Floats, there: Bools) -> Floats:
        total: Floats = self._add(np.where(there, value, 0.0))
        return total

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        """Of the series put together the one that is greatest (least for min)."""
        chosen = np.zeros(len(series), dtype=np.int64)
        asked, place = np.unique(ticks, return_inverse=True)
        width = max(1, _CELLS // max(1, len(self._inner.labels)))
        for begin in range(0, len(asked), width):
            value, there = self._inner.at(asked[begin : begin + width])
            for pair in np.flatnonzero((place >= begin) & (place < begin + width)).tolist():
                column = place[pair] - begin
                members = np.flatnonzero((self._group == series[pair]) & there[:, column])
                of = value[members, column]
                of = np.where(np.isnan(of), np.inf if self._how == "min" else -np.inf, of)
                chosen[pair] = members[np.argmin(of) if self._how == "min" else np.argmax(of)]
        return self._inner.sources(chosen, ticks)


def _partners(left: Sequence[Labels], right: Sequence[Labels]) -> Ints:
    """For each of *left* the place of the same labels in *right*, -1 for none."""
    place = {labels: number for number, labels in enumerate(right)}
    return np.array([place.get(labels, -1) for labels in left], dtype=np.int64)


def _lined_up(matrix: Any, partners: Ints, missing: Any) -> Any:
    """The rows of *matrix* beside those whose *partners* they are."""
    found = np.full((len(partners), matrix.shape[1]), missing, dtype=matrix.dtype)
    found[partners >= 0] = matrix[partners[partners >= 0]]
    return found


class Pair:
    """Two parts that meet by their labels; the first gives labels and values."""

    def __init__(self, left: Part, right: Part) -> None:
        self._left, self._right = left, right
        self.labels: Sequence[Labels] = left.labels
        self._partners = _partners(left.labels, right.labels)

    def beside(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._right.at(ticks)
        return _lined_up(value, self._partners, np.nan), _lined_up(there, self._partners, False)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        ours, theirs = self._left.sources(series, ticks), self._right.sources(self._partners[series], ticks)
        return [a + b for a, b in zip(ours, theirs, strict=True)]


class Divided(Pair):
    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._left.at(ticks)
        other, beside = self.beside(ticks)
        with np.errstate(all="ignore"):
            return value / other, there & beside


class Both(Pair):
    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._left.at(ticks)
        return value, there & self.beside(ticks)[1]


class Unless(Pair):
    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._left.at(ticks)
        return value, there & ~self.beside(ticks)[1]

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._left.sources(series, ticks)


class Either:
    """What the left has, and what only the right has."""

    def __init__(self, left: Part, right: Part) -> None:
        self._left, self._right = left, right
        own = set(left.labels)
        self.labels: Sequence[Labels] = (*left.labels, *(labels for labels in right.labels if labels not in own))
        self._of_left, self._of_right = _partners(self.labels, left.labels), _partners(self.labels, right.labels)

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        (first, there), (second, also) = self._left.at(ticks), self._right.at(ticks)
        there, also = _lined_up(there, self._of_left, False), _lined_up(also, self._of_right, False)
        first, second = _lined_up(first, self._of_left, np.nan), _lined_up(second, self._of_right, np.nan)
        return np.where(there, first, second), there | also

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        found: Sources = [[] for _ in series]
        left = np.zeros(len(series), dtype=np.bool_)
        asked, place = np.unique(ticks, return_inverse=True)
        width = max(1, _CELLS // max(1, len(self.labels)))
        for begin in range(0, len(asked), width):
            there = _lined_up(self._left.at(asked[begin : begin + width])[1], self._of_left, False)
            some = (place >= begin) & (place < begin + width)
            left[some] = there[series[some], place[some] - begin]
        for part, rows, wanted in ((self._left, self._of_left, left), (self._right, self._of_right, ~left)):
            places = np.flatnonzero(wanted)
            if len(places):
                for at, records in zip(places.tolist(), part.sources(rows[series[places]], ticks[places]), strict=True):
                    found[at] = records
        return found


class Compared:
    """The series whose value compares as asked with a number, or with that of the same labels on the right."""

    def __init__(self, left: Part, op: str, right: Part | float) -> None:
        self._left, self._compare, self._right = left, COMPARED[op], right
        self.labels = left.labels
        self._pair = None if isinstance(right, float) else Pair(left, right)

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._left.at(ticks)
        if self._pair is None:
            return value, there & self._compare(value, self._right)
        other, beside = self._pair.beside(ticks)
        return value, there & beside & self._compare(value, other)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._left.sources(series, ticks) if self._pair is None else self._pair.sources(series, ticks)
