"""Questions in English and what is made of them, on the demo; what is suggested can be asked as it stands."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import ciops_nb as ciops
from ciops_nb.errors import BadParameter
from ciops_nb.recipes.suggest import read_times

DEMO = Path(__file__).parents[2] / "data/demo"
NOW = datetime(2026, 3, 8, 23, 50, tzinfo=UTC)


@pytest.fixture(scope="module")
def ops() -> Any:
    with ciops.connect(DEMO, frames="polars") as session:
        yield session


QUESTIONS: list[tuple[str, str | None, dict[str, Any]]] = [
    ("what changed near erp db before 10:00?", "what_changed", {"ci": "db-erp-01", "at": "2026-03-08T10:00:00Z"}),
    ("What changed around app-erp-01 before 2026-03-02T10:00Z?", "what_changed", {"ci": "app-erp-01", "at": "2026-03-02T10:00:00Z"}),
    ("any deployments on app-shop-03?", "what_changed", {"ci": "app-shop-03"}),
    ("was srv-bi-02 patched before 2 March 10:30", "what_changed", {"ci": "srv-bi-02", "at": "2026-03-02T10:30:00Z"}),
    ("changes to crm database 3", "what_changed", {"ci": "db-crm-03"}),
    ("why is app-erp-01 slow?", "triage", {"ci": "app-erp-01", "at": "2026-03-08T23:50:00Z"}),
    ("Why was app-erp-01 slow on 2 March at 10:00?", "triage", {"ci": "app-erp-01", "at": "2026-03-02T10:00:00Z"}),
    ("app-crm-04 is down", "triage", {"ci": "app-crm-04"}),
    ("investigate the outage of erp application 1", "triage", {"ci": "app-erp-01"}),
    ("what is the cause of the errors of app-erp-07 at 2026-03-02 10:00", "triage", {"ci": "app-erp-07", "at": "2026-03-02T10:00:00Z"}),
    ("what is wrong with mw-shop-03", "triage", {"ci": "mw-shop-03"}),
    ("what happens if srv-erp-01 fails?", "blast_radius", {"ci": "srv-erp-01"}),
    ("what is affected when sto-san-01 dies", "blast_radius", {"ci": "sto-san-01"}),
    ("blast radius of fw-01", "blast_radius", {"ci": "fw-01"}),
    ("who is hit if idp-04 breaks", "blast_radius", {"ci": "idp-04"}),
    ("impact of db-erp-01", "blast_radius", {"ci": "db-erp-01"}),
    ("how are app-erp-01 and sto-san-01 connected?", "path", {"source": "app-erp-01", "target": "sto-san-01"}),
    ("path from app-erp-01 to sto-san-01", "path", {"source": "app-erp-01", "target": "sto-san-01"}),
    ("what links app-crm-04 with idp-04", "path", {"source": "app-crm-04", "target": "idp-04"}),
    ("would this alert have fired yesterday?", "rule_review", {"rule": "rules.yaml", "time_range": "2026-03-07"}),
    ("would an alert on cpu_usage above 90 for 10 minutes have fired in the last 3 days?", "rule_review", {"rule": "{when: {metric: cpu_usage, op: '>', value: 90}, for: 10m}", "time_range": "last_3d"}),
    ("is the threshold of disk usage below 5 too noisy?", "rule_review", {"rule": "{when: {metric: disk_usage, op: '<', value: 5}}"}),
    ("which rules would have paged on 2 March", "rule_review", {"rule": "rules.yaml", "time_range": "2026-03-02"}),
    ("how many cis are there?", "inventory", {}),
    ("inventory please", "inventory", {}),
    ("give me an overview", "inventory", {}),
    ("find the erp db", "lookup", {"text": "erp db"}),
    ("who owns crm database 3?", "lookup", {"text": "crm database 3"}),
    ("which ci is called sys-erp", "lookup", {"text": "sys-erp"}),
    ("events of app-erp-01 yesterday", "history_recent", {"ci": "app-erp-01", "time_range": "2026-03-07"}),
    ("what happened to srv-log-04 in the last 2 days", "history_recent", {"ci": "srv-log-04", "time_range": "last_2d"}),
    ("alerts in the past hour", "history_recent", {"time_range": "last_1h"}),
    ("maintenance of db-hr-02 on 5 March", "history_recent", {"ci": "db-hr-02", "time_range": "2026-03-05"}),
    ("history of the payroll", "history_recent", {}),
    ("plot disk latency of sto-san-01 yesterday", "metric_series_table", {"metric": "disk_latency", "ci": "sto-san-01", "time_range": "2026-03-07"}),
    ("show response_time of app-erp-01", "metric_series_table", {"metric": "response_time", "ci": "app-erp-01"}),
    ("graph the cpu usage of srv-erp-01 over the last 3 hours", "metric_series_table", {"metric": "cpu_usage", "ci": "srv-erp-01", "time_range": "last_3h"}),
    ("average response time of app-erp-01 in the last 2 hours", "metric_aggregate", {"metric": "response_time", "agg": "mean", "ci": "app-erp-01", "time_range": "last_2h"}),
    ("p95 query time of db-erp-01 today", "metric_aggregate", {"metric": "query_time", "agg": "p95", "ci": "db-erp-01", "time_range": "2026-03-08"}),
    ("highest queue length yesterday", "metric_aggregate", {"metric": "queue_length", "agg": "max", "time_range": "2026-03-07"}),
    ("what does db-erp-01 depend on?", "graph_expand", {"ci": "db-erp-01", "view": "dependency"}),
    ("dependencies of app-erp-01", "graph_expand", {"ci": "app-erp-01", "view": "dependency"}),
    ("what does the erp application 1 need", "graph_expand", {"ci": "app-erp-01"}),
    ("which metrics are measured on srv-erp-01", "metric_list", {"ci": "srv-erp-01"}),
    ("which tables are in this estate", "estate", {}),
    ("sing me a song", None, {}),
    ("the weather in Berlin", None, {}),
    ("why?", None, {}),
    ("42", None, {}),
    ("'; drop table ci; --", None, {}),
]  # fmt: skip


@pytest.mark.parametrize(("question", "name", "params"), QUESTIONS, ids=[question for question, *_ in QUESTIONS])
def test_a_question_is_understood_or_said_not_to_be(
    ops: ciops.Ops, question: str, name: str | None, params: dict[str, Any]
) -> None:
    found = ops.suggest.sync(question)
    best = found.row(0, named=True)

    assert name == best["name"], found
    if name is None:
        assert (None, 0.0) == (best["call"], best["score"])
        assert best["reason"].startswith("Not understood (heard: ")
    else:
        told = json.loads(best["params"])
        assert params == {key: told[key] for key in params}
        assert best["reason"].startswith("says ")
        assert found["score"].is_sorted(descending=True)


@pytest.mark.parametrize("question", [question for question, name, _ in QUESTIONS if name is not None][::4])
def test_what_is_suggested_can_be_asked(ops: ciops.Ops, question: str) -> None:
    best = ops.suggest.sync(question).row(0, named=True)
    params = json.loads(best["params"])

    if best["kind"] == "tool":
        assert ops.tool(best["name"]).sync(**params) is not None
        assert best["call"].startswith(f"await ops.{best['name']}(")
    else:
        assert "done" == ops.run.sync(best["name"], **params).status
        assert best["call"].startswith(f"await ops.run({best['name']!r}")


def test_values_are_quoted_as_data(ops: ciops.Ops) -> None:
    call = ops.suggest.sync("find o'brien\" + evil()").row(0, named=True)["call"]

    compile(call.removeprefix("await "), "call", "eval")
    assert call.startswith("await ops.run('lookup', text=")


def test_the_same_question_gives_the_same_answer_in_both_frames(ops: ciops.Ops) -> None:
    with ciops.connect(DEMO) as pandas:
        assert ops.suggest.sync("changes to erp db").rows() == [
            tuple(row) for row in pandas.suggest.sync("changes to erp db").itertuples(index=False)
        ]


@pytest.mark.parametrize("wrong", ["", "  ", None, 3])
def test_no_question_is_refused(ops: ciops.Ops, wrong: Any) -> None:
    with pytest.raises(BadParameter, match="asks nothing"):
        ops.suggest.sync(wrong)


@pytest.mark.parametrize(
    ("question", "at", "time_range"),
    [
        ("before 10:00", NOW.replace(hour=10, minute=0), None),
        ("at 23:55", NOW.replace(minute=55) - timedelta(days=1), None),
        ("yesterday at 9:05", datetime(2026, 3, 7, 9, 5, tzinfo=UTC), None),
        ("on 2 March 2025 at 10:00", datetime(2025, 3, 2, 10, tzinfo=UTC), None),
        ("on December 24th", None, "2025-12-24"),
        ("on the 1st of may", None, "2025-05-01"),
        ("at 2026-03-02T10:00+02:00", datetime(2026, 3, 2, 8, tzinfo=UTC), None),
        ("on 2026-03-02", None, "2026-03-02"),
        ("in the past week", None, "last_1w"),
        ("last 15 minutes", None, "last_15m"),
        ("on 31 february", None, None),
        ("soon", None, None),
    ],
)
def test_times_are_read(question: str, at: datetime | None, time_range: str | None) -> None:
    found = read_times(question, now=NOW, tz=UTC)

    assert (at, time_range) == (found.at, found.time_range)


def test_a_time_of_day_is_one_of_the_session_s_zone() -> None:
    found = read_times("before 10:00", now=NOW, tz=ZoneInfo("Europe/Berlin"))

    # It is past midnight of 9 March there, so the latest ten o'clock was that of 8 March.
    assert datetime(2026, 3, 8, 9, tzinfo=UTC) == found.at
