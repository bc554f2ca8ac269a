"""Several kinds of events close together, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from pydantic import Field, StrictInt, model_validator

from ciops_nb.cep.conditions.base import Condition, Read
from ciops_nb.cep.conditions.counted import Counted, Values, anchored, spans
from ciops_nb.cep.conditions.event import EventFilter
from ciops_nb.cep.fields import Duration, Names, Parts
from ciops_nb.cep.parts import Compared, Part
from ciops_nb.cep.records import Records, Spans, merged, of_events
from ciops_nb.cep.samples import Bools, Ints
from ciops_nb.cep.world import World
from ciops_nb.estate.times import micros_of

__all__ = ["Together"]


class Together(Condition):
    """Events of all kinds, or of *at_least* so many of them, *within* so long of each other, in any order.

    The value is how many kinds there were; an event that several of the filters mean counts for each. It is judged at
    the events or at ticks as ``count`` is.
    """

    KIND: ClassVar[str] = "together"
    PARTS: ClassVar[Parts] = {"together": [EventFilter]}
    AS_OF: ClassVar[bool] = True

    together: Annotated[tuple[EventFilter, ...], Field(min_length=2)]
    within: Duration
    by: Names = ()
    at_least: Annotated[StrictInt, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _enough(self) -> Together:
        if self.at_least is not None and self.at_least > len(self.together):
            raise ValueError(f"'at_least' asks for {self.at_least} of {len(self.together)} kinds. Ask for fewer")
        return self

    @property
    def momentary(self) -> bool:
        return True

    def reads(self) -> Iterator[Read]:
        yield Read("event", None, self.within)

    @property
    def _needed(self) -> int:
        return len(self.together) if self.at_least is None else self.at_least

    def _records(self, world: World) -> tuple[Records, list[Records]]:
        """The events of any kind, and those of each kind with the same keys."""
        met = [kind.of(world.events) for kind in self.together]
        records = of_events(world.events, np.logical_or.reduce(met), self.by)
        return records, [records.chosen(flags[records.place]) for flags in met]

    def _numbers(self, kinds: list[Records], reach: int) -> Values:
        """How many kinds there are: the stretches of time that have any of a kind, added up over the kinds."""
        parts = [spans(records, reach).stretches for records in kinds]
        whole = [merged(*part) for part in parts]
        key, begin, end = (np.concatenate(column) for column in zip(*whole, strict=True))
        return Spans(key, begin, end).covering

    def part(self, world: World) -> Part:
        within = micros_of(self.within)
        records, kinds = self._records(world)
        counted = Counted(records, self._numbers(kinds, within), within, world.grid)
        return Compared(counted, ">=", float(self._needed))

    def matches(self, world: World) -> pl.DataFrame:
        within = micros_of(self.within)
        records, kinds = self._records(world)
        kinds = [kind.up_to(world.end) for kind in kinds]

        def enough(value: Ints) -> Bools:
            return np.asarray(value >= self._needed)

        return anchored(records.up_to(world.end), within, self._numbers(kinds, within + 1), enough, world)
