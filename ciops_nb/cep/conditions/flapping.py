"""A state that changes too often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from pydantic import StrictFloat, model_validator

from ciops_nb.cep.conditions.base import Condition, Read
from ciops_nb.cep.conditions.counted import Counted
from ciops_nb.cep.conditions.event import Meant
from ciops_nb.cep.conditions.metric import Op
from ciops_nb.cep.fields import Duration, Name, Names, Parts
from ciops_nb.cep.parts import COMPARED, Compared, Part
from ciops_nb.cep.records import Records, Spans, of_samples
from ciops_nb.cep.world import World
from ciops_nb.estate.times import micros_of

__all__ = ["Flapping", "State"]


class State(Meant):
    """What the state is: a *field* of events, a metric's value, or whether that compares as *op* and *value* say."""

    field: Name | None = None
    op: Op | None = None
    value: StrictFloat | None = None

    @model_validator(mode="after")
    def _state(self) -> State:
        if self.metric is None and self.field is None:
            raise ValueError("says no state. Give 'field', which of the events' fields it is, or 'metric'")
        if self.metric is None and (self.op is not None or self.value is not None):
            raise ValueError("compares a field of events, which is not supported. Say 'op' beside 'flapping'")
        if self.metric is not None and self.field is not None:
            raise ValueError("'field' is for events: samples have their value. Leave it out")
        if (self.op is None) != (self.value is None):
            raise ValueError("'op' and 'value' belong together. Write both, or none for every change of the value")
        return self


class Flapping(Condition):
    """How often a state changed within ``over``, compared with ``value``.

    A change is that of an event (a sample) from the one before it: the field has another value, or the metric has, or
    it compares otherwise. Of events, keyed by *by*, a change counts from when it happened until it is ``over`` old; an
    event without the field says nothing. Of samples both have to lie in the window, as Prometheus' ``changes`` has it;
    each series has a state of its own, and *by* adds the changes of several up.
    """

    KIND: ClassVar[str] = "flapping"
    PARTS: ClassVar[Parts] = {"flapping": State}

    flapping: State
    over: Duration
    by: Names | None = None
    op: Op
    value: StrictFloat

    @model_validator(mode="after")
    def _comparable(self) -> Flapping:
        if self.value != self.value:
            raise ValueError("'value' is NaN, with which nothing can be compared. Give a number")
        return self

    def reads(self) -> Iterator[Read]:
        yield self.flapping.read(self.over)

    def part(self, world: World) -> Part:
        over = micros_of(self.over)
        records, changes = (self._of_events if self.flapping.metric is None else self._of_metric)(world, over)
        return Compared(Counted(records, changes.covering, over, world.grid), self.op, self.value)

    def _of_events(self, world: World, over: int) -> tuple[Records, Spans]:
        records = self.flapping.records(world, self.by or ())
        state = self.flapping.values(world, self.flapping.field or "")
        number = state.rank("dense").fill_null(0).to_numpy()[records.place]
        records, number = records.chosen(number > 0), number[number > 0]
        changed = (records.key[1:] == records.key[:-1]) & (number[1:] != number[:-1])
        key, ts = records.key[1:][changed], records.ts[1:][changed]
        return records, Spans(key, ts, ts + over)

    def _of_metric(self, world: World, over: int) -> tuple[Records, Spans]:
        samples = self.flapping.samples(world)
        every = {name for labels in samples.labels for name, _ in labels}
        records = of_samples(samples, sorted(every) if self.by is None else self.by)
        key = np.empty(len(samples.ts), dtype=np.int64)
        key[records.place] = records.key
        state = samples.value
        if self.flapping.op is not None:
            state = COMPARED[self.flapping.op](state, self.flapping.value)
        same = (state[1:] == state[:-1]) | ((state[1:] != state[1:]) & (state[:-1] != state[:-1]))  # NaN is itself
        begin, end = samples.ts[1:] + samples.late, samples.ts[:-1] + over
        counted = (samples.series[1:] == samples.series[:-1]) & ~same & (begin < end)
        return records, Spans(key[1:][counted], begin[counted], end[counted])
