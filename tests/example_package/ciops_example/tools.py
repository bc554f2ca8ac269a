"""Questions about owners."""

from __future__ import annotations

import narwhals.stable.v2 as nw
import polars as pl

import ciops_nb as ciops


@ciops.tool
async def ci_owners(ctx: ciops.Context, *, least: int = 1) -> pl.DataFrame:
    """Who owns how many CIs?

    Args:
        least: Only owners of so many.

    Returns:
        A frame with owner and n, by owner.
    """
    rows = ctx.tables.table("ci").group_by("owner").agg(n=nw.len()).filter(nw.col("n") >= least)
    return (await ctx.run(rows)).sort("owner").with_columns(pl.col("n").cast(pl.Int64))
