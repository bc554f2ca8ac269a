"""Sequences: events (and samples of metrics) that follow one another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from collections.abc import Sequence as Several
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
import polars as pl
from pydantic import Field, StrictFloat, model_validator

from ciops_nb.cep import sequence
from ciops_nb.cep.answer import evidence_lists, found_rows, owner
from ciops_nb.cep.conditions.base import EVER, Read
from ciops_nb.cep.conditions.event import EventFilter
from ciops_nb.cep.conditions.metric import Op
from ciops_nb.cep.events import Events, keyed
from ciops_nb.cep.fields import Duration, Name, Names, Parts, Piece, Texts
from ciops_nb.cep.parts import COMPARED
from ciops_nb.cep.patterns.base import Pattern
from ciops_nb.cep.samples import Bools, Ints, Labels
from ciops_nb.cep.world import World
from ciops_nb.estate.times import micros_of

__all__ = ["Sequence", "Step"]


class Step(Piece):
    """One step: an event (``type``, ``where``), a sample (``metric``, ``op``, ``value``), or what must ``not`` come.

    ``times`` is how many rows it takes; ``min`` and ``max`` leave that open (``max: null`` for any number), and then
    ``greedy`` steps take rather more.
    """

    NOUN: ClassVar[str] = "step"
    SUCH_AS: ClassVar[str] = "{type: deploy}"
    PARTS: ClassVar[Parts] = {"not": EventFilter}

    type: Names | None = None
    where: dict[Name, Any] = Field(default_factory=dict)
    metric: Name | None = None
    op: Op | None = None
    value: StrictFloat | None = None
    not_: EventFilter | None = Field(default=None, alias="not")
    times: Annotated[int, Field(ge=1)] | None = None
    min: Annotated[int, Field(ge=0)] | None = None
    max: Annotated[int, Field(ge=1)] | None = None
    greedy: bool = True

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        said = [name for name in ("metric", "not_") if getattr(self, name) is not None]
        if self.type is not None or (self.where and self.metric is None):
            said.append("type")
        if len(said) != 1:
            raise ValueError("says not one thing. A step is an event ('type', 'where'), a sample ('metric') or 'not'")
        if self.metric is not None and (self.op is None or self.value is None):
            raise ValueError("'metric' needs 'op' and 'value': what its sample is compared with")
        if self.metric is None and (self.op is not None or self.value is not None):
            raise ValueError("'op' and 'value' compare a sample. Name its 'metric'")
        if self.times is not None and (self.min is not None or self.max is not None):
            raise ValueError("has 'times' beside 'min' or 'max'. Use 'times' for a fixed number of rows")
        if self.not_ is not None and {"times", "min", "max", "greedy"} & self.model_fields_set:
            raise ValueError("'not' stands alone: there is nothing of which there could be several")
        if self.metric is not None:
            _Where(where=self.where)
        elif self.not_ is None:
            self.event  # noqa: B018  it refuses what cannot be meant
        return self

    @property
    def event(self) -> EventFilter:
        return EventFilter(type=self.type, where=self.where)

    @property
    def rows(self) -> sequence.Step:
        """How many rows it takes."""
        if self.min is None and self.max is None and "max" not in self.model_fields_set:
            return sequence.Step(self.times or 1, self.times or 1, self.greedy)
        least = 1 if self.min is None else self.min
        most = self.max if "max" in self.model_fields_set or self.min is None else None
        return sequence.Step(least, most, self.greedy)


class _Where(Piece):
    where: Texts


class Sequence(Pattern):
    """Steps that rows of one key meet one after another.

    Attributes:
        steps: The steps in their order; ``not`` between two of them forbids what lies between, and after the last one
            it asks for silence until *within* has passed.
        within: How long the last row may come after the first.
        by: The fields that the rows of a sequence share; without it, all rows are of one key.
        start: ``latest``: of several rows for the first step the newest counts, and *within* includes its end (as in
            EQL). ``earliest``: the oldest counts, and *within* excludes its end (as MATCH_RECOGNIZE of Flink).
        after: Where ``earliest`` goes on after a match: skip_past_last, skip_to_next, skip_to_first, skip_to_last (of
            the step *after_step*, counted from 1).
        strict: No other row of the key may lie in between.
        until: What ends a sequence that is under way.
        pairs: For two steps: ``all`` pairs within, or ``first_after_each``: for each first row the next second one that
            is later.
    """

    KIND: ClassVar[str] = "sequence"
    NOUN: ClassVar[str] = "sequence"
    SUCH_AS: ClassVar[str] = "{steps: [{type: deploy}, {type: error}], within: 10m, by: ci}"
    PARTS: ClassVar[Parts] = {"steps": [Step], "until": EventFilter}

    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    within: Duration | None = None
    by: Names = ()
    start: Literal["latest", "earliest"] = "latest"
    after: sequence.After = "skip_past_last"
    after_step: int | None = None
    strict: bool = False
    until: EventFilter | None = None
    pairs: Literal["all", "first_after_each"] | None = None

    @model_validator(mode="after")
    def _can_be_meant(self) -> Sequence:
        if len(self.steps) == 1 and self.steps[0].rows == sequence.Step():
            raise ValueError("has one step. Name what has to follow it, or use 'count'")
        if any(one.not_ and two.not_ for one, two in itertools.pairwise(self.steps)):
            raise ValueError("has 'not' after 'not'. Name both types in one: not: {type: [a, b]}")
        problem = self._core.problem(tuple(self._forbidden)) if self.pairs is None else self._no_pairs()
        if problem is not None:
            raise ValueError(problem)
        return self

    def _no_pairs(self) -> str | None:
        if len(self.steps) != 2 or any(step.not_ or step.rows != sequence.Step() for step in self.steps):
            return "'pairs' needs two steps of one row each. Leave it out for other sequences"
        if self.within is None:
            return "'pairs' needs 'within'. Say how long the second may come after the first"
        odd = sorted({"start", "after", "after_step", "strict", "until"} & self.model_fields_set)
        return f"'pairs' says already which rows meet. Leave out '{odd[0]}'" if odd else None

    @property
    def _taken(self) -> list[Step]:
        """The steps that take rows."""
        return [step for step in self.steps if step.not_ is None]

    @property
    def _forbidden(self) -> dict[int, EventFilter]:
        """By the number of a step that takes rows (-1: none yet), what is forbidden after it."""
        found, number = {}, -1
        for step in self.steps:
            if step.not_ is None:
                number += 1
            else:
                found[number] = step.not_
        return found

    @property
    def _core(self) -> sequence.Pattern:
        return sequence.Pattern(
            tuple(step.rows for step in self._taken),
            None if self.within is None else micros_of(self.within),
            self.start,
            self.after,
            None if self.after_step is None else self.after_step - 1,
            self.strict,
        )

    def reads(self) -> Iterator[Read]:
        back = self.within or EVER
        for step in self.steps:
            if step.metric is not None:
                yield Read("metric", step.metric, back)
        if any(step.metric is None for step in self.steps) or self.until is not None:
            yield Read("event", back=back)

    def matches(self, world: World) -> pl.DataFrame:
        forbidden = self._forbidden
        asked: list[Step | EventFilter] = [*self._taken, *forbidden.values()]
        if self.until is not None:
            asked.append(self.until)
        rows = _Rows(asked, world, every=self.strict)
        group, keys = rows.keyed(self.by)
        hits = [rows.meet(step) for step in self._taken]
        if self.pairs is None:
            found = sequence.match(
                self._core,
                rows.ts,
                group,
                hits,
                until=None if self.until is None else rows.meet(self.until),
                forbidden={number: rows.meet(event) for number, event in forbidden.items()},
                end=world.end,
            )
        else:
            found = self._paired(rows.ts, group, *hits)
        return rows.shown(found, [keys[number] for number in group[found.first].tolist()], world)

    def _paired(self, ts: Ints, group: Ints, first: Bools, second: Bools) -> sequence.Matches:
        assert self.within is not None
        a, b = np.flatnonzero(first), np.flatnonzero(second)
        meet = sequence.pairs if self.pairs == "all" else sequence.first_after_each
        of_a, of_b = meet(ts[a], group[a], ts[b], group[b], within=micros_of(self.within))
        a, b = a[of_a], b[of_b]
        order = np.lexsort((a, b))
        order = order[a[order] < b[order]]  # of one time, the one that comes first in the order of the rows
        both = np.stack([a[order], b[order]], axis=1)
        return sequence.Matches(2, both.ravel(), np.arange(2 * len(both) + 1, dtype=np.int64), ts[both[:, 1]])


class _Rows:
    """Events and samples that a sequence may take, by time; of one time the events come first.

    *every* one of the tables that are asked counts, or only those that meet something that is asked.
    """

    def __init__(self, asked: Several[Step | EventFilter], world: World, *, every: bool) -> None:
        steps = [step for step in asked if isinstance(step, Step) and step.metric is not None]
        blocks = [_Samples(world, metric) for metric in sorted({step.metric or "" for step in steps})]
        tables: list[_Table] = [*([_Occurred(world.events)] if len(steps) < len(asked) else []), *blocks]
        flags = [[table.meet(one) for table in tables] for one in asked]
        kept = [
            np.ones(len(table), dtype=np.bool_) if every else np.logical_or.reduce([of[n] for of in flags])
            for n, table in enumerate(tables)
        ]
        self._tables = [(table, np.flatnonzero(one)) for table, one in zip(tables, kept, strict=True)]
        ts = np.concatenate([table.ts[rows] for table, rows in self._tables])
        self._order = np.argsort(ts, kind="stable")
        self.ts = ts[self._order]
        self._flags = {
            id(one): np.concatenate([some[rows] for some, (_, rows) in zip(of, self._tables, strict=True)])[self._order]
            for one, of in zip(asked, flags, strict=True)
        }

    def meet(self, asked: Step | EventFilter) -> Bools:
        """Which rows are what is *asked*."""
        return self._flags[id(asked)]

    def keyed(self, by: Several[str]) -> tuple[Ints, tuple[Labels, ...]]:
        if not by:  # a frame without columns has no rows either
            return np.zeros(len(self.ts), dtype=np.int64), ((),)
        texts = pl.concat([table.texts(by, rows) for table, rows in self._tables])
        number, keys = keyed(texts, by)
        return number[self._order], keys

    def shown(self, found: sequence.Matches, keys: list[Labels], world: World) -> pl.DataFrame:
        """The matches that were known within the replay, as rows of an answer."""
        per_match = found.counts.sum(axis=1)
        step = np.repeat(np.tile(np.arange(1, found.steps + 1), len(found)), found.counts.ravel())
        records = pl.concat([table.records(rows) for table, rows in self._tables])[self._order[found.rows]]
        labels = [dict(key) for key in keys]
        own = records["ci_code"].gather(np.cumsum(per_match) - per_match)
        rows = found_rows(
            labels=labels,
            ci=[owner(one) or first for one, first in zip(labels, own.to_list(), strict=True)],
            active=self.ts[found.first],
            fired=found.at,
            ended=found.at,
            n=per_match,
            evidence=evidence_lists(records.with_columns(step=pl.Series(step).cast(pl.String)), per_match),
        )
        known = pl.Series((found.at >= world.start) & (found.at <= world.end))
        return rows.filter(known).sort("fired_at", "ci", "labels", maintain_order=True)


class _Table(Protocol):
    """One kind of rows, in the order of their time."""

    @property
    def ts(self) -> Ints: ...

    def __len__(self) -> int: ...

    def meet(self, asked: Step | EventFilter) -> Bools: ...

    def texts(self, by: Several[str], rows: Ints) -> pl.DataFrame: ...

    def records(self, rows: Ints) -> pl.DataFrame:
        """record_id, ts, ci_code, metric, value."""


class _Occurred:
    def __init__(self, events: Events) -> None:
        self._events, self.ts = events, events.ts

    def __len__(self) -> int:
        return len(self._events)

    def meet(self, asked: Step | EventFilter) -> Bools:
        if isinstance(asked, EventFilter):
            return asked.of(self._events)
        return asked.event.of(self._events) if asked.metric is None else np.zeros(len(self), dtype=np.bool_)

    def texts(self, by: Several[str], rows: Ints) -> pl.DataFrame:
        return self._events.texts(by)[rows]

    def records(self, rows: Ints) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "record_id": self._events.seq[rows],
                "ts": self.ts[rows],
                "ci_code": self._events.frame["ci"][rows],
                "metric": pl.Series([None] * len(rows), dtype=pl.String),
                "value": pl.Series([None] * len(rows), dtype=pl.Float64),
            }
        )


class _Samples:
    """The samples of one metric."""

    def __init__(self, world: World, metric: str) -> None:
        self._metric = metric
        samples = world.find(metric, {}).real
        order = np.argsort(samples.ts, kind="stable")
        self._labels, self._series = samples.labels, samples.series[order]
        self.ts, self._value = samples.ts[order], samples.value[order]

    def __len__(self) -> int:
        return len(self.ts)

    def meet(self, asked: Step | EventFilter) -> Bools:
        if isinstance(asked, EventFilter) or asked.metric != self._metric:
            return np.zeros(len(self), dtype=np.bool_)
        where = _Where(where=asked.where).where
        of = [all(dict(one).get(name, "") in texts for name, texts in where.items()) for one in self._labels]
        assert asked.op is not None
        chosen: Bools = np.array(of, dtype=np.bool_)[self._series] & COMPARED[asked.op](self._value, asked.value)
        return chosen

    def texts(self, by: Several[str], rows: Ints) -> pl.DataFrame:
        named = pl.DataFrame(
            {name: [dict(one).get(name) for one in self._labels] for name in by}, schema=dict.fromkeys(by, pl.String)
        )
        return named[self._series[rows]]

    def records(self, rows: Ints) -> pl.DataFrame:
        cis = pl.Series([owner(dict(one)) for one in self._labels], dtype=pl.String)
        return pl.DataFrame(
            {
                "record_id": pl.Series([None] * len(rows), dtype=pl.String),
                "ts": self.ts[rows],
                "ci_code": cis[self._series[rows]],
                "metric": pl.Series([self._metric] * len(rows), dtype=pl.String),
                "value": self._value[rows],
            }
        )
