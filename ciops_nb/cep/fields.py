"""What the fields of rules are made of: durations, names and texts, read leniently and written back the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from ciops_nb.errors import BadParameter
from ciops_nb.estate.times import parse_duration, parse_time, parse_zone, spelled

__all__ = [
    "Duration", "Hold", "LabelTexts", "Moment", "Name", "Names", "Parts", "Piece", "Texts", "Zone", "pieces", "spelled",
]  # fmt: skip


def _nothing_or_longer(value: Any) -> timedelta:
    if value == timedelta(0) or (isinstance(value, str) and re.fullmatch(r"0(ms|[smhdw])", value.strip())):
        return timedelta(0)
    return _longer(value)


def _longer(value: Any) -> timedelta:
    try:
        return parse_duration(value)
    except BadParameter as error:
        raise ValueError(f"{value!r} {error.problem}. Write it as 30s, 5m, 1m30s, 1h or 1d") from None


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _texts(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: (asked,) if isinstance(asked, str) else asked for name, asked in value.items()}


def _moment(value: Any) -> str:
    """A time as text, which is read in the zone of the replay if it names none."""
    try:
        parse_time(value, tz=UTC, name="end")
    except BadParameter as error:
        raise ValueError(f"{value!r} {error.problem}. Write it as 2026-03-02T10:00:00Z") from None
    return value if isinstance(value, str) else str(value.isoformat())


def _zone(value: Any) -> Any:
    try:
        parse_zone(value)
    except BadParameter as error:
        raise ValueError(f"{value!r}: {error.problem}. {error.hint}") from None
    return value


def _labels(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        name: str(given) if isinstance(given, (int, float)) and not isinstance(given, bool) else given
        for name, given in value.items()
    }


Duration = Annotated[timedelta, BeforeValidator(_longer), PlainSerializer(spelled, return_type=str)]
Hold = Annotated[timedelta, BeforeValidator(_nothing_or_longer), PlainSerializer(spelled, return_type=str)]
Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_names)]
Texts = Annotated[dict[Name, tuple[str, ...]], BeforeValidator(_texts)]
Moment = Annotated[str, BeforeValidator(_moment)]
Zone = Annotated[str, BeforeValidator(_zone)]
LabelTexts = Annotated[dict[Name, str], BeforeValidator(_labels)]


class Piece(BaseModel):
    """A part of a rule.

    *PARTS* names the fields that hold pieces themselves, and of which class (``[cls]``: a list of them); *NOUN* and
    *SUCH_AS* say in errors what was expected.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)

    PARTS: ClassVar[Parts] = {}
    NOUN: ClassVar[str] = "piece of a rule"
    SUCH_AS: ClassVar[str] = "{...}"


Parts: TypeAlias = dict[str, type[Piece] | list[type[Piece]]]


def pieces(value: Any) -> Iterator[Piece]:
    """*value* and all pieces in it, each before those that are in it."""
    if isinstance(value, Piece):
        yield value
        for name in type(value).model_fields:
            yield from pieces(getattr(value, name))
    elif isinstance(value, (tuple, list)):
        for inner in value:
            yield from pieces(inner)
    elif isinstance(value, dict):
        yield from pieces(list(value.values()))
