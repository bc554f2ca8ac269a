"""Conditions on how many: of several conditions, of the series of a group, of the CIs near one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from ciops_nb.cep.conditions.base import AnyCondition, Condition, Read
from ciops_nb.cep.conditions.logic import AllOf, AnyOf, Not
from ciops_nb.cep.conditions.metric import Comparison, Metric, Ratio
from ciops_nb.cep.conditions.topology import Hops, ci_numbers
from ciops_nb.cep.fields import Names, Parts, Piece
from ciops_nb.cep.parts import Both, Divided, Either, Meeting, On, Part, Sources, breadth, joined, matching
from ciops_nb.cep.relations import OPPOSITE, Direction, Relations
from ciops_nb.cep.samples import Bools, Floats, Grid, Ints, Labels
from ciops_nb.cep.world import World
from ciops_nb.topology.csr import runs

__all__ = ["AtLeast", "CountOf", "Share"]

_CELLS = 4_000_000


# ── of several conditions ───────────────────────────────────────────────────────────────────────────────────────────


class Several(Piece):
    """*n* of the conditions *of*."""

    NOUN: ClassVar[str] = "mapping of conditions"
    SUCH_AS: ClassVar[str] = "{n: 2, of: [{metric: cpu, op: '>', value: 90}, ...]}"
    PARTS: ClassVar[Parts] = {"of": [Condition]}

    n: Annotated[int, Field(ge=1)]
    of: Annotated[tuple[AnyCondition, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _enough(self) -> Several:
        if any(isinstance(one, Not) for one in self.of):
            raise ValueError(Not.MISPLACED)
        if self.n > len(self.of):
            raise ValueError(f"asks for {self.n} of {len(self.of)} conditions. Ask for fewer, or name more")
        return self


class AtLeast(Condition):
    """At least *n* of several conditions hold, for the same labels. Its value is how many do."""

    KIND: ClassVar[str] = "at_least"
    PARTS: ClassVar[Parts] = {"at_least": Several}

    at_least: Several

    def inner(self) -> Iterator[Condition]:
        return iter(self.at_least.of)

    def part(self, world: World) -> Part:
        return _Enough([one.part(world) for one in self.at_least.of], self.at_least.n)


class _Enough:
    """The series of all parts; those that narrow others count for what they narrow, and alone where that is nothing."""

    def __init__(self, parts: Sequence[Part], least: int) -> None:
        self._least = least
        rows = list(dict.fromkeys(row for part in parts for row in zip(part.labels, matching(part), strict=True)))
        whole = [row for row in rows if row[1] is None]
        known: dict[tuple[str, ...], set[Labels]] = {}
        for _, on in rows:
            if on is not None and on not in known:
                known[on] = {tuple(pair for pair in labels if pair[0] in on) for labels, _ in whole}
        chosen: list[tuple[Labels, On]] = [*whole, *(r for r in rows if r[1] is not None and r[0] not in known[r[1]])]
        self.labels: Sequence[Labels] = [labels for labels, _ in chosen]
        self.on = [on for _, on in chosen]
        self.breadth = max(len(chosen), *map(breadth, parts))
        self._meetings = [Meeting(self.labels, self.on, part) for part in parts]

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        count = np.zeros((len(self.labels), len(ticks)), dtype=np.int64)
        for one in self._meetings:
            count += one.holds(ticks)
        return count.astype(np.float64), count >= self._least

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        found: Sources = [[] for _ in series]
        asked, column = np.unique(ticks, return_inverse=True)
        width = max(1, _CELLS // max(1, self.breadth))
        for one in self._meetings:
            for begin in range(0, len(asked), width):
                holds = one.holds(asked[begin : begin + width])
                some = np.flatnonzero((column >= begin) & (column < begin + width))
                some = some[holds[series[some], column[some] - begin]]
                if len(some):
                    for place, sources in zip(some.tolist(), one.sources(series[some], ticks[some]), strict=True):
                        found[place] += sources
        return found


# ── of a group, or of what is near ──────────────────────────────────────────────────────────────────────────────────


class Group(Piece):
    """What is counted: the series for which *of* holds, or the CIs near one on which it does.

    Attributes:
        of: The condition.
        by: The labels of the groups; without it there is one group.
        each: Count different values of these labels, and not series.
        is_: Count CIs near each CI: ``upstream``, ``downstream`` or ``either`` (``is`` in YAML).
        hops: How far away they may be.
        relations: The types of relations to follow; None is all.
    """

    NOUN: ClassVar[str] = "mapping of what is counted"
    SUCH_AS: ClassVar[str] = "{of: {metric: up, op: '==', value: 0}, by: [service]}"
    PARTS: ClassVar[Parts] = {"of": Condition}

    of: AnyCondition
    by: Names | None = None
    each: Annotated[Names, Field(min_length=1)] | None = None
    is_: Direction | None = Field(default=None, alias="is")
    hops: Hops = 1
    relations: Annotated[Names, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Group:
        if isinstance(self.of, Not):
            raise ValueError(Not.MISPLACED)
        if self.is_ is None and {"hops", "relations"} & self.model_fields_set:
            raise ValueError("has 'hops' or 'relations' without 'is'. Say in which direction CIs are near")
        if self.is_ is not None and {"by", "each"} & self.model_fields_set:
            raise ValueError("has 'by' or 'each' beside 'is'. Count in groups, or near each CI")
        return self

    def reads(self) -> Iterator[Read]:
        if self.is_ is not None:
            yield Read("relation", back=timedelta(0))
        yield from self.of.reads()

    def counted(self, world: World, where: str, *, share: bool) -> Part:
        """How many, or which *share* of those that have a value (of the CIs near)."""
        inner = self.of.part(world)
        if self.is_ is None:
            return _InGroups(inner, _values(self.of, world) if share else None, self.by or (), self.each)
        world.relations.check(self.relations or (), f"{where}, relations")
        return _Around(inner, world.relations, world.grid, self.is_, self.hops, self.relations, share=share)


class CountOf(Comparison):
    """How many series of each group meet a condition, or how many CIs near each CI do.

    A group is there if it has a series at any time of the replay, and its count is 0 while none meets the condition,
    also while data are missing; without ``by`` the one group is always there. Near a CI without any near CI there is
    nothing to count, and no value.
    """

    KIND: ClassVar[str] = "count_of"
    PARTS: ClassVar[Parts] = {"count_of": Group, **Comparison.PARTS}

    count_of: Group

    def inner(self) -> Iterator[Condition]:
        yield self.count_of.of

    def reads(self) -> Iterator[Read]:
        yield from self.count_of.reads()
        yield from self.compared_with()

    def part(self, world: World) -> Part:
        return self.compared(self.count_of.counted(world, "count_of", share=False), world)


class Share(Comparison):
    """Which share (0 to 1) of the series of each group, or of the CIs near each CI, meet a condition.

    Of a group count the series that have a value at that moment; of what is near count all CIs, those without data too.
    """

    KIND: ClassVar[str] = "share"
    PARTS: ClassVar[Parts] = {"share": Group, **Comparison.PARTS}

    share: Group

    @model_validator(mode="after")
    def _of_metrics(self) -> Share:
        if self.share.is_ is None and not _is_of_metrics(self.share.of):
            raise ValueError("needs a condition on metrics, of whose series it is the share. Use 'count_of' for others")
        return self

    def inner(self) -> Iterator[Condition]:
        yield self.share.of

    def reads(self) -> Iterator[Read]:
        yield from self.share.reads()
        yield from self.compared_with()

    def part(self, world: World) -> Part:
        return self.compared(self.share.counted(world, "share", share=True), world)


def _is_of_metrics(condition: Condition) -> bool:
    if isinstance(condition, (AllOf, AnyOf)):
        return all(_is_of_metrics(one.not_ if isinstance(one, Not) else one) for one in condition.inner())
    return isinstance(condition, (Metric, Ratio))


def _values(condition: Condition, world: World) -> Part:
    """The series that could meet *condition*: those that have a value."""
    if isinstance(condition, Metric):
        return condition.selected(world)
    if isinstance(condition, Ratio):
        above, below = condition.ratio
        return Divided(above.selected(world), below.selected(world))
    parts = [_values(one, world) for one in condition.inner() if not isinstance(one, Not)]
    return joined(parts, Both if isinstance(condition, AllOf) else Either)


class _InGroups:
    def __init__(self, inner: Part, base: Part | None, by: Names, each: Names | None) -> None:
        self._inner, self._base, self._by, self._each = inner, base, by, each
        known = [self._group(one) for part in (inner, base) if part is not None for one in part.labels]
        self.labels: tuple[Labels, ...] = tuple(sorted({*known, *([] if by else [()])}))
        self.on = [by] * len(self.labels)
        self.breadth = max([len(self.labels), breadth(inner), *([] if base is None else [breadth(base)])])
        self._place = {one: place for place, one in enumerate(self.labels)}
        self._of_inner = self._units(inner)
        self._of_base = None if base is None else self._units(base)

    def _group(self, labels: Labels) -> Labels:
        return tuple(pair for pair in labels if pair[0] in self._by)

    def _units(self, part: Part) -> tuple[Ints, Ints, Ints]:
        """The series in the order of what is counted, where each of these begins, and its group."""
        unit = [
            (self._place[self._group(one)], one if self._each is None else tuple(p for p in one if p[0] in self._each))
            for one in part.labels
        ]
        order = sorted(range(len(unit)), key=lambda row: unit[row])
        starts = [n for n, row in enumerate(order) if n == 0 or unit[row] != unit[order[n - 1]]]
        groups = [unit[order[n]][0] for n in starts]
        return tuple(np.array(one, dtype=np.int64) for one in (order, starts, groups))  # type: ignore[return-value]

    def _count(self, there: Bools, units: tuple[Ints, Ints, Ints]) -> Ints:
        order, starts, groups = units
        found = np.zeros((len(self.labels), there.shape[1]), dtype=np.int64)
        if len(order):
            met = np.logical_or.reduceat(there[order], starts, axis=0)
            first, _ = runs(groups)
            found[groups[first]] = np.add.reduceat(met.astype(np.int64), first, axis=0)
        return found

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        count = self._count(self._inner.at(ticks)[1], self._of_inner)
        if self._base is None or self._of_base is None:
            return count.astype(np.float64), np.ones(count.shape, dtype=np.bool_)
        whole = self._count(self._base.at(ticks)[1], self._of_base)
        return count / np.maximum(whole, 1), whole > 0

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        group = np.array([self._place[self._group(one)] for one in self._inner.labels], dtype=np.int64)
        members = [np.flatnonzero(group == row) for row in range(len(self.labels))]
        return _all_of(self._inner, [(members[row], None) for row in series.tolist()], ticks)


class _Around:
    """A series a CI that was ever related to another: how many CIs near it meet the inner part, or which share."""

    def __init__(
        self,
        inner: Part,
        relations: Relations,
        grid: Grid,
        direction: Direction,
        hops: int,
        types: Names | None,
        *,
        share: bool,
    ) -> None:
        self._inner, self._relations, self._grid = inner, relations, grid
        self._direction, self._hops, self._types, self._share = direction, hops, types, share
        self._ci = ci_numbers(inner.labels, relations)
        self.labels: tuple[Labels, ...] = tuple((("ci", name),) for name in relations.cis)
        self.on = [("ci",)] * len(self.labels)
        self.breadth = max(len(self.labels), breadth(inner))
        self._wholes: dict[int, Ints] = {}

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        there = self._inner.at(ticks)[1]
        count = np.zeros((len(self.labels), len(ticks)), dtype=np.int64)
        whole = np.zeros_like(count)
        moments = self._grid.moments(ticks)
        epochs = self._relations.epochs(moments)
        first, length = runs(epochs)
        for begin, end in zip(first.tolist(), (first + length).tolist(), strict=True):
            moment = int(moments[begin])
            whole[:, begin:end] = self._whole(int(epochs[begin]), moment)[:, None]
            self._add(there[:, begin:end], moment, count[:, begin:end])
        value = count / np.maximum(whole, 1) if self._share else count.astype(np.float64)
        return value, whole > 0

    def _whole(self, epoch: int, moment: int) -> Ints:
        if epoch not in self._wholes:
            every = np.arange(len(self.labels), dtype=np.int64)
            near = self._relations.near(every, moment, self._direction, self._hops, self._types)
            self._wholes[epoch] = np.bincount(near.of, minlength=len(every))
        return self._wholes[epoch]

    def _add(self, there: Bools, moment: int, count: Ints) -> None:
        active = np.flatnonzero(there.any(axis=1) & (self._ci >= 0))
        if not len(active):
            return
        active = active[np.argsort(self._ci[active], kind="stable")]
        start, _ = runs(self._ci[active])
        met = np.logical_or.reduceat(there[active], start, axis=0)
        way = OPPOSITE[self._direction]
        near = self._relations.near(self._ci[active[start]], moment, way, self._hops, self._types)
        order = np.argsort(near.near, kind="stable")
        of, centre = near.of[order], near.near[order]
        first, _ = runs(centre)
        width = max(1, _CELLS // max(1, len(of)))
        for begin in range(0, there.shape[1] if len(of) else 0, width):
            some = met[of, begin : begin + width].astype(np.int64)
            count[centre[first], begin : begin + width] = np.add.reduceat(some, first, axis=0)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        members: list[tuple[Ints, Ints | None]] = []
        for row, moment in zip(series.tolist(), self._grid.moments(ticks).tolist(), strict=True):
            near = self._relations.near(np.array([row]), moment, self._direction, self._hops, self._types)
            place = np.searchsorted(near.near, self._ci)
            place[place == len(near)] = 0
            rows = np.flatnonzero(near.near[place] == self._ci) if len(near) else np.zeros(0, dtype=np.int64)
            members.append((rows, near.hops[place[rows]]))
        return _all_of(self._inner, members, ticks)


def _all_of(inner: Part, members: Sequence[tuple[Ints, Ints | None]], ticks: Ints) -> Sources:
    """For each pair the sources of all its *members* (series of *inner*, and hops) that hold at its tick."""
    found: Sources = [[] for _ in members]
    asked, column = np.unique(ticks, return_inverse=True)
    width = max(1, _CELLS // breadth(inner))
    for begin in range(0, len(asked), width):
        there = inner.at(asked[begin : begin + width])[1]
        for place in np.flatnonzero((column >= begin) & (column < begin + width)).tolist():
            rows, hops = members[place]
            holds = np.flatnonzero(there[rows, column[place] - begin])
            away = [0] * len(holds) if hops is None else hops[holds].tolist()
            told = inner.sources(rows[holds], np.full(len(holds), ticks[place]))
            for sources, further in zip(told, away, strict=True):
                found[place] += (
                    sources
                    if hops is None
                    else [source | {"hops": (source.get("hops") or 0) + further} for source in sources]
                )
    return found
