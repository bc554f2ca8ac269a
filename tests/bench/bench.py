"""``make bench``: each question beside the same one asked raw of polars, on a large estate, in one run.

The estate (100,000 CIs, 10 million points) is made once by the generator and kept in ``.bench``. A figure is the median
of warm calls. Tool and raw question take turns, so that a machine whose speed drifts is unfair to neither; a turn is
several calls, and its first is not counted, since it finds the processor's caches full of the other's data. What a
script sets up once (the scans) is set up outside of the time of the raw question.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

import ciops_nb as ciops
from ciops_nb.estate.generate import generate
from tests.bench import layers, rules, turning, widgets

BENCH = Path(".bench")
ESTATE = BENCH / "estate-100k-500k"
TURNS, CALLS = 12, 5
CODE, METRIC, SERVER = "app-erp-01", "cpu_usage", "srv-erp-01"
DAY = (datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC))


@dataclass(frozen=True)
class Goal:
    """At most so many times the raw question's time, and so many milliseconds more."""

    ms: float
    times: float = 0

    def met(self, ours: float, theirs: float = 0) -> str:
        return "yes" if ours <= self.times * theirs + self.ms else "no"

    def __str__(self) -> str:
        return f"{self.times:g}x + {self.ms:g} ms" if self.times else f"{self.ms:g} ms"


def take_turns(tool: Callable[[], Any], raw: Callable[[], Any]) -> tuple[float, float]:
    """The medians of both in milliseconds, after a turn of each that is not counted."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(TURNS + 1):
        for kept, ask in zip(times, (tool, raw), strict=True):
            for call in range(CALLS):
                began = time.perf_counter()
                ask()
                if turn and call:
                    kept.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times[0]), statistics.median(times[1])


def import_seconds() -> float:
    code = "import time; t = time.perf_counter(); import ciops_nb; print(time.perf_counter() - t)"
    return statistics.median(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5))


def connect_seconds() -> float:
    code = (
        "import time; t = time.perf_counter(); import ciops_nb; "
        f"ciops_nb.connect({str(ESTATE)!r}).ci_get_by_code.sync({CODE!r}); print(time.perf_counter() - t)"
    )
    return statistics.median(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3))


def layout_ms(ops: ciops.Ops) -> float:
    """The layout of 5,000 nodes as ``graph_expand`` gives them, with a focus and without: the slower of the two."""
    from ciops_nb.views.layout import layered

    graph = ops.graph_expand.sync(SERVER, view="impact", depth=8, max_nodes=5000)
    times: list[float] = []
    for rootless in (False, True):
        if rootless:
            del graph.graph["roots"]
        runs = []
        for _ in range(5):
            began = time.perf_counter()
            layered(graph)
            runs.append((time.perf_counter() - began) * 1e3)
        times.append(statistics.median(runs))
    return max(times)


def main() -> None:
    if not ESTATE.exists():
        BENCH.mkdir(exist_ok=True)
        generate(ESTATE, cis=100_000, relations=500_000, days=3, every_minutes=85)
    ci = pl.scan_parquet(ESTATE / "ci.parquet")
    metric = pl.scan_parquet(ESTATE / "metric")
    relations = pl.scan_parquet(ESTATE / "relation.parquet")
    event = pl.scan_parquet(ESTATE / "event.parquet")
    ops = ciops.connect(ESTATE)
    ops.cache.configure(ttl=0)  # each question is really asked
    sizes = dict(ops.estate.sync().set_index("table")["rows"])
    now = datetime(2026, 3, 9, tzinfo=UTC)
    valid = (pl.col("valid_from") <= now) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > now))
    server_id = ops.ci_get_by_code.sync(SERVER)["ci_id"].iloc[0]
    searched = ("ci_code", "ci_name", "ci_type", "ci_subtype", "ci_category")
    shown = ("ci_id", *searched, "status", "criticality", "location", "owner")
    text = pl.concat_str(searched, separator=" ", ignore_nulls=True).str.to_lowercase()

    def raw_expand() -> pl.DataFrame:
        seen = ci.filter(pl.col("ci_code") == CODE).select("ci_id").collect()["ci_id"]
        for _ in range(3):
            near = relations.filter(
                pl.col("source_id").is_in(seen.implode()) | pl.col("target_id").is_in(seen.implode())
            )
            seen = pl.concat([seen, *near.select("source_id", "target_id").collect().get_columns()]).unique()
        return relations.filter(
            pl.col("source_id").is_in(seen.implode()), pl.col("target_id").is_in(seen.implode())
        ).collect()

    questions: list[tuple[str, Goal | None, Callable[[], Any], Callable[[], Any]]] = [
        (
            "ci_get_by_code", Goal(ms=1),
            lambda: ops.ci_get_by_code.sync(CODE),
            lambda: ci.filter((pl.col("ci_code") == CODE) & valid).collect(),
        ),
        (
            "ci_search, two words", Goal(ms=15),
            lambda: ops.ci_search.sync("crm db"),
            lambda: ci.filter(valid).with_columns(text=text)  # without the tags, which ours searches too
            .filter(pl.col("text").str.contains("crm", literal=True), pl.col("text").str.contains("db", literal=True))
            .select(shown).sort("ci_code").head(50).collect(),
        ),
        (
            "ci_aggregate by ci_type", Goal(times=2, ms=1),
            lambda: ops.ci_aggregate.sync("ci_type"),
            lambda: ci.filter(valid).group_by("ci_type").len().sort("len", descending=True).collect(),
        ),
        (
            "metric_series_table, one series, one day", Goal(times=2, ms=2),
            lambda: ops.metric_series_table.sync(METRIC, SERVER, time_range=DAY),
            lambda: metric.filter(
                pl.col("metric") == METRIC, pl.col("ci_id") == server_id, pl.col("ts") >= DAY[0], pl.col("ts") < DAY[1]
            ).sort("ts").collect(),
        ),
        (
            "graph_expand, depth 3, 1,000 nodes", Goal(ms=30),
            lambda: ops.graph_expand.sync(CODE, depth=3, max_nodes=1000),
            raw_expand,
        ),
    ]  # fmt: skip
    questions += [
        (
            "ci_list_preview, the newest 50", None,
            lambda: ops.ci_list_preview.sync(),
            lambda: ci.filter(valid).select(*shown, "created_at", "updated_at").sort("created_at", "ci_code", descending=[True, False]).head(50).collect(),
        ),
        (
            "metric_list of a CI", None,
            lambda: ops.metric_list.sync(SERVER),
            lambda: metric.filter(pl.col("ci_id") == server_id).select(pl.col("metric").unique().sort()).collect(),
        ),
        (
            "metric_aggregate by CI, one day", None,
            lambda: ops.metric_aggregate.sync(METRIC, by="ci", time_range=DAY),
            lambda: metric.filter(pl.col("metric") == METRIC, pl.col("ts") >= DAY[0], pl.col("ts") < DAY[1])
            .group_by("ci_id").agg(pl.col("value").mean(), pl.len()).join(ci.select("ci_id", "ci_code"), on="ci_id", how="left")
            .sort("ci_code").collect(),
        ),
        (
            "history_recent, events of seven days", None,
            lambda: ops.history_recent.sync(kinds="event"),
            lambda: event.filter(pl.col("ts") >= now - timedelta(days=7), pl.col("ts") < now)
            .join(ci.select("ci_id", "ci_code"), on="ci_id", how="left").sort("ts", "event_id", descending=[True, False])
            .head(200).collect(),
        ),
    ]  # fmt: skip
    lines = ["| question | ours, ms | raw polars, ms | ratio | goal | met |", "|---|---|---|---|---|---|"]
    for name, goal, tool, raw in questions:
        ours, theirs = take_turns(tool, raw)
        lines.append(
            f"| {name} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} | {goal or ''} | {goal.met(ours, theirs) if goal else ''} |"
        )
    lines += [
        f"| import of the package | {(imported := import_seconds() * 1e3):.0f} | | | 400 ms | {Goal(ms=400).met(imported)} |",
        f"| fresh process to the first answer | {connect_seconds() * 1e3:.0f} | | | | |",
        f"| layout, 5,000 nodes | {(laid := layout_ms(ops)):.0f} | | | 1500 ms | {Goal(ms=1500).met(laid)} |",
    ]
    lines += layers.lines(ESTATE)
    lines += rules.lines()
    lines += turning.lines()
    lines += widgets.lines()
    counts = f"{sizes['ci']:,} CIs, {sizes['relation']:,} relations, {sizes['metric']:,} points"
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, polars {pl.__version__}"
    )
    table = "\n".join([*lines, "", f"Medians of warm calls, as pandas, through `.sync`; {counts}; {machine}."])
    (BENCH / "table.md").write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
