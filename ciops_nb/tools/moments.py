"""When what some CIs are, or how they hang together, changed. Not a tool of the analyst's: an explorer steps by it."""

from __future__ import annotations

from functools import partial
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb.context import Context, Frame
from ciops_nb.estate.schema import DTYPES
from ciops_nb.registry import Tool
from ciops_nb.tools.scope import codes_of

__all__ = ["graph_moments"]


@partial(Tool, version=1, ttl=300.0, timeout=300.0)  # not @tool: it is not listed among them
async def graph_moments(ctx: Context, ci: Any, *, since: Any = None) -> Frame:
    """List the moments at which a version of these CIs, or of a relation of theirs, began or ended.

    Args:
        ci: Codes, a frame with ci_code, or a graph.
        since: Codes: nothing before the first of these CIs came to be is listed.

    Returns:
        A frame with ts, cis and relations (how many changed, came or went then), oldest first, none later than now.
    """
    codes = codes_of(ci)
    cis = await ctx.run(
        ctx.tables.table("ci")
        .filter(nw.col("ci_code").is_in(codes))
        .select("ci_id", "ci_code", "valid_from", "valid_to")
    )
    ids = cis["ci_id"].unique().to_list()
    relations = await ctx.run(
        ctx.tables.table("relation")
        .filter(nw.col("source_id").is_in(ids) | nw.col("target_id").is_in(ids))
        .select("source_id", "target_id", "relation_type", "valid_from", "valid_to")
    )
    began = cis if since is None else cis.filter(pl.col("ci_code").is_in(codes_of(since)))
    first = began["valid_from"].min() if began.height and not began["valid_from"].null_count() else None
    found = (
        pl.concat(
            [_ends(cis, "cis", "ci_id"), _ends(relations, "relations", "source_id", "target_id", "relation_type")]
        )
        .filter(pl.col("ts") <= ctx.now, True if first is None else pl.col("ts") >= first)
        .group_by("ts")
        .agg((pl.col("what") == what).sum().cast(pl.Int64).alias(what) for what in ("cis", "relations"))
        .sort("ts")
    )
    ctx.notes.total = found.height
    return found


def _ends(versions: pl.DataFrame, what: str, *key: str) -> pl.DataFrame:
    """When something of each *key* began or ended, once a moment."""
    ends = [versions.select(*key, pl.col(name).cast(DTYPES["time"]).alias("ts")) for name in ("valid_from", "valid_to")]
    return pl.concat(ends).drop_nulls("ts").unique().select("ts", pl.lit(what).alias("what"))
