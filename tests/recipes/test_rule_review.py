"""rule_review: what it says is what the replay and the incidents of the demo say, counted by hand."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

import ciops_nb as ciops
from ciops_nb.cep.sweep import SCHEMA
from ciops_nb.recipes.evidence import as_polars
from ciops_nb.recipes.rule_review import better_cells, noisiest

DEMO = Path(__file__).parents[2] / "data/demo"
SLOW = {"id": "slow", "when": {"metric": "response_time", "op": ">", "value": 400}, "for": "10m"}
PAIR = {"id": "pair", "when": {"any": [SLOW["when"], {"metric": "error_rate", "op": ">", "value": 20}]}}


@pytest.fixture(scope="module", params=["pandas", "polars"])
def ops(request: pytest.FixtureRequest) -> Any:
    with ciops.connect(DEMO, frames=request.param) as session:
        yield session


def texts(part: Any) -> str:
    return "\n".join(statement.text for statement in part)


def test_pages_and_incidents_are_counted_as_by_hand(ops: ciops.Ops) -> None:
    run = ops.run.sync("rule_review", rule=SLOW, time_range="all", hops=0)
    alerts = as_polars(ops.cep_simulate.sync(SLOW, time_range="all")).filter(pl.col("status") == "fired")
    cis = pl.read_parquet(DEMO / "ci.parquet").select("ci_id", "ci_code").unique()
    incidents = pl.read_parquet(DEMO / "incident.parquet").join(cis, on="ci_id").to_dicts()
    caught, useful = set(), set()
    for row, (number, alert) in product(incidents, enumerate(alerts.to_dicts())):
        since, until = row["opened_at"] - timedelta(hours=1), row["resolved_at"]
        if alert["ci_code"] == row["ci_code"] and since <= alert["fired_at"] <= until:
            caught.add(row["incident_id"])
            useful.add(number)

    found = run.findings
    assert found.headline.text.startswith(f"{alerts.height} pages in all the time there is")
    told = re.search(
        r"slow caught (\d+) of (\d+) incidents.*?(\d+) missed, and (\d+) pages? met", texts(found.statements)
    )
    assert told is not None
    assert [len(caught), len(incidents), len(incidents) - len(caught), alerts.height - len(useful)] == [int(n) for n in told.groups()]  # fmt: skip


def test_each_statement_rests_on_calls_of_its_run(ops: ciops.Ops) -> None:
    run = ops.run.sync(
        "rule_review", rule=[SLOW, PAIR], time_range="2026-03-01/2026-03-04", ci=["app-erp-01", "app-hr-02"]
    )

    calls = {call.call_id for call in run.calls}
    for statement in run.findings.all_statements():
        assert statement.calls, statement.text
        assert calls >= set(statement.calls), statement.text
    assert "pair compares nothing with one number" in texts(run.findings.unknown)
    assert "slow was held against" in texts(run.findings.unknown)


def test_a_week_with_nothing_says_how_near_it_came(ops: ciops.Ops) -> None:
    rule = {"id": "hot", "when": {"metric": "cpu_usage", "op": ">", "value": 85}, "for": "10m"}
    found = ops.run.sync("rule_review", rule=rule, time_range="last_7d").findings

    assert found.headline.text.startswith("Nobody would have been paged in")
    assert re.search(r"hot never held on \d+ series; nearest came [\d.]+ against 85 on srv-", texts(found.statements))


def test_a_lead_is_a_cell_of_the_sweep(ops: ciops.Ops) -> None:
    run = ops.run.sync("rule_review", rule=SLOW, time_range="all")
    told = re.search(r"A lead for slow: ([\d.]+) for (\w+) would have caught (\d+) .* with (\d+) needless", texts(run.findings.next_steps))  # fmt: skip
    assert told is not None
    value, hold, caught, needless = told.groups()
    grid = as_polars(ops.cep_sweep.sync(SLOW, time_range="all", hops=1))

    cell = grid.filter(pl.col("value") == float(value), pl.col("for") == hold)
    assert [(int(caught), int(needless), True)] == cell.select("caught", "needless", "on_front").rows()


@pytest.mark.parametrize("seed", range(60))
def test_a_better_cell_is_better(seed: int) -> None:
    chance = Random(seed)
    rows = [
        {"value": float(value), "for_s": 60.0 * hold, "caught": chance.randint(0, 3), "needless": chance.randint(0, 3), "fired": chance.randint(0, 3)}
        for value in range(3) for hold in range(3)
    ]  # fmt: skip
    grid = pl.DataFrame(rows, schema={name: SCHEMA[name] for name in rows[0]})
    own = chance.choice(rows)
    cheaper = [row for row in rows if row["caught"] >= own["caught"] and (row["needless"], row["fired"]) < (own["needless"], own["fired"])]  # fmt: skip
    wider = [row for row in rows if row["caught"] > own["caught"]]

    found = better_cells(grid, own)

    assert bool(found) == bool(cheaper or wider)
    if cheaper:
        assert min((row["needless"], row["fired"]) for row in cheaper) == (found[0]["needless"], found[0]["fired"])
        assert found[0]["caught"] >= own["caught"]
    if wider:
        assert max(row["caught"] for row in wider) == found[-1]["caught"]


def test_its_report_shows_the_alerts_and_what_each_cell_would_catch(ops: ciops.Ops, tmp_path: Path) -> None:
    run = ops.run.sync("rule_review", rule=[SLOW, PAIR], time_range="2026-03-01/2026-03-04")
    page = run.report(tmp_path / "review.html").read_text()

    pictures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert ["Alerts", "What slow would catch"] == [re.findall(r"<title[^>]*>(.*?)</title>", one)[0] for one in pictures]
    assert ">firing</text>" in pictures[0]
    assert "2026-02-28 to 2026-03-04 UTC" in pictures[0]  # all that was asked for, and a little beside
    assert ">the rule as it is</text>" in pictures[1]


def test_a_report_without_alerts_says_that_there_are_none(ops: ciops.Ops, tmp_path: Path) -> None:
    rule = {"id": "hot", "when": {"metric": "cpu_usage", "op": ">", "value": 85}, "for": "10m"}
    page = (
        ops.run.sync("rule_review", rule=rule, time_range="2026-03-01/2026-03-02")
        .report(tmp_path / "r.html")
        .read_text()
    )

    assert "No alerts in this range. The answers that this rests on are complete: there are none." in page


def test_who_fired_is_counted() -> None:
    alerts = pl.DataFrame(
        {"rule": ["r"] * 4, "ci_code": ["a", "a", "b", None], "status": ["fired", "suppressed", "pending_only", "fired"]}
    ).with_columns(fired_at=pl.lit(None, pl.Datetime("us", "UTC")), ended_at=pl.lit(None, pl.Datetime("us", "UTC")))  # fmt: skip

    assert [("a", 1, 1, 0), (None, 1, 0, 0), ("b", 0, 0, 1)] == noisiest(alerts).select("ci_code", "fired", "suppressed", "pending_only").rows()  # fmt: skip
