"""Metrics as they were known at each tick, against replays of what had come in by then."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import replay
from ciops_nb.errors import BadParameter, BadRule

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def samples(seed: int) -> pl.DataFrame:
    """Series with late samples, corrections, ends, and some that never came in."""
    rng = random.Random(seed)
    rows = []
    for ci in "ab":
        for half in range(100):
            ts = START + half * MINUTE / 2
            for _ in range(rng.choice([0, 1, 1, 1, 1, 2])):
                late = rng.choice([0, 0, 0, 0, 0, 0.25, 1, 3, 8, 20])
                rows.append(
                    {
                        "ts": ts,
                        "metric": "m",
                        "ci": ci,
                        "value": float(rng.randrange(100)),
                        "stale": rng.random() < 0.03,
                        "came": None if rng.random() < 0.05 else ts + late * MINUTE,
                    }
                )
    return pl.DataFrame(rows, infer_schema_length=None)


def at(frame: pl.DataFrame, when: dict[str, Any], tick: datetime) -> dict[str, float]:
    """What one tick sees when only what had come in is there."""
    known = frame.filter(pl.col("came") <= tick).sort("ts", "came", maintain_order=True).drop("came")
    found = replay({"when": when}, metrics=known, start=tick, end=tick)
    return {row["ci"]: row["value"] for row in found.to_dicts()}


ASKED = [
    {},
    {"offset": "3m"},
    *({"agg": agg, "over": "4m"} for agg in ("count", "sum", "avg", "min", "max", "last", "stddev", "p90", "rate", "increase")),
    {"agg": "avg", "over": "4m", "offset": "3m"},
    {"by": ["x"], "reduce": "sum"},
]  # fmt: skip


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("seed", range(2))
def test_each_tick_sees_what_had_come_in(seed: int, asked: dict[str, Any]) -> None:
    frame = samples(seed)
    when = {"metric": "m", **asked, "op": ">=", "value": 0}
    # A rule that starts at a tick shows what that tick sees.
    for minute in range(0, 50, 3):
        tick = START + minute * MINUTE
        found = replay({"when": when}, metrics=frame, start=tick, end=tick, data_as_of="came")

        assert at(frame, when, tick) == {row["ci"]: row["value"] for row in found.to_dicts()}


@pytest.mark.parametrize("asked", [ASKED[0], {"agg": "avg", "over": "4m"}, {"agg": "rate", "over": "4m"}])
def test_ticks_looked_at_together_are_the_same(asked: dict[str, Any]) -> None:
    frame = samples(5)
    middle = 50 if not asked or asked["agg"] == "avg" else 0.2
    when = {"metric": "m", **asked, "op": ">", "value": middle}
    found = replay({"when": when}, metrics=frame, start=START, end=START + 60 * MINUTE, data_as_of="came")

    held: set[Any] = set()
    for row in found.to_dicts():
        moment = row["active_at"]
        while moment < (row["ended_at"] or START + 61 * MINUTE):
            held.add((moment, row["ci"]))
            moment += MINUTE
    ticks = [START + m * MINUTE for m in range(61)]
    assert held == {(tick, ci) for tick in ticks for ci in at(frame, when, tick)}
    assert len(held) > 10


def test_evidence_is_what_had_come_in() -> None:
    frame = pl.DataFrame(
        {
            "ts": [START, START + MINUTE, START + 2 * MINUTE],
            "metric": ["m"] * 3,
            "ci": ["a"] * 3,
            "value": [1.0, 2.0, 3.0],
            "came": [START, START + 3 * MINUTE, START + 2 * MINUTE],
        }
    )
    for asked in ({}, {"agg": "max", "over": "3m"}):
        rule = {"when": {"metric": "m", **asked, "op": ">", "value": 0}, "for": "1m", "data_as_of": "came"}
        (row,) = replay(rule, metrics=frame, start=START, end=START + MINUTE).to_dicts()

        assert [("active", 1.0), ("fired", 1.0)] == [(one["step"], one["value"]) for one in row["evidence"]]


def test_the_column_is_no_label_for_any_rule_of_the_replay() -> None:
    frame = samples(1)
    rules = [
        {"when": {"metric": "m", "op": ">", "value": 0}},
        {"when": {"metric": "m", "op": ">", "value": 0}, "data_as_of": "came"},
    ]

    found = replay(rules, metrics=frame, start=START, end=START + 9 * MINUTE)

    assert {'{"ci": "a"}', '{"ci": "b"}'} == {*found["labels"]}


def test_without_late_data_nothing_differs() -> None:
    frame = samples(2).with_columns(came=pl.col("ts")).unique(["ts", "ci"], keep="last", maintain_order=True)
    rules = [{"when": {"metric": "m", **asked, "op": ">", "value": 40}, "for": "1m"} for asked in ASKED]
    span = {"metrics": frame, "start": START, "end": START + 50 * MINUTE}

    late = replay(rules, **span, data_as_of="came")

    assert late.equals(replay(rules, **{**span, "metrics": frame.drop("came")}))


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"data_as_of": 5}, BadParameter, "is not the name of a column"),
        ({"data_as_of": ""}, BadParameter, "is not the name of a column"),
        ({"data_as_of": "cmae"}, BadRule, "data_as_of, 'cmae'"),
        ({"data_as_of": "ci"}, BadParameter, "times"),
        ({"data_as_of": "value"}, BadRule, "data_as_of, 'value'"),
        ({"data_as_of": "metric"}, BadRule, "data_as_of, 'metric'"),
    ],
)
def test_a_column_that_cannot_be_meant_is_named(asked: dict[str, Any], error: Any, says: str) -> None:
    with pytest.raises(error) as caught:
        replay({"when": {"metric": "m", "op": ">", "value": 0}}, metrics=samples(1), start=START, end=START, **asked)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("column", "error", "says"),
    [
        ("cmae", BadRule, "data_as_of, 'cmae': events have no such field. Did you mean 'came'"),
        ("ci", BadParameter, "times"),
        ("number", BadParameter, "not a column of times"),
    ],
)
def test_a_column_of_events_that_cannot_be_meant_is_named(column: str, error: Any, says: str) -> None:
    events = pl.DataFrame({"ts": [START], "ci": ["a"], "type": ["x"], "number": [1], "came": [START]})
    rule = {"when": {"count": {"type": "x"}, "over": "1m", "op": ">", "value": 0}}
    with pytest.raises(error) as caught:
        replay(rule, events=events, start=START, end=START, data_as_of=column)
    assert says in str(caught.value)


def test_only_what_a_rule_reads_has_to_have_the_column() -> None:
    events = pl.DataFrame({"ts": [START], "ci": ["a"], "type": ["x"]})
    rule = {"when": {"metric": "m", "op": ">=", "value": 0}}

    assert (
        0 < replay(rule, metrics=samples(1), events=events, start=START, end=START + MINUTE, data_as_of="came").height
    )


def test_a_rule_that_says_a_column_itself_keeps_it() -> None:
    events = pl.DataFrame({"ts": [START], "ci": ["a"], "type": ["x"], "one": [START], "two": [START + MINUTE]})
    rule = {"when": {"count": {"type": "x"}, "over": "5m", "op": ">", "value": 0}, "data_as_of": "one"}
    other = {"when": rule["when"]}

    found = replay([rule, other], events=events, start=START, end=START + 2 * MINUTE, data_as_of="two")

    assert [START, START + MINUTE] == found["active_at"].to_list()
