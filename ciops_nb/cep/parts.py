"""Conditions at work: each part gives, at the ticks it is asked for, the series for which it holds, and their values.

A part is made once for a replay (which series meet which is a matter of labels, not of time) and then asked for some
ticks at a time, which bounds memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ciops_nb.cep.samples import Bools, Floats, Grid, Ints, Labels, Seen, gather
from ciops_nb.errors import BadRule

__all__ = [
    "COMPARED", "Both", "Compared", "Divided", "Either", "Meeting", "On", "Pair", "Part", "Reduced", "Selected",
    "Sources", "Times", "Unless", "Within", "all_of", "breadth", "distinct", "held", "joined", "lined_up", "matching",
]  # fmt: skip

Sources = list[list[dict[str, Any]]]
"""For each of some pairs of series and tick, the samples on which its value rests: metric, ts, value, ci_code."""

COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    ">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal, "==": np.equal, "!=": np.not_equal,
}  # fmt: skip
On = tuple[str, ...] | None
_CELLS = 4_000_000


class Part(Protocol):
    """One part of a condition; its *labels* are indexed by series."""

    @property
    def labels(self) -> Sequence[Labels]: ...

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        """Values, and whether there is one: matrices of series by ticks."""

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        """On what the value of each series at each tick (pair by pair, where it has one) rests."""


def matching(part: Part) -> Sequence[On]:
    """By which labels each series of *part* meets those of others: None is by all, as the series of metrics do.

    A part whose series stand for more than themselves says so in *on*: what is near a CI matters to each series of it.
    """
    on: Sequence[On] | None = getattr(part, "on", None)
    return [None] * len(part.labels) if on is None else on


def breadth(part: Part) -> int:
    """How many series *part* looks at together, those of the parts in it too."""
    return max(1, getattr(part, "breadth", len(part.labels)))


def all_of(parts: Sequence[Part]) -> Part:
    """All of *parts*; those that only narrow others (see ``matching``) come after what they narrow."""
    return joined(sorted(parts, key=lambda part: None not in matching(part)), Both)


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

    @cached_property
    def _owners(self) -> list[str | None]:
        return [dict(labels).get("ci") for labels in self.labels]

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        samples, owners = self._seen.samples, self._owners
        newest = self._seen.bounds(series, ticks)[1] - 1
        return [
            [{"metric": samples.metric, "ts": ts, "value": value, "ci_code": owners[row]}]
            for row, ts, value in zip(
                series.tolist(), samples.ts[newest].tolist(), samples.value[newest].tolist(), strict=True
            )
        ]


class Within:
    """A part that holds at some ticks only."""

    def __init__(self, inner: Part, ticks: Bools) -> None:
        self._inner, self._ticks = inner, ticks
        self.labels = inner.labels

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        return value, there & self._ticks[ticks]

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._inner.sources(series, ticks)


class Times:
    def __init__(self, inner: Part, factor: float) -> None:
        self._inner, self._factor = inner, factor
        self.labels, self.breadth = inner.labels, breadth(inner)

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        with np.errstate(all="ignore"):
            return value * self._factor, there

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._inner.sources(series, ticks)


class Reduced:
    """Series put together that have the same values of some labels."""

    def __init__(self, inner: Part, by: Sequence[str], how: str) -> None:
        self._inner, self._how, self.breadth = inner, how, breadth(inner)
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
        width = max(1, _CELLS // self.breadth)
        for begin in range(0, len(asked), width):
            value, there = self._inner.at(asked[begin : begin + width])
            for pair in np.flatnonzero((place >= begin) & (place < begin + width)).tolist():
                column = place[pair] - begin
                members = np.flatnonzero((self._group == series[pair]) & there[:, column])
                of = value[members, column]
                of = np.where(np.isnan(of), np.inf if self._how == "min" else -np.inf, of)
                chosen[pair] = members[np.argmin(of) if self._how == "min" else np.argmax(of)]
        return self._inner.sources(chosen, ticks)


def _partners(left: Sequence[Any], right: Sequence[Any]) -> Ints:
    """For each of *left* the place of the same labels in *right*, -1 for none."""
    place = {labels: number for number, labels in enumerate(right)}
    return np.array([place.get(labels, -1) for labels in left], dtype=np.int64)


def lined_up(matrix: Any, partners: Ints, missing: Any) -> Any:
    """The rows of *matrix* beside those whose *partners* they are."""
    found = np.full((len(partners), matrix.shape[1]), missing, dtype=matrix.dtype)
    found[partners >= 0] = matrix[partners[partners >= 0]]
    return found


class Pair:
    """Two parts that meet by their labels; the first gives labels and values."""

    def __init__(self, left: Part, right: Part) -> None:
        self._left, self._right = left, right
        self.labels: Sequence[Labels] = left.labels
        self.breadth = max(breadth(left), breadth(right))
        self._partners = _partners(left.labels, right.labels)

    def beside(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._right.at(ticks)
        return lined_up(value, self._partners, np.nan), lined_up(there, self._partners, False)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        ours, theirs = self._left.sources(series, ticks), self._right.sources(self._partners[series], ticks)
        return [a + b for a, b in zip(ours, theirs, strict=True)]


class Divided(Pair):
    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._left.at(ticks)
        other, beside = self.beside(ticks)
        with np.errstate(all="ignore"):
            return value / other, there & beside


class Meeting:
    """For each of some series those of a part that meet it by their labels."""

    def __init__(self, labels: Sequence[Labels], on: Sequence[On], part: Part) -> None:
        self._part, self._count = part, len(labels)
        left, self._right = _met(labels, on, part.labels, matching(part))
        first = np.ones(len(left), dtype=np.bool_)
        first[1:] = left[1:] != left[:-1]
        self._starts = np.flatnonzero(first)
        self._rows = left[self._starts]
        self._ends = np.append(self._starts[1:], len(left))[: len(self._starts)]

    def holds(self, ticks: Ints) -> Bools:
        """Whether one that meets it holds: a matrix of series by ticks."""
        found = np.zeros((self._count, len(ticks)), dtype=np.bool_)
        if len(self._rows):
            there = self._part.at(ticks)[1]
            found[self._rows] = np.logical_or.reduceat(there[self._right], self._starts, axis=0)
        return found

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        """Of the first that meets it and holds."""
        return self._part.sources(self._first(series, ticks), ticks)

    def _first(self, series: Ints, ticks: Ints) -> Ints:
        place = np.searchsorted(self._rows, series)
        begin, end = self._starts[place], self._ends[place]
        chosen = self._right[begin]
        several = np.flatnonzero(end - begin > 1)
        asked, column = np.unique(ticks[several], return_inverse=True)
        width = max(1, _CELLS // breadth(self._part))
        for start in range(0, len(asked), width):
            there = self._part.at(asked[start : start + width])[1]
            for pair in np.flatnonzero((column >= start) & (column < start + width)).tolist():
                met = self._right[begin[several[pair]] : end[several[pair]]]
                chosen[several[pair]] = met[np.argmax(there[met, column[pair] - start])]
        return chosen


def _met(labels: Sequence[Labels], on: Sequence[On], others: Sequence[Labels], by: Sequence[On]) -> tuple[Ints, Ints]:
    """The pairs of a place in *labels* and one in *others* that meet, sorted."""
    pairs: list[tuple[int, int]] = []
    for ours in set(on):
        for theirs in set(by):
            names = _shared(ours, theirs)
            places: dict[Labels, list[int]] = {}
            for number, (one, how) in enumerate(zip(others, by, strict=True)):
                if how == theirs:
                    places.setdefault(_key(one, names), []).append(number)
            for number, (one, how) in enumerate(zip(labels, on, strict=True)):
                if how == ours:
                    pairs += [(number, other) for other in places.get(_key(one, names), ())]
    found = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _shared(ours: On, theirs: On) -> On:
    if ours is None or theirs is None:
        return theirs if ours is None else ours
    both = tuple(name for name in ours if name in theirs)
    if ours and theirs and not both:
        problem = (
            f"one condition is by {', '.join(ours)} and another by {', '.join(theirs)}: they have no label in common"
        )
        raise BadRule("all", problem, "Put them together by the same labels")
    return both


def _key(labels: Labels, names: On) -> Labels:
    return labels if names is None else tuple(pair for pair in labels if pair[0] in names)


class _Narrowed:
    """What the left has, where something of the right meets it or not; the left gives labels and values."""

    def __init__(self, left: Part, right: Part) -> None:
        self._left = left
        self.labels, self.on = left.labels, matching(left)
        self.breadth = max(breadth(left), breadth(right))
        self._right = Meeting(self.labels, self.on, right)


class Both(_Narrowed):
    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._left.at(ticks)
        return value, there & self._right.holds(ticks)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        ours, theirs = self._left.sources(series, ticks), self._right.sources(series, ticks)
        return [a + b for a, b in zip(ours, theirs, strict=True)]


class Unless(_Narrowed):
    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._left.at(ticks)
        return value, there & ~self._right.holds(ticks)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._left.sources(series, ticks)


class Either:
    """What the left has, and what only the right has."""

    def __init__(self, left: Part, right: Part) -> None:
        self._left, self._right = left, right
        first, second = ([*zip(one.labels, matching(one), strict=True)] for one in (left, right))
        own = set(first)
        every = [*first, *(row for row in second if row not in own)]
        self.labels: Sequence[Labels] = [labels for labels, _ in every]
        self.on = [on for _, on in every]
        self.breadth = max(len(every), breadth(left), breadth(right))
        self._of_left, self._of_right = _partners(every, first), _partners(every, second)

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        (first, there), (second, also) = self._left.at(ticks), self._right.at(ticks)
        there, also = lined_up(there, self._of_left, False), lined_up(also, self._of_right, False)
        first, second = lined_up(first, self._of_left, np.nan), lined_up(second, self._of_right, np.nan)
        return np.where(there, first, second), there | also

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        found: Sources = [[] for _ in series]
        left = np.zeros(len(series), dtype=np.bool_)
        asked, place = np.unique(ticks, return_inverse=True)
        width = max(1, _CELLS // self.breadth)
        for begin in range(0, len(asked), width):
            there = lined_up(self._left.at(asked[begin : begin + width])[1], self._of_left, False)
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
        self.labels, self.on = left.labels, matching(left)
        self.breadth = breadth(left) if isinstance(right, float) else max(breadth(left), breadth(right))
        self._pair = None if isinstance(right, float) else Pair(left, right)

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._left.at(ticks)
        if self._pair is None:
            return value, there & self._compare(value, self._right)
        other, beside = self._pair.beside(ticks)
        return value, there & beside & self._compare(value, other)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._left.sources(series, ticks) if self._pair is None else self._pair.sources(series, ticks)


def distinct(part: Part) -> Part:
    """*part*, with series of the same labels put together as one."""
    return part if len(set(part.labels)) == len(part.labels) else _Distinct(part)


class _Distinct:
    """Series of the same labels as one: the first of them that holds."""

    def __init__(self, inner: Part) -> None:
        self._inner = inner
        self.labels = tuple(dict.fromkeys(inner.labels))
        self.breadth = breadth(inner)
        of = _partners(inner.labels, self.labels)
        self._order = np.argsort(of, kind="stable")
        self._starts = np.searchsorted(of[self._order], np.arange(len(self.labels)))

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        chosen = self._first(there)
        column = np.arange(len(ticks))
        return value[chosen, column], there[chosen, column]

    def _first(self, there: Bools) -> Ints:
        place = np.arange(len(self._order))[:, None]
        last = len(self._order)
        first = np.minimum.reduceat(np.where(there[self._order], place, last), self._starts, axis=0)
        return self._order[np.where(first == last, self._starts[:, None], first)]

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        chosen = np.zeros(len(series), dtype=np.int64)
        asked, column = np.unique(ticks, return_inverse=True)
        width = max(1, _CELLS // self.breadth)
        for begin in range(0, len(asked), width):
            first = self._first(self._inner.at(asked[begin : begin + width])[1])
            some = (column >= begin) & (column < begin + width)
            chosen[some] = first[series[some], column[some] - begin]
        return self._inner.sources(chosen, ticks)


def held(part: Part, grid: Grid) -> tuple[Ints, Ints, Floats]:
    """The series and ticks at which *part* holds, by series and then tick, with the values."""
    width = max(1, _CELLS // breadth(part))
    rows, columns, values = [], [], []
    for begin in range(0, grid.count, width):
        value, holds = part.at(np.arange(begin, min(begin + width, grid.count), dtype=np.int64))
        series, tick = np.nonzero(holds)
        rows.append(series)
        columns.append(tick + begin)
        values.append(value[series, tick])
    series, ticks, value = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    if len(rows) > 1:
        order = np.lexsort((ticks, series))
        series, ticks, value = series[order], ticks[order], value[order]
    return series, ticks, value
