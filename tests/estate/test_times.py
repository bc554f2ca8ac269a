"""Times and time ranges as analysts write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciops_nb.errors import BadParameter, BadTimeRange
from ciops_nb.estate.times import format_time, parse_duration, parse_range, parse_time, spelled

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("all", "all"),
        ("last_15m", "2026-03-02T12:15:00Z/2026-03-02T12:30:00Z"),
        ("last_24h", "2026-03-01T12:30:00Z/2026-03-02T12:30:00Z"),
        ("last_7d", "2026-02-23T12:30:00Z/2026-03-02T12:30:00Z"),
        ("last_PT90M", "2026-03-02T11:00:00Z/2026-03-02T12:30:00Z"),
        ("2026-03-02", "2026-03-01T23:00:00Z/2026-03-02T23:00:00Z"),
        (date(2026, 3, 2), "2026-03-01T23:00:00Z/2026-03-02T23:00:00Z"),
        ("2026-03-29", "2026-03-28T23:00:00Z/2026-03-29T22:00:00Z"),  # 23 hours
        ("2026-10-25", "2026-10-24T22:00:00Z/2026-10-25T23:00:00Z"),  # 25 hours
        ("2026-03-02T10:00/2026-03-02T12:00", "2026-03-02T09:00:00Z/2026-03-02T11:00:00Z"),
        ("2026-03-02T10:00Z/2026-03-02T12:00", "2026-03-02T10:00:00Z/2026-03-02T11:00:00Z"),
        ("2026-03-02T10:00/PT2H", "2026-03-02T09:00:00Z/2026-03-02T11:00:00Z"),
        ("PT2H/2026-03-02T10:00", "2026-03-02T07:00:00Z/2026-03-02T09:00:00Z"),
        ("2026-03-29T01:30/PT2H", "2026-03-29T00:30:00Z/2026-03-29T02:30:00Z"),  # across the change of clocks
        ((datetime(2026, 3, 2, 10), "2026-03-02T12:00+00:00"), "2026-03-02T09:00:00Z/2026-03-02T12:00:00Z"),
        ([pd.Timestamp("2026-03-02T10:00"), np.datetime64("2026-03-02T12:00")], "2026-03-02T09:00:00Z/2026-03-02T11:00:00Z"),
    ],
)  # fmt: skip
def test_a_range_is_read_in_the_zone_of_the_session(asked: Any, expected: str) -> None:
    assert expected == str(parse_range(asked, now=NOW, tz=BERLIN))


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00:00Z/2026-09-07T03:00:00Z"),  # no midnight
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00Z/2026-11-02T05:00:00Z"),  # two of them
        ("America/Santiago", "2026-09-05", "2026-09-05T04:00:00Z/2026-09-06T04:00:00Z"),
    ],
)
def test_a_day_on_which_clocks_change_at_midnight_is_that_day(zone: str, day: str, expected: str) -> None:
    assert expected == str(parse_range(day, now=NOW, tz=ZoneInfo(zone)))


@given(
    day=st.dates(date(1990, 1, 1), date(2030, 1, 1)),
    zone=st.sampled_from(["Europe/Berlin", "America/Havana", "Asia/Kathmandu", "Africa/Cairo", "Australia/Lord_Howe"]),
)
def test_a_day_holds_the_hours_that_have_its_date(day: date, zone: str) -> None:
    tz = ZoneInfo(zone)
    span = parse_range(day.isoformat(), now=NOW, tz=tz)
    assert span.start is not None
    assert span.end is not None
    tick = timedelta(minutes=15)
    inside = [span.start + number * tick for number in range((span.end - span.start) // tick)]
    assert {day} == {moment.astimezone(tz).date() for moment in inside}
    assert day not in {moment.astimezone(tz).date() for moment in (span.start - tick, span.end)}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("2026-03-02/2026-03-01", "not after its start"),
        ("2026-03-02T10:00/2026-03-02T10:00", "not after its start"),
        ("last_0h", "longer than nothing"),
        ("last_99999999d", "calendar"),
        ("last_week", "is not a length of time"),
        ("yesterday", "is not a time range"),
        ("2026-03-29T02:30/PT1H", "never happened"),
        ("2026-10-25T02:30/PT1H", "happened twice"),
        ("2026-02-30", "is not a time"),
        ("9999-12-31", "calendar"),
        (datetime(2026, 3, 2), "is a moment, not a range"),
        ((datetime(2026, 3, 2),), "has not two ends"),
        ((np.int64(0), np.int64(5)), "is not a time"),
        ((np.datetime64("NaT"), NOW), "is not a time"),
        ((pd.NaT, NOW), "is not a time"),
        (5, "is not a time range"),
        ("", "is not a time range"),
    ],
)
def test_a_range_that_cannot_be_meant_is_named(asked: Any, says: str) -> None:
    with pytest.raises(BadTimeRange, match=says):
        parse_range(asked, now=NOW, tz=BERLIN)


@given(moment=st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_what_is_written_is_read_back(moment: datetime) -> None:
    assert moment == parse_time(format_time(moment), tz=BERLIN)


@pytest.mark.parametrize("asked", ["1h30m", "90m", "PT1H30M", "PT90M", timedelta(minutes=90)])
def test_a_length_has_several_spellings(asked: Any) -> None:
    assert timedelta(minutes=90) == parse_duration(asked)


@pytest.mark.parametrize("asked", ["", "5", "m5", "P", "PT", "P1M", "-5m", "0s", "9999999999d", timedelta.max, 5, None])
def test_what_is_no_length_is_refused(asked: Any) -> None:
    with pytest.raises(BadParameter):
        parse_duration(asked)


@given(length=st.timedeltas(timedelta(microseconds=1), datetime.max - datetime.min))
def test_a_length_that_is_written_is_read_back(length: timedelta) -> None:
    assert length == parse_duration(spelled(length))
    coarse = length - length % timedelta(milliseconds=1) + timedelta(milliseconds=1)
    if coarse <= datetime.max - datetime.min:
        assert coarse == parse_duration(spelled(coarse))


@pytest.mark.parametrize(
    ("length", "written"),
    [
        (timedelta(hours=2), "2h"), (timedelta(days=1, seconds=90, milliseconds=5), "1d1m30s5ms"),
        (timedelta(days=1, microseconds=5), "P1DT0.000005S"), (timedelta(seconds=90, microseconds=500), "PT90.000500S"),
        (timedelta(0), "0s"), (timedelta.min, "-999999999 days, 0:00:00"), (pd.Timedelta("2h"), "2h"),
    ],
)  # fmt: skip
def test_a_length_is_written_as_one_would(length: timedelta, written: str) -> None:
    assert written == spelled(length)


def test_a_length_of_pandas_is_one_of_microseconds() -> None:
    assert "PT0.000001S" == spelled(pd.Timedelta(1999, "ns"))
    assert timedelta is type(parse_duration(pd.Timedelta("2h")))
