"""Rules against the answers of Prometheus, as the folder of cases holds them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from tests.cep.cases import case, case_names, compared, differences, events, metrics, needs_cases, relations

pytestmark = needs_cases

REPLAYED = (
    "p01_threshold", "p02_for_exact", "p05_for_and_keep", "p11_counter_reset", "p25_day_over_day",
    "p25b_day_over_day_5m", "p27_subquery", "p28b_boundary_prom3", "p29_label_churn", "p30_grid_30s", "p32_late_start",
    "p36_burn_rate", "p39_bool_threshold_per_ci", "p40_neg_offset_window",
    "t02_dependency_inhibition", "t05_near_downstream",
)  # fmt: skip


def answers(name: str, rules: list[dict[str, Any]]) -> list[Any]:
    """What differs, when *rules* (named as the native ones in their order) are replayed on the case's data."""
    read = case(name)
    names = {f"rule-{n}": native["alert"] for n, native in enumerate(read["native"]["rules"], start=1)}
    assert len(rules) == len(names)
    found = replay(rules, metrics=metrics(name), relations=relations(name), **read["eval"])
    return differences(name, found.with_columns(pl.col("rule").replace_strict(names, return_dtype=pl.String)))


@pytest.mark.parametrize("name", REPLAYED)
def test_neutral_rule_fires_as_prometheus(name: str) -> None:
    neutral = case(name)["neutral_rule"]

    assert [] == answers(name, neutral if isinstance(neutral, list) else [neutral])


def native(name: str) -> Any:
    """The rules of a case as Prometheus was given them."""
    written = case(name).get("native", {})
    return written["rules"] if written.get("lang") == "prometheus_rules" else []


# What lies within so many hops was given to Prometheus as a metric of its own.
WITH_HOPS = ("t02_dependency_inhibition", "t05_near_downstream")


@pytest.mark.parametrize("name", [name for name in case_names() if native(name) and name not in WITH_HOPS])
def test_native_rules_fire_as_prometheus(name: str) -> None:
    found = replay(load(native(name), format="prometheus"), metrics=metrics(name), **case(name)["eval"])

    assert differences(name, found) == []


SEQUENCES = (
    "d12_cross_metric_event", "e01_seq_within", "e02_seq3", "e03_until", "e04_overlap", "e05_equal_ts",
    "e06_conditions", "e24_fuzz", "f03_relaxed_skip_next", "f06_negation",
)  # fmt: skip


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_are_those_of_the_other_engines(name: str) -> None:
    given: dict[str, Any] = {"events": events(name), "metrics": metrics(name)}
    found = replay(case(name)["neutral_rule"], **given, start="2026-03-01T00:00Z", end="2026-03-02T00:00Z")

    rows: list[dict[str, Any]] = []
    for match, ci, evidence in found.select("match", "ci", "evidence").iter_rows():
        row: dict[str, Any] = {"match": match, "ci": ci}
        for number, record in enumerate(evidence, start=1):
            at = f"{record['ts']:%Y-%m-%dT%H:%M:%SZ}"
            row |= {f"step{number}_seq": record["record_id"], f"step{number}_ts": at}
        first, second = evidence[0]["record_id"], evidence[1]["record_id"]
        row |= {"a_seq": first, "b_seq": second, "deploy_seq": first, "first_breach": row["step2_ts"]}
        rows.append(row)

    assert compared(name, rows) == []


DAY = {"start": "2026-03-01T00:00Z", "end": "2026-03-02T00:00Z"}
NEAR = ("d01_topo_2hops", "d04_common_upstream")
OF_EVENTS = (
    "d05_dst_business_hours", "d07_dst_ambiguous_hour", "d08_late_data", "d09_no_data_event", "s01_event_count",
    "s03_temporal", "s05_count_eq",
)  # fmt: skip
"""Compared in test_event_cases."""


def test_pairs_of_events_near_each_other_are_those_of_sql() -> None:
    name = "d01_topo_2hops"
    found = replay(case(name)["neutral_rule"], events=events(name), relations=relations(name), **DAY)

    rows = [
        {
            "alert_seq": a["record_id"],
            "change_seq": b["record_id"],
            "ci": ci,
            "upstream_ci": b["ci_code"],
            "hops": b["hops"],
        }
        for ci, (a, b) in found.select("ci", "evidence").iter_rows()
    ]

    assert [] == compared(name, rows)


def test_what_alerts_have_in_common_is_what_sql_says_in_its_order() -> None:
    name = "d04_common_upstream"
    found = replay(case(name)["neutral_rule"], events=events(name), relations=relations(name), **DAY)

    rows = [
        {
            "common_ci": row["ci"],
            "first_alert": f"{row['active_at']:%Y-%m-%dT%H:%M:%SZ}",
            "n": row["value"],
            "cis": " ".join({record["ci_code"] for record in row["evidence"]}),
        }
        for row in found.iter_rows(named=True)
    ]

    assert [] == compared(name, rows)
    assert ["disk1", "db", "san", "api", "cache"] == found["ci"].to_list()


def test_each_case_is_compared() -> None:
    assert all("neutral_rule" in case(name) or native(name) for name in case_names())


def test_each_case_with_a_neutral_rule_is_compared() -> None:
    compared_here = {*REPLAYED, *SEQUENCES, *NEAR, *OF_EVENTS}

    assert {name for name in case_names() if "neutral_rule" in case(name)} == compared_here
