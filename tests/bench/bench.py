"""``make bench``: each question beside the same one asked raw of polars, on a large estate, in one run.

The estate (100,000 CIs, 10 million points) is made once by the generator and kept in ``.bench``. A figure is the median
of warm calls; tool and raw question take turns, so that a machine whose speed drifts is unfair to neither.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

import ciops_nb as ciops
from ciops_nb.estate.generate import generate

BENCH = Path(".bench")
ESTATE = BENCH / "estate-100k-500k"
TURNS = 40
CODE, METRIC, SERVER = "app-erp-01", "cpu_usage", "srv-erp-01"
DAY = (datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC))


def take_turns(tool: Callable[[], Any], raw: Callable[[], Any]) -> tuple[float, float]:
    """The medians of both in milliseconds, after two warm-ups."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(TURNS + 2):
        for kept, ask in zip(times, (tool, raw), strict=True):
            began = time.perf_counter()
            ask()
            if turn > 1:
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


def main() -> None:
    if not ESTATE.exists():
        BENCH.mkdir(exist_ok=True)
        generate(ESTATE, cis=100_000, relations=500_000, days=3, every_minutes=85)
    ci = pl.scan_parquet(ESTATE / "ci.parquet")
    metric = pl.scan_parquet(ESTATE / "metric")
    relations = pl.scan_parquet(ESTATE / "relation.parquet")
    ops = ciops.connect(ESTATE)
    sizes = dict(ops.estate.sync().set_index("table")["rows"])
    now = datetime(2026, 3, 9, tzinfo=UTC)
    valid = (pl.col("valid_from") <= now) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > now))
    server_id = ops.ci_get_by_code.sync(SERVER)["ci_id"].iloc[0]
    text = pl.concat_str("ci_code", "ci_name", "ci_type", "ci_subtype", "ci_category", separator=" ").str.to_lowercase()

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

    questions: list[tuple[str, str, Callable[[], Any], Callable[[], Any]]] = [
        (
            "ci_get_by_code", "1 ms",
            lambda: ops.ci_get_by_code.sync(CODE),
            lambda: ci.filter((pl.col("ci_code") == CODE) & valid).collect(),
        ),
        (
            "ci_search, two words", "15 ms",
            lambda: ops.ci_search.sync("crm db"),
            lambda: ci.filter(valid, text.str.contains("crm", literal=True), text.str.contains("db", literal=True)).collect(),
        ),
        (
            "ci_aggregate by ci_type", "2x + 1 ms",
            lambda: ops.ci_aggregate.sync("ci_type"),
            lambda: ci.filter(valid).group_by("ci_type").len().sort("len", descending=True).collect(),
        ),
        (
            "metric_series_table, one series, one day", "2x + 2 ms",
            lambda: ops.metric_series_table.sync(METRIC, SERVER, time_range=DAY),
            lambda: metric.filter(
                pl.col("metric") == METRIC, pl.col("ci_id") == server_id, pl.col("ts") >= DAY[0], pl.col("ts") < DAY[1]
            ).sort("ts").collect(),
        ),
        (
            "graph_expand, depth 3, 1,000 nodes", "30 ms",
            lambda: ops.graph_expand.sync(CODE, depth=3, max_nodes=1000),
            raw_expand,
        ),
    ]  # fmt: skip
    lines = ["| question | ours, ms | raw polars, ms | ratio | goal |", "|---|---|---|---|---|"]
    for name, goal, tool, raw in questions:
        ours, theirs = take_turns(tool, raw)
        lines.append(f"| {name} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} | {goal} |")
    lines += [
        f"| import of the package | {import_seconds() * 1e3:.0f} | | | 400 ms |",
        f"| fresh process to the first answer | {connect_seconds() * 1e3:.0f} | | | |",
    ]
    counts = f"{sizes['ci']:,} CIs, {sizes['relation']:,} relations, {sizes['metric']:,} points"
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, polars {pl.__version__}"
    )
    table = "\n".join([*lines, "", f"{counts}; {machine}."])
    (BENCH / "table.md").write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
