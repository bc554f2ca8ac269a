"""What is read once answers as the tools do, whatever the numbers."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import ciops_nb as ciops
from ciops_nb import sync
from ciops_nb.cep import load
from ciops_nb.tools.rule_ground import Ground, ground_of

DEMO = Path(__file__).parents[2] / "data/demo"
WEEKS = "2026-02-23/2026-03-09"
RULES = [
    {"metric": "response_time", "op": ">", "value": 700},
    {"metric": "cpu_usage", "agg": "avg", "over": "30m", "op": ">=", "value": 60},
    {"metric": "error_rate", "reduce": "max", "by": ["ci"], "op": ">", "value": 3},
    {
        "all": [
            {"metric": "response_time", "op": ">", "value": 300},
            {"not": {"metric": "error_rate", "op": ">", "value": 4}},
        ]
    },
    {"ratio": [{"metric": "response_time"}, {"metric": "error_rate"}], "op": "<", "value": 250},
]


@pytest.fixture(scope="module")
def ops() -> Iterator[ciops.Ops]:
    with ciops.connect(DEMO, frames="polars") as session:
        yield session


def ground(ops: ciops.Ops, rules: list[Any], **asked: Any) -> Ground:
    asked = {"time_range": WEEKS, **asked}
    return sync.run(ops.look("test", functools.partial(ground_of, rules=rules, **asked)))


def value_of(when: Any) -> Any:
    return when["all"][0] if "all" in when else when


@pytest.mark.parametrize("number", range(len(RULES)))
def test_alerts_are_those_of_cep_simulate(ops: ciops.Ops, number: int) -> None:
    when, draw = RULES[number], Random(number)
    first = load({"id": "rule", "when": when})
    known = ground(ops, first, hops=1)
    for _ in range(4):
        value, hold = round(value_of(when)["value"] * draw.uniform(0.4, 1.3), 2), draw.choice(["0s", "7m", "30m", "2h"])
        turned = {**when, "all": [{**when["all"][0], "value": value}, when["all"][1]]} if "all" in when else {**when, "value": value}  # fmt: skip
        rules = load({"id": "rule", "when": turned, "for": hold})

        alerts, worth = known.answer(rules, worth=True)
        assert_frame_equal(ops.cep_simulate.sync(rules, time_range=WEEKS), alerts)
        swept = ops.cep_sweep.sync(rules, value=[value], hold=[hold], time_range=WEEKS, hops=1)
        assert {**swept.row(0, named=True), "on_front": True} == worth


def test_only_some_cis_can_be_asked_for(ops: ciops.Ops) -> None:
    rules = load({"id": "rule", "when": RULES[0]})

    assert_frame_equal(
        ops.cep_simulate.sync(rules, time_range=WEEKS, ci="app-erp-01"), ground(ops, rules, ci="app-erp-01").alerts(rules)
    )  # fmt: skip


def test_levels_are_the_ends_of_what_is_compared(ops: ciops.Ops) -> None:
    rules = load({"id": "rule", "when": RULES[0]})
    found = ground(ops, rules, time_range="2026-03-02").levels(rules, 24)

    points = ops.metric_series_table.sync("response_time", "app-erp-01", time_range="2026-03-02")
    hour = points.filter(pl.col("ts").dt.hour() == 10)["value"]
    place = found.ci.index("app-erp-01")
    assert len(found.ci) == len(found.labels) == len(found.low) == len(found.high)
    assert np.diff(found.moments).min() == np.diff(found.moments).max()
    assert hour.max() == found.high[place].max()
    assert (found.low <= found.high)[np.isfinite(found.low)].all()


def test_a_session_that_is_closed_is_not_looked_into() -> None:
    with ciops.connect(DEMO) as ops:
        pass

    with pytest.raises(ciops.errors.SessionClosed):
        ground(ops, load({"id": "rule", "when": RULES[0]}))
