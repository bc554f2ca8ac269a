"""Replays written as unit tests of Prometheus, which promtool then runs."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
import yaml

from ciops_nb.cep import load, replay, to_prometheus, to_promtool_test
from ciops_nb.errors import BadParameter, BadRule
from tests.cep.oracle.data import random_data
from tests.cep.oracle.promtool import needs_promtool
from tests.cep.oracle.rules import random_rule

T0 = datetime(2026, 3, 1, 0, 0, 7, tzinfo=UTC)
END = T0 + timedelta(minutes=6)
RULE = {"id": "hot", "when": {"metric": "cpu", "op": ">", "value": 80}, "for": "1m", "labels": {"x": "y}}"}}


def samples(*values: float | None, first: int = 0, every: float = 60) -> pl.DataFrame:
    """Samples of one series, None a marker that it ended."""
    return pl.DataFrame(
        {
            "ts": [T0 + timedelta(seconds=first + every * n) for n in range(len(values))],
            "metric": "cpu",
            "ci": 'srv "1"',
            "value": pl.Series(values, dtype=pl.Float64),
            "stale": [value is None for value in values],
        }
    )


def written(rules: Any, metrics: pl.DataFrame, **more: Any) -> str:
    asked: dict[str, Any] = {"metrics": metrics, "start": T0, "end": END, **more}
    return to_promtool_test(rules, replay(rules, **asked), **asked)


def passes(rules: Any, test: str, folder: Path) -> bool:
    (folder / "rules.yml").write_text(to_prometheus(rules))
    (folder / "tests.yml").write_text(test)
    done = subprocess.run(["promtool", "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True)
    return done.returncode == 0


def test_samples_and_the_alerts_around_each_change_are_written() -> None:
    test = yaml.safe_load(written(RULE, samples(70, 90, 95, float("nan"), None, float("inf"), 1.5)))
    (one,) = test["tests"]

    assert (["rules.yml"], "1m") == (test["rule_files"], test["evaluation_interval"])
    assert "1m" == one["interval"]
    assert [{"series": 'cpu{ci="srv \\"1\\""}', "values": "70 90 95 NaN stale Inf 1.5"}] == one["input_series"]
    alert = [{"exp_labels": {"ci": 'srv "1"', "x": "y}}"}}]
    told = {each["eval_time"]: each["exp_alerts"] for each in one["alert_rule_test"]}
    assert {"0s": [], "1m": [], "2m": alert, "3m": [], "4m": [], "5m": [], "6m": []} == told
    *pending, counted = one["promql_expr_test"]
    assert {"1m", "5m"} == {each["eval_time"] for each in pending if each["exp_samples"]}
    assert {
        "expr": 'count_over_time(ALERTS{alertname="hot"}[6m1ms])',
        "eval_time": "6m",
        "exp_samples": [
            {"labels": '{alertname="hot", alertstate="pending", ci="srv \\"1\\"", x="y}}"}', "value": 2},
            {"labels": '{alertname="hot", alertstate="firing", ci="srv \\"1\\"", x="y}}"}', "value": 1},
        ],
    } == counted


def test_samples_off_the_grid_are_written_with_gaps() -> None:
    (one,) = yaml.safe_load(written(RULE, samples(70, 90, 95, first=4, every=30)))["tests"]

    assert ("2s", "_x2 70 _x14 90 _x14 95") == (one["interval"], one["input_series"][0]["values"])


@needs_promtool
@pytest.mark.parametrize("seed", range(6))
def test_promtool_finds_the_alerts_of_random_replays(seed: int, tmp_path: Path) -> None:
    random = Random(f"promtool-{seed}")
    rules = [{**random_rule(random), "id": f"rule {n}"} for n in range(8)]
    metrics = random_data(random, 1800).frame(T0)

    test = written(rules, metrics, end=T0 + timedelta(minutes=30))

    assert passes(rules, test, tmp_path)


@needs_promtool
def test_promtool_refuses_alerts_that_were_not(tmp_path: Path) -> None:
    metrics = samples(70, 90, 95, 96, 70)
    asked: dict[str, Any] = {"metrics": metrics, "start": T0, "end": END}
    right = replay(RULE, **asked)
    assert passes(RULE, to_promtool_test(RULE, right, **asked), tmp_path)

    for name, moved in (("active_at", -1), ("fired_at", 1), ("ended_at", 1)):
        wrong = right.with_columns(pl.col(name) + timedelta(minutes=moved))
        assert not passes(RULE, to_promtool_test(RULE, wrong, **asked), tmp_path), name
    assert not passes(RULE, to_promtool_test(RULE, right.clear(), **asked), tmp_path)


def test_a_replay_of_nothing_is_a_test_of_nothing() -> None:
    (one,) = yaml.safe_load(written(RULE, samples()))["tests"]

    assert [] == one["input_series"]
    assert {"0s", "6m"} == {each["eval_time"] for each in one["alert_rule_test"]}


def test_pandas_frames_are_taken() -> None:
    metrics = samples(70, 90, 95)
    found = replay(RULE, metrics=metrics, start=T0, end=END)
    told = to_promtool_test(RULE, found.to_pandas(), metrics=metrics.drop("stale").to_pandas(), start=T0, end=END)

    assert written(RULE, metrics) == told


JOBS = pl.DataFrame({"job": [f"job {n}" for n in range(60)]})
MANY = samples(70, first=360).vstack(samples(90, every=1e-3, first=1)).join(JOBS, how="cross")
MANY = MANY.vstack(MANY.with_columns(pl.col("ts") - timedelta(milliseconds=7)))


@pytest.mark.parametrize(
    ("rules", "metrics", "told"),
    [
        (RULE, samples(70, 90, first=-240), "is before the start 2026-03-01T00:00:07Z and seen by a rule"),
        (
            {"when": {"metric": "cpu", "agg": "avg", "over": "20m", "offset": "1h", "op": ">", "value": 1}},
            samples(70, first=-4700),
            "is before the start",
        ),
        (RULE, samples(70, 90, every=1e-6), "has times finer than a millisecond"),
        (RULE, MANY, "makes 21,600,060 places for promtool. Round the times"),
        (RULE, samples(70).rename({"ci": "the ci"}), "'the ci': is not a name for a label"),
    ],
)  # fmt: skip
def test_what_promtool_cannot_be_told_is_refused(rules: Any, metrics: pl.DataFrame, told: str) -> None:
    with pytest.raises(BadParameter, match=told):
        written(rules, metrics)


def test_samples_that_no_rule_sees_are_left_out() -> None:
    early = samples(50, first=-300).vstack(samples(70, 90))

    assert written(RULE, samples(70, 90)) == written(RULE, early.vstack(samples(60, first=361)))


def test_rules_of_two_intervals_are_refused() -> None:
    with pytest.raises(BadRule, match="are not all evaluated equally often"):
        written([RULE, {**RULE, "id": "other", "every": "30s"}], samples(70))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rule": pl.lit("cold")}, "'cold': is not one of the rules"),
        ({"active_at": pl.col("active_at") + timedelta(seconds=1)}, "is not a tick"),
        ({"active_at": pl.col("active_at") - timedelta(hours=1)}, "is not a tick"),
    ],
)
def test_alerts_of_another_replay_are_refused(change: dict[str, Any], told: str) -> None:
    asked: dict[str, Any] = {"metrics": samples(70, 90, 95), "start": T0, "end": END}
    found = replay(RULE, **asked).with_columns(**change)
    with pytest.raises(BadParameter, match=told):
        to_promtool_test(RULE, found, **asked)


def test_a_frame_that_is_no_replay_is_refused() -> None:
    with pytest.raises(BadParameter, match="has no column 'status'"):
        to_promtool_test(RULE, pl.DataFrame({"rule": ["hot"], "labels": ["{}"]}), metrics=None, start=T0, end=END)


RECORDED = """
groups:
- name: g
  rules:
  - {record: "cpu:max", expr: max(cpu)}
  - {alert: Hot, expr: 'cpu:max > 80', for: 1m}
  - {alert: Steady, expr: 'sum_over_time({__name__="cpu:max"}[95s]) > 80'}
  - {alert: Any, expr: '{__name__=~"c.u"} > 80'}
"""


@needs_promtool
def test_promtool_finds_the_alerts_of_an_imported_file(tmp_path: Path) -> None:
    rules = load(RECORDED, format="prometheus")

    assert passes(rules, written(rules, samples(70, 90, 95, 96, 70, 10, 90, first=3, every=50)), tmp_path)


def test_a_rule_that_looks_ahead_is_refused() -> None:
    ahead = load([{"alert": "Ahead", "expr": "cpu offset -5m > 80"}], format="prometheus")
    with pytest.raises(BadRule, match="rule 'Ahead': looks ahead of its ticks"):
        written(ahead, samples(70, 90))
