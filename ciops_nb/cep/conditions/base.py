"""What every condition is: a piece of a rule that makes itself a part of a replay."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, TypeAlias

import polars as pl
from pydantic import SerializeAsAny

from ciops_nb.cep.fields import Piece
from ciops_nb.cep.parts import Part
from ciops_nb.cep.world import World

__all__ = ["EVER", "AnyCondition", "Condition", "Read"]

EVER = timedelta(days=36_525)
"""As far as any data reaches."""


@dataclass(frozen=True)
class Read:
    """A use of data.

    Attributes:
        table: Which table.
        metric: Which metric, None for any.
        back: How far before a tick less *offset*, None for as far as the look-back.
        offset: How far before a tick what it sees ends.
        ahead: How far after a tick.
    """

    table: Literal["metric", "event", "relation"]
    metric: str | None = None
    back: timedelta | None = None
    offset: timedelta = timedelta(0)
    ahead: timedelta = timedelta(0)


class Condition(Piece):
    """Something that holds or does not, for each series at each tick; *KIND* is the field by which it is known."""

    KIND: ClassVar[str]
    NOUN: ClassVar[str] = "condition"
    SUCH_AS: ClassVar[str] = "{metric: cpu, op: '>', value: 90}"

    AS_OF: ClassVar[bool] = False
    """Whether it can be replayed with what had come in at each tick."""

    @property
    def momentary(self) -> bool:
        """Whether it is found at moments of its own where a rule says nothing of ticks: ``matches`` finds it."""
        return False

    @property
    def windowed(self) -> bool:
        """Whether it is judged once a window, and so at no tick."""
        return False

    def matches(self, world: World) -> pl.DataFrame:
        """Where it is found: the columns of ``answer.FOUND``."""
        raise NotImplementedError

    @abstractmethod
    def part(self, world: World) -> Part:
        """The condition at work."""

    def inner(self) -> Iterator[Condition]:
        """The conditions in it."""
        return iter(())

    def reads(self) -> Iterator[Read]:
        """The data that it needs, in the order of writing."""
        for condition in self.inner():
            yield from condition.reads()


AnyCondition: TypeAlias = Annotated[Condition, SerializeAsAny()]
