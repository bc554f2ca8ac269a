"""What happens around a call, measured: the layers over the bare tool, a hit of the cache, and a whole triage.

Part of ``make bench``; awaited on the home loop, so that the crossing, which ``crossing`` measures, is not in it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

import ciops_nb as ciops
from ciops_nb import sync
from ciops_nb.tools.ci import ci_get_by_code

CODE, AT = "app-erp-01", datetime(2026, 3, 8, 12, tzinfo=UTC)
TURNS = 400


async def medians(*asked: Callable[[], Awaitable[Any]], turns: int = TURNS) -> list[float]:
    """The median milliseconds of each, taking turns, after a tenth that is not counted."""
    took: list[list[float]] = [[] for _ in asked]
    for turn in range(turns + turns // 10):
        for kept, ask in zip(took, asked, strict=True):
            began = time.perf_counter()
            await ask()
            if turn >= turns // 10:
                kept.append((time.perf_counter() - began) * 1e3)
    return [statistics.median(kept) for kept in took]


async def layers(estate: Any) -> float:
    """Milliseconds that all layers add to a tool."""
    with ciops.connect(estate, frames="polars") as ops:
        ops.cache.configure(ttl=0)
        await ops.ci_get_by_code(CODE)
        ctx = ops._first.context(await ops.now(), ops.tz)  # the very context that the layers hand to the tool
        bare, whole = await medians(lambda: ci_get_by_code(ctx, CODE, as_of=ctx.now), lambda: ops.ci_get_by_code(CODE))
        return whole - bare


async def hit(estate: Any) -> float:
    """Milliseconds to a kept answer of a thousand rows, as pandas."""
    with ciops.connect(estate) as ops:
        found = await ops.ci_list_preview(limit=1000)
        assert len(found) == 1000
        (took,) = await medians(lambda: ops.ci_list_preview(limit=1000))
        assert ciops.provenance(await ops.ci_list_preview(limit=1000)).cached
        return took


async def triage(estate: Any) -> tuple[float, float]:
    """Milliseconds of a triage, and of the slowest chain of the same questions asked raw of polars."""
    with ciops.connect(estate) as ops:
        ops.cache.configure(ttl=0)
        run = await ops.run("triage", ci=CODE, at=AT)
        assert run.status == "done", run
        read = next(call.answer.rows for call in run.recorded if call.call.tool == "metric_series_table")
        raw = await _chain(estate, ops, read)

        async def chain() -> None:
            for stage in raw:  # a stage waits for the slowest of its questions; the others are done by then
                await sync.in_thread(stage)

        ours, theirs = await medians(lambda: ops.run("triage", ci=CODE, at=AT), chain, turns=20)
        return ours, theirs


async def _chain(estate: Any, ops: ciops.Ops, read: int | None) -> list[Callable[[], Any]]:
    """One question of each stage of a triage, the slowest of its stage, each with the machine to itself.

    The graph upstream; then the history or the points around, of all metrics in one scan, as somebody would ask who knows
    that one scan for nine metrics costs less than nine; then which points are out of the normal range of their series.
    What changed, redundancy, counters, gaps, the ranking, words and evidence are left out: they are what triage adds.
    """
    graphs = [await ops.graph_expand(CODE, view=view, depth=3, as_of=AT) for view in ("dependency", "impact")]
    around = pl.Series(sorted({ci_id for graph in graphs for _, ci_id in graph.nodes(data="ci_id")}))
    relations, metric = pl.scan_parquet(estate / "relation.parquet"), pl.scan_parquet(estate / "metric")
    root = (await ops.ci_get_by_code(CODE))["ci_id"].iloc[0]

    def expand() -> pl.DataFrame:
        seen = pl.Series([root])
        for _ in range(3):
            found = relations.filter(pl.col("source_id").is_in(seen.implode())).select("target_id").collect()
            seen = pl.concat([seen, found["target_id"]]).unique()
        return relations.filter(pl.col("source_id").is_in(seen.implode())).collect()

    def history() -> pl.DataFrame:
        span = pl.col("ts").is_between(AT - timedelta(hours=6), AT + timedelta(hours=1))
        return pl.scan_parquet(estate / "event.parquet").filter(span, pl.col("ci_id").is_in(around.implode())).collect()

    def points() -> pl.DataFrame:
        span = (pl.col("ts") >= AT - timedelta(hours=26)) & (pl.col("ts") < AT + timedelta(hours=1))
        return metric.filter(span, pl.col("ci_id").is_in(around.implode())).sort("ts", "ci_id", "metric").collect()

    found = points()
    assert found.height == read, "what was asked raw is something else"

    def out_of_range() -> pl.DataFrame:
        key, value, start = ["ci_id", "metric", "series"], pl.col("value"), AT - timedelta(hours=2)
        usual = found.filter(pl.col("ts") < start).group_by(key).agg(
            before=value.median(), spread=(value - value.median()).abs().median() * 1.4826
        )  # fmt: skip
        score = (value - pl.col("before")) / pl.col("spread")
        return found.filter(pl.col("ts") >= start).join(usual, on=key).filter(score.abs() >= 4).sort(*key, "ts")

    return [expand, _slowest([history, points]), out_of_range]


def _slowest(questions: Iterable[Callable[[], Any]]) -> Callable[[], Any]:
    def took(question: Callable[[], Any]) -> float:
        question()
        began = time.perf_counter()
        question()
        return time.perf_counter() - began

    return max(questions, key=took)


def lines(estate: Any) -> list[str]:
    """Rows for the table of ``make bench``."""

    async def measure() -> tuple[float, float, tuple[float, float]]:
        return await layers(estate), await hit(estate), await triage(estate)

    added, kept, (ours, theirs) = sync.run(measure())

    def met(good: bool) -> str:
        return "yes" if good else "no"

    return [
        f"| all layers over the bare tool | {added:.2f} | | | 0.5 ms | {met(added <= 0.5)} |",
        f"| an answer from the cache, 1,000 rows | {kept:.2f} | | | 0.2 ms | {met(kept <= 0.2)} |",
        f"| triage, beside its slowest chain of raw questions | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} | 1.3x | {met(ours <= 1.3 * theirs)} |",
    ]
