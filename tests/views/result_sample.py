"""Sample answers of the tools that count, explain and measure, made as the tools make them, for their pictures."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from itertools import pairwise

import networkx as nx
import polars as pl

from .sample import AT, TIME, edge, node


def ci_groups(count: int = 6) -> pl.DataFrame:
    dice = random.Random(2)
    sizes = sorted((dice.randrange(3, 900) for _ in range(count)), reverse=True)
    return pl.DataFrame(
        {
            "ci_type": [("SW", "HW", None)[i % 3] for i in range(count)], "location": [f"site-{i:03}" for i in range(count)],
            "count": sizes, "mean:criticality": [None if i == 1 else 1 + 4 * dice.random() for i in range(count)],
        }
    )  # fmt: skip


def metric_groups(count: int = 3, metrics: int = 2) -> pl.DataFrame:
    dice = random.Random(3)
    names = [("cpu_usage", "percent", 60), ("response_time", "ms", 4e6), ("temperature", None, -20)][:metrics]
    return pl.DataFrame(
        [
            {
                "ci_code": None if i == 2 else f"srv-{i:03}", "metric": name, "unit": unit, "n": 144,
                "mean": None if i == 1 else size * (dice.random() - (0.5 if size < 0 else 0)), "p95": size * 1.5,
            }
            for name, unit, size in names
            for i in range(count)
        ]
    )  # fmt: skip


def buckets(count: int = 3, hours: int = 24) -> pl.DataFrame:
    dice = random.Random(4)
    return pl.DataFrame(
        [
            {
                "ci_code": f"srv-{i:03}", "ts": AT + timedelta(hours=hour), "metric": "cpu_usage", "unit": "percent", "n": 12,
                "mean": 30 + 5 * i + 4 * dice.random(), "max": 60 + 5 * i + 9 * dice.random(),
            }
            for i in range(count)
            for hour in range(hours)
        ]
    )  # fmt: skip


def ways(count: int = 3, longest: int = 4) -> nx.MultiDiGraph:
    """Paths from app to srv, every one through db, of 2 hops and more."""
    graph = nx.MultiDiGraph(roots=["app-erp-01", "srv-erp-01"], view="path", frontier=[])
    node(graph, "app-erp-01", "SW", "application")
    node(graph, "db-erp", "SW", "database", 1)
    node(graph, "srv-erp-01", "HW", "server", 2)
    edge(graph, "app-erp-01", "db-erp", "DEPENDS_ON")
    edge(graph, "db-erp", "srv-erp-01", "RUNS_ON")
    edge(graph, "db-erp", "srv-erp-01", "DEPLOYED_ON")
    found = [["app-erp-01", "db-erp", "srv-erp-01"]]
    for i in range(1, count):
        between = [f"sys-{i:03}-{step}" for step in range(min(1 + i // 8, longest - 2))]
        way = ["app-erp-01", *between, "db-erp", "srv-erp-01"]
        for code in between:
            node(graph, code, "SYSTEM", "business", 1)
        for near, far in pairwise(way[:-1]):
            edge(graph, far, near, "COMPOSED_OF")
        found.append(way)
    graph.graph["paths"] = found
    return graph


def explained(count: int = 6, parts: bool = True) -> pl.DataFrame:
    """Rules that fired, held for too short, never held and had no data, in turn."""
    rows = []
    for i in range(count):
        state = ("too_short", "never", "fired", "no_data")[i % 4]
        held = {"too_short": 60.0 * (1 + i % 9), "fired": 1200.0}.get(state)
        best = {"too_short": 210.0 + i, "never": 182.3 - i / 10, "fired": 340.0}.get(state)
        of_parts = parts and state == "never"
        rows.append(
            {
                "rule": "slow", "part": "", "ci_code": f"app-{i:03}", "labels": json.dumps({"ci": f"app-{i:03}", "team": "pay"}),
                "state": state, "held_s": held, "needed_s": 600.0, "missing_s": max(0.0, 600 - (held or 0)),
                "held_at": AT if held else None, "best": None if of_parts else best, "threshold": None if of_parts else 200.0,
                "margin": None if of_parts or best is None else best - 200, "best_at": AT if best else None, "n": 500,
            }
        )  # fmt: skip
        if of_parts:
            for part, state_of, value in (("all[0]", "held", 260.0), ("all[1]", "never", best)):
                margin = (value or 0) - 200
                changed = {"part": part, "state": state_of, "best": value, "threshold": 200.0, "margin": margin}
                rows.append(rows[-1] | changed | {"needed_s": None})
    schema = {"held_at": TIME, "best_at": TIME, "held_s": pl.Float64()}
    return pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)


def injected(count: int = 5) -> pl.DataFrame:
    """The last is struck by nothing, and one more alert was there anyway."""
    dice = random.Random(6)
    rows = [
        {
            "rule": "slow", "match": i, "ci_code": f"app-{i:03}", "labels": "{}",
            "status": ("fired", "fired", "suppressed", "pending_only")[i % 4], "active_at": AT, "fired_at": None,
            "ended_at": None, "injected": True, "delay_s": 120.0 + dice.randrange(2400),
            "hops": None if i == count - 1 else i % 4,
        }
        for i in range(count)
    ]  # fmt: skip
    rows.append(rows[0] | {"ci_code": "db-000", "injected": False, "delay_s": -30.0})
    return pl.DataFrame(rows, schema_overrides={"fired_at": TIME, "ended_at": TIME, "hops": pl.Int64()})


def summary(count: int = 4) -> pl.DataFrame:
    dice = random.Random(8)
    names = ["graph_expand", "ci_search", "metric_series_table", "history_recent"]
    rows = []
    for i in range(count):
        half = 10 ** dice.uniform(-1, 2.6)
        rows.append(
            {
                "tool": names[i] if i < 4 else f"tool_{i:03}", "count": dice.randrange(1, 400), "errors": 2 if i == 1 else 0,
                "hit_rate": dice.random(), "p50_ms": half, "p95_ms": half * 4, "p99_ms": half * 11,
            }
        )  # fmt: skip
    return pl.DataFrame(rows)
