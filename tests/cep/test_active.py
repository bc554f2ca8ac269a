"""Rules that are judged at some hours only, against the clocks of Python."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.cep.active import Active
from ciops_nb.cep.explain import explain
from ciops_nb.cep.sweep import sweep
from ciops_nb.errors import BadRule
from ciops_nb.estate.times import micros

START = datetime(2026, 3, 1, tzinfo=UTC)
ZONES = ["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"]
STARTS = [
    datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 6), (3, 27), (4, 3), (10, 2), (10, 23), (10, 30))
]
DAYS = {"mon-fri": {0, 1, 2, 3, 4}, "sat-mon": {5, 6, 0}, "wed": {2}}


def moments() -> list[datetime]:
    return [start + timedelta(minutes=15 * n, seconds=n % 2) for start in STARTS for n in range(4 * 24 * 5)]


def shown(active: dict[str, Any], zone: str = "UTC") -> list[bool]:
    asked = np.array([micros(at) for at in moments()])
    return Active(**active).at(asked, ZoneInfo(zone)).tolist()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("days", DAYS)
@pytest.mark.parametrize(
    ("hours", "over_midnight"), [("09:00-17:00", False), ("22:00-06:00", True), ("02:00-02:30", False)]
)
def test_days_and_hours_are_those_of_the_clocks(zone: str, days: str, hours: str, over_midnight: bool) -> None:
    begin, end = (time.fromisoformat(part) for part in hours.split("-"))
    expected = []
    for at in moments():
        local = at.astimezone(ZoneInfo(zone))
        clock = local.time().replace(tzinfo=None, fold=0)
        inside = clock >= begin or clock < end if over_midnight else begin <= clock < end
        expected.append(inside and local.weekday() in DAYS[days])

    assert expected == shown({"days": days, "hours": hours, "tz": zone})
    assert expected == shown({"days": days, "hours": hours}, zone)


def test_several_hours_and_dates() -> None:
    clocks = [at.astimezone(ZoneInfo("Europe/London")) for at in moments()]
    eve = date(2026, 3, 28)

    several = shown({"hours": ["08:00-12:00", "13:00-24:00"], "tz": "Europe/London"})
    assert [8 <= local.hour < 12 or local.hour >= 13 for local in clocks] == several
    assert [local.date() == eve for local in clocks] == shown({"dates": eve, "tz": "Europe/London"})
    assert [local.date() != eve for local in clocks] == shown({"except": ["2026-03-28"], "tz": "Europe/London"})
    assert [True] * len(clocks) == shown({"hours": "00:00-24:00"})
    assert [local.weekday() in (0, 2) for local in clocks] == shown(
        {"days": ["mon", "Wednesday"], "tz": "Europe/London"}
    )
    assert [at.time() < time(9, 0, 1) for at in moments()] == shown({"hours": "00:00-09:00:01"})


def test_outside_of_its_hours_a_condition_does_not_hold_and_waits_anew() -> None:
    samples = pl.DataFrame(
        {
            "ts": [START + timedelta(hours=n) for n in range(24)],
            "metric": ["m"] * 24,
            "ci": ["a"] * 24,
            "value": [1.0] * 24,
        }
    )
    rule = {
        "when": {"metric": "m", "op": ">", "value": 0},
        "for": "2h",
        "active": {"hours": ["02:00-04:00", "08:00-12:00"]},
    }

    found = replay(rule, metrics=samples, start=START, end=START + timedelta(hours=23), every="1h")

    assert [("pending_only", 2, None, 4), ("fired", 8, 10, 12)] == [
        (status, active.hour, fired and fired.hour, ended.hour)
        for status, active, fired, ended in found.select("status", "active_at", "fired_at", "ended_at").rows()
    ]


def test_what_is_judged_at_events_is_found_in_these_hours_only() -> None:
    events = pl.DataFrame({"ts": [START + timedelta(hours=n) for n in range(24)], "ci": ["a"] * 24, "type": ["x"] * 24})
    rule = {"when": {"count": {"type": "x"}, "over": "1h", "op": ">", "value": 0}, "active": {"hours": "02:00-04:00"}}

    found = replay(rule, events=events, start=START, end=START + timedelta(hours=23))

    assert [(1, 2.0, 2), (2, 2.0, 3)] == [
        (match, value, fired.hour) for match, value, fired in found.select("match", "value", "fired_at").rows()
    ]


RULE = {"when": {"metric": "m", "op": ">", "value": 0}}


@pytest.mark.parametrize(
    ("active", "says"),
    [
        ({}, "says no time"),
        ({"tz": "UTC"}, "says no time"),
        ({"days": "mo-fr"}, "names no days"),
        ({"days": []}, "is not a list"),
        ({"days": 5}, "is not a list"),
        ({"days": ["mon", 5]}, "names no days"),
        ({"hours": "9-17"}, "Write 09:00-17:00"),
        ({"hours": 900}, "is not a list"),
        ({"hours": "09:00-25:00"}, "is no time of day"),
        ({"hours": "09:00-24:01"}, "ends at 24:00"),
        ({"hours": "09:00-09:00"}, "ends where it begins"),
        ({"dates": "tomorrow"}, "are no dates"),
        ({"except": [1]}, "are no dates"),
        ({"days": "mon", "tz": "Mars/Base"}, "no such time zone"),
        ({"day": "mon"}, "Did you mean 'days'"),
        ("mon-fri", "active"),
    ],
)
def test_times_that_cannot_be_meant_are_named(active: Any, says: str) -> None:
    with pytest.raises(BadRule) as caught:
        load({**RULE, "active": active})
    assert says in str(caught.value)
    assert "active" in str(caught.value)


@pytest.mark.parametrize("end", ["soon", 5, ["2026-03-01"]])
def test_an_end_that_cannot_be_meant_is_named(end: Any) -> None:
    with pytest.raises(BadRule, match=r"end: .*is not a time"):
        load({**RULE, "end": end})


@pytest.mark.parametrize(
    "rule",
    [
        {**RULE, "active": {"days": "mon"}},
        {**RULE, "end": "2026-03-01"},
        {**RULE, "data_as_of": "came"},
        {"when": {"count": {"type": "x"}, "over": "5m", "op": ">", "value": 1}},
        {"when": {"count": {"metric": "x"}, "window": {"tumbling": "5m"}, "op": ">", "value": 1}},
    ],
)
def test_what_looks_at_ticks_alone_refuses_what_it_does_not_know(rule: dict[str, Any]) -> None:
    with pytest.raises(BadRule, match="explain knows"):
        explain(rule, start=START, end=START)
    with pytest.raises(BadRule, match="a sweep knows"):
        sweep(rule, values=[1], holds=["0s"], incidents=None, start=START, end=START)


def test_a_rule_is_written_back_as_it_is_read() -> None:
    rules = load(
        """
- when: {metric: m, op: '>', value: 0}
  active: {days: mon-fri, hours: ['09:00-17:00'], except: 2026-12-24, tz: Europe/London}
  end: 2026-03-01T01:00:00Z
  data_as_of: came
"""
    )

    assert rules == load(rules[0].plain())
    assert {"days": ["mon-fri"], "hours": ["09:00-17:00"], "except": ["2026-12-24"], "tz": "Europe/London"} == rules[
        0
    ].plain()["active"]
