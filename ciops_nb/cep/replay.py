"""When rules would have fired on past data: the frames in, the alerts out, and nothing read from anywhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
import polars as pl

from ciops_nb.cep.alerts import Alerts, alerts
from ciops_nb.cep.model import Rule
from ciops_nb.cep.parts import Part, Sources
from ciops_nb.cep.reading import load
from ciops_nb.cep.samples import Grid, Ints, Samples
from ciops_nb.cep.world import World
from ciops_nb.errors import BadParameter, BadRule, BadTimeRange
from ciops_nb.estate.times import format_time, micros, parse_duration, parse_time, parse_zone

__all__ = ["LOOKBACK", "SCHEMA", "replay"]

LOOKBACK = timedelta(minutes=5)  # Prometheus' own

SCHEMA: dict[str, pl.DataType] = {
    "rule": pl.String(),
    "match": pl.Int64(),
    "ci": pl.String(),
    "labels": pl.String(),
    "status": pl.String(),
    "active_at": pl.Datetime("us", "UTC"),
    "fired_at": pl.Datetime("us", "UTC"),
    "ended_at": pl.Datetime("us", "UTC"),
    "value": pl.Float64(),
    "n": pl.Int64(),
    "evidence": pl.List(
        pl.Struct(
            {
                "step": pl.String(),
                "record_id": pl.String(),
                "ts": pl.Datetime("us", "UTC"),
                "ci_code": pl.String(),
                "metric": pl.String(),
                "value": pl.Float64(),
                "hops": pl.Int64(),
            }
        )
    ),
}

_NOT_LABELS = ("ts", "metric", "value", "stale")
_NUMBER = "metric"  # the column that numbers the series of one metric: any name of a label could be there too
_CELLS = 4_000_000  # series times ticks that are looked at together: some 200 MB at the widest
_MOST_TICKS = 20_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def replay(
    rules: Any,
    *,
    metrics: Any = None,
    events: Any = None,
    relations: Any = None,
    start: Any,
    end: Any,
    every: Any = "1m",
    lookback: Any = "5m",
    tz: str = "UTC",
    data_as_of: Any = None,
) -> pl.DataFrame:
    """Say when rules would have fired, as Prometheus would.

    Rules are evaluated at ticks: at *start* and each *every* after it, up to *end* and with it. A tick sees the newest
    sample that is less than *lookback* old, unless the series was marked as ended since; windows are left open. An
    alert is told from others by its labels.

    Args:
        rules: Whatever ``load`` reads.
        metrics: A frame (polars or pandas) with ts, metric, value, and a column a label (empty or null: the series has
            no such label), ``ci`` among them; a column ``stale`` that is true marks that a series ended. Rows without
            value are left out; of rows of a series at one time the last counts.
        events: Not supported yet.
        relations: Not supported yet.
        start: The first tick.
        end: The last tick, where the steps meet it.
        every: How long from tick to tick, for rules that do not say it.
        lookback: How old a sample may be; a dict says it for some metrics, and the others have 5m.
        tz: The zone in which times without one are read.
        data_as_of: Not supported yet.

    Returns:
        A frame, an alert a row, by rule (as given), active_at, ci and labels: rule, match (numbered within the rule),
        ci (the label ci, else instance), labels (JSON), status (fired or pending_only), active_at, fired_at, ended_at
        (null: still on at the last tick), value (when it fired), n (ticks at which the condition held) and evidence: a
        list of the samples on which it became active and fired, each with step (active or fired), record_id (null for
        a sample), ts, ci_code, metric, value, hops (null where no graph was walked).

    Raises:
        BadRule: a rule cannot be read or is not supported yet.
        BadParameter: another parameter cannot be meant or is not supported yet.
    """
    for name, given in (("events", events), ("relations", relations), ("data_as_of", data_as_of)):
        if given is not None:
            raise BadParameter(
                name, type(given).__name__, "is not supported yet by this release", "Leave it out: rules see metrics"
            )
    read = load(rules)
    zone = parse_zone(tz)
    first, last = parse_time(start, tz=zone, name="start"), parse_time(end, tz=zone, name="end")
    if last < first:
        raise BadTimeRange("end", end, f"is before the start {format_time(first)}", "Give a later end")
    step, seen_for = parse_duration(every), _lookback(lookback)
    find = _finder(_metric_rows(metrics, zone))
    found = [_replayed(rule, World(find, _grid(first, last, rule.every or step), seen_for, zone)) for rule in read]
    return pl.concat([pl.DataFrame(schema=SCHEMA), *found])


def _lookback(asked: Any) -> Callable[[str], timedelta]:
    if not isinstance(asked, Mapping):
        same = parse_duration(asked, name="lookback")
        return lambda metric: same
    read = {metric: parse_duration(length, name="lookback") for metric, length in asked.items()}
    return lambda metric: read.get(metric, LOOKBACK)


def _grid(first: datetime, last: datetime, step: timedelta) -> Grid:
    count = (last - first) // step + 1
    if count > _MOST_TICKS:
        raise BadParameter("every", str(step), f"makes {count:,} ticks", "Ask for longer steps or a shorter range")
    return Grid(micros(first), step // timedelta(microseconds=1), count)


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _metric_rows(metrics: Any, zone: tzinfo) -> pl.DataFrame:
    if metrics is None:
        return pl.DataFrame(schema={"metric": pl.String, "ts": pl.Int64, "value": pl.Float64, "stale": pl.Boolean})
    if isinstance(metrics, pl.LazyFrame):
        metrics = metrics.collect()
    if not isinstance(metrics, pl.DataFrame):
        if not hasattr(metrics, "columns"):
            raise BadParameter(
                "metrics", type(metrics).__name__, "is not a frame", "Give one with ts, metric and value"
            )
        metrics = pl.from_pandas(metrics)
    assert isinstance(metrics, pl.DataFrame)
    missing = [name for name in ("ts", "metric", "value") if name not in metrics.columns]
    if missing:
        raise BadParameter(
            "metrics", metrics.columns, f"has no column {missing[0]!r}", "Give ts, metric, value and the labels"
        )
    value, dtype = pl.col("value"), metrics["value"].dtype
    if not dtype.is_numeric() and dtype != pl.Null:
        raise BadParameter(
            "metrics", f"value: {dtype}", "is not a column of numbers", "Convert it; mark ends in 'stale'"
        )
    stale = pl.col("stale").fill_null(False) if "stale" in metrics.columns else pl.lit(False)
    if "stale" in metrics.columns and metrics["stale"].dtype not in (pl.Boolean, pl.Null):
        raise BadParameter("metrics", f"stale: {metrics['stale'].dtype}", "is not true or false", "Make it boolean")
    labels = sorted(name for name in metrics.columns if name not in _NOT_LABELS)
    rows = metrics.select(
        pl.col("metric").cast(pl.String),
        _moments(metrics["ts"], zone).alias("ts"),
        value.cast(pl.Float64),
        stale.cast(pl.Boolean).alias("stale"),
        *(pl.col(name).cast(pl.String).fill_null("") for name in labels),
    )
    return rows.filter(pl.col("ts").is_not_null() & (pl.col("value").is_not_null() | pl.col("stale")))


def _moments(column: pl.Series, zone: tzinfo) -> pl.Series:
    """Microseconds since 1970."""
    if column.dtype == pl.String:
        try:
            column = column.str.to_datetime(time_unit="us", time_zone="UTC")
        except pl.exceptions.PolarsError:
            raise BadParameter("metrics", "ts", "has texts that are not times", "Give times with a zone") from None
    if isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone is None:
            told = column.dt.replace_time_zone(str(zone), ambiguous="null", non_existent="null")
            if told.null_count() > column.null_count():
                raise BadParameter("metrics", "ts", f"has times that {zone} has twice or never", "Give times in UTC")
            column = told
        return column.dt.epoch("us")
    if column.dtype == pl.Null:
        return column.cast(pl.Int64)
    raise BadParameter("metrics", f"ts: {column.dtype}", "is not a column of times", "Give datetimes in UTC")


def _finder(rows: pl.DataFrame) -> Callable[[str, dict[str, tuple[str, ...]]], Samples]:
    names = [name for name in rows.columns if name not in _NOT_LABELS]
    whole: dict[str, Samples] = {}
    chosen: dict[tuple[str, str], Samples] = {}

    def find(metric: str, where: dict[str, tuple[str, ...]]) -> Samples:
        if metric not in whole:
            whole[metric] = _samples(rows.filter(pl.col("metric") == metric), metric, names)
        if not where:
            return whole[metric]
        key = (metric, json.dumps(where, sort_keys=True))
        if key not in chosen:
            chosen[key] = _chosen(whole[metric], where)
        return chosen[key]

    return find


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


def _chosen(samples: Samples, where: dict[str, tuple[str, ...]]) -> Samples:
    met = [all(dict(labels).get(name, "") in texts for name, texts in where.items()) for labels in samples.labels]
    place = np.cumsum(met, dtype=np.int64) - 1
    kept = np.array(met, dtype=np.bool_)[samples.series] if met else np.zeros(0, dtype=np.bool_)
    return Samples(
        samples.metric,
        tuple(labels for labels, wanted in zip(samples.labels, met, strict=True) if wanted),
        place[samples.series[kept]],
        samples.ts[kept],
        samples.value[kept],
        samples.stale[kept],
    )


# ── one rule ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _replayed(rule: Rule, world: World) -> pl.DataFrame:
    part, grid = rule.when.part(world), world.grid
    found = alerts(
        *_held(part, grid),
        hold=_ticks(rule.for_, grid),
        keep=_ticks(rule.keep_firing_for, grid),
        count=grid.count,
    )
    return _shown(rule, part, found, grid)


def _ticks(length: timedelta, grid: Grid) -> int:
    """How many steps until so much time has gone by."""
    return -(-(length // timedelta(microseconds=1)) // grid.step)


def _held(part: Part, grid: Grid) -> tuple[Ints, Ints, Any]:
    """The series and ticks at which the condition held, by series and then tick, with the values."""
    width = max(1, _CELLS // max(1, len(part.labels)))
    rows, columns, values = [], [], []
    for begin in range(0, grid.count, width):
        value, holds = part.at(np.arange(begin, min(begin + width, grid.count), dtype=np.int64))
        series, tick = np.nonzero(holds)
        rows.append(series)
        columns.append(tick + begin)
        values.append(value[series, tick])
    series, ticks, value = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    if len(rows) > 1:
        order = np.lexsort((ticks, series))
        series, ticks, value = series[order], ticks[order], value[order]
    return series, ticks, value


def _shown(rule: Rule, part: Part, found: Alerts, grid: Grid) -> pl.DataFrame:
    labels = _alert_labels(rule, part.labels)
    texts = [json.dumps(one, sort_keys=True, ensure_ascii=False) for one in labels]
    fired = found.fired >= 0
    series = found.series.tolist()
    frame = pl.DataFrame(
        {
            "ci": pl.Series([_ci(labels[row]) for row in series], dtype=pl.String),
            "labels": pl.Series([texts[row] for row in series], dtype=pl.String),
            "status": pl.Series(np.where(fired, "fired", "pending_only").tolist(), dtype=pl.String),
            "active_at": _column(found.active, grid),
            "fired_at": _column(found.fired, grid),
            "ended_at": _column(found.ended, grid),
            "value": pl.Series(
                [value if on else None for value, on in zip(found.value.tolist(), fired.tolist(), strict=True)],
                dtype=pl.Float64,
            ),
            "n": found.held,
            "evidence": pl.Series(_evidence(part, found), dtype=SCHEMA["evidence"]),
        }
    )
    ordered = frame.sort("active_at", "ci", "labels", nulls_last=False)
    return ordered.with_columns(
        rule=pl.lit(rule.id, pl.String), match=pl.int_range(1, pl.len() + 1, dtype=pl.Int64)
    ).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def _alert_labels(rule: Rule, series: Any) -> list[dict[str, str]]:
    labels = [dict(one) | rule.labels for one in series]
    if rule.labels and len({tuple(sorted(one.items())) for one in labels}) < len(labels):
        raise BadRule(
            f"rule {rule.id!r}, labels",
            f"the labels {', '.join(sorted(rule.labels))} make alerts of different series the same",
            "Name labels that the series do not have",
        )
    return labels


def _ci(labels: dict[str, str]) -> str | None:
    """The CI of an alert: its label ``ci``, or the one by which Prometheus names what was measured."""
    return labels.get("ci", labels.get("instance"))


def _column(ticks: Ints, grid: Grid) -> pl.Series:
    moments = pl.Series(grid.moments(ticks)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    there = pl.Series(ticks >= 0)
    return pl.select(pl.when(there).then(moments)).to_series()


def _evidence(part: Part, found: Alerts) -> Sources:
    records: Sources = [[] for _ in range(len(found))]
    for step, ticks in (("active", found.active), ("fired", found.fired)):
        places = np.flatnonzero(ticks >= 0)
        if not len(places):
            continue
        for place, sources in zip(places.tolist(), part.sources(found.series[places], ticks[places]), strict=True):
            records[place] += [_record(step, source) for source in sources]
    return records


def _record(step: str, source: dict[str, Any]) -> dict[str, Any]:
    return {
        **source,
        "step": step,
        "record_id": None,
        "ts": _EPOCH + timedelta(microseconds=source["ts"]),
        "hops": None,
    }
