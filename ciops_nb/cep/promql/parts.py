"""What every part of an expression is made of: labels that stay, and matrices of series by ticks.

Which series meet which is a matter of labels and settled once; whether they are there is a matter of ticks. Where
Prometheus would fail at a tick, so does the part that is asked for it, with the tick in its words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ciops_nb.cep.parts import Part, Sources, lined_up
from ciops_nb.cep.promql.tree import Expr
from ciops_nb.cep.samples import Bools, Floats, Grid, Ints, Labels
from ciops_nb.errors import BadRule
from ciops_nb.estate.times import at_micros, format_time

__all__ = [
    "CELLS", "NAME", "Clock", "Constant", "Groups", "Mapped", "Merged", "Part", "Piecewise", "Refuse", "Sources",
    "chosen", "in_chunks", "lined_up", "only", "refusing", "without",
]  # fmt: skip

NAME = "__name__"
CELLS = 4_000_000  # of a matrix at a time
Refuse: TypeAlias = Callable[[str, int], BadRule]
"""From what is wrong and the number of a tick to the error."""


def refusing(expr: Expr, grid: Grid) -> Refuse:
    def refuse(problem: str, tick: int) -> BadRule:
        moment = format_time(at_micros(grid.start + tick * grid.step))
        return expr.refuse(f"at {moment} {problem}", "Prometheus fails there too: change the expression")

    return refuse


def without(labels: Labels, names: Sequence[str]) -> Labels:
    return tuple(pair for pair in labels if pair[0] not in names)


def only(labels: Labels, names: Sequence[str]) -> Labels:
    return tuple(pair for pair in labels if pair[0] in names)


def in_chunks(series: int, ticks: Ints) -> list[Ints]:
    """*ticks*, so many at a time that a matrix with *series* stays small."""
    width = max(1, CELLS // max(1, series))
    return [ticks[begin : begin + width] for begin in range(0, len(ticks), width)]


class Groups:
    """Rows with equal keys, and what they make together at each tick; groups are in the order of their keys."""

    def __init__(self, keys: Sequence[Any]) -> None:
        self.keys = tuple(sorted(set(keys)))
        number = {key: place for place, key in enumerate(self.keys)}
        self.of = np.array([number[key] for key in keys], dtype=np.int64)
        self.order = np.argsort(self.of, kind="stable")
        self.sorted = self.of[self.order]
        self.starts = np.searchsorted(self.sorted, np.arange(len(self.keys)))

    def __len__(self) -> int:
        return len(self.keys)

    def over(self, ufunc: Any, rows: Any) -> Any:
        """*ufunc* over the rows of each group, one after the other."""
        if not len(self.keys):
            return rows[:0]
        return ufunc.reduceat(rows[self.order], self.starts, axis=0)

    def count(self, there: Bools) -> Ints:
        found: Ints = self.over(np.add, there.astype(np.int64))
        return found


def chosen(part: Part, group: Ints, wanted: Ints, ticks: Ints, score: Callable[[Floats], Floats] | None) -> Ints:
    """Of the series of *part* in each *wanted* group the one there at its tick that scores best, else the first."""
    found = np.zeros(len(wanted), dtype=np.int64)
    asked, place = np.unique(ticks, return_inverse=True)
    begin = 0
    for some in in_chunks(len(part.labels), asked):
        value, there = part.at(some)
        for pair in np.flatnonzero((place >= begin) & (place < begin + len(some))).tolist():
            column = place[pair] - begin
            members = np.flatnonzero((group == wanted[pair]) & there[:, column])
            best = 0 if score is None or not len(members) else int(np.argmax(score(value[members, column])))
            found[pair] = members[best] if len(members) else -1
        begin += len(some)
    return found


# ── without series of their own ─────────────────────────────────────────────────────────────────────────────────────


class Constant:
    """A number at every tick."""

    labels: Sequence[Labels] = ((),)

    def __init__(self, value: float) -> None:
        self._value = value

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        return np.full((1, len(ticks)), self._value), np.ones((1, len(ticks)), dtype=np.bool_)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return [[] for _ in series]


class Clock:
    """The time of the tick in seconds."""

    labels: Sequence[Labels] = ((),)

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        return (self._grid.moments(ticks) / 1e6)[None, :], np.ones((1, len(ticks)), dtype=np.bool_)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return [[] for _ in series]


# ── of one part ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Merged:
    """A part with other labels. Series that become the same are one, as long as they are never there together."""

    def __init__(self, inner: Part, labels: Sequence[Labels], refuse: Refuse, problem: str = "") -> None:
        self._inner, self._refuse = inner, refuse
        self._problem = problem or "two series have the same labels once the name of the metric is dropped"
        self._groups = Groups([tuple(sorted(one)) for one in labels])
        self.labels: Sequence[Labels] = self._groups.keys
        self._single = len(self._groups) == len(labels)

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        order = self._groups.order
        if self._single:
            return value[order], there[order]
        count = self._groups.count(there)
        if (count > 1).any():
            column = int(np.flatnonzero((count > 1).any(axis=0))[0])
            row = int(np.flatnonzero(count[:, column] > 1)[0])
            raise self._refuse(f"{self._problem}: {_spelled(self.labels[row])}", int(ticks[column]))
        found: Floats = self._groups.over(np.fmax, np.where(there, value, np.nan))  # at most one is not NaN
        return found, count > 0

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        if self._single:
            return self._inner.sources(self._groups.order[series], ticks)
        return self._inner.sources(chosen(self._inner, self._groups.of, series, ticks, None), ticks)


def _spelled(labels: Labels) -> str:
    return "{" + ", ".join(f'{name}="{text}"' for name, text in labels) + "}"


class Piecewise:
    """A part made of more series than it has: asked for so few ticks at a time that the matrices beneath stay small."""

    def __init__(self, inner: Part, widest: int) -> None:
        self._inner, self._widest = inner, widest
        self.labels: Sequence[Labels] = inner.labels

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        pieces = in_chunks(self._widest, ticks)
        if len(pieces) < 2:
            return self._inner.at(ticks)
        values, theres = zip(*(self._inner.at(piece) for piece in pieces), strict=True)
        return np.concatenate(values, axis=1), np.concatenate(theres, axis=1)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._inner.sources(series, ticks)


class Mapped:
    """Each value as *function* of it and of some scalars; *keeps* says which of the values stay."""

    def __init__(
        self,
        inner: Part,
        function: Callable[..., Floats],
        scalars: Sequence[Part] = (),
        keeps: Callable[..., Bools] | None = None,
    ) -> None:
        self._inner, self._function, self._scalars, self._keeps = inner, function, scalars, keeps
        self.labels: Sequence[Labels] = inner.labels

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        given = [part.at(ticks)[0] for part in self._scalars]
        with np.errstate(all="ignore"):  # the arithmetic of NaN and Inf is wanted as it is
            found = self._function(value, *given)
            if self._keeps is not None:
                there = there & self._keeps(value, *given)
        return found, there

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._inner.sources(series, ticks)
