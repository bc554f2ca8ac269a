"""The ``where`` language: one mapping, the same in every tool.

A mapping is read once into conditions (names and operators checked, values turned into the field's type); conditions
become Narwhals expressions and semi joins, so that any engine can run them. Values stay data all the way: they are
literals of an expression, never text of a query.

Null follows Python, not SQL: ``!=`` and ``not_in`` also match a field that has no value.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from operator import or_
from typing import Any, Literal

import narwhals.stable.v2 as nw

from ciops_nb.engines.protocol import LazyFrame
from ciops_nb.errors import BadFilter, UnknownField
from ciops_nb.estate.names import nearest
from ciops_nb.estate.schema import CI_COLUMNS, TABLES
from ciops_nb.estate.times import parse_time

__all__ = [
    "OPERATORS",
    "Condition",
    "Field",
    "absolute_where",
    "apply_conditions",
    "as_told",
    "number",
    "parse_field",
    "parse_where",
]

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "not_in", "contains", "startswith", "is_null")

_ORDER: dict[str, Callable[[nw.Expr, Any], nw.Expr]] = {
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}
_BEYOND = 2**63
# No \s: engines differ on what it is.
_NUMBER = r"^[ \t\n\r\f]*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?[ \t\n\r\f]*$"
_KINDS = {"text": "text", "int": "whole numbers", "float": "numbers", "time": "times"}


@dataclass(frozen=True)
class Field:
    """A column of a CI, or a tag or attribute by its name."""

    text: str
    place: Literal["column", "tag", "attribute"]
    name: str
    kind: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Condition:
    """One entry of a ``where``: ``in`` and ``not_in`` hold a tuple, which may hold None; ``is_null`` holds a bool."""

    field: Field
    operator: str
    value: Any


def parse_field(text: Any, *, what: str = "field") -> Field:
    """Read the name of a field.

    Raises:
        UnknownField: it is neither a column of a CI nor ``tags.NAME`` nor ``attributes.NAME``.
    """
    if isinstance(text, str):
        if text in CI_COLUMNS:
            return Field(text, "column", text, TABLES["ci"].by_name[text].kind)
        for prefix, place in (("tags.", "tag"), ("attributes.", "attribute")):
            if text.startswith(prefix) and len(text) > len(prefix):
                return Field(text, place, text[len(prefix) :], "text")  # type: ignore[arg-type]
    shown = text if isinstance(text, str) else repr(text)
    raise UnknownField(
        shown, nearest(shown, CI_COLUMNS), f"A {what} is one of {', '.join(CI_COLUMNS)}, tags.NAME, attributes.NAME."
    )


def parse_where(where: Any, *, tz: tzinfo) -> tuple[Condition, ...]:
    """Read a ``where`` mapping.

    Raises:
        UnknownField: a field does not exist.
        BadFilter: an operator does not exist, or a value is not of the field's kind.
    """
    if where is None:
        return ()
    if not isinstance(where, Mapping):
        raise BadFilter("where", where, "is not a mapping", 'Write {"ci_type": "HW", "criticality": (">=", 4)}')
    return tuple(_condition(parse_field(name), asked, tz) for name, asked in where.items())


def absolute_where(where: Any, *, tz: tzinfo) -> dict[str, Any]:
    """*where* with its times in UTC: a record must say which moments were meant, whatever zone reads it."""
    times = [condition for condition in parse_where(where, tz=tz) if condition.field.kind == "time"]
    return {**where, **{condition.field.text: (condition.operator, condition.value) for condition in times}}


def as_told(asked: Any) -> Any:
    """What is asked of a field, for JSON, which has no pairs: ``(">=", 4)`` as ``{">=": 4}``; a list is any of it."""
    return {asked[0]: asked[1]} if isinstance(asked, tuple) and len(asked) == 2 else asked


def _condition(field: Field, asked: Any, tz: tzinfo) -> Condition:
    if isinstance(asked, Mapping):
        if len(asked) != 1:
            raise BadFilter(f"where[{field}]", asked, "is not one operator and its value", 'Such as {">=": 4}')
        ((operator, value),) = asked.items()
        asked = (operator, value)
    if isinstance(asked, tuple):
        if len(asked) != 2 or not isinstance(asked[0], str):
            raise BadFilter(
                f"where[{field}]", asked, "is not a pair (operator, value)", "Give several values as a list"
            )
        operator, value = asked
        if operator not in OPERATORS:
            near = nearest(operator, OPERATORS) or OPERATORS
            raise BadFilter(f"where[{field}]", asked, f"there is no operator {operator!r}", f"Use {' or '.join(near)}")
    elif isinstance(asked, (list, set, frozenset)):
        operator, value = "in", asked
    else:
        operator, value = "=", asked
    if operator in ("in", "not_in"):
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            raise BadFilter(f"where[{field}]", asked, f"{operator!r} needs a list of values", 'Such as ["db", "web"]')
        values = [_value(field, item, asked, tz) for item in value]
        return Condition(field, operator, tuple(sorted(set(values), key=lambda item: (item is None, repr(item)))))
    if operator == "is_null":
        if not isinstance(value, bool):
            raise BadFilter(f"where[{field}]", asked, "is_null needs True or False", 'Write ("is_null", True)')
        return Condition(field, operator, value)
    if operator in ("contains", "startswith"):
        if field.kind != "text":
            raise BadFilter(f"where[{field}]", asked, f"{field} holds {_KINDS[field.kind]}", f"{operator} is for text")
        if not isinstance(value, str):
            raise BadFilter(f"where[{field}]", asked, f"{operator} needs a text", "Put it in quotes")
        return Condition(field, operator, value)
    if value is None and operator not in ("=", "!="):
        raise BadFilter(f"where[{field}]", asked, "None has no order", 'Ask for ("is_null", True)')
    return Condition(field, operator, _value(field, value, asked, tz))


def _value(field: Field, value: Any, asked: Any, tz: tzinfo) -> Any:
    if value is None:
        return None
    name = f"where[{field}]"
    value = value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value
    if field.place != "column":
        # Tags and attributes are stored as text; a number asks for the number in that text.
        if isinstance(value, bool) or not isinstance(value, (str, int, float)) or value != value:
            raise BadFilter(
                name, asked, f"{type(value).__name__} is no value of a tag or attribute", "Give a text or a number"
            )
        return value if isinstance(value, str) else _float(value)
    if field.kind == "time":
        if not isinstance(value, (str, datetime, date)):
            raise BadFilter(name, asked, f"{field} holds times", "Write it as 2026-03-02T10:00Z")
        return parse_time(value, tz=tz, name=name)
    if field.kind == "int":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise BadFilter(name, asked, f"{field} holds whole numbers", "Give a number, without quotes")
        if abs(value) >= _BEYOND:  # no whole number of a table is, or is beyond it
            return math.inf if value > 0 else -math.inf
        return int(value) if value == int(value) else value
    if not isinstance(value, str):
        raise BadFilter(name, asked, f"{field} holds text", "Put the value in quotes")
    return value


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def apply_conditions(
    rows: LazyFrame, conditions: Iterable[Condition], properties: Callable[[], LazyFrame]
) -> LazyFrame:
    """Keep the *rows* (of CIs, with ``ci_id``) that meet all *conditions*.

    *properties* gives the tags and attributes that count: ci_id, kind, name, value. Where a tag has several values,
    one that matches is enough, and ``!=`` and ``not_in`` want none that does.
    """
    for condition in conditions:
        if condition.field.place == "column":
            rows = rows.filter(_holds(nw.col(condition.field.name), condition))
        else:
            named = properties().filter(
                nw.col("kind") == nw.lit(condition.field.place), nw.col("name") == nw.lit(condition.field.name)
            )
            rows = _join(rows, named, condition)
    return rows


def _holds(column: nw.Expr, condition: Condition) -> nw.Expr:
    operator, value = condition.operator, condition.value
    if operator == "is_null":
        return column.is_null() if value else ~column.is_null()
    if operator in ("in", "not_in"):
        # Of a column of whole numbers, a fraction can be no value: an engine would not know what to compare it as.
        whole = condition.field.kind == "int"
        some = [item for item in value if item is not None and not (whole and isinstance(item, float))]
        found = column.is_in(some) if some else nw.lit(False)
        if operator == "in":
            return (found & ~column.is_null()) | column.is_null() if None in value else found & ~column.is_null()
        return (~found & ~column.is_null()) if None in value else ~found | column.is_null()
    if operator == "=":
        return column.is_null() if value is None else column == nw.lit(value)
    if operator == "!=":
        return ~column.is_null() if value is None else (column != nw.lit(value)) | column.is_null()
    if operator == "contains":
        return column.str.contains(value, literal=True)
    if operator == "startswith":
        return column.str.starts_with(value)
    return _ORDER[operator](column, nw.lit(value))


def _join(rows: LazyFrame, named: LazyFrame, condition: Condition) -> LazyFrame:
    held = named.filter(~nw.col("value").is_null())
    operator, value = condition.operator, condition.value
    values = value if operator in ("in", "not_in") else (value,)
    if operator == "is_null":
        return _without(rows, held) if value else _with(rows, held)
    if operator in ("=", "in"):
        matching = _equal_to_any(held, values)
        # None among the values also wants the CIs without a value: all but those whose values are only others.
        return _without(rows, _without(held, matching)) if None in values else _with(rows, matching)
    if operator in ("!=", "not_in"):
        rows = _without(rows, _equal_to_any(held, values))
        return _with(rows, held) if None in values else rows
    if operator in _ORDER and not isinstance(value, str):
        return _with(rows, held.filter(_ORDER[operator](number(), nw.lit(value))))
    return _with(rows, held.filter(_holds(nw.col("value"), condition)))


def _equal_to_any(held: LazyFrame, values: Iterable[Any]) -> LazyFrame:
    some = [value for value in values if value is not None]
    tests = [
        nw.col("value") == nw.lit(value)
        if isinstance(value, str)
        else nw.coalesce(number() == nw.lit(value), nw.lit(False))
        for value in some
    ]
    return held.filter(functools.reduce(or_, tests)) if tests else held.head(0)


def number(column: str = "value") -> nw.Expr:
    """The number that the text in *column* is, null where it is none."""
    text = nw.col(column)
    return nw.when(text.str.contains(_NUMBER)).then(text.str.strip_chars()).cast(nw.Float64)


def _with(rows: LazyFrame, found: LazyFrame) -> LazyFrame:
    return rows.join(found.select("ci_id"), on="ci_id", how="semi")


def _without(rows: LazyFrame, found: LazyFrame) -> LazyFrame:
    return rows.join(found.select("ci_id"), on="ci_id", how="anti")
