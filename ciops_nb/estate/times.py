"""Times and time ranges as analysts write them.

Everything inside is UTC with microseconds; a naive time is read in the zone the session was opened with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from ciops_nb.errors import BadParameter, BadTimeRange

__all__ = [
    "TimeRange",
    "at_micros",
    "format_time",
    "micros",
    "micros_of",
    "parse_duration",
    "parse_range",
    "parse_time",
    "parse_zone",
    "spelled",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CALENDAR = datetime.max - datetime.min
_MILLISECOND = timedelta(milliseconds=1)
_UNITS = {
    "w": timedelta(weeks=1), "d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1),
    "s": timedelta(seconds=1), "ms": _MILLISECOND,
}  # fmt: skip
_SHORT = re.compile(r"(?:\d+(?:ms|[smhdw]))+\Z")
_SHORT_PART = re.compile(r"(\d+)(ms|[smhdw])")
# ISO 8601 durations of fixed length: no years or months, whose length depends on where they start.
_ISO = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?\Z")
_LAST = re.compile(r"last_(.+)\Z")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_FORMS = (
    "Write last_24h, all, 2026-03-02, 2026-03-02T10:00/2026-03-02T12:00, 2026-03-02T10:00/PT2H, "
    "PT2H/2026-03-02T10:00, or a pair of datetimes"
)


@dataclass(frozen=True)
class TimeRange:
    """A half-open range [start, end) in UTC; None is an open end."""

    start: datetime | None
    end: datetime | None

    def __str__(self) -> str:
        if self.start is None and self.end is None:
            return "all"
        return f"{format_time(self.start) if self.start else '..'}/{format_time(self.end) if self.end else '..'}"


def micros(moment: datetime) -> int:
    """Microseconds since 1970 in UTC, exactly (a float of seconds would round)."""
    return (moment - _EPOCH) // _MICROSECOND


def at_micros(number: int) -> datetime:
    """The moment that lies so many microseconds after 1970 in UTC."""
    return _EPOCH + timedelta(microseconds=number)


def micros_of(length: timedelta) -> int:
    """How many microseconds *length* has."""
    return length // _MICROSECOND


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC with a Z, without a fraction where there is none."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_zone(name: str) -> tzinfo:
    """The time zone *name* of the IANA database."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise BadParameter("tz", name, "there is no such time zone", "Write a name such as Europe/Berlin") from None


def parse_duration(value: Any, *, name: str = "every") -> timedelta:
    """Read a length of time: ``90s``, ``5m``, ``1h30m``, ``PT2H`` or a timedelta; it must be longer than nothing."""
    if isinstance(value, timedelta):
        length = _plain(value)
    else:
        text = value.strip() if isinstance(value, str) else ""
        try:
            if _SHORT.match(text):
                length = sum((int(n) * _UNITS[unit] for n, unit in _SHORT_PART.findall(text)), timedelta(0))
            elif (iso := _ISO.match(text)) and len(text) > 1 and not text.endswith("T"):
                weeks, days, hours, minutes, seconds = (float(part or 0) for part in iso.groups())
                length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
            else:
                raise BadParameter(name, value, "is not a length of time", "Write 30s, 5m, 1h30m, 1d or PT2H")
        except OverflowError:
            raise BadParameter(name, value, "is longer than a calendar", "Write a shorter one") from None
    if length > _CALENDAR:
        raise BadParameter(name, value, "is longer than a calendar", "Write a shorter one")
    if length <= timedelta(0):
        raise BadParameter(name, value, "must be longer than nothing", "Write 30s, 5m, 1h or PT2H")
    return length


def spelled(length: timedelta) -> str:
    """*length* as one writes it, which ``parse_duration`` reads back if it is longer than nothing: 1m30s."""
    length = _plain(length)
    if length < timedelta(0):  # nobody reads it, and the least of all has no positive
        return str(length)
    if length % _MILLISECOND:  # only timedeltas made in Python are that fine
        days = f"{length.days}D" if length.days else ""
        return f"P{days}T{length.seconds}.{length.microseconds:06}S"
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        number, length = divmod(length, _UNITS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def _plain(length: timedelta) -> timedelta:
    # A pandas Timedelta is a timedelta with nanoseconds; ours have microseconds.
    return timedelta(length.days, length.seconds, length.microseconds)


def parse_time(value: Any, *, tz: tzinfo = UTC, name: str = "as_of") -> datetime:
    """Read a moment: an ISO 8601 text, a datetime (of pandas and numpy too) or a date (its midnight)."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise BadTimeRange(name, value, "is not a time", "Write it as 2026-03-02T10:00Z") from None
        return _utc(moment, tz, name, value)
    if type(value).__name__ == "datetime64":  # of numpy, which is slow to import
        value = value.astype("datetime64[us]").item()
    if isinstance(value, datetime):
        if value != value:  # pandas' NaT is a datetime that is not equal to itself
            raise BadTimeRange(name, value, "is not a time", "Write it as 2026-03-02T10:00Z")
        # A pandas Timestamp is a datetime with nanoseconds; ours have microseconds.
        plain = datetime.combine(value.date(), value.time(), tzinfo=value.tzinfo).replace(fold=value.fold)
        return _utc(plain, tz, name, value)
    if isinstance(value, date):
        return _utc(datetime.combine(value, time()), tz, name, value)
    raise BadTimeRange(name, value, "is not a time", "Write it as 2026-03-02T10:00Z, or pass a datetime")


def _utc(moment: datetime, tz: tzinfo, name: str, asked: Any) -> datetime:
    try:
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        early, late = (moment.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1))
    except (OverflowError, ValueError):
        raise BadTimeRange(name, asked, "is outside of the calendar", "Write a time between years 1 and 9999") from None
    if early != late:  # clocks were changed here: the hour happened twice, or never
        problem = "happened twice" if early < late else "never happened"
        raise BadTimeRange(
            name, asked, f"{problem} in {tz} because clocks were changed", "Add an offset, such as +02:00"
        )
    return early


def parse_range(value: Any, *, now: datetime, tz: tzinfo = UTC, name: str = "time_range") -> TimeRange:
    """Read a time range; the forms are those of the design, half-open [start, end)."""
    if isinstance(value, TimeRange):
        return value
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise BadTimeRange(name, value, "has not two ends", _FORMS)
        return _ordered(parse_time(value[0], tz=tz, name=name), parse_time(value[1], tz=tz, name=name), name, value)
    if isinstance(value, datetime):
        raise BadTimeRange(name, value, "is a moment, not a range", _FORMS)
    if isinstance(value, date):
        return _day(value, tz, name, value)
    if not isinstance(value, str):
        raise BadTimeRange(name, value, "is not a time range", _FORMS)
    text = value.strip()
    if text == "all":
        return TimeRange(None, None)
    if last := _LAST.match(text):
        length = _length(last.group(1), name, value)
        return TimeRange(shift(now, -length, name, value), now)
    if _DAY.match(text):
        return _day(parse_time(text, tz=UTC, name=name).date(), tz, name, value)
    if text.count("/") == 1:
        left, right = text.split("/")
        if left.startswith("P"):
            end = parse_time(right, tz=tz, name=name)
            return _ordered(shift(end, -_length(left, name, value), name, value), end, name, value)
        start = parse_time(left, tz=tz, name=name)
        if right.startswith("P"):
            return _ordered(start, shift(start, _length(right, name, value), name, value), name, value)
        return _ordered(start, parse_time(right, tz=tz, name=name), name, value)
    raise BadTimeRange(name, value, "is not a time range", _FORMS)


def _length(text: str, name: str, asked: Any) -> timedelta:
    try:
        return parse_duration(text)
    except BadParameter as error:
        raise BadTimeRange(name, asked, f"{text!r} {error.problem}", _FORMS) from None


def shift(moment: datetime, by: timedelta, name: str, asked: Any) -> datetime:
    """*moment* moved *by* a length, which parameter *name* asked for as *asked*."""
    try:
        return moment + by
    except OverflowError:
        raise BadTimeRange(name, asked, "reaches outside of the calendar", "Write a shorter range") from None


def _day(day: date, tz: tzinfo, name: str, asked: Any) -> TimeRange:
    # From local midnight to local midnight: a day on which clocks change has 23 or 25 hours. Where they are changed at
    # midnight, it may come twice (the day starts with the first) or never (fold=0 is the moment of the change).
    try:
        start, end = (
            datetime.combine(one, time(), tzinfo=tz).astimezone(UTC) for one in (day, day + timedelta(days=1))
        )
    except OverflowError:
        raise BadTimeRange(name, asked, "reaches outside of the calendar", "Write another day") from None
    return _ordered(start, end, name, asked)


def _ordered(start: datetime, end: datetime, name: str, asked: Any) -> TimeRange:
    if start >= end:
        raise BadTimeRange(
            name,
            asked,
            f"ends at {format_time(end)}, not after its start {format_time(start)}",
            "A range is half-open: [start, end), so its end must be later",
        )
    return TimeRange(start, end)
