"""Conditions put together: all, any, not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from ciops_nb.cep.conditions.base import AnyCondition, Condition
from ciops_nb.cep.fields import Parts
from ciops_nb.cep.parts import Either, Part, Unless, all_of, joined
from ciops_nb.cep.world import World

__all__ = ["AllOf", "AnyOf", "Not"]


class AllOf(Condition):
    """All hold, for the same labels: Prometheus' ``and``, and ``unless`` for ``not``. The value is the first one's.

    What is said of a CI or a group (``near``, ``share``, ``count_of``) holds for each series of it. It narrows the
    others, wherever it is written, and gives labels and value only where all conditions are of this kind.
    """

    KIND: ClassVar[str] = "all"
    AS_OF: ClassVar[bool] = True
    PARTS: ClassVar[Parts] = {"all": [Condition]}

    all: Annotated[tuple[AnyCondition, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _something_holds(self) -> AllOf:
        if all(isinstance(part, Not) for part in self.all):
            raise ValueError("'all' holds only 'not': say first what has to hold, and then what must not")
        return self

    def inner(self) -> Iterator[Condition]:
        return iter(self.all)

    def part(self, world: World) -> Part:
        found = all_of([one.part(world) for one in self.all if not isinstance(one, Not)])
        for one in self.all:
            if isinstance(one, Not):
                found = Unless(found, one.not_.part(world))
        return found


class AnyOf(Condition):
    """Any holds: Prometheus' ``or``. The value is that of the first that holds."""

    KIND: ClassVar[str] = "any"
    AS_OF: ClassVar[bool] = True
    PARTS: ClassVar[Parts] = {"any": [Condition]}

    any: Annotated[tuple[AnyCondition, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _all_hold(self) -> AnyOf:
        if any(isinstance(part, Not) for part in self.any):
            raise ValueError(Not.MISPLACED)
        return self

    def inner(self) -> Iterator[Condition]:
        return iter(self.any)

    def part(self, world: World) -> Part:
        return joined([one.part(world) for one in self.any], Either)


class Not(Condition):
    """Does not hold for the labels for which the rest of ``all`` holds."""

    KIND: ClassVar[str] = "not"
    AS_OF: ClassVar[bool] = True
    PARTS: ClassVar[Parts] = {"not": Condition}
    MISPLACED: ClassVar[str] = "'not' has its place inside of 'all' only: of what should it be the opposite?"

    not_: AnyCondition = Field(alias="not")

    @model_validator(mode="after")
    def _once(self) -> Not:
        if isinstance(self.not_, Not):
            raise ValueError("'not' of 'not': leave out both")
        return self

    def inner(self) -> Iterator[Condition]:
        yield self.not_

    def part(self, world: World) -> Part:
        raise ValueError(self.MISPLACED)  # the models around it let it be only where ``all`` asks for what is in it
