"""Questions about the estate itself."""

from __future__ import annotations

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb import sync
from ciops_nb.context import Context, Frame
from ciops_nb.estate.schema import DTYPES, TABLES
from ciops_nb.registry import tool

__all__ = ["estate", "tenants"]


@tool(version=1)
async def estate(ctx: Context) -> Frame:
    """Describe the tables of the tenant. The data version is in the provenance.

    Returns:
        A frame with table, present, rows, first_at and last_at (of the time a table is told by; null where it has
        none), in the order of the schema.
    """
    made = []
    for table in TABLES.values():
        rows = ctx.tables.table(table.name)
        span = (
            [nw.col(table.time).min().alias("first_at"), nw.col(table.time).max().alias("last_at")]
            if table.time
            else []
        )
        found = (await ctx.run(rows.select(nw.len().alias("rows"), *span))).row(0, named=True)
        made.append(
            {"table": table.name, "present": ctx.tables.has(table.name), "first_at": None, "last_at": None, **found}
        )
    ctx.notes.total = len(made)
    schema = {
        "table": pl.String(),
        "present": pl.Boolean(),
        "rows": pl.Int64(),
        "first_at": DTYPES["time"],
        "last_at": DTYPES["time"],
    }
    return pl.DataFrame(made, schema=schema)


@tool(version=1)
async def tenants(ctx: Context) -> Frame:
    """List the tenants of the estate, by name only: nothing else of another tenant can be asked here.

    Returns:
        A frame with tenant_id, sorted.
    """
    names = await sync.in_thread(ctx.tenants)
    ctx.notes.total = len(names)
    return pl.DataFrame({"tenant_id": names}, schema={"tenant_id": pl.String()})
