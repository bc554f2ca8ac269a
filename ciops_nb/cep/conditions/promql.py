"""Conditions in Prometheus' own words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from pydantic import field_validator

from ciops_nb.cep.conditions.base import EVER, Condition, Read
from ciops_nb.cep.fields import Name
from ciops_nb.cep.parts import Part
from ciops_nb.cep.samples import Grid
from ciops_nb.cep.world import World

if TYPE_CHECKING:
    from ciops_nb.cep.promql import Expr

__all__ = ["Promql"]


class Promql(Condition):
    """An expression of Prometheus: what it gives at a tick, holds."""

    KIND: ClassVar[str] = "promql"

    promql: Name

    @field_validator("promql")
    @classmethod
    def _readable(cls, text: str) -> str:
        from ciops_nb.cep.promql import parse

        parse(text)
        return text

    @cached_property
    def expr(self) -> Expr:
        from ciops_nb.cep.promql import parse

        return parse(self.promql)

    def part(self, world: World) -> Part:
        from ciops_nb.cep.promql import compiled

        return compiled(self.expr, world.matching, world.grid, world.lookback)

    def reads(self) -> Iterator[Read]:
        from ciops_nb.cep.promql import needs
        from ciops_nb.cep.promql.tree import walk

        # ``@`` names a moment of its own, wherever the ticks are.
        pinned = any(isinstance(getattr(node, "at", None), int) for node in walk(self.expr.root))
        # Seen from a tick at 0 with no look-back, so that what is before it is how far back.
        for need in needs(self.expr, Grid(0, 1, 1), lambda metric: timedelta(0)):
            back, ahead = timedelta(microseconds=-need.start), timedelta(microseconds=need.end)
            yield Read(
                "metric", need.metric, None, EVER if pinned else back, EVER if pinned else max(ahead, timedelta(0))
            )
