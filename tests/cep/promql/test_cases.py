"""The alerting rules of Prometheus, as they were written, against its own answers."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest

from ciops_nb.cep.alerts import alerts
from ciops_nb.cep.promql import compiled, parse
from ciops_nb.cep.samples import Grid, Samples
from ciops_nb.estate.times import parse_duration, parse_time
from tests.cep.cases import FOLDER, case, case_names, differences, metrics, needs_cases
from tests.cep.promql.given import finder, of_frame, samples

pytestmark = needs_cases

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rules(name: str) -> list[dict[str, Any]]:
    native = case(name).get("native", {})
    found: list[dict[str, Any]] = native["rules"] if native.get("lang") == "prometheus_rules" else []
    return found


# Prometheus was given what lies within so many hops upstream as a metric of its own.
HOPS = {"t02_dependency_inhibition": 3, "t05_near_downstream": 2}


def reach(name: str, grid: Grid) -> Samples:
    """Each CI beside all that it depends on within the hops of the case."""
    with (FOLDER / "cases" / name / "topology.csv").open() as file:
        graph = nx.DiGraph([(row["src"], row["dst"]) for row in csv.DictReader(file)])
    ticks = grid.moments(np.arange(grid.count)).tolist()
    within = nx.all_pairs_shortest_path_length(graph, cutoff=HOPS[name])
    pairs = [(ci, up) for ci, found in within for up in found if up != ci]
    return samples("reach", {(("ci", ci), ("up", up)): [(tick, 1.0) for tick in ticks] for ci, up in pairs})


def alerting() -> list[str]:
    return [name for name in case_names() if rules(name) and all("alert" in rule for rule in rules(name))]


def micros(length: Any) -> int:
    if length in (None, "0s", "0m"):
        return 0
    return parse_duration(length) // timedelta(microseconds=1)


def answered(rule: dict[str, Any], find: Any, grid: Grid, lookback: timedelta) -> list[dict[str, Any]]:
    part = compiled(parse(rule["expr"]), find, grid, lambda metric: lookback)
    value, holds = part.at(np.arange(grid.count))
    series, ticks = np.nonzero(holds)
    found = alerts(
        series,
        ticks,
        value[series, ticks],
        hold=-(-micros(rule.get("for")) // grid.step),
        keep=-(-micros(rule.get("keep_firing_for")) // grid.step),
        count=grid.count,
    )
    rows = []
    for place, row in enumerate(found.series.tolist()):
        labels = dict(part.labels[row]) | {name: str(text) for name, text in rule.get("labels", {}).items()}
        fired = found.fired[place] >= 0
        moments = {
            f"{which}_at": None if tick < 0 else EPOCH + timedelta(microseconds=int(grid.moments(np.array([tick]))[0]))
            for which, tick in (
                ("active", found.active[place]),
                ("fired", found.fired[place]),
                ("ended", found.ended[place]),
            )
        }
        rows.append(
            {
                "rule": rule["alert"],
                "ci": labels.get("ci", labels.get("instance")),
                "labels": json.dumps(labels, sort_keys=True, ensure_ascii=False),
                "status": "fired" if fired else "pending_only",
                **moments,
                "value": float(found.value[place]) if fired else None,
            }
        )
    return rows


@pytest.mark.parametrize("name", alerting())
def test_rule_as_written_fires_as_prometheus(name: str) -> None:
    asked = case(name)["eval"]
    first, last = parse_time(asked["start"], tz=UTC, name="start"), parse_time(asked["end"], tz=UTC, name="end")
    step = parse_duration(asked["every"])
    micro = timedelta(microseconds=1)
    grid = Grid((first - EPOCH) // micro, step // micro, (last - first) // step + 1)
    known = [*of_frame(metrics(name)), *([reach(name, grid)] if name in HOPS else [])]
    find, lookback = finder(known), parse_duration(asked.get("lookback", "5m"))
    rows = [row for rule in rules(name) for row in answered(rule, find, grid, lookback)]
    utc = pl.Datetime("us", "UTC")
    schema = dict.fromkeys(("rule", "ci", "labels", "status"), pl.String)
    frame = pl.DataFrame(
        rows, schema={**schema, "active_at": utc, "fired_at": utc, "ended_at": utc, "value": pl.Float64}
    )

    assert [] == differences(name, frame)


def test_there_are_cases() -> None:
    assert len(alerting()) >= 50
