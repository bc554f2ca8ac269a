"""Inventory: what is there, and what is not whole in it?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import polars as pl

from ciops_nb.errors import BadParameter
from ciops_nb.kinds import Fields, Range, Where
from ciops_nb.recipes.evidence import as_polars, call_id, counted, incomplete, listed
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.run import recipe

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["inventory"]

_BY = ("ci_type", "ci_subtype", "status", "criticality", "owner", "location")
_WANTED = ("owner", "location", "criticality")  # what someone asks for first when a CI fails
_MOST_LOOKED_AT = 20_000  # CIs whose relations are drawn into one graph


@recipe
async def inventory(
    ops: Ops, *, where: Where | None = None, by: Fields | None = None, metrics_in: Range = "last_7d"
) -> Findings:
    """What CIs are there, and what is missing about them?

    Args:
        where: Conditions on fields, such as ``{"ci_type": "HW"}``; None is all.
        by: The fields to count by; None is type, subtype, status, criticality, owner and location.
        metrics_in: The time range in which a CI should have points.
    """
    fields = list(_BY) if by is None else [by] if isinstance(by, str) else list(by)
    if not fields:
        raise BadParameter("by", by, "names no field", "Such as ci_type")
    everything, metrics, *counts = await asyncio.gather(
        ops.ci_list_preview(where=where, sort="ci_code", limit=None),
        ops.metric_list(),
        *(ops.ci_aggregate(field, where=where, top=None) for field in fields),
    )
    cis = as_polars(everything)
    codes = cis["ci_code"].to_list()
    calls = (call_id(everything),)
    if not codes:
        return Findings(Statement("No CI meets this.", calls), unknown=tuple(incomplete([everything])))
    names = as_polars(metrics)["metric"].to_list()
    points = await asyncio.gather(
        *(ops.metric_aggregate(name, where=where, time_range=metrics_in, agg="count", by="ci") for name in names)
    )
    alone, unseen, drawn = await _alone(ops, codes)
    measured = {code for answer in points for code in as_polars(answer)["ci_code"].to_list()}
    silent = [code for code in codes if code not in measured]
    lacking = [(field, cis.filter(pl.col(field).is_null())["ci_code"].to_list()) for field in _WANTED]
    statements = [
        Statement(f"By {field}: {_shares(as_polars(count))}.", (call_id(count),))
        for field, count in zip(fields, counts, strict=True)
    ]
    statements += [
        Statement(f"{counted(len(some), 'CI')} without {field}: {listed(some)}.", calls)
        for field, some in lacking
        if some
    ]
    if alone:
        statements.append(Statement(f"{counted(len(alone), 'CI')} without any relation: {listed(alone)}.", drawn))
    if names:
        ids = tuple(call_id(answer) for answer in points)
        text = f"{len(silent):,} of {counted(len(codes), 'CI')} have no points in {metrics_in}"
        statements.append(
            Statement(f"{text}: {listed(silent)}." if silent else f"All CIs have points in {metrics_in}.", ids)
        )
    unknown = [*incomplete([everything, metrics, *counts, *points])]
    if unseen:
        unknown.append(Statement(f"Relations were not looked at: {unseen}.", calls))
    return Findings(
        Statement(f"{counted(len(codes), 'CI')}: {_shares(as_polars(counts[0]))}.", (*calls, call_id(counts[0]))),
        tuple(statements),
        tuple(Section(f"By {field}", count, (call_id(count),)) for field, count in zip(fields, counts, strict=True)),
        unknown=tuple(unknown),
    )


async def _alone(ops: Ops, codes: list[str]) -> tuple[list[str], str, tuple[str, ...]]:
    """The CIs without a relation, or why they are not known; and the call it rests on."""
    if len(codes) > _MOST_LOOKED_AT:
        return [], f"there are more than {_MOST_LOOKED_AT:,} CIs", ()
    graph = await ops.graph_expand(codes, view="summary", depth=0, max_nodes=len(codes))
    outside = {entry["ci_code"] for entry in graph.graph["frontier"]}
    alone = [code for code in codes if code not in outside and graph.degree(code) == 0]
    return alone, "", (call_id(graph),)


def _shares(count: pl.DataFrame) -> str:
    rows = count.rows()
    shown = [f"{'none' if value is None else value} ({n:,})" for value, n in rows[:8]]
    return listed(shown) + (f", and {len(rows) - 8} more" if len(rows) > 8 else "")
