"""What happened: events, changes, maintenance and incidents in one frame."""

from __future__ import annotations

from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb import sync
from ciops_nb.context import Context, Frame
from ciops_nb.engines.protocol import LazyFrame
from ciops_nb.errors import BadParameter
from ciops_nb.estate.schema import DTYPES
from ciops_nb.estate.times import TimeRange
from ciops_nb.parameters import choose, several
from ciops_nb.registry import tool
from ciops_nb.tools.scope import ci_rows, read_tables, scope_ids, with_codes

__all__ = ["RECORDS", "history_recent"]

# Our column of each kind's table; a kind without such a column has null there.
_TOLD = {"type": "type", "title": "title", "detail": "detail"}
_LASTS = {"start_at": "start_at", "end_at": "end_at", "result": "result"}
RECORDS: dict[str, dict[str, str]] = {
    "event": {**_TOLD, "start_at": "ts", "severity": "severity", "actor": "source", "record_id": "event_id"},
    "change": {**_TOLD, **_LASTS, "actor": "requested_by", "record_id": "change_id"},
    "maintenance": {**_TOLD, **_LASTS, "actor": "performer", "record_id": "maintenance_id"},
    "incident": {
        "start_at": "opened_at", "end_at": "resolved_at", "severity": "severity", "title": "title",
        "record_id": "incident_id",
    },
}  # fmt: skip
_COLUMNS = {
    "start_at": "time", "end_at": "time", "kind": "text", "type": "text", "ci_code": "text", "severity": "int",
    "title": "text", "detail": "text", "actor": "text", "result": "text", "record_id": "text",
}  # fmt: skip


@tool(version=1, work=read_tables("event", "change", "maintenance", "incident"))
async def history_recent(
    ctx: Context,
    ci: Any = None,
    *,
    where: dict[str, Any] | None = None,
    time_range: Any = "last_7d",
    kinds: str | list[str] | None = None,
    min_severity: int | None = None,
    limit: int | None = 200,
) -> Frame:
    """Get events, changes, maintenance and incidents, the newest first.

    Args:
        ci: Only these: a code, codes, a frame with ci_code, or a graph; None is all, records without a CI included.
        where: Conditions on fields of the CIs, as they are now (ended CIs as they last were).
        time_range: A time range, half-open. What lasts counts where it overlaps; without an end it still goes on.
        kinds: event, change, maintenance, incident, or a list of them; None is all.
        min_severity: Only records of at least this severity (5 is the worst). Changes and maintenance have none, so
            they are left out then, with a warning that says how many.
        limit: At most so many rows, the newest; None is all.

    Returns:
        A frame with start_at, end_at, kind, type, ci_code, severity, title, detail, actor, result, record_id.
    """
    asked = list(RECORDS) if kinds is None else several("kinds", kinds, f"Choose from {', '.join(RECORDS)}")
    for kind in asked:
        choose("kinds", kind, tuple(RECORDS))
    if min_severity is not None and (
        isinstance(min_severity, bool) or not isinstance(min_severity, int) or not 1 <= min_severity <= 5
    ):
        raise BadParameter("min_severity", min_severity, "is not a severity", "Give a whole number from 1 to 5")
    ids = await scope_ids(ctx, ci, where)
    span = ctx.range(time_range)
    known = []
    for kind in dict.fromkeys(asked):
        if not ctx.tables.has(kind):
            ctx.warn(f"this estate has no table {kind!r}: nothing is known of it")
            continue
        known.append(kind)
    # All are written before any is asked: one that is asked may keep others from being written on its connection.
    queries = [ctx.run(_records(ctx, kind, ids, span)) for kind in known]
    parts = [_shape(rows, kind) for rows, kind in zip(await sync.together(*queries), known, strict=True)]
    schema = {name: DTYPES[kind] for name, kind in _COLUMNS.items()}
    rows = (
        pl.concat(parts)
        if parts
        else pl.DataFrame(schema={**{k: v for k, v in schema.items() if k != "ci_code"}, "ci_id": pl.String()})
    )
    if min_severity is not None:
        without = rows.filter(pl.col("severity").is_null()).height
        if without:
            ctx.warn(f"{without} records have no severity and are not shown under min_severity={min_severity}")
        rows = rows.filter(pl.col("severity") >= min_severity)
    named = await with_codes(ctx, rows)
    ordered = named.sort(
        "start_at", "kind", "record_id", "ci_code", descending=[True, False, False, False], nulls_last=True
    )
    return ctx.cut(ordered.select(list(_COLUMNS)), limit=limit)


def _records(ctx: Context, kind: str, ids: list[str] | None, span: TimeRange) -> LazyFrame:
    rows = ci_rows(ctx, ctx.tables.table(kind), ids)
    start, end = (RECORDS[kind].get(name) for name in ("start_at", "end_at"))
    assert start is not None
    if span.end is not None:
        rows = rows.filter(nw.col(start) < nw.lit(span.end))
    if span.start is not None:
        within = nw.col(start) >= nw.lit(span.start)
        if end is not None:
            within = within | nw.col(end).is_null() | (nw.col(end) > nw.lit(span.start))
        rows = rows.filter(within)
    return rows


def _shape(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    source = RECORDS[kind]
    return rows.select(
        *(
            pl.lit(kind).alias(name)
            if name == "kind"
            else pl.col(source[name]).alias(name)
            if name in source
            else pl.lit(None, DTYPES[column]).alias(name)
            for name, column in _COLUMNS.items()
            if name != "ci_code"
        ),
        "ci_id",
    )
