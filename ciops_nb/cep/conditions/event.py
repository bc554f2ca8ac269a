"""Which events a rule means, or which samples."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from ciops_nb.cep.conditions.base import Read
from ciops_nb.cep.events import Events
from ciops_nb.cep.fields import Name, Names, Piece
from ciops_nb.cep.records import Records, of_events, of_samples
from ciops_nb.cep.samples import Bools, Samples
from ciops_nb.cep.world import World
from ciops_nb.errors import BadRule

__all__ = ["EventFilter", "Meant"]

_OPERATORS = (
    "=", "!=", "<", "<=", ">", ">=", "in", "not_in", "contains", "startswith", "endswith", "like", "is_null",
)  # fmt: skip
_TEXTUAL = ("contains", "startswith", "endswith", "like")
_EXACT = 2**53  # up to here a float holds every whole number
Scalar = str | float | int | bool


def _asked(value: Any) -> Any:
    """``where`` as (operator, value) pairs: a value means =, a list any of, a pair is taken as it is."""
    if not isinstance(value, dict):
        return value
    return {name: _pair(name, asked) for name, asked in value.items()}


def _pair(name: Any, asked: Any) -> Any:
    if isinstance(asked, (list, tuple)):
        if len(asked) == 2 and asked[0] in _OPERATORS:
            operator, value = asked
        else:
            operator, value = "in", asked
    else:
        operator, value = "=", asked
    several = operator in ("in", "not_in")
    if several and (not isinstance(value, (list, tuple)) or not value):
        raise ValueError(f"{name}: {operator!r} needs a list. Write [{operator}, [a, b]]")
    values = list(value) if several else [value]
    if operator == "is_null" and not isinstance(value, bool):
        raise ValueError(f"{name}: 'is_null' is true or false. Write [is_null, true]")
    for one in values:
        if one is None:
            raise ValueError(f"{name}: nothing is compared with null. Write [is_null, true]")
        if not isinstance(one, Scalar):
            raise ValueError(f"{name}: {one!r} is not a text, a number, true or false. Write one, or a list of them")
        if one != one:
            raise ValueError(f"{name}: nothing is compared with NaN. Write a number")
    if len({_sort(one) for one in values}) > 1:
        raise ValueError(f"{name}: {values} mixes texts and numbers. Quote all of them, or none")
    if isinstance(values[0], bool) and operator not in ("=", "!=", "in", "not_in", "is_null"):
        raise ValueError(f"{name}: {operator!r} does not compare true and false. Write = or !=")
    return operator, tuple(value) if several else value


def _sort(value: Any) -> str:
    return "bool" if isinstance(value, bool) else "number" if isinstance(value, (int, float)) else "text"


class EventFilter(Piece):
    """Events of a *type* (or any of several) whose fields are as *where* says.

    *where* maps a field to a value, a list of which any is meant, or a pair (operator, value). Where a number is asked,
    a text is read as one, and one that is none has no number; where a text is asked of numbers, it is read as one.
    ``contains``, ``startswith`` and ``endswith`` compare texts sign by sign; ``like`` knows ``*`` (anything) and ``?``
    (one sign) and does not mind the case of a to z. A field that an event has not (null, NaN, no number where one is
    asked) meets only ``!=``, ``not_in`` and ``[is_null, true]``, which means null alone.

    An event also has to be meant by all of the filters in *all_of*, by one of *any_of* and by none of *none_of*.
    """

    NOUN: ClassVar[str] = "event"
    SUCH_AS: ClassVar[str] = "{type: deploy}"

    type: Names | None = None
    where: Annotated[dict[Name, tuple[str, Any]], BeforeValidator(_asked)] = Field(default_factory=dict)
    all_of: tuple[EventFilter, ...] = ()
    any_of: tuple[EventFilter, ...] = ()
    none_of: tuple[EventFilter, ...] = ()

    @model_validator(mode="after")
    def _something(self) -> EventFilter:
        if not self.says() or self.type == ():
            raise ValueError("says no event. Give 'type', or fields under 'where'")
        return self

    def says(self) -> bool:
        return self.type is not None or bool(self.where or self.all_of or self.any_of or self.none_of)

    def of(self, events: Events) -> Bools:
        """Which of *events* are meant."""
        found = pl.lit(True)
        if self.type is not None:
            found = pl.col("type").is_in(list(self.type)).fill_null(False)
        for name, (operator, value) in self.where.items():
            events.check(name, "where")
            found = found & _meets(name, events.frame.schema[name], operator, value)
        chosen = events.frame.select(pl.repeat(True, pl.len()) & found).to_series()
        meant = np.array(chosen.to_numpy(), dtype=np.bool_)
        for each in self.all_of:
            meant &= each.of(events)
        if self.any_of:
            meant &= np.logical_or.reduce([each.of(events) for each in self.any_of])
        for each in self.none_of:
            meant &= ~each.of(events)
        return meant


EventFilter.PARTS = {name: [EventFilter] for name in ("all_of", "any_of", "none_of")}


def _meets(name: str, dtype: pl.DataType, operator: str, value: Any) -> pl.Expr:
    column = pl.col(name)
    if operator == "is_null":
        return column.is_null() if value else column.is_not_null()
    values = value if operator in ("in", "not_in") else (value,)
    asked = _sort(values[0])
    if dtype == pl.Null:
        return pl.lit(operator in ("!=", "not_in"))
    if dtype == pl.Boolean:
        if asked != "bool" and values[0] not in ("true", "false"):
            raise BadRule(f"where, {name!r}", f"is true or false, and not {values[0]!r}", "Write true or false")
        return _compared(column.cast(pl.String), operator, tuple(_as_text(one) for one in values))
    if dtype.is_numeric():
        return _of_numbers(name, dtype, operator, values)
    if not isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
        raise BadRule(f"where, {name!r}", f"holds {dtype}, which is not compared", "Give it as texts or numbers")
    texts = column.cast(pl.String)
    if asked != "number" or operator in _TEXTUAL:
        return _compared(texts, operator, tuple(_as_text(one) for one in values))
    if large := [one for one in values if abs(one) > _EXACT]:
        raise BadRule(f"where, {name!r}", f"{large[0]} is too large to read texts as numbers", "Quote it")
    return _compared(texts.str.strip_chars().cast(pl.Float64, strict=False).fill_nan(None), operator, values)


def _of_numbers(name: str, dtype: pl.DataType, operator: str, values: tuple[Any, ...]) -> pl.Expr:
    if operator in _TEXTUAL:
        raise BadRule(f"where, {name!r}", f"holds numbers, and {operator!r} compares texts", "Use =, <, > or in")
    if _sort(values[0]) == "bool":
        raise BadRule(f"where, {name!r}", "holds numbers, and is never true or false", "Write a number")
    try:
        numbers = tuple(_number(one) for one in values)
    except ValueError:
        raise BadRule(f"where, {name!r}", f"holds numbers, and {values!r} is none", "Write a number") from None
    column = pl.col(name)
    if dtype.is_integer() and all(isinstance(one, int) for one in numbers):
        return _compared(column.cast(pl.Int128), operator, numbers)
    return _compared(column.cast(pl.Float64).fill_nan(None), operator, tuple(float(one) for one in numbers))


def _number(value: Any) -> int | float:
    if not isinstance(value, str):
        return value  # type: ignore[no-any-return]
    try:
        return int(value)
    except ValueError:
        return float(value)


def _compared(column: pl.Expr, operator: str, asked: tuple[Any, ...]) -> pl.Expr:
    return _COMPARED[operator](column, asked).fill_null(operator in ("!=", "not_in"))


def _any(column: pl.Expr, asked: tuple[Any, ...]) -> pl.Expr:
    return pl.any_horizontal(column == one for one in asked)


_COMPARED: dict[str, Callable[[pl.Expr, tuple[Any, ...]], pl.Expr]] = {
    "=": lambda column, asked: column == asked[0],
    "!=": lambda column, asked: column != asked[0],
    "<": lambda column, asked: column < asked[0],
    "<=": lambda column, asked: column <= asked[0],
    ">": lambda column, asked: column > asked[0],
    ">=": lambda column, asked: column >= asked[0],
    "in": _any,
    "not_in": lambda column, asked: ~_any(column, asked),
    "contains": lambda column, asked: column.str.contains(asked[0], literal=True),
    "startswith": lambda column, asked: column.str.starts_with(asked[0]),
    "endswith": lambda column, asked: column.str.ends_with(asked[0]),
    "like": lambda column, asked: column.str.contains(_pattern(asked[0])),
}


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pattern(like: str) -> str:
    r"""A regular expression for *like*: ``*``, ``?``, and a sign after ``\`` as it is."""
    found, signs = [], iter(like)
    for sign in signs:
        if sign == "\\":
            sign = next(signs, "\\")
        elif sign in "*?":
            found.append("(?s:.*)" if sign == "*" else "(?s:.)")
            continue
        both = sign.isascii() and sign.isalpha()
        found.append(f"[{sign.lower()}{sign.upper()}]" if both else re.escape(sign))
    return rf"\A{''.join(found)}\z"


# ── events or samples ───────────────────────────────────────────────────────────────────────────────────────────────


class Meant(EventFilter):
    """Events as EventFilter says them, or the samples of a *metric* whose labels are as *where* says."""

    NOUN: ClassVar[str] = "event or metric"

    metric: Name | None = None

    @model_validator(mode="after")
    def _either(self) -> Meant:
        if self.metric is not None and self.type is not None:
            raise ValueError("says both 'type' and 'metric'. Samples have no type: leave one out")
        if self.metric is not None and (self.all_of or self.any_of or self.none_of):
            raise ValueError("says filters of events beside 'metric'. Say labels under 'where'")
        if self.metric is not None and (other := [name for name, pair in self.where.items() if pair[0] not in _LABELS]):
            raise ValueError(f"where, {other[0]}: labels are compared by = and in. Write a text, or a list of them")
        return self

    def says(self) -> bool:
        return self.metric is not None or super().says()

    def read(self, back: timedelta | None) -> Read:
        return Read("event" if self.metric is None else "metric", self.metric, back)

    def records(self, world: World, by: Sequence[str]) -> Records:
        """What is meant, keyed by the fields or labels *by*."""
        if self.metric is None:
            return of_events(world.events, self.of(world.events), by)
        return of_samples(self.samples(world), by)

    def values(self, world: World, field: str) -> pl.Series:
        """The field (label) *field* of every event or sample, as far as it has one."""
        if self.metric is None:
            world.events.check(field, "field")
            column = world.events.frame[field]
            if column.dtype.is_nested() or column.dtype == pl.Object:
                raise BadRule(f"field, {field!r}", f"holds {column.dtype}", "Name a field of texts or numbers")
            if isinstance(column.dtype, (pl.Categorical, pl.Enum, pl.Boolean)):
                column = column.cast(pl.String)
            return column.fill_nan(None) if column.dtype.is_float() else column
        samples = self.samples(world)
        if field == "value":
            return pl.Series(samples.value).fill_nan(None)
        return pl.Series([dict(one).get(field) for one in samples.labels], dtype=pl.String)[samples.series]

    def samples(self, world: World) -> Samples:
        """The samples that are meant, by series and then time."""
        assert self.metric is not None
        where = {
            name: tuple(map(_as_text, value if operator == "in" else (value,)))
            for name, (operator, value) in self.where.items()
        }
        return world.find(self.metric, where).real


_LABELS = ("=", "in")
