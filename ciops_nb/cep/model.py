"""What a rule is: one condition on metrics, and how long it has to hold.

A rule is data; ``reading`` makes it from YAML or dicts with errors that name the place, ``replay`` runs it.
The meaning of every word is that of Prometheus' alerting rules.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StrictFloat, model_validator

from ciops_nb.errors import BadParameter
from ciops_nb.estate.times import parse_duration

__all__ = ["AGGREGATES", "REDUCERS", "AllOf", "AnyOf", "Condition", "Metric", "Not", "Operand", "Ratio", "Rule"]

AGGREGATES = ("count", "min", "max", "sum", "avg", "last", "stddev", "rate", "increase")
REDUCERS = ("max", "min", "sum", "avg", "count")
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)\Z")
_SPELLED = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def _nothing_or_longer(value: Any) -> timedelta:
    if value == timedelta(0) or (isinstance(value, str) and re.fullmatch(r"0(ms|[smhdw])", value.strip())):
        return timedelta(0)
    return _longer(value)


def _longer(value: Any) -> timedelta:
    try:
        return parse_duration(value)
    except BadParameter as error:
        raise ValueError(f"{value!r} {error.problem}. Write it as 30s, 5m, 1m30s, 1h or 1d") from None


def _spelled(length: timedelta) -> str:
    if length % timedelta(milliseconds=1):  # only timedeltas made in Python are that fine
        return f"PT{length.total_seconds():.6f}S"
    left = length // timedelta(milliseconds=1)
    parts = []
    for unit, size in _SPELLED:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def _aggregate(value: Any) -> Any:
    if not isinstance(value, str) or (value not in AGGREGATES and not _QUANTILE.match(value)):
        raise ValueError(f"{value!r} is not an aggregate. Use {', '.join(AGGREGATES)}, or pNN such as p95")
    return value


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _texts(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: (asked,) if isinstance(asked, str) else asked for name, asked in value.items()}


def _labels(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        name: str(given) if isinstance(given, (int, float)) and not isinstance(given, bool) else given
        for name, given in value.items()
    }


_Duration = Annotated[timedelta, BeforeValidator(_longer), PlainSerializer(_spelled, return_type=str)]
_Hold = Annotated[timedelta, BeforeValidator(_nothing_or_longer), PlainSerializer(_spelled, return_type=str)]
_Name = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)


class _Selection(_Part):
    """The values of a metric at a tick, one per series.

    Without *agg* that is the newest sample within the look-back. *over* is the window (left open), *offset* how far in
    the past it lies; *by* and *reduce* put series together; *where* asks for label values (text, or any of a list).
    """

    metric: _Name
    agg: Annotated[str, BeforeValidator(_aggregate)] | None = None
    over: _Duration | None = None
    offset: _Duration | None = None
    by: Annotated[tuple[_Name, ...], BeforeValidator(_names)] | None = None
    reduce: Literal["max", "min", "sum", "avg", "count"] | None = None
    where: Annotated[dict[_Name, tuple[str, ...]], BeforeValidator(_texts)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> _Selection:
        if self.over is not None and self.agg is None:
            raise ValueError(f"'over' needs 'agg': how its window is aggregated. Use one of {', '.join(AGGREGATES)}")
        if self.agg not in (None, "last") and self.over is None:
            raise ValueError(f"'agg: {self.agg}' needs 'over': the window it is taken over, such as 5m")
        if self.by is not None and self.reduce is None:
            raise ValueError(f"'by' needs 'reduce': how series are put together. Use one of {', '.join(REDUCERS)}")
        return self


class Operand(_Selection):
    """A metric as one side of a comparison or a ratio; *times* is a factor."""

    times: StrictFloat = 1.0


_Value: TypeAlias = Annotated[StrictFloat, Field()] | Operand
_Op: TypeAlias = Literal[">", ">=", "<", "<=", "==", "!="]


class _Comparison(_Part):
    op: _Op
    value: _Value

    @model_validator(mode="after")
    def _comparable(self) -> _Comparison:
        if isinstance(self.value, float) and self.value != self.value:
            raise ValueError("'value' is NaN, with which nothing can be compared. Give a number")
        return self


class Metric(_Selection, _Comparison):
    """A metric compared with a number or another metric (of the same labels)."""


class Ratio(_Comparison):
    """One metric divided by another (of the same labels), compared."""

    ratio: tuple[Operand, Operand]


class AllOf(_Part):
    """All hold, for the same labels: Prometheus' ``and``, and ``unless`` for ``not``. The value is the first one's."""

    all: Annotated[tuple[Condition, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _something_holds(self) -> AllOf:
        if all(isinstance(part, Not) for part in self.all):
            raise ValueError("'all' holds only 'not': say first what has to hold, and then what must not")
        return self


class AnyOf(_Part):
    """Any holds: Prometheus' ``or``. The value is that of the first that holds."""

    any: Annotated[tuple[Condition, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _all_hold(self) -> AnyOf:
        if any(isinstance(part, Not) for part in self.any):
            raise ValueError("'not' has its place inside of 'all' only: of what should it be the opposite?")
        return self


class Not(_Part):
    """Does not hold for the labels for which the rest of ``all`` holds."""

    not_: Condition = Field(alias="not")

    @model_validator(mode="after")
    def _once(self) -> Not:
        if isinstance(self.not_, Not):
            raise ValueError("'not' of 'not': leave out both")
        return self


Condition: TypeAlias = Metric | Ratio | AllOf | AnyOf | Not


class Rule(_Part):
    """A condition and its states: pending while it holds for less than *for_*, then firing.

    Attributes:
        id: The name of the rule; one read without gets rule-1, rule-2, ... by its position.
        when: The condition.
        for_: How long it has to hold before it fires (``for`` in YAML).
        keep_firing_for: How long it goes on firing after the condition no longer holds.
        every: How often it is evaluated; None is as often as the replay says.
        labels: Labels of its alerts, over those of the series.
    """

    id: _Name | None = None
    when: Condition
    for_: _Hold = Field(default=timedelta(0), alias="for")
    keep_firing_for: _Hold = timedelta(0)
    every: _Duration | None = None
    labels: Annotated[dict[_Name, str], BeforeValidator(_labels)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _holds(self) -> Rule:
        if isinstance(self.when, Not):
            raise ValueError("'not' has its place inside of 'all' only: of what should it be the opposite?")
        return self

    def plain(self) -> dict[str, Any]:
        """The rule as plain JSON, which ``load`` reads back."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def __str__(self) -> str:
        import json

        return json.dumps(self.plain(), sort_keys=True, ensure_ascii=False)

    def selections(self) -> list[Metric | Operand]:
        """Every use of a metric in the condition, in the order of writing."""
        return _selections(self.when)


def _selections(part: Condition | Operand) -> list[Metric | Operand]:
    if isinstance(part, Ratio):
        value = [part.value] if isinstance(part.value, Operand) else []
        return [*part.ratio, *value]
    if isinstance(part, Metric):
        return [part, part.value] if isinstance(part.value, Operand) else [part]
    if isinstance(part, Operand):
        return [part]
    parts = part.all if isinstance(part, AllOf) else part.any if isinstance(part, AnyOf) else (part.not_,)
    return [found for inner in parts for found in _selections(inner)]


for _model in (AllOf, AnyOf, Not, Rule):
    _model.model_rebuild()
