"""The frames that a replay is given, checked and made ready: samples of metrics, events, relations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import numpy as np
import polars as pl

from ciops_nb.cep.events import Events
from ciops_nb.cep.samples import NEVER, Ints, Labels, Samples
from ciops_nb.errors import BadParameter, BadRule
from ciops_nb.estate.times import micros

__all__ = ["arrived", "event_rows", "measured", "metric_rows", "moments", "relation_rows"]

_NOT_LABELS = ("ts", "metric", "value", "stale")
_FIRST, _LAST = micros(datetime.min.replace(tzinfo=UTC)), micros(datetime.max.replace(tzinfo=UTC))
_NUMBER = "metric"  # the column that numbers the series of one metric: any name of a label could be there too


def _frame(given: Any, name: str, needed: tuple[str, ...], hint: str) -> pl.DataFrame:
    """*given* (polars or pandas) with the columns *needed*."""
    if isinstance(given, pl.LazyFrame):
        given = given.collect()
    if not isinstance(given, pl.DataFrame):
        if not hasattr(given, "columns"):
            raise BadParameter(name, type(given).__name__, "is not a frame", hint)
        given = _of_pandas(given, name)
    assert isinstance(given, pl.DataFrame)
    missing = [column for column in needed if column not in given.columns]
    if missing:
        raise BadParameter(name, given.columns, f"has no column {missing[0]!r}", hint)
    return given


def _of_pandas(given: Any, name: str) -> pl.DataFrame:
    import pyarrow as pa  # only who has pandas needs it here

    try:
        return pl.from_pandas(given)  # type: ignore[no-any-return, unused-ignore]
    except ValueError as error:
        twice = sorted({str(column) for column in given.columns[given.columns.duplicated()]})
        problem = f"has two columns {twice[0]!r}" if twice else f"cannot be read: {str(error).splitlines()[0]}"
    except (TypeError, pa.ArrowException) as error:
        problem = f"has a column of values of several kinds: {str(error).splitlines()[0]}"
    raise BadParameter(name, type(given).__name__, problem, "Give each column one name and one type")


def _check_texts(rows: pl.DataFrame, names: Iterable[str], frame: str) -> None:
    """That columns can be read as texts."""
    for name in names:
        dtype = rows.schema[name]
        if dtype.is_nested() or dtype in (pl.Object, pl.Binary):
            hint = "Leave it out, or make it a column of texts"
            raise BadParameter(frame, f"{name}: {dtype}", "is not a column of texts or numbers", hint)


def metric_rows(metrics: Any, zone: tzinfo, arrivals: Sequence[str] = ()) -> pl.DataFrame:
    """metric, ts (microseconds since 1970), value, stale, and a text column a label.

    Columns that *arrivals* names are no labels but times; they are called as ``_arrival`` says.
    """
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
    times = [name for name in arrivals if name in rows.columns and name not in _NOT_LABELS]
    labels = sorted(name for name in rows.columns if name not in _NOT_LABELS and name not in times)
    _check_texts(rows, ["metric", *labels], "metrics")
    texts = [pl.col(name).cast(pl.String) for name in labels]
    chosen = rows.select(
        pl.col("metric").cast(pl.String),
        moments(rows["ts"], zone, "metrics").alias("ts"),
        value.cast(pl.Float64),
        stale.cast(pl.Boolean).alias("stale"),
        *(text.fill_null("") if rows[name].null_count() else text for name, text in zip(labels, texts, strict=True)),
        *(moments(rows[name], zone, "metrics").alias(_arrival(name)) for name in times),
    )
    if chosen["ts"].null_count() or chosen["value"].null_count():  # to filter is to copy
        chosen = chosen.filter(pl.col("ts").is_not_null() & (pl.col("value").is_not_null() | pl.col("stale")))
    if nameless := chosen["metric"].null_count():
        raise BadParameter("metrics", "metric", f"is null in {nameless:,} rows", "Name the metric of each sample")
    return chosen


def _arrival(column: str) -> str:
    return f"\0{column}"  # no label is called so


def event_rows(events: Any, zone: tzinfo) -> Events:
    """Events by time and then seq; without ``seq`` they keep the order in which they are given."""
    if events is None:
        return Events(pl.DataFrame(schema={"ts": pl.Int64, "seq": pl.Int64, "ci": pl.String, "type": pl.String}))
    events = _frame(events, "events", ("ts", "ci", "type"), "Give a frame with ts, seq, ci, type and further fields")
    if "seq" not in events.columns:
        events = events.with_columns(seq=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
    _check_texts(events, ["seq", "ci", "type"], "events")
    rows = events.with_columns(
        moments(events["ts"], zone, "events").alias("ts"), pl.col("ci", "type").cast(pl.String)
    ).filter(pl.col("ts").is_not_null())
    return Events(rows.sort("ts", "seq", maintain_order=True))


def arrived(events: Events, column: str, zone: tzinfo) -> Events:
    """*events* with *column* as the time at which each came in."""
    if column not in events.frame.columns:
        if len(events):
            events.check(column, "data_as_of")
        return events
    times = moments(events.frame[column], zone, "events")
    return Events(events.frame, times.fill_null(NEVER).to_numpy())


def relation_rows(relations: Any, zone: tzinfo) -> pl.DataFrame:
    """src (which depends on), dst, rel, valid_from and valid_to (microseconds since 1970; null is for ever)."""
    bounds = {"valid_from": pl.Int64(), "valid_to": pl.Int64()}
    if relations is None:
        return pl.DataFrame(schema={"src": pl.String(), "dst": pl.String(), "rel": pl.String(), **bounds})
    rows = _frame(relations, "relations", ("src", "dst"), "Give a frame with src (which depends on), dst and rel")
    _check_texts(rows, [name for name in ("src", "dst", "rel") if name in rows.columns], "relations")
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
        found = column.dt.epoch("us")
        if found.is_between(_FIRST, _LAST).not_().any():
            raise BadParameter(frame, name, "has times outside of the calendar", "Give times of years 1 to 9999")
        return found
    if column.dtype == pl.Null:
        return column.cast(pl.Int64)
    raise BadParameter(frame, f"{name}: {column.dtype}", "is not a column of times", "Give datetimes in UTC")


def measured(rows: pl.DataFrame, arrival: str | None = None) -> Callable[[str], Samples]:
    """The samples of a metric, read from the rows of ``metric_rows`` once.

    *arrival* is the column with the time at which each came in.
    """
    names = [name for name in rows.columns if name not in _NOT_LABELS and not name.startswith("\0")]
    came = None if arrival is None else _arrival(arrival)

    @functools.cache
    def read(metric: str) -> Samples:
        if came is not None and came not in rows.columns:
            problem = "metrics have no such column"
            raise BadRule(f"data_as_of, {arrival!r}", problem, f"There are: {', '.join(names)}")
        meant = rows["metric"] == metric
        some = rows if meant.all() else rows.filter(meant)
        return _samples(some, metric, names) if came is None else _known(some, metric, names, came)

    return read


def _known(rows: pl.DataFrame, metric: str, names: list[str], came: str) -> Samples:
    """With the time from which each could be seen; of one time there may be several."""
    series, labels = _numbered(rows, names)
    known = pl.max_horizontal("ts", pl.col(came).fill_null(NEVER))
    ordered = rows.select("ts", "value", "stale", known=known, series=pl.Series(series, dtype=pl.Int64)).sort(
        "series", "ts", "known", maintain_order=True
    )
    series, ts, known_at, stale = (ordered[name].to_numpy() for name in ("series", "ts", "known", "stale"))
    value = ordered["value"].fill_null(float("nan")).to_numpy()
    return Samples(metric, labels, series, ts, value, stale, known=known_at)


def _samples(rows: pl.DataFrame, metric: str, names: list[str]) -> Samples:
    series, labels = _numbered(rows, names)
    ts, value, stale = (rows[name] for name in ("ts", "value", "stale"))
    if not _in_order(series, ts.to_numpy()):
        ordered = (
            pl.DataFrame({"series": series, "ts": ts, "value": value, "stale": stale})
            .sort("series", "ts", maintain_order=True)
            .filter((pl.struct("series", "ts") != pl.struct("series", "ts").shift(-1)).fill_null(True))
        )
        series, ts, value, stale = ordered["series"].to_numpy(), *(ordered[name] for name in ("ts", "value", "stale"))
    return Samples(metric, labels, series, ts.to_numpy(), value.fill_null(float("nan")).to_numpy(), stale.to_numpy())


def _in_order(series: Ints, ts: Ints) -> bool:
    """Whether the rows are by series and then time, each once."""
    later = (series[1:] > series[:-1]) | ((series[1:] == series[:-1]) & (ts[1:] > ts[:-1]))
    return bool(later.all())


def _numbered(rows: pl.DataFrame, names: list[str]) -> tuple[Ints, tuple[Labels, ...]]:
    """The number of the series of each row, and what series there are, by their labels."""
    if not names:
        return np.zeros(rows.height, dtype=np.int64), ((),) if rows.height else ()
    # Rows mostly come series by series: then only the first of each run is looked at.
    fresh = rows.select(pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in names).fill_null(True))
    starts = np.flatnonzero(fresh.to_series().to_numpy())
    runs = rows.select(names)
    runs = runs[starts] if len(starts) * 4 < rows.height else runs
    series = runs.unique().sort(names).with_row_index(_NUMBER)
    number = runs.join(series, on=names, how="left", maintain_order="left")[_NUMBER].cast(pl.Int64).to_numpy()
    if runs.height < rows.height:
        number = np.repeat(number, np.diff(np.append(starts, rows.height)))
    labels = tuple(
        tuple((name, text) for name, text in zip(names, texts, strict=True) if text)
        for texts in series.select(names).iter_rows()
    )
    return number, labels
