"""Windows against a walk over the records in plain Python, and against DuckDB."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.errors import BadRule
from tests.cep.test_counted import COMPARE, MINUTE, START, frame, stream

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Cut = Callable[[list[datetime]], dict[tuple[datetime, datetime], list[int]]]
"""Windows of some times, and which of them each holds."""


def hopping(step: timedelta, size: timedelta) -> Cut:
    def cut(times: list[datetime]) -> dict[tuple[datetime, datetime], list[int]]:
        found: dict[tuple[datetime, datetime], list[int]] = defaultdict(list)
        for n, at in enumerate(times):
            begin = EPOCH + (at - EPOCH) // step * step
            while begin > at - size:
                found[begin, begin + size].append(n)
                begin -= step
        return found

    return cut


def sessions(gap: timedelta) -> Cut:
    def cut(times: list[datetime]) -> dict[tuple[datetime, datetime], list[int]]:
        runs: list[list[int]] = []
        for n, at in enumerate(times):
            if runs and at - times[runs[-1][-1]] <= gap:  # those that touch are one
                runs[-1].append(n)
            else:
                runs.append([n])
        return {(times[run[0]], times[run[-1]] + gap): run for run in runs}

    return cut


WINDOWS: list[tuple[dict[str, Any], Cut]] = [
    ({"tumbling": "5m"}, hopping(5 * MINUTE, 5 * MINUTE)),
    ({"tumbling": "7m"}, hopping(7 * MINUTE, 7 * MINUTE)),
    ({"hop": "1m", "size": "5m"}, hopping(MINUTE, 5 * MINUTE)),
    ({"hop": "3m", "size": "7m"}, hopping(3 * MINUTE, 7 * MINUTE)),
    ({"hop": "10m", "size": "4m"}, hopping(10 * MINUTE, 4 * MINUTE)),
    ({"session": "2m"}, sessions(2 * MINUTE)),
    ({"session": "5m"}, sessions(5 * MINUTE)),
]


def walked(rows: list[dict[str, Any]], by: bool, cut: Cut, number: Callable[[list[Any]], Any]) -> list[Any]:
    """Begin, end, key, number and seqs of all windows."""
    found = []
    for ci in sorted({row["ci"] for row in rows if row["ci"]}) if by else [None]:
        mine = [row for row in rows if not by or row["ci"] == ci]
        for (begin, end), held in cut([row["ts"] for row in mine]).items():
            value = number([mine[n] for n in held])
            if value is not None:
                found.append((begin, end, ci, float(value), tuple(str(mine[n]["seq"]) for n in held)))
    return sorted(found, key=lambda one: (one[1], one[2] or "", one[0]))


def shown(found: pl.DataFrame) -> list[Any]:
    assert found["fired_at"].equals(found["ended_at"])
    assert found["n"].to_list() == [len(evidence) for evidence in found["evidence"]]
    rows = [
        (r["active_at"], r["fired_at"], r["ci"], r["value"], tuple(record["record_id"] for record in r["evidence"]))
        for r in found.to_dicts()
    ]
    return sorted(rows, key=lambda one: (one[1], one[2] or "", one[0]))


@pytest.mark.parametrize("by", [False, True])
@pytest.mark.parametrize(("window", "cut"), WINDOWS)
def test_windows_hold_what_flink_puts_into_them(window: dict[str, Any], cut: Cut, by: bool) -> None:
    for seed in range(4):
        rows = stream(seed)
        errors = [row for row in rows if row["type"] == "err"]
        rng = random.Random(seed)
        op, value = rng.choice(sorted(COMPARE)), rng.randrange(1, 4)
        more = {"window": window, "op": op, "value": value, **({"by": ["ci"]} if by else {})}
        span = {"events": frame(rows), "start": START, "end": START + 120 * MINUTE}
        for rule, number in (
            ({"count": {"type": "err"}}, len),
            ({"distinct": {"type": "err", "field": "user"}}, lambda held: len({row["user"] for row in held} - {None})),
        ):
            expected = [one for one in walked(errors, by, cut, number) if COMPARE[op](one[3], value)]

            assert expected == shown(replay({"when": {**rule, **more}}, **span)), (rule, more)


@pytest.mark.parametrize("agg", ["sum", "avg", "min", "max"])
def test_aggregates_are_those_of_the_numbers_in_a_window(agg: str) -> None:
    how = {"sum": sum, "avg": lambda held: sum(held) / len(held), "min": min, "max": max}[agg]
    rng = random.Random(3)
    rows = [{**row, "v": rng.choice([1.0, 2.5, -4.0, None, float("nan")])} for row in stream(3)]

    def number(held: list[Any]) -> Any:
        numbers = [row["v"] for row in held if row["v"] is not None and row["v"] == row["v"]]
        return how(numbers) if numbers else None

    rule = {
        "aggregate": {"type": "err", "field": "v"}, "agg": agg, "window": {"hop": "2m", "size": "6m"}, "by": "ci",
        "op": ">", "value": 0.5,
    }  # fmt: skip
    errors = [row for row in rows if row["type"] == "err"]
    expected = [one for one in walked(errors, True, hopping(2 * MINUTE, 6 * MINUTE), number) if one[3] > 0.5]

    for given in (rows, [{**row, "v": None if row["v"] is None else str(row["v"])} for row in rows]):
        assert expected == shown(replay(rule, events=frame(given), start=START, end=START + 120 * MINUTE))


def test_aggregates_of_samples() -> None:
    samples = pl.DataFrame(
        [
            {"ts": START + m * MINUTE, "metric": "cpu", "ci": ci, "value": float(m + (ci == "b"))}
            for m in range(6)
            for ci in "ab"
        ]
    )
    rule = {
        "aggregate": {"metric": "cpu"},
        "agg": "avg",
        "window": {"tumbling": "2m"},
        "by": "ci",
        "op": ">",
        "value": 3,
    }

    found = replay(rule, metrics=samples, start=START, end=START + 5 * MINUTE)

    assert [
        ("b", 3.5, START + 2 * MINUTE),
        ("a", 4.5, START + 4 * MINUTE),
        ("b", 5.5, START + 4 * MINUTE),
    ] == found.select("ci", "value", "active_at").rows()
    assert [2.0 + 1, 3.0 + 1] == [record["value"] for record in found["evidence"][0]]


def test_a_replay_judges_windows_that_reach_into_it_by_what_has_come_up_to_its_end() -> None:
    rows = pl.DataFrame(
        {"ts": [START + m * MINUTE for m in (1, 4, 6, 11, 12, 16)], "ci": ["a"] * 6, "type": ["err"] * 6}
    )
    rule = {"count": {"type": "err"}, "window": {"tumbling": "5m"}, "op": ">", "value": 0}

    found = replay(rule, events=rows, start=START + 5 * MINUTE, end=START + 11 * MINUTE)

    assert [(START + 5 * MINUTE, 1.0), (START + 10 * MINUTE, 1.0)] == found.select("active_at", "value").rows()


# ── calendars ───────────────────────────────────────────────────────────────────────────────────────────────────────

CLOCKS = [
    ("UTC", datetime(2026, 3, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 10, 31, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 7, tzinfo=UTC)),
    ("Europe/London", datetime(2026, 3, 28, tzinfo=UTC)),
    ("Europe/London", datetime(2026, 10, 24, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 3, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 2, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 3, tzinfo=UTC)),  # the day begins at 01:00
    ("America/Sao_Paulo", datetime(2019, 2, 16, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 3, 1, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 29, tzinfo=UTC)),  # a day was left out
]


def bucket(at: datetime, zone: ZoneInfo, unit: str) -> datetime:
    local = at.astimezone(zone).replace(tzinfo=None, fold=0)
    if unit == "hour":
        return local.replace(minute=0, second=0, microsecond=0)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday()) if unit == "week" else day.replace(day=1) if unit == "month" else day


@pytest.mark.parametrize("unit", ["hour", "day", "week", "month"])
@pytest.mark.parametrize(("place", "start"), CLOCKS)
def test_calendar_windows_are_those_that_the_clocks_show(place: str, start: datetime, unit: str) -> None:
    zone = ZoneInfo(place)
    rng = random.Random(7)
    ticks = [start + timedelta(minutes=30 * n) for n in range(150)]
    rows = [{"ts": at, "ci": "a", "type": "x"} for at in ticks for _ in range(rng.randrange(3))]
    counts: dict[datetime, int] = defaultdict(int)
    for row in rows:
        counts[bucket(row["ts"], zone, unit)] += 1
    # Each half hour of the clocks belongs to one bucket: a bucket begins and ends where that changes.
    wide = [start + timedelta(minutes=30 * n) for n in range(-2000, 2200)]
    edges: dict[datetime, list[datetime]] = defaultdict(list)
    for at in wide:
        edges[bucket(at, zone, unit)].append(at)

    rule = {"count": {"type": "x"}, "window": {"calendar": unit, "tz": place}, "op": ">", "value": 0}
    found = replay(rule, events=pl.DataFrame(rows), start=ticks[0], end=ticks[-1])

    half = timedelta(minutes=30)
    quarter = timedelta(minutes=15) if place == "Asia/Kathmandu" else timedelta(0)
    assert [
        (min(edges[at]) - quarter, max(edges[at]) + half - quarter, float(counts[at])) for at in sorted(counts)
    ] == [(r[0], r[1], r[2]) for r in found.select("active_at", "ended_at", "value").rows()]


def test_the_calendar_is_that_of_the_replay_where_it_names_no_place() -> None:
    rows = pl.DataFrame({"ts": [START], "ci": ["a"], "type": ["x"]})
    rule = {"count": {"type": "x"}, "window": {"calendar": "day"}, "op": ">", "value": 0}

    found = replay(rule, events=rows, start=START, end=START, tz="Asia/Tokyo")

    assert [START - timedelta(hours=9)] == found["active_at"].to_list()


# ── DuckDB ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(3))
def test_counts_as_in_duckdb(seed: int) -> None:
    rng = random.Random(seed)
    start = datetime(2026, 10, 24, tzinfo=UTC)
    events = pl.DataFrame(
        [
            {
                "ts": start + timedelta(seconds=rng.randrange(2 * 86_400)),
                "ci": rng.choice("abc"),
                "type": rng.choice("xy"),
            }
            for _ in range(3000)
        ]
    )
    base = """SELECT strftime({}, '%Y-%m-%d %H:%M') AS start, ci, count(*) AS n FROM events WHERE type = 'x'
        GROUP BY ALL HAVING n > {} ORDER BY ALL"""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("events", events.to_arrow())
        for window, sql, least in (
            ({"calendar": "hour", "tz": "Europe/London"}, "date_trunc('hour', ts AT TIME ZONE 'Europe/London')", 10),
            ({"calendar": "day", "tz": "Europe/London"}, "date_trunc('day', ts AT TIME ZONE 'Europe/London')", 100),
            ({"tumbling": "15m"}, "time_bucket(INTERVAL 15 MINUTE, ts) AT TIME ZONE 'UTC'", 3),
        ):
            expected = database.execute(base.format(sql, least)).fetchall()
            rule = {"count": {"type": "x"}, "by": "ci", "window": window, "op": ">", "value": least}
            found = replay(rule, events=events, start=start, end=start + timedelta(days=3))
            begin = pl.col("active_at").dt.convert_time_zone(window.get("tz", "UTC")).dt.to_string("%Y-%m-%d %H:%M")

            assert expected == sorted(found.select(begin, "ci", pl.col("value").cast(pl.Int64)).rows())
            assert len(expected) > 3


# ── what cannot be meant ────────────────────────────────────────────────────────────────────────────────────────────

COUNT = {"count": {"type": "x"}, "op": ">", "value": 1}
TUMBLING = {"tumbling": "5m"}


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({**COUNT}, "needs either 'over' or 'window'"),
        ({**COUNT, "over": "5m", "window": TUMBLING}, "needs either 'over' or 'window'"),
        ({**COUNT, "window": {}}, "says no window"),
        ({**COUNT, "window": "5m"}, "window"),
        ({**COUNT, "window": {"tumbling": "5m", "session": "1m"}}, "says tumbling and session"),
        ({**COUNT, "window": {"hop": "5m"}}, "'hop' and 'size' belong together"),
        ({**COUNT, "window": {"size": "5m"}}, "says no window"),
        ({**COUNT, "window": {"tumbling": "5m", "size": "5m"}}, "'hop' and 'size' belong together"),
        ({**COUNT, "window": {"tumbling": "5m", "tz": "UTC"}}, "'tz' is for 'calendar'"),
        ({**COUNT, "window": {"calendar": "hour", "tz": "Europe/Nowhere"}}, "no such time zone"),
        ({**COUNT, "window": {"calendar": "year"}}, "'year' is not a choice"),
        ({**COUNT, "window": {"tumblin": "5m"}}, "Did you mean 'tumbling'"),
        ({**COUNT, "window": {"tumbling": "0m"}}, "window.tumbling"),
        ({**COUNT, "window": TUMBLING, "value": float("nan")}, "NaN"),
        ({**COUNT, "window": TUMBLING, "op": "~"}, "is not a choice"),
        ({"when": {**COUNT, "window": TUMBLING}, "for": "5m"}, "says 'window' and 'for'"),
        ({"when": {**COUNT, "window": TUMBLING}, "every": "5m"}, "says 'window' and 'every'"),
        ({"when": {**COUNT, "window": TUMBLING}, "data_as_of": "x"}, "says 'window' and 'data_as_of'"),
        ({"when": {"all": [{**COUNT, "window": TUMBLING}]}}, "directly under 'when' only"),
        ({"aggregate": {"type": "x"}, "agg": "sum", "window": TUMBLING, "op": ">", "value": 1}, "says no numbers"),
        ({"aggregate": {"metric": "x"}, "agg": "p95", "window": TUMBLING, "op": ">", "value": 1}, "is not a choice"),
        ({"aggregate": {"metric": "x"}, "agg": "sum", "over": "5m", "op": ">", "value": 1}, "taken over windows"),
        ({"aggregate": {"metric": "x", "field": "y"}, "agg": "sum", "window": TUMBLING, "op": ">", "value": 1}, "'field' is for events"),
        ({"distinct": {"type": "x"}, "over": "5m", "op": ">", "value": 1}, "distinct.field: is missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_name(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRule) as caught:
        load(rule)
    assert says in str(caught.value)


def test_windows_know_no_late_data_and_a_hop_has_its_bounds() -> None:
    events = pl.DataFrame({"ts": [START] * 100, "ci": ["a"] * 100, "type": ["x"] * 100, "came": [START] * 100})
    span = {"events": events, "start": START, "end": START}

    with pytest.raises(BadRule, match="data_as_of: 'window' is not replayed as it was known"):
        replay({**COUNT, "window": TUMBLING}, **span, data_as_of="came")
    with pytest.raises(BadRule, match="puts records into 8,640,000,000 windows"):
        replay({**COUNT, "window": {"hop": "1ms", "size": "1d"}}, **span)


def test_a_rule_with_a_window_is_written_back_as_it_is_read() -> None:
    (rule,) = load({**COUNT, "window": {"hop": "1m", "size": "5m"}, "by": "ci"})

    assert [rule] == load(rule.plain())
