"""Two vectors that meet: arithmetic, comparisons and set operators, with the matching of their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ciops_nb.cep.parts import COMPARED
from ciops_nb.cep.promql.parts import NAME, Groups, Merged, Part, Refuse, Sources, chosen, lined_up, only, without
from ciops_nb.cep.promql.tree import Expr, Matching
from ciops_nb.cep.samples import Bools, Floats, Ints, Labels

__all__ = ["ARITHMETIC", "SETS", "Both", "Either", "matched"]

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod, "^": np.power, "atan2": np.arctan2,
}  # fmt: skip
SETS = ("and", "or", "unless")
_MOST_PAIRS = 2_000_000


def signatures(labels: Sequence[Labels], matching: Matching) -> list[Labels]:
    """By what each series is found by those of the other side."""
    if matching.on:
        return [only(one, matching.labels) for one in labels]
    return [without(one, (NAME, *matching.labels)) for one in labels]


def matched(left: Part, right: Part, op: str, matching: Matching, expr: Expr, refuse: Refuse, *, as_bool: bool) -> Part:
    """An arithmetic operator or a comparison between two vectors."""
    many, one = (right, left) if matching.many == "right" else (left, right)
    pairs = _pairs(many, one, matching)
    if pairs > _MOST_PAIRS:
        raise expr.refuse(f"has {pairs:,} pairs of series that may meet", "Match them by more labels")
    joined = _Joined(many, one, op, matching, refuse, as_bool=as_bool)
    drop = op in ARITHMETIC or as_bool
    labels = [
        _result(many.labels[row], joined.included[column], matching, drop=drop)
        for row, column in zip(joined.rows.tolist(), joined.columns.tolist(), strict=True)
    ]
    return Merged(joined, labels, refuse, "several series on the side of many give the same labels")


def _pairs(many: Part, one: Part, matching: Matching) -> int:
    """How many pairs of series have the same signature, once those of *one* with the same included labels are one."""
    taken = {
        (signature, only(labels, matching.include))
        for signature, labels in zip(signatures(one.labels, matching), one.labels, strict=True)
    }
    columns = Counter(signature for signature, _ in taken)
    return sum(columns[signature] for signature in signatures(many.labels, matching))


def _result(many: Labels, included: Labels, matching: Matching, *, drop: bool) -> Labels:
    labels = without(many, (NAME,)) if drop else many
    if matching.many is None:
        return only(labels, matching.labels) if matching.on else without(labels, matching.labels)
    return tuple(sorted((*without(labels, matching.include), *included)))


class _Joined:
    """Each series of *many* with each of *one* that has its signature; *included* are the labels taken from those.

    The series of *one* of the same signature and the same included labels are one column: two of them at a tick would
    be an error anyway.
    """

    def __init__(self, many: Part, one: Part, op: str, matching: Matching, refuse: Refuse, *, as_bool: bool) -> None:
        self._many, self._one, self._refuse, self._as_bool = many, one, refuse, as_bool
        self._op, self._swapped, self._single = op, matching.many == "right", matching.many is None
        of_many, of_one = signatures(many.labels, matching), signatures(one.labels, matching)
        self._signed = Groups(of_one)
        taken = [only(labels, matching.include) for labels in one.labels]
        self._taken = Groups(list(zip(of_one, taken, strict=True)))
        self.included = [included for _, included in self._taken.keys]
        columns: dict[Labels, list[int]] = {}
        for column, (signature, _) in enumerate(self._taken.keys):
            columns.setdefault(signature, []).append(column)
        pairs = [(row, column) for row, signature in enumerate(of_many) for column in columns.get(signature, ())]
        self.rows = np.array([row for row, _ in pairs], dtype=np.int64)
        self.columns = np.array([column for _, column in pairs], dtype=np.int64)
        self.labels: Sequence[Labels] = [many.labels[row] for row, _ in pairs]
        self._met = Groups([of_many[row] for row, _ in pairs])

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._many.at(ticks)
        other, beside = self._one.at(ticks)
        self._check_one(there, beside, ticks)
        there = there[self.rows] & self._taken.over(np.logical_or, beside)[self.columns]
        theirs = self._taken.over(np.fmax, np.where(beside, other, np.nan))[self.columns]
        ours = value[self.rows]
        left, right = (theirs, ours) if self._swapped else (ours, theirs)
        with np.errstate(all="ignore"):  # the arithmetic of NaN and Inf is wanted as it is
            if self._op in ARITHMETIC:
                found = ARITHMETIC[self._op](left, right)
            else:
                holds = COMPARED[self._op](left, right)
                found = holds.astype(np.float64) if self._as_bool else left
                there = there if self._as_bool else there & holds
        if self._single:
            self._check_many(there, ticks)
        return found, there

    def _check_one(self, there: Bools, beside: Bools, ticks: Ints) -> None:
        if len(self._signed) == len(beside) or not len(there):
            return
        twice = (self._signed.count(beside) > 1) & there.any(axis=0)
        if twice.any():
            tick = int(ticks[np.flatnonzero(twice.any(axis=0))[0]])
            side = "left" if self._swapped else "right"
            raise self._refuse(f"several series on the {side} match the same labels", tick)

    def _check_many(self, there: Bools, ticks: Ints) -> None:
        if len(self._met) == len(there):
            return
        twice = self._met.count(there) > 1
        if twice.any():
            tick = int(ticks[np.flatnonzero(twice.any(axis=0))[0]])
            raise self._refuse("several series on the left match one on the right, without group_left", tick)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        one = chosen(self._one, self._taken.of, self.columns[series], ticks, None)
        ours, theirs = self._many.sources(self.rows[series], ticks), self._one.sources(one, ticks)
        first, second = (theirs, ours) if self._swapped else (ours, theirs)
        return [a + b for a, b in zip(first, second, strict=True)]


class _Sets:
    """Two vectors and, for each series, the number of its signature."""

    def __init__(self, left: Part, right: Part, matching: Matching) -> None:
        self._left, self._right = left, right
        ours, theirs = signatures(left.labels, matching), signatures(right.labels, matching)
        number = {key: place for place, key in enumerate(dict.fromkeys((*ours, *theirs)))}
        self._count = len(number)
        self._ours = np.array([number[key] for key in ours], dtype=np.int64)
        self._theirs = np.array([number[key] for key in theirs], dtype=np.int64)

    def _any(self, there: Bools, of: Ints) -> Bools:
        """For each signature and tick whether any series is there."""
        found = np.zeros((self._count, there.shape[1]), dtype=np.bool_)
        np.logical_or.at(found, of, there)
        return found


class Both(_Sets):
    """``and``: the left where the right has the same; ``unless``: where it has not (*inverted*)."""

    def __init__(self, left: Part, right: Part, matching: Matching, *, inverted: bool) -> None:
        super().__init__(left, right, matching)
        self._inverted = inverted
        self.labels: Sequence[Labels] = left.labels

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._left.at(ticks)
        beside = self._any(self._right.at(ticks)[1], self._theirs)[self._ours]
        return value, there & (beside != self._inverted)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        ours = self._left.sources(series, ticks)
        if self._inverted:
            return ours
        partner = chosen(self._right, self._theirs, self._ours[series], ticks, None)
        return [a + b for a, b in zip(ours, self._right.sources(partner, ticks), strict=True)]


class Either(_Sets):
    """``or``: the left, and of the right what has nothing of the same signature on the left at that tick."""

    def __init__(self, left: Part, right: Part, matching: Matching) -> None:
        super().__init__(left, right, matching)
        self._groups = Groups([*(tuple(sorted(one)) for one in (*left.labels, *right.labels))])
        self.labels: Sequence[Labels] = self._groups.keys
        split = len(left.labels)
        self._of_left, self._of_right = (np.full(len(self._groups), -1, dtype=np.int64) for _ in range(2))
        self._of_left[self._groups.of[:split]] = np.arange(split)
        self._of_right[self._groups.of[split:]] = np.arange(len(right.labels))

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        first, there = self._left.at(ticks)
        second, also = self._right.at(ticks)
        also = also & ~self._any(there, self._ours)[self._theirs]
        there, also = lined_up(there, self._of_left, False), lined_up(also, self._of_right, False)
        first, second = lined_up(first, self._of_left, np.nan), lined_up(second, self._of_right, np.nan)
        return np.where(there, first, second), there | also

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        found: Sources = [[] for _ in series]
        rows = self._of_left[series]
        wanted = np.flatnonzero(rows >= 0)
        left = np.zeros(len(series), dtype=np.bool_)
        if len(wanted):
            alone = np.arange(len(self._left.labels))
            left[wanted] = chosen(self._left, alone, rows[wanted], ticks[wanted], None) >= 0
        for part, rows, places in (
            (self._left, self._of_left, np.flatnonzero(left)),
            (self._right, self._of_right, np.flatnonzero(~left)),
        ):
            if len(places):
                for at, records in zip(places.tolist(), part.sources(rows[series[places]], ticks[places]), strict=True):
                    found[at] = records
        return found
