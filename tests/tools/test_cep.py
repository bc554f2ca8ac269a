"""``cep_simulate``: rules on the points of an estate are what the pure replay says of the same points."""

from __future__ import annotations

import itertools
import json
import statistics
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ciops_nb as ciops
from ciops_nb.cep import replay
from tests.contract.test_oracle import SETTINGS, plain, session
from tests.oracle import ask, every_way
from tests.worlds import Rows, hours, worlds, write_world

HIGH = {"when": {"metric": "cpu", "op": ">", "value": 50}}
BASE = {"tenant_id": "a", "valid_from": hours(0)}


def estate(
    folder: Path, values: list[float | None], *, minutes: int = 1, series: str = "", labels: Any = ()
) -> ciops.Ops:
    """One CI with one series of cpu, and another CI without points."""
    key = {"tenant_id": "a", "ci_id": "id-1", "metric": "cpu", "series": series}
    rows = {
        "ci": [{**BASE, "ci_id": f"id-{n}", "ci_code": f"srv-{n}"} for n in (1, 2)],
        "metric_def": [{"tenant_id": "a", "metric": name, "kind": "gauge"} for name in ("cpu", "mem")],
        "metric": [
            {**key, "ts": hours(number * minutes / 60), "value": value}
            for number, value in enumerate(values)
            if value is not None
        ],
        "label": [{**key, "name": name, "value": value} for name, value in labels],
    }
    return ciops.connect(write_world(folder, rows), frames="polars")


def usual_lookback(points: list[dict[str, Any]]) -> timedelta:
    """Five minutes, or twice the usual distance of points where that is longer."""
    times: dict[tuple[str, str], list[datetime]] = {}
    for row in points:
        times.setdefault((row["ci"], row["series"]), []).append(row["ts"])
    apart = [later - earlier for some in times.values() for earlier, later in itertools.pairwise(sorted(some))]
    return 2 * statistics.median(apart) if apart else timedelta(minutes=5)


@every_way
@SETTINGS
@given(rows=worlds(), first=st.integers(0, 6), length=st.integers(1, 12), hold=st.sampled_from(["0s", "90m", "4h"]))
def test_alerts_are_those_of_the_pure_replay(
    engine: str, frames: str, way: str, rows: Rows, first: int, length: int, hold: str
) -> None:
    rule = {"id": "high", "when": {"metric": "cpu", "op": ">", "value": 1}, "for": hold, "labels": {"team": "x"}}
    points = [
        {"ts": row["ts"], "metric": "cpu", "ci": row["ci_id"].replace("a-", "ci-"), "series": row["series"], "value": row["value"]}
        for row in rows["metric"]
        if row["tenant_id"] == "a"
    ]  # fmt: skip
    expected = replay(
        rule,
        metrics=pl.DataFrame(points, schema_overrides={"value": pl.Float64}) if points else None,
        start=hours(first),
        end=hours(first + length),
        lookback=usual_lookback([row for row in points if hours(first - 1) < row["ts"] <= hours(first + length)]),
    )
    with session(rows, engine, frames) as ops:
        found = ask(ops, way, "cep_simulate", rule, time_range=(hours(first), hours(first + length)))
    told = ["rule", "match", "ci", "labels", "status", "active_at", "fired_at", "ended_at", "value", "n"]
    assert plain(expected.select(told).rename({"ci": "ci_code"})) == [
        {name: row[name] for name in row if name != "evidence"} for row in plain(found)
    ]
    assert expected["evidence"].list.len().to_list() == [len(row["evidence"]) for row in plain(found)]


def test_a_series_has_its_own_labels_and_those_of_its_table(tmp_path: Path) -> None:
    labels = [("mountpoint", "/var"), ("metric", "x")]
    with estate(tmp_path / "e", [90.0, 10.0], series="sda", labels=labels) as ops:
        found = ops.cep_simulate.sync(HIGH, time_range="all")

    assert [{"ci": "srv-1", "series": "sda", "mountpoint": "/var", "exported_metric": "x"}] == [
        json.loads(text) for text in found["labels"]
    ]
    assert ["srv-1"] == found["ci_code"].to_list()


def test_points_that_lie_far_apart_make_one_alert_and_a_warning(tmp_path: Path) -> None:
    with estate(tmp_path / "e", [90.0, 91.0, None, 92.0, 10.0, 10.0], minutes=10) as ops:
        found = ops.cep_simulate.sync({**HIGH, "for": "15m"}, time_range="all")

    assert [("fired", hours(0), hours(0.25), hours(40 / 60))] == found.select(
        "status", "active_at", "fired_at", "ended_at"
    ).rows()
    assert "points lie further apart than the look-back of 0:05:00, so a tick sees older ones: cpu 0:20:00" in (
        ciops.provenance(found).warnings
    )


def test_points_before_the_first_tick_are_seen_by_it(tmp_path: Path) -> None:
    with estate(tmp_path / "e", [90.0] * 3, minutes=10) as ops:
        found = ops.cep_simulate.sync(HIGH, time_range=(hours(0.5), hours(1)))

    assert [(hours(0.5), hours(40 / 60))] == found.select("active_at", "ended_at").rows()


@pytest.mark.parametrize(
    ("expr", "seen"),
    [
        ("max_over_time(cpu[2h:1m]) > 50", True),  # its first tick looks back as well
        ("max_over_time(cpu[1h:1m]) > 50", False),
        ("max_over_time(max_over_time(cpu[1h:1m])[1h:1m]) > 50", True),
        ("max_over_time(cpu[1h:1m] offset 1h) > 50", True),
        ("cpu @ 1772323200 > 50", True),  # the very first point
        ("cpu @ 1772323800 > 50", False),
    ],
)
def test_points_that_an_expression_sees_far_from_its_tick_are_there(tmp_path: Path, expr: str, seen: bool) -> None:
    at = hours(2 + 4 / 60)
    with estate(tmp_path / "e", [90.0]) as ops:
        found = ops.cep_simulate.sync({"when": {"promql": expr}}, time_range=(at, at + timedelta(seconds=1)))

    assert [90.0] * seen == found["value"].to_list()


def test_a_metric_without_points_is_told(tmp_path: Path) -> None:
    with estate(tmp_path / "e", [90.0]) as ops:
        other = ops.cep_simulate.sync({"when": {"metric": "mem", "op": ">", "value": 1}}, time_range="all")
        scoped = ops.cep_simulate.sync(HIGH, time_range="all", ci="srv-2")
        full = ops.cep_simulate.sync(HIGH, time_range="all", ci="srv-1")

    assert (0, 0, 1) == (other.height, scoped.height, full.height)
    assert other.schema == scoped.schema == full.schema
    assert ["metric 'mem' has no points here: a rule on it could not fire"] == ciops.provenance(other).warnings
    assert ["metric 'cpu' has no points here: a rule on it could not fire"] == ciops.provenance(scoped).warnings


def test_the_record_holds_the_rule_and_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("id: high\nwhen: {metric: cpu, op: '>', value: 50}\n", encoding="utf-8")
    with estate(tmp_path / "e", [90.0]) as ops:
        found = ops.cep_simulate.sync(path, time_range="all")

    assert ['{"id": "high", "when": {"metric": "cpu", "op": ">", "value": 50.0}}'] == ciops.provenance(
        found
    ).params.rule


def test_what_was_not_known_yet_is_not_seen(tmp_path: Path) -> None:
    with estate(tmp_path / "e", [90.0, 91.0, 10.0, 92.0], minutes=10) as ops:
        whole = ops.cep_simulate.sync(HIGH, time_range="all")
        early = ops.cep_simulate.sync(HIGH, time_range="all", data_as_of=hours(10 / 60))

    assert whole["ended_at"].to_list() == [hours(20 / 60), None]
    assert early["ended_at"].to_list() == [None]
    assert any("2026-03-01T00:10:00Z are taken as known by then" in text for text in ciops.provenance(early).warnings)


@pytest.mark.parametrize(
    ("ask_wrong", "error", "says"),
    [
        (lambda ops: ops.cep_simulate.sync({"when": {"metric": "cpuu", "op": ">", "value": 1}}), "UnknownMetric", "'cpu'"),
        (lambda ops: ops.cep_simulate.sync({"when": {"metric": "cpu", "op": "~", "value": 1}}), "BadRule", "op"),
        (lambda ops: ops.cep_simulate.sync({}), "BadRule", "when"),
        (lambda ops: ops.cep_simulate.sync(None), "BadRule", "rules"),
        (lambda ops: ops.cep_simulate.sync("nowhere.yaml"), "BadRule", "cannot be read"),
        (lambda ops: ops.cep_simulate.sync(HIGH, ci="srv-3"), "ItemNotFound", "'srv-1'"),
        (lambda ops: ops.cep_simulate.sync(HIGH, time_range="yesterday"), "BadTimeRange", "last_24h"),
        (lambda ops: ops.cep_simulate.sync(HIGH, data_as_of="soon"), "BadTimeRange", "data_as_of"),
        (lambda ops: ops.cep_simulate.sync(HIGH, data_as_of="2020-01-01"), "BadParameter", "before the first tick"),
    ],
)  # fmt: skip
def test_bad_questions_are_named(tmp_path: Path, ask_wrong: Any, error: str, says: str) -> None:
    with estate(tmp_path / "e", [90.0]) as ops, pytest.raises(getattr(ciops.errors, error)) as caught:
        ask_wrong(ops)
    assert says in str(caught.value)


def test_a_point_at_the_very_end_is_seen_though_it_lies_in_the_file_of_the_next_day(tmp_path: Path) -> None:
    with estate(tmp_path / "e", [10.0] * 24 + [90.0] * 2, minutes=60) as ops:
        found = ops.cep_simulate.sync(HIGH, time_range=(hours(20), hours(24)))

    assert [hours(24)] == found["active_at"].to_list()
