"""Conditions on metrics: a value at a tick, compared with a number or with another value.

The meaning of every word is that of Prometheus' expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field, StrictFloat, field_validator, model_validator

from ciops_nb.cep.asof import Known
from ciops_nb.cep.conditions.base import Condition, Read
from ciops_nb.cep.fields import Duration, Name, Names, Parts, Piece, Texts
from ciops_nb.cep.hysteresis import Latched
from ciops_nb.cep.parts import Compared, Divided, Part, Reduced, Selected, Times
from ciops_nb.cep.samples import Seen
from ciops_nb.cep.world import World
from ciops_nb.estate.times import micros_of

__all__ = ["AGGREGATES", "REDUCERS", "Comparison", "Metric", "Op", "Operand", "Ratio", "Selection"]

AGGREGATES = ("count", "min", "max", "sum", "avg", "last", "stddev", "rate", "increase")
REDUCERS = ("max", "min", "sum", "avg", "count")
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)\Z")


def _aggregate(value: Any) -> Any:
    if not isinstance(value, str) or (value not in AGGREGATES and not _QUANTILE.match(value)):
        raise ValueError(f"{value!r} is not an aggregate. Use {', '.join(AGGREGATES)}, or pNN such as p95")
    return value


class Selection(Piece):
    """The values of a metric at a tick, one per series.

    Without *agg* that is the newest sample within the look-back. *over* is the window (left open), *offset* how far in
    the past it lies; *by* and *reduce* put series together; *where* asks for label values (text, or any of a list).
    """

    metric: Name
    agg: Annotated[str, BeforeValidator(_aggregate)] | None = None
    over: Duration | None = None
    offset: Duration | None = None
    by: Names | None = None
    reduce: Literal["max", "min", "sum", "avg", "count"] | None = None
    where: Texts = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Selection:
        if self.over is not None and self.agg is None:
            raise ValueError(f"'over' needs 'agg': how its window is aggregated. Use one of {', '.join(AGGREGATES)}")
        if self.agg not in (None, "last") and self.over is None:
            raise ValueError(f"'agg: {self.agg}' needs 'over': the window it is taken over, such as 5m")
        if self.by is not None and self.reduce is None:
            raise ValueError(f"'by' needs 'reduce': how series are put together. Use one of {', '.join(REDUCERS)}")
        return self

    def read(self) -> Read:
        return Read("metric", self.metric, self.over, self.offset or timedelta(0))

    def selected(self, world: World) -> Part:
        """Its values at work."""
        samples = world.find(self.metric, self.where)
        over = micros_of(world.lookback(self.metric) if self.over is None else self.over)
        agg, offset = None if self.over is None else self.agg, micros_of(self.offset or timedelta(0))
        found: Part
        if samples.known is not None:
            found = Known(samples, world.grid, over, offset, agg)
        else:
            found = Selected(Seen(samples if agg is None else samples.real, world.grid, over, offset), agg)
        return found if self.reduce is None else Reduced(found, self.by or (), self.reduce)


class Operand(Selection):
    """A metric as one side of a comparison or a ratio; *times* is a factor."""

    NOUN: ClassVar[str] = "metric"
    SUCH_AS: ClassVar[str] = "{metric: cpu}"

    times: StrictFloat = 1.0

    def selected(self, world: World) -> Part:
        found = super().selected(world)
        return found if self.times == 1.0 else Times(found, self.times)


_Value: TypeAlias = Annotated[StrictFloat, Field()] | Operand
Op: TypeAlias = Literal[">", ">=", "<", "<=", "==", "!="]


class Comparison(Condition):
    """A value compared with a number, or with a metric of the same labels.

    With *clear*, what holds goes on holding for as long as the value compares so with *clear*.
    """

    PARTS: ClassVar[Parts] = {"value": Operand}
    AS_OF: ClassVar[bool] = True

    op: Op
    value: _Value
    clear: StrictFloat | None = None

    @model_validator(mode="after")
    def _comparable(self) -> Comparison:
        if isinstance(self.value, float) and self.value != self.value:
            raise ValueError("'value' is NaN, with which nothing can be compared. Give a number")
        if self.clear is None:
            return self
        if isinstance(self.value, Operand):
            raise ValueError("has 'clear' beside a metric as 'value'. Compare with a number, or leave 'clear' out")
        if self.op not in (">", ">=", "<", "<="):
            raise ValueError(f"has 'clear' beside {self.op!r}. Use it with >, >=, < or <=")
        if not (self.clear <= self.value if self.op[0] == ">" else self.clear >= self.value):
            side = "above" if self.op[0] == ">" else "below"
            raise ValueError(f"has a 'clear' of {self.clear:g}, {side} 'value'. What ends lies beyond what begins")
        return self

    def compared_with(self) -> Iterator[Read]:
        if isinstance(self.value, Operand):
            yield self.value.read()

    def compared(self, left: Part, world: World) -> Part:
        if isinstance(self.value, Operand):
            return Compared(left, self.op, self.value.selected(world))
        if self.clear is not None:
            return Latched(left, self.op, self.value, self.clear, world.grid)
        return Compared(left, self.op, self.value)


class Metric(Selection, Comparison):
    """A metric compared with a number or another metric (of the same labels)."""

    KIND: ClassVar[str] = "metric"

    def part(self, world: World) -> Part:
        return self.compared(self.selected(world), world)

    def reads(self) -> Iterator[Read]:
        yield self.read()
        yield from self.compared_with()


class Ratio(Comparison):
    """One metric divided by another (of the same labels), compared."""

    KIND: ClassVar[str] = "ratio"
    PARTS: ClassVar[Parts] = {"ratio": [Operand], "value": Operand}

    ratio: tuple[Operand, Operand]

    @field_validator("ratio", mode="before")
    @classmethod
    def _two(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and len(value) != 2:
            raise ValueError(f"has {len(value)} metrics. A ratio divides the first of two by the second")
        return value

    def part(self, world: World) -> Part:
        above, below = self.ratio
        return self.compared(Divided(above.selected(world), below.selected(world)), world)

    def reads(self) -> Iterator[Read]:
        yield from (operand.read() for operand in self.ratio)
        yield from self.compared_with()
