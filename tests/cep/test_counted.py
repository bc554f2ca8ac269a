"""Counts, distinct values, kinds together and absences, against a walk over the events in plain Python."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import replay

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
COMPARE = {
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip


def stream(seed: int, count: int = 60, minutes: int = 60) -> list[dict[str, Any]]:
    """Events with many ties, some without a key or a user, most times on whole minutes."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        at = START + timedelta(seconds=rng.choice([0, 0, 0, 1, 30, 59])) + MINUTE * rng.randrange(minutes)
        late = timedelta(minutes=rng.choice([0, 0, 0, 2, 7, 40]))
        rows.append(
            {
                "ts": at,
                "ci": rng.choice(["a", "b", "c", None]),
                "type": rng.choice(["err", "err", "ok", "deploy"]),
                "user": rng.choice(["u1", "u2", "u3", None]),
                "came": rng.choice([None, at + late, at + late, at + late, at - MINUTE]),
            }
        )
    rows.sort(key=lambda row: row["ts"])
    return [{"seq": n, **row} for n, row in enumerate(rows, start=1)]


def frame(rows: list[dict[str, Any]], seed: int = 0) -> pl.DataFrame:
    random.Random(seed).shuffle(rows := list(rows))
    times = {"ts": pl.Datetime("us", "UTC"), "came": pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=times)


def number(rule: dict[str, Any], held: list[dict[str, Any]]) -> int:
    if "distinct" in rule:
        return len({row["user"] for row in held} - {None})
    if "together" in rule:
        return len({row["type"] for row in held})
    return len(held)


def meant(rule: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    types = {"err", "deploy"} if "together" in rule else {"err"}
    return [row for row in rows if row["type"] in types and ("by" not in rule or row["ci"] is not None)]


def holds(rule: dict[str, Any], value: int) -> bool:
    return value == 2 if "together" in rule else bool(COMPARE[rule["op"]](value, rule["value"]))


def at_events(rule: dict[str, Any], rows: list[dict[str, Any]], start: datetime, end: datetime) -> list[Any]:
    length = timedelta(minutes=int(rule.get("over", rule.get("within"))[:-1]))
    rows = [row for row in meant(rule, rows) if row["ts"] <= end]
    found = set()
    for row in rows:
        ci = row["ci"] if "by" in rule else None
        held = [
            other
            for other in rows
            if row["ts"] - length <= other["ts"] <= row["ts"] and ("by" not in rule or other["ci"] == ci)
        ]
        if row["ts"] >= start and holds(rule, number(rule, held)):
            found.add((row["ts"], ci, number(rule, held), tuple(str(other["seq"]) for other in held)))
    return sorted(found, key=lambda one: (one[0], one[1] or ""))


RULES = [
    {"count": {"type": "err"}, "over": "5m"},
    {"count": {"type": "err"}, "over": "5m", "by": ["ci"]},
    {"distinct": {"type": "err", "field": "user"}, "over": "10m", "by": ["ci"]},
    {"distinct": {"type": "err", "field": "user"}, "over": "3m"},
]
TOGETHER = [
    {"together": [{"type": "err"}, {"type": "deploy"}], "within": "4m", "by": ["ci"]},
    {"together": [{"type": "err"}, {"type": "deploy"}], "within": "1m"},
]


def asked(seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [{**rule, "op": rng.choice(sorted(COMPARE)), "value": rng.randrange(4)} for rule in RULES] + TOGETHER


@pytest.mark.parametrize("seed", range(12))
def test_at_the_events(seed: int) -> None:
    rows = stream(seed)
    start, end = START + 10 * MINUTE, START + 50 * MINUTE
    for rule in asked(seed):
        found = replay({"when": rule}, events=frame(rows), start=start, end=end)

        assert at_events(rule, rows, start, end) == [
            (r["fired_at"], r["ci"], r["value"], tuple(record["record_id"] for record in r["evidence"]))
            for r in found.to_dicts()
        ], rule
        assert found.select(pl.col("active_at").eq(pl.col("fired_at")).all()).item()
        assert found["n"].to_list() == [len(evidence) for evidence in found["evidence"]]


def at_ticks(rule: dict[str, Any], rows: list[dict[str, Any]], as_of: bool) -> set[Any]:
    length = timedelta(minutes=int(rule.get("over", rule.get("within"))[:-1]))
    rows, held = meant(rule, rows), set()
    for minute in range(61):
        tick = START + minute * MINUTE
        known = [
            row
            for row in rows
            if row["ts"] <= tick and (not as_of or (row["came"] is not None and row["came"] <= tick))
        ]
        for ci in sorted({row["ci"] for row in known}) if "by" in rule else [None]:
            window = [row for row in known if row["ts"] > tick - length and ("by" not in rule or row["ci"] == ci)]
            if holds(rule, number(rule, window)):
                held.add((tick, ci))
    return held


def on(found: pl.DataFrame, last: datetime = START + 60 * MINUTE) -> set[Any]:
    ticks = set()
    for row in found.to_dicts():
        moment = row["active_at"]
        while moment <= last and (row["ended_at"] is None or moment < row["ended_at"]):
            ticks.add((moment, row["ci"]))
            moment += MINUTE
    return ticks


@pytest.mark.parametrize("as_of", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_at_ticks(seed: int, as_of: bool) -> None:
    rows = stream(seed)
    for rule in asked(seed):
        found = replay(
            {"when": rule, "every": "1m"},
            events=frame(rows),
            start=START,
            end=START + 60 * MINUTE,
            data_as_of="came" if as_of else None,
        )

        assert at_ticks(rule, rows, as_of) == on(found), rule


def test_a_tick_names_the_events_of_its_window() -> None:
    rows = [
        {"seq": n, "ts": START + minute * MINUTE, "ci": "a", "type": "err", "came": START + came * MINUTE}
        for n, (minute, came) in enumerate([(0, 0), (1, 9), (2, 2), (3, 4)], start=1)
    ]
    rule = {"when": {"count": {"type": "err"}, "over": "3m", "by": "ci", "op": ">=", "value": 2}, "for": "1m"}

    found = replay(rule, events=frame(rows), start=START, end=START + 6 * MINUTE).to_dicts()
    late = replay(rule, events=frame(rows), start=START, end=START + 6 * MINUTE, data_as_of="came").to_dicts()

    steps = [(record["step"], record["record_id"]) for record in found[0]["evidence"]]
    assert [("active", "1"), ("active", "2"), ("fired", "1"), ("fired", "2"), ("fired", "3")] == steps
    assert [["1", "3"], ["3", "4"]] == [[record["record_id"] for record in one["evidence"]] for one in late]
    assert ["pending_only"] * 2 == [one["status"] for one in late]


# ── absences ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by", [[], ["ci"]])
@pytest.mark.parametrize("seed", range(10))
def test_absences(seed: int, by: list[str]) -> None:
    rows = stream(seed, count=25)
    start, end = START + 10 * MINUTE, START + 55 * MINUTE
    rule = {"absent": {"type": "err", "over": "6m", "by": by}}
    kept = [r for r in rows if r["type"] == "err" and r["ts"] <= end and (not by or r["ci"] is not None)]
    expected = []
    for n, row in enumerate(kept):
        later = [r for r in kept[n + 1 :] if not by or r["ci"] == row["ci"]]
        until = later[0]["ts"] if later else end
        raised = row["ts"] + 6 * MINUTE
        if until - row["ts"] > 6 * MINUTE and raised >= start:
            ended = later[0]["ts"] if later else None
            expected.append((raised, row["ci"] if by else None, row["ts"], ended, str(row["seq"])))

    found = replay({"when": rule}, events=frame(rows), start=start, end=end)

    assert sorted(expected, key=lambda one: (one[0], one[1] or "")) == [
        (r["fired_at"], r["ci"], r["active_at"], r["ended_at"], r["evidence"][0]["record_id"]) for r in found.to_dicts()
    ]


@pytest.mark.parametrize("as_of", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_absences_at_ticks(seed: int, as_of: bool) -> None:
    rows = stream(seed, count=25)
    expected = set()
    kept = [r for r in rows if r["type"] == "err" and r["ci"] is not None]
    for minute in range(61):
        tick = START + minute * MINUTE
        for ci in "abc":
            seen = [
                r["ts"]
                for r in kept
                if r["ci"] == ci and r["ts"] <= tick and (not as_of or (r["came"] is not None and r["came"] <= tick))
            ]
            if seen and tick - max(seen) > 6 * MINUTE:
                expected.add((tick, ci))

    found = replay(
        {"when": {"absent": {"type": "err", "over": "6m", "by": ["ci"]}}, "every": "1m"},
        events=frame(rows),
        start=START,
        end=START + 60 * MINUTE,
        data_as_of="came" if as_of else None,
    )

    assert expected == on(found)


def test_a_pause_of_exactly_so_long_is_none_and_the_end_of_a_rule_counts() -> None:
    rows = [{"ts": START, "ci": "a", "type": "hb"}, {"ts": START + 15 * MINUTE, "ci": "a", "type": "hb"}]
    rule = {"when": {"absent": {"type": "hb", "over": "15m"}}, "end": "2026-03-01T00:30:00Z"}

    assert 0 == replay(rule, events=pl.DataFrame(rows), start=START, end=START + 60 * MINUTE).height
    later = replay(
        {**rule, "end": "2026-03-01T00:30:00.000001Z"}, events=pl.DataFrame(rows), start=START, end=START + 60 * MINUTE
    )
    assert [START + 30 * MINUTE] == later["fired_at"].to_list()
    assert [None] == later["ended_at"].to_list()
    assert (
        0
        == replay({**rule, "end": "2026-02-01"}, events=pl.DataFrame(rows), start=START, end=START + 60 * MINUTE).height
    )


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _samples() -> pl.DataFrame:
    rng = random.Random(5)
    return pl.DataFrame(
        [
            {
                "ts": START + m * MINUTE,
                "metric": "cpu",
                "ci": ci,
                "disk": rng.choice(["x", "y", ""]),
                "value": float(m % 3),
            }
            for m in range(60)
            for ci in "ab"
            if rng.random() < 0.5
        ]
    )


def test_samples_are_counted_and_missed() -> None:
    samples = _samples()
    rows = samples.to_dicts()
    span = {"metrics": samples, "start": START, "end": START + 59 * MINUTE}

    few = on(replay({"when": {"count": {"metric": "cpu"}, "over": "4m", "by": ["ci"], "op": "<", "value": 2}}, **span))
    gone = on(replay({"when": {"absent": {"metric": "cpu", "where": {"disk": "x"}, "over": "4m"}}}, **span))
    disks = on(
        replay({"when": {"distinct": {"metric": "cpu", "field": "disk"}, "over": "4m", "op": "==", "value": 2}}, **span)
    )

    expected: dict[str, set[Any]] = {"few": set(), "gone": set(), "disks": set()}
    for m in range(60):
        tick = START + m * MINUTE
        window = [r for r in rows if tick - 4 * MINUTE < r["ts"] <= tick]
        for ci in "ab":
            if any(r["ci"] == ci and r["ts"] <= tick for r in rows) and sum(r["ci"] == ci for r in window) < 2:
                expected["few"].add((tick, ci))
        last = [r["ts"] for r in rows if r["disk"] == "x" and r["ts"] <= tick]
        if last and tick - last[-1] > 4 * MINUTE:
            expected["gone"].add((tick, None))
        if len({r["disk"] for r in window} - {""}) == 2:
            expected["disks"].add((tick, None))
    last_tick = START + 59 * MINUTE
    assert expected == {
        name: {one for one in found if one[0] <= last_tick}
        for name, found in (("few", few), ("gone", gone), ("disks", disks))
    }


def test_counts_meet_metrics_by_their_labels() -> None:
    samples = pl.DataFrame(
        [{"ts": START + m * MINUTE, "metric": "cpu", "ci": ci, "value": 95.0} for m in range(10) for ci in "ab"]
    )
    rows = [{"ts": START + 3 * MINUTE, "ci": "a", "type": "err"}]
    high = {"metric": "cpu", "op": ">", "value": 90}
    count = {"count": {"type": "err"}, "over": "2m", "by": "ci", "op": ">", "value": 0}

    found = replay(
        {"when": {"all": [high, count]}, "labels": {"team": "x"}},
        metrics=samples, events=pl.DataFrame(rows), start=START, end=START + 9 * MINUTE,
    )  # fmt: skip

    assert [("a", START + 3 * MINUTE, START + 5 * MINUTE)] == found.select("ci", "active_at", "ended_at").rows()
    assert ['{"ci": "a", "team": "x"}'] == found["labels"].to_list()


def test_the_labels_of_a_rule_are_those_of_what_it_finds_at_events() -> None:
    rows = pl.DataFrame([{"ts": START, "ci": "a", "type": "err"}])
    rule = {
        "when": {"count": {"type": "err"}, "over": "2m", "by": "ci", "op": ">", "value": 0},
        "labels": {"team": "x"},
    }

    assert ['{"ci": "a", "team": "x"}'] == replay(rule, events=rows, start=START, end=START)["labels"].to_list()


def test_no_events_is_an_answer_of_the_same_columns() -> None:
    rows = pl.DataFrame([{"ts": START, "ci": "a", "type": "err"}])
    rule = {"when": {"count": {"type": "none"}, "over": "2m", "by": "ci", "op": ">=", "value": 0}}
    some = replay({"when": {**rule["when"], "count": {"type": "err"}}}, events=rows, start=START, end=START)

    for events in (rows, rows.clear(), None):
        found = replay(rule, events=events, start=START, end=START)
        assert (0, some.schema) == (found.height, found.schema)
        assert 0 == replay({**rule, "every": "1m"}, events=events, start=START, end=START).height
