"""When a rule is to be judged: days and hours by the clocks of a place."""

from __future__ import annotations

import re
from datetime import date, tzinfo
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from ciops_nb.cep.fields import Piece, Zone
from ciops_nb.cep.samples import Bools, Ints
from ciops_nb.estate.times import parse_zone

__all__ = ["Active"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?\Z")
_DAY = 86_400_000_000


def _listed(value: Any) -> Any:
    if isinstance(value, (str, date)):
        return (value,)
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{value!r} is not a list. Write one, or several as [a, b]")
    return value


def _days(value: Any) -> tuple[str, ...]:
    for one in (given := _listed(value)):
        _weekdays(one)
    return tuple(given)


def _weekdays(text: Any) -> set[int]:
    """The days, 1 for Monday, that *text* names: ``mon``, or ``mon-fri``."""
    names = [part.strip().lower()[:3] for part in text.split("-")] if isinstance(text, str) else []
    if len(names) not in (1, 2) or any(name not in _DAYS for name in names):
        raise ValueError(f"{text!r} names no days. Write mon, mon-fri, or a list of these")
    first, last = _DAYS.index(names[0]), _DAYS.index(names[-1])
    return {(first + n) % 7 + 1 for n in range((last - first) % 7 + 1)}


def _hours(value: Any) -> tuple[str, ...]:
    for one in (given := _listed(value)):
        begin, end = _times(one)
        if begin == end:
            raise ValueError(f"{one!r} ends where it begins. Write 00:00-24:00 for a whole day")
    return tuple(given)


def _times(text: Any) -> tuple[int, int]:
    """Begin and end in microseconds since midnight."""
    parts = [_TIME.match(part.strip()) for part in text.split("-")] if isinstance(text, str) else []
    if len(parts) != 2 or None in parts:
        raise ValueError(f"{text!r} is no time of day. Write 09:00-17:00, in quotes, or a list of these")
    begin, end = (
        sum(int(number or 0) * unit for number, unit in zip(part.groups(), (3600, 60, 1), strict=True)) * 1_000_000
        for part in parts
        if part is not None
    )
    if max(begin, end) > _DAY:
        raise ValueError(f"{text!r} is no time of day. A day ends at 24:00")
    return begin, end


def _dates(value: Any) -> tuple[str, ...]:
    try:
        return tuple((one if isinstance(one, date) else date.fromisoformat(one)).isoformat() for one in _listed(value))
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} are no dates. Write 2026-12-24, or a list of these") from None


class Active(Piece):
    """Days and hours, each by the clocks of *tz* (else of the replay); a moment has to be in all that is said.

    *days* are weekdays (``mon-fri``, ``[sat, sun]``), *hours* times of day from the first up to before the second
    (``09:00-17:00``; ``22:00-06:00`` is what is not from 06:00 to 22:00), *dates* the only days meant and *except* days
    that are not. Days, hours and dates are asked of the moment by themselves: what is after midnight belongs to the
    new day.
    """

    NOUN: ClassVar[str] = "time to be active"
    SUCH_AS: ClassVar[str] = "{days: mon-fri, hours: '09:00-17:00', tz: Europe/London}"

    days: Annotated[tuple[str, ...], BeforeValidator(_days)] | None = None
    hours: Annotated[tuple[str, ...], BeforeValidator(_hours)] | None = None
    dates: Annotated[tuple[str, ...], BeforeValidator(_dates)] | None = None
    except_: Annotated[tuple[str, ...], BeforeValidator(_dates)] | None = Field(default=None, alias="except")
    tz: Zone | None = None

    @model_validator(mode="after")
    def _something(self) -> Active:
        if self.days is None and self.hours is None and self.dates is None and self.except_ is None:
            raise ValueError("says no time. Give 'days', 'hours', 'dates' or 'except'")
        return self

    def at(self, moments: Ints, zone: tzinfo) -> Bools:
        """Whether each of *moments* (microseconds since 1970) is in it."""
        name = str(zone) if self.tz is None else str(parse_zone(self.tz))
        local = pl.Series("t", moments, pl.Int64).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(name)
        t = pl.col("t")
        since = t.dt.time().cast(pl.Int64) // 1000
        meant = pl.lit(True)
        if self.days is not None:
            meant &= t.dt.weekday().is_in(sorted(set().union(*map(_weekdays, self.days))))
        if self.hours is not None:
            meant &= pl.any_horizontal(_between(since, *_times(text)) for text in self.hours)
        for days, wanted in ((self.dates, True), (self.except_, False)):
            if days is not None:
                among = t.dt.date().is_in([date.fromisoformat(day) for day in days])
                meant &= among if wanted else ~among
        return np.asarray(pl.DataFrame({"t": local}).select(meant).to_series().to_numpy(), dtype=np.bool_)


def _between(since: pl.Expr, begin: int, end: int) -> pl.Expr:
    return (since >= begin) & (since < end) if begin < end else (since >= begin) | (since < end)
