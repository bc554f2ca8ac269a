"""``cep_explain``, ``cep_compare``, ``cep_sweep``, ``cep_inject``: what the pure functions say of the tables of an estate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ciops_nb as ciops
from tests.worlds import Rows, hours, write_world

HIGH = {"id": "high", "when": {"metric": "cpu", "op": ">", "value": 50}, "for": "2m"}
CODES = ["web", "app", "db", "far"]  # each needs the next; far hangs together with nothing
SHAPES = {"web": {}, "app": {30: 60, 31: 61, 32: 62, 33: 63}, "db": {10: 70, 11: 71}, "far": {}}


@pytest.fixture(params=["polars", "duckdb"])
def ops(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """An hour of cpu at 20: db is high for two minutes (10, 11), app for four (30 to 33), and incidents tell of both."""
    rows: Rows = {
        "ci": [{"tenant_id": "a", "ci_id": f"id-{code}", "ci_code": code, "valid_from": hours(-9)} for code in CODES],
        "relation": [
            {"tenant_id": "a", "source_id": f"id-{a}", "target_id": f"id-{b}", "relation_type": "DEPENDS_ON", "valid_from": hours(-9)}
            for a, b in (("web", "app"), ("app", "db"))
        ],
        "metric_def": [{"tenant_id": "a", "metric": "cpu", "kind": "gauge"}],
        "metric": [
            {"tenant_id": "a", "ci_id": f"id-{code}", "metric": "cpu", "series": "", "ts": hours(at / 60), "value": float(SHAPES[code].get(at, 20))}
            for code in CODES
            for at in range(61)
        ],
        "incident": [
            {"tenant_id": "a", "incident_id": "i1", "ci_id": "id-app", "opened_at": hours(32 / 60), "resolved_at": hours(40 / 60)},
            {"tenant_id": "a", "incident_id": "i2", "ci_id": "id-web", "opened_at": hours(12 / 60), "resolved_at": None},
            {"tenant_id": "a", "incident_id": "i3", "ci_id": None, "opened_at": hours(0.5), "resolved_at": None},
            {"tenant_id": "a", "incident_id": "i4", "ci_id": "id-app", "opened_at": hours(-5), "resolved_at": None},
        ],
        "maintenance": [
            {"tenant_id": "a", "maintenance_id": "m1", "ci_id": "id-far", "start_at": hours(0), "end_at": hours(1)}
        ],
    }  # fmt: skip
    with ciops.connect(
        f"{request.param}:{write_world(tmp_path / 'e', rows)}", frames="polars", now=hours(1)
    ) as session:
        yield session


def test_explain_says_who_came_near(ops: ciops.Ops) -> None:
    found = ops.cep_explain.sync(HIGH, time_range="all")

    told = [(row["ci_code"], row["state"], row["held_s"], row["missing_s"], row["best"], row["margin"]) for row in found.to_dicts()]  # fmt: skip
    assert [
        ("app", "fired", 180.0, 0.0, 63.0, 13.0), ("db", "too_short", 60.0, 60.0, 71.0, 21.0),
        ("far", "never", None, 120.0, 20.0, -30.0), ("web", "never", None, 120.0, 20.0, -30.0),
    ] == told  # fmt: skip
    assert [hours(0.5), hours(10 / 60)] == found["held_at"].drop_nulls().to_list()
    assert ["web"] == ops.cep_explain.sync(HIGH, time_range="all", ci="web")["ci_code"].to_list()


def test_compare_says_what_only_one_rule_sees(ops: ciops.Ops) -> None:
    found = ops.cep_compare.sync(HIGH, {**HIGH, "for": "1m", "labels": {"v": "2"}}, time_range="all")

    assert [("only_new", "db", None), ("both", "app", -60.0)] == found.select(
        "state", "ci_code", "fired_later_s"
    ).rows()


def test_sweep_counts_what_each_cell_would_have_caught(ops: ciops.Ops) -> None:
    near = ops.cep_sweep.sync(
        HIGH, value=[50, 65], hold=["0s", "2m"], hops=2, before="10m", after="30m", time_range="all"
    )
    alone = ops.cep_sweep.sync(HIGH, value=50, hold="0s", before="10m", after="30m", time_range="all")

    told = ["value", "for", "fired", "caught", "missed", "needless", "lead_time_s", "on_front"]
    assert [
        (50.0, "0s", 2, 2, 1, 0, 120.0, False),
        (50.0, "2m", 1, 2, 1, 0, -600.0, True),
        (65.0, "0s", 1, 1, 2, 0, 120.0, False),
        (65.0, "2m", 0, 0, 3, 0, None, True),
    ] == near.select(told).rows()
    assert [(50.0, "0s", 2, 1, 2, 1, 120.0, True)] == alone.select(told).rows()
    assert any("incidents name no CI" in text for text in ciops.provenance(near).warnings)
    only = ops.cep_sweep.sync(HIGH, value=50, hold="0s", incidents=["i1"], before="10m", time_range="all")
    assert [(1, 0)] == only.select("caught", "missed").rows()


def test_without_a_grid_the_rule_and_its_neighbours_are_tried(ops: ciops.Ops) -> None:
    found = ops.cep_sweep.sync(HIGH, time_range="all")

    assert [25.0, 50.0, 75.0] == [value for value in found["value"].unique().sort() if value in (25, 50, 75)]
    assert 11 * 7 == found.height


def test_a_fault_is_seen_where_it_goes(ops: ciops.Ops) -> None:
    asked: dict[str, Any] = {
        "ci": "db",
        "fault": {"cpu": {"add": 60}},
        "at": hours(40 / 60),
        "lasting": "10m",
        "delay": "2m",
    }
    found = ops.cep_inject.sync(HIGH, **asked)
    weaker = ops.cep_inject.sync(HIGH, **asked, damping=0.5)

    seen = found.filter(pl.col("status") == "fired")
    assert [("app", False, 1), ("db", True, 0), ("app", True, 1), ("web", False, None)][:3] == seen.select(
        "ci_code", "injected", "hops"
    ).rows()[:3]
    assert {("db", 0): 120.0} == {
        (row["ci_code"], row["hops"]): row["delay_s"] for row in seen.to_dicts() if row["ci_code"] == "db"
    }
    app = seen.filter(pl.col("injected"), pl.col("ci_code") == "app")["delay_s"][0]
    assert 180 <= app <= 360
    assert ["db"] == weaker.filter(pl.col("injected"))["ci_code"].unique().to_list()
    assert found.equals(ops.cep_inject.sync(HIGH, **asked, seed=0))
    again = ops.cep_simulate.sync(HIGH, time_range="all")
    assert [("db", "pending_only"), ("app", "fired")] == again.select("ci_code", "status").rows()


def test_rules_may_read_what_rules_record(ops: ciops.Ops) -> None:
    rules = [
        {"id": "total", "record": "total", "when": {"promql": "sum(cpu)"}},
        {"id": "all", "when": {"metric": "total", "op": ">", "value": 110}, "labels": {"ci": "app"}},
    ]
    found = ops.cep_simulate.sync(rules, time_range="all")

    assert [("all", "app", hours(10 / 60)), ("all", "app", hours(30 / 60))] == found.select(
        "rule", "ci_code", "fired_at"
    ).rows()
    assert {"all"} == set(ops.cep_explain.sync(rules, time_range="all")["rule"])
    review = ops.run.sync("rule_review", rule=rules, time_range="all").findings
    assert not any(statement.text.startswith("total ") for statement in review.all_statements())


def test_a_fault_that_shows_nowhere_is_told(ops: ciops.Ops) -> None:
    found = ops.cep_inject.sync(HIGH, ci="db", fault={"mem": "gone"}, event={"type": "x"}, at=hours(0.6))

    warnings = ciops.provenance(found).warnings
    assert any("no rule reads metric 'mem'" in text for text in warnings)
    assert "no rule reads events: the fault does not show in them" in warnings


@pytest.mark.parametrize(
    ("name", "given", "error", "says"),
    [
        ("cep_sweep", {"rule": [HIGH, {**HIGH, "id": "b"}]}, "BadParameter", "one rule at a time"),
        ("cep_sweep", {"rule": HIGH, "hops": 7}, "BadParameter", "more than 6"),
        ("cep_sweep", {"rule": HIGH, "incidents": "i9"}, "BadParameter", "is not an incident here"),
        ("cep_sweep", {"rule": HIGH, "hold": ["soon"]}, "BadParameter", "length of time"),
        ("cep_sweep", {"rule": {"any": [HIGH["when"]]}}, "BadRule", "no threshold to turn"),
        ("cep_inject", {"rule": HIGH, "ci": "db", "fault": {"cpu": 3}, "at": "2026-03-01"}, "BadParameter", "fault"),
        ("cep_inject", {"rule": HIGH, "ci": "nowhere", "fault": {}, "at": "2026-03-01"}, "ItemNotFound", "nowhere"),
        ("cep_inject", {"rule": HIGH, "ci": "db", "fault": {}, "at": "2026-03-01", "damping": 2}, "BadParameter", "share"),
        ("cep_inject", {"rule": HIGH, "ci": "db", "fault": {}, "at": "2026-03-01", "event": {"ts": 1}}, "BadParameter", "ts"),
        ("cep_compare", {"old_rule": HIGH, "new_rule": {}}, "BadRule", "when"),
    ],
)  # fmt: skip
def test_bad_questions_are_named(ops: ciops.Ops, name: str, given: Any, error: str, says: str) -> None:
    with pytest.raises(getattr(ciops.errors, error)) as caught:
        ops.tool(name).sync(**given)
    assert says in str(caught.value)
