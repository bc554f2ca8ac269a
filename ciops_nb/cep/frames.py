"""The frames that a replay is given, checked and made ready: samples of metrics, events, relations."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import tzinfo
from typing import Any

import polars as pl

from ciops_nb.cep.events import Events
from ciops_nb.cep.samples import Samples
from ciops_nb.errors import BadParameter

__all__ = ["event_rows", "measured", "metric_rows", "moments", "relation_rows"]

_NOT_LABELS = ("ts", "metric", "value", "stale")
_NUMBER = "metric"  # the column that numbers the series of one metric: any name of a label could be there too


def _frame(given: Any, name: str, needed: tuple[str, ...], hint: str) -> pl.DataFrame:
    """*given* (polars or pandas) with the columns *needed*."""
    if isinstance(given, pl.LazyFrame):
        given = given.collect()
    if not isinstance(given, pl.DataFrame):
        if not hasattr(given, "columns"):
            raise BadParameter(name, type(given).__name__, "is not a frame", hint)
        given = pl.from_pandas(given)
    assert isinstance(given, pl.DataFrame)
    missing = [column for column in needed if column not in given.columns]
    if missing:
        raise BadParameter(name, given.columns, f"has no column {missing[0]!r}", hint)
    return given


def metric_rows(metrics: Any, zone: tzinfo) -> pl.DataFrame:
    """metric, ts (microseconds since 1970), value, stale, and a text column a label."""
    if metrics is None:
        return pl.DataFrame(schema={"metric": pl.String, "ts": pl.Int64, "value": pl.Float64, "stale": pl.Boolean})
    rows = _frame(metrics, "metrics", ("ts", "metric", "value"), "Give a frame with ts, metric, value and labels")
    value, dtype = pl.col("value"), rows["value"].dtype
    if not dtype.is_numeric() and dtype != pl.Null:
        raise BadParameter(
            "metrics", f"value: {dtype}", "is not a column of numbers", "Convert it; mark ends in 'stale'"
        )
    stale = pl.col("stale").fill_null(False) if "stale" in rows.columns else pl.lit(False)
    if "stale" in rows.columns and rows["stale"].dtype not in (pl.Boolean, pl.Null):
        raise BadParameter("metrics", f"stale: {metrics['stale'].dtype}", "is not true or false", "Make it boolean")
    labels = sorted(name for name in rows.columns if name not in _NOT_LABELS)
    chosen = rows.select(
        pl.col("metric").cast(pl.String),
        moments(rows["ts"], zone, "metrics").alias("ts"),
        value.cast(pl.Float64),
        stale.cast(pl.Boolean).alias("stale"),
        *(pl.col(name).cast(pl.String).fill_null("") for name in labels),
    )
    return chosen.filter(pl.col("ts").is_not_null() & (pl.col("value").is_not_null() | pl.col("stale")))


def event_rows(events: Any, zone: tzinfo) -> Events:
    """Events by time and then seq; without ``seq`` they keep the order in which they are given."""
    if events is None:
        return Events(pl.DataFrame(schema={"ts": pl.Int64, "seq": pl.Int64, "ci": pl.String, "type": pl.String}))
    events = _frame(events, "events", ("ts", "ci", "type"), "Give a frame with ts, seq, ci, type and further fields")
    if "seq" not in events.columns:
        events = events.with_columns(seq=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
    rows = events.with_columns(
        moments(events["ts"], zone, "events").alias("ts"), pl.col("ci", "type").cast(pl.String)
    ).filter(pl.col("ts").is_not_null())
    return Events(rows.sort("ts", "seq", maintain_order=True))


def relation_rows(relations: Any, zone: tzinfo) -> pl.DataFrame:
    """src (which depends on), dst, rel, valid_from and valid_to (microseconds since 1970; null is for ever)."""
    bounds = {"valid_from": pl.Int64(), "valid_to": pl.Int64()}
    if relations is None:
        return pl.DataFrame(schema={"src": pl.String(), "dst": pl.String(), "rel": pl.String(), **bounds})
    rows = _frame(relations, "relations", ("src", "dst"), "Give a frame with src (which depends on), dst and rel")
    rel = pl.col("rel").cast(pl.String) if "rel" in rows.columns else pl.lit(None, pl.String).alias("rel")
    times = [
        moments(rows[name], zone, "relations").alias(name) if name in rows.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in bounds.items()
    ]
    return rows.select(pl.col("src", "dst").cast(pl.String), rel, *times).drop_nulls(["src", "dst"])


def moments(column: pl.Series, zone: tzinfo, frame: str) -> pl.Series:
    """Microseconds since 1970."""
    name = column.name
    if column.dtype == pl.String:
        try:
            column = column.str.to_datetime(time_unit="us", time_zone="UTC")
        except pl.exceptions.PolarsError:
            raise BadParameter(frame, name, "has texts that are not times", "Give times with a zone") from None
    if isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone is None:
            told = column.dt.replace_time_zone(str(zone), ambiguous="null", non_existent="null")
            if told.null_count() > column.null_count():
                raise BadParameter(frame, name, f"has times that {zone} has twice or never", "Give times in UTC")
            column = told
        return column.dt.epoch("us")
    if column.dtype == pl.Null:
        return column.cast(pl.Int64)
    raise BadParameter(frame, f"{name}: {column.dtype}", "is not a column of times", "Give datetimes in UTC")


def measured(rows: pl.DataFrame) -> Callable[[str], Samples]:
    """The samples of a metric, read from the rows of ``metric_rows`` once."""
    names = [name for name in rows.columns if name not in _NOT_LABELS]
    return functools.cache(lambda metric: _samples(rows.filter(pl.col("metric") == metric), metric, names))


def _samples(rows: pl.DataFrame, metric: str, names: list[str]) -> Samples:
    if names:
        series = rows.select(names).unique().sort(names).with_row_index(_NUMBER)
        numbered = rows.drop("metric").join(series, on=names, how="left", maintain_order="left")
        labels = tuple(
            tuple((name, text) for name, text in zip(names, texts, strict=True) if text)
            for texts in series.select(names).iter_rows()
        )
    else:
        numbered, labels = rows.with_columns(pl.lit(0).alias(_NUMBER)), ((),) if rows.height else ()
    ordered = numbered.select(pl.col(_NUMBER).cast(pl.Int64), "ts", "value", "stale").sort(
        _NUMBER, "ts", maintain_order=True
    )
    last = (pl.col(_NUMBER) != pl.col(_NUMBER).shift(-1)) | (pl.col("ts") != pl.col("ts").shift(-1))
    kept = ordered.filter(last.fill_null(True))
    return Samples(
        metric,
        labels,
        kept[_NUMBER].to_numpy(),
        kept["ts"].to_numpy(),
        kept["value"].fill_null(float("nan")).to_numpy(),
        kept["stale"].to_numpy(),
    )
