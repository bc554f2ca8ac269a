"""What every pattern is: a piece of a rule that is found at moments of its own, and not judged at ticks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import polars as pl

from ciops_nb.cep.conditions.base import Read
from ciops_nb.cep.fields import Piece
from ciops_nb.cep.world import World

__all__ = ["Pattern"]


class Pattern(Piece):
    """Something that happens at moments of its own; *KIND* is the field of a rule by which it is known."""

    KIND: ClassVar[str]
    NOUN: ClassVar[str] = "pattern"

    @abstractmethod
    def matches(self, world: World) -> pl.DataFrame:
        """Where it is found: the columns of ``answer.FOUND``, by fired_at, ci and labels."""

    @abstractmethod
    def reads(self) -> Iterator[Read]:
        """The data that it needs, in the order of writing."""
