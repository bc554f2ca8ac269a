"""Alerts for which nobody would have been called, since their CI was in maintenance all the while."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from ciops_nb.cep.answer import EVIDENCE
from ciops_nb.cep.samples import NEVER
from ciops_nb.estate.times import micros

__all__ = ["WINDOWS", "in_maintenance", "merged"]

WINDOWS = {
    "id": pl.String(), "ci": pl.String(), "start_at": pl.Datetime("us", "UTC"), "end_at": pl.Datetime("us", "UTC"),
}  # fmt: skip


def in_maintenance(alerts: pl.DataFrame, maintenance: pl.DataFrame, last: datetime) -> pl.DataFrame:
    """*alerts* with what was announced for their CIs.

    An alert whose firing time lies wholly within maintenance is ``suppressed``: a silence held it back until it was
    over. One that fires before, or goes on after, stays ``fired``: it would have paged then. Each names the
    maintenance that it meets in its evidence, as the step ``maintenance``.

    Args:
        alerts: A frame of ``replay``.
        maintenance: The columns of WINDOWS; half-open, and without an end it goes on. Windows that touch are one.
        last: The last tick: an alert that has not ended was seen on until there.
    """
    numbered = alerts.with_row_index("of")
    fired = numbered.filter(pl.col("status") == "fired").select(
        "of",
        "ci",
        since=pl.col("fired_at").dt.epoch("us"),
        until=pl.col("ended_at").dt.epoch("us").fill_null(micros(last) + 1),
    )
    met = fired.join(_whole(maintenance), on="ci").filter(
        pl.col("end") > pl.col("since"), pl.col("start") < pl.col("until")
    )
    if not met.height:
        return alerts
    covered = fired.join(merged(maintenance), on="ci").filter(
        pl.col("start") <= pl.col("since"), pl.col("end") >= pl.col("until")
    )
    nothing = (pl.lit(None, dtype).alias(name) for name, dtype in (("metric", pl.String), ("value", pl.Float64)))
    records = (
        met.sort("of", "start", "id")
        .select(
            "of",
            told=pl.struct(
                pl.lit("maintenance").alias("step"),
                pl.col("id").alias("record_id"),
                pl.col("start_at").alias("ts"),
                pl.col("ci").alias("ci_code"),
                *nothing,
                pl.lit(None, pl.Int64).alias("hops"),
            ).cast(EVIDENCE),
        )
        .group_by("of", maintain_order=True)
        .agg("told")
    )
    held_back = pl.col("of").is_in(covered["of"].implode())
    return (
        numbered.join(records, on="of", how="left", maintain_order="left")
        .with_columns(
            status=pl.when(held_back).then(pl.lit("suppressed")).otherwise("status"),
            evidence=pl.when(pl.col("told").is_null())
            .then("evidence")
            .otherwise(pl.concat_list("evidence", pl.col("told"))),
        )
        .drop("of", "told")
    )


def merged(maintenance: pl.DataFrame) -> pl.DataFrame:
    """Windows that do not touch: ci, start, end (microseconds since 1970), by ci and start."""
    ordered = _whole(maintenance).sort("ci", "start", "end")
    before = pl.col("end").cum_max().shift(1).over("ci")
    fresh = (before.is_null() | (pl.col("start") > before)).alias("fresh")
    return (
        ordered.with_columns(fresh)
        .with_columns(pl.col("fresh").cum_sum().alias("window"))
        .group_by("ci", "window")
        .agg(pl.col("start").min(), pl.col("end").max())
        .sort("ci", "start")
        .drop("window")
    )


def _whole(maintenance: pl.DataFrame) -> pl.DataFrame:
    """Windows that have a CI, a start, and are not over before they begin."""
    return maintenance.with_columns(
        start=pl.col("start_at").dt.epoch("us"), end=pl.col("end_at").dt.epoch("us").fill_null(NEVER)
    ).filter(pl.col("ci").is_not_null(), pl.col("start") < pl.col("end"))
