"""Which events a rule means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from ciops_nb.cep.events import Events, one_of
from ciops_nb.cep.fields import Name, Names, Piece
from ciops_nb.cep.samples import Bools
from ciops_nb.errors import BadRule

__all__ = ["EventFilter"]

_OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "not_in", "contains", "startswith", "is_null")
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
    for one in value if several else [value]:
        if not isinstance(one, Scalar):
            raise ValueError(f"{name}: {one!r} is not a text, a number, true or false. Write one, or a list of them")
    return operator, tuple(value) if several else value


class EventFilter(Piece):
    """Events of a *type* (or any of several) whose fields are as *where* says.

    *where* maps a field to a value, a list of which any is meant, or a pair (operator, value). Text is compared as
    text; where a number is asked, a text is read as one. A field that an event has not meets only ``!=``, ``not_in``
    and ``is_null``.
    """

    NOUN: ClassVar[str] = "event"
    SUCH_AS: ClassVar[str] = "{type: deploy}"

    type: Names | None = None
    where: Annotated[dict[Name, tuple[str, Any]], BeforeValidator(_asked)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something(self) -> EventFilter:
        if self.type is None and not self.where:
            raise ValueError("says no event. Give 'type', or fields under 'where'")
        return self

    def of(self, events: Events) -> Bools:
        """Which of *events* are meant."""
        found = pl.lit(True)
        if self.type is not None:
            found = pl.col("type").is_in(list(self.type)).fill_null(False)
        for name, (operator, value) in self.where.items():
            if name not in events.fields:
                raise BadRule(f"where, {name!r}", "events have no such field", one_of(name, events.fields))
            found = found & _meets(name, events.frame.schema[name], operator, value)
        chosen = events.frame.select(pl.repeat(True, pl.len()) & found).to_series()
        return np.asarray(chosen.to_numpy(), dtype=np.bool_)


def _meets(name: str, dtype: pl.DataType, operator: str, value: Any) -> pl.Expr:
    column = pl.col(name)
    if operator == "is_null":
        return column.is_null() if value else column.is_not_null()
    several = operator in ("in", "not_in")
    values = value if several else (value,)
    numeric = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in values)
    if numeric and dtype != pl.Boolean:
        column = column.cast(pl.Float64, strict=False)
        values = tuple(float(one) for one in values)
    else:
        column = column.cast(pl.String)
        values = tuple(_as_text(one) for one in values)
    return _COMPARED[operator](column, values).fill_null(operator in ("!=", "not_in"))


_COMPARED: dict[str, Callable[[pl.Expr, tuple[Any, ...]], pl.Expr]] = {
    "=": lambda column, asked: column == asked[0],
    "!=": lambda column, asked: column != asked[0],
    "<": lambda column, asked: column < asked[0],
    "<=": lambda column, asked: column <= asked[0],
    ">": lambda column, asked: column > asked[0],
    ">=": lambda column, asked: column >= asked[0],
    "in": lambda column, asked: column.is_in(list(asked)),
    "not_in": lambda column, asked: ~column.is_in(list(asked)),
    "contains": lambda column, asked: column.cast(pl.String).str.contains(str(asked[0]), literal=True),
    "startswith": lambda column, asked: column.cast(pl.String).str.starts_with(str(asked[0])),
}


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
