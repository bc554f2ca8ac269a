"""What changed: the history around a CI, ranked by when, how far away and how risky it was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl

from ciops_nb.estate.times import format_time, parse_duration, parse_time, shift
from ciops_nb.kinds import Between, CiCode, Length, Moment
from ciops_nb.recipes.evidence import as_polars, call_id, counted, incomplete
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.run import recipe
from ciops_nb.tools.params import told

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["rank_changes", "ranked_section", "told_record", "what_changed"]

_MOST_TOLD = 6
# What is done to a CI says more than what is said of it; of a change that failed one must think the worst.
_RISK = {"change": 0.7, "maintenance": 0.5}
_FAILED = 1.0
_HALVES = 4  # how often the weight halves within the window


@recipe
async def what_changed(
    ops: Ops,
    ci: CiCode,
    *,
    at: Moment | None = None,
    window: Length = "24h",
    depth: Annotated[int, Between(0, 6)] = 3,
) -> Findings:
    """What changed near a CI before some moment, the likeliest to matter first?

    Args:
        ci: Code of the CI.
        at: The moment, such as ``2026-03-02T10:00Z``; None is now.
        window: How long before it to look, such as ``24h`` or ``90m``.
        depth: How many hops upstream, to what the CI needs, 6 at most.
    """
    moment = await ops.now() if at is None else parse_time(at, tz=ops.tz, name="at")
    length = parse_duration(window, name="window")
    start = shift(moment, -length, "window", window)
    needed = await ops.graph_expand(ci, view="dependency", depth=depth, as_of=moment)
    history = await ops.history_recent(list(needed), time_range=(start, moment), limit=None)
    hops = {code: data["hops"] for code, data in needed.nodes(data=True)}
    ranked = rank_changes(as_polars(history), hops, at=moment, window=length)
    calls = (call_id(needed), call_id(history))
    about = f"{ci} in the {told(window)} before {format_time(moment)}"
    first = ranked.row(0, named=True) if ranked.height else None
    headline = (
        f"{about}: nothing is recorded for it and the {counted(len(hops) - 1, 'CI')} it needs."
        if first is None
        else f"{about}: {told_record(first)} comes first of {counted(ranked.height, 'record')}."
    )
    unknown = [*incomplete([needed, history])]
    if needed.graph["frontier"]:
        further = counted(len(needed.graph["frontier"]), "CI")
        unknown.append(Statement(f"{further} have further neighbours that were not looked at.", calls[:1]))
    unknown.append(Statement("What is not recorded as a change, event or maintenance is not seen here.", calls[1:]))
    return Findings(
        Statement(headline, calls),
        tuple(Statement(f"{told_record(row)}.", calls) for row in ranked.head(_MOST_TOLD).iter_rows(named=True)),
        (
            ranked_section("Ranked", ranked, calls),
            Section("When", history, calls[1:], picture="timeline", options={"at": moment}),
        ),
        unknown=tuple(unknown),
        next_steps=()
        if first is None
        else (Statement(f"Triage {ci} at {format_time(moment)}: did its metrics move after that?", calls),),
    )


def rank_changes(history: pl.DataFrame, hops: Mapping[str, int], *, at: datetime, window: timedelta) -> pl.DataFrame:
    """The records of *history* by how likely they have to do with what is seen at *at*.

    score = time x distance x risk. *time* halves with each quarter of the window that lies between the start of a
    record and *at*: most incidents follow their change soon, but not all. *distance* is 1 / (1 + hops). *risk* is 1 for
    a change or maintenance that failed, else 0.7 for a change and 0.5 for maintenance, and a tenth of the severity for
    events and incidents, which tell of a state and do not make one. The weights are our choice, not measured; each is
    shown.

    Args:
        history: A frame of ``history_recent``.
        hops: How far upstream each CI is.
        at: The moment.
        window: How long before it was looked.

    Returns:
        The frame's start_at, kind, type, ci_code, severity, title, result, record_id, then hops, time, distance, risk
        and score, the highest first, ties by time (the latest first), then record.
    """
    known = history.filter(pl.col("start_at") <= at, pl.col("ci_code").is_in(list(hops)))
    age = (pl.lit(at) - pl.col("start_at")).dt.total_microseconds() / (window / timedelta(microseconds=1))
    failed = pl.col("result").str.to_lowercase().str.contains("fail").fill_null(False)
    risk = (
        pl.when(failed).then(_FAILED)
        .when(pl.col("kind").is_in(list(_RISK))).then(pl.col("kind").replace_strict(_RISK, default=0.0))
        .otherwise(pl.col("severity").fill_null(1) / 10)
    )  # fmt: skip
    return (
        known.select("start_at", "kind", "type", "ci_code", "severity", "title", "result", "record_id")
        .with_columns(hops=pl.col("ci_code").replace_strict(dict(hops), return_dtype=pl.Int64, default=None))
        .with_columns(time=0.5 ** (age * _HALVES), distance=1 / (1 + pl.col("hops")), risk=risk.cast(pl.Float64))
        .with_columns(score=pl.col("time") * pl.col("distance") * pl.col("risk"))
        .sort("score", "start_at", "record_id", descending=[True, True, False])
    )


def ranked_section(title: str, ranked: pl.DataFrame, calls: tuple[str, ...]) -> Section:
    """The records as ``rank_changes`` ranked them, and what the score is."""
    return Section(title, ranked, calls, text="score = time x distance x risk, each between 0 and 1.")


def told_record(row: Mapping[str, Any]) -> str:
    """One record of ``rank_changes`` in words."""
    away = f" ({counted(row['hops'], 'hop')} upstream)" if row["hops"] else ""
    # What somebody does has a result, which may not be known; an event or incident has none.
    known = row["result"] or ("result not known" if row["kind"] in _RISK else None)
    result = f" ({known})" if known else ""
    title = row["title"] or row["type"] or "no title"
    what = f"{row['kind']} {row['record_id']} on {row['ci_code']}{away}"
    return f"{what} at {format_time(row['start_at'])}: {title}{result}"
