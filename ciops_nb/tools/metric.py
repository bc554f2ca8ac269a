"""Questions about metrics: which there are, their points, and aggregates of them.

A value that is NaN is no measurement: raw points show it, aggregates leave it out and say how many they left out.
Several metrics are read in one go: the points of all are found at once, however many there are.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb import sync
from ciops_nb.context import Context, Frame
from ciops_nb.engines.protocol import LazyFrame
from ciops_nb.errors import BadParameter, UnknownField, UnknownMetric
from ciops_nb.estate.names import nearest
from ciops_nb.estate.times import TimeRange, micros, parse_duration
from ciops_nb.parameters import check_count, check_flag, choose, several
from ciops_nb.registry import tool
from ciops_nb.tools.filters import parse_field
from ciops_nb.tools.scope import ci_rows, known_field, latest_cis, properties_at, read_tables, scope_ids, with_codes

__all__ = [
    "AGGREGATES", "FILLS", "definition_of", "definitions", "metric_aggregate", "metric_list", "metric_series_table",
]  # fmt: skip

_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)\Z")
AGGREGATES = ("count", "min", "max", "mean", "sum", "stddev", "first", "last", "rate", "increase")
FILLS = ("previous", "zero", "interpolate")
_BUCKET_LIMIT = 5_000_000


@tool(version=1, work=read_tables("metric"))
async def metric_list(ctx: Context, ci: Any = None) -> Frame:
    """List the metrics there are.

    Args:
        ci: Only metrics with points of these: a code, codes, a frame with ci_code, or a graph.

    Returns:
        A frame with metric, unit, kind (gauge, counter), description and bad_direction (up, down, none), by name.
    """
    known = await definitions(ctx)
    if ci is not None:
        rows = ci_rows(ctx, ctx.tables.table("metric"), await scope_ids(ctx, ci))
        found = (await ctx.run(rows.select("metric").unique()))["metric"].to_list()
        missing = sorted(set(found) - set(known["metric"]))
        known = pl.concat(
            [
                known.filter(pl.col("metric").is_in(found)),
                pl.DataFrame({"metric": missing}, schema={"metric": pl.String}),
            ],
            how="diagonal",
        ).sort("metric")
    ctx.notes.total = known.height
    return known


async def definitions(ctx: Context) -> pl.DataFrame:
    async def build() -> pl.DataFrame:
        rows = await ctx.run(ctx.tables.table("metric_def"))
        return rows.select("metric", "unit", "kind", "description", "bad_direction").sort("metric")

    return await ctx.shared.get("metric_def", build)


async def definition_of(ctx: Context, metric: Any) -> dict[str, Any]:
    """What is defined of *metric*; all unknown, with a warning, where it has points only.

    Raises:
        UnknownMetric: it has neither a definition nor points.
    """
    if not isinstance(metric, str):
        raise BadParameter("metric", metric, "is not the name of a metric", "List them with metric_list()")
    return (await _definitions_of(ctx, [metric]))[metric]


async def _defined(ctx: Context) -> dict[str, dict[str, Any]]:
    known = await definitions(ctx)

    async def build() -> dict[str, dict[str, Any]]:
        return {row["metric"]: row for row in known.iter_rows(named=True)}

    return await ctx.shared.get("metric_def by name", build)


async def _definitions_of(ctx: Context, metrics: list[str]) -> dict[str, dict[str, Any]]:
    defined = await _defined(ctx)
    missing = [name for name in metrics if name not in defined]
    if missing:
        # A metric may have points and no definition: an estate need not define what it measures.
        measured = (await ctx.run(ctx.tables.table("metric").select("metric").unique()))["metric"].to_list()
        for name in missing:
            if name not in measured:
                raise UnknownMetric(name, nearest(name, {*defined, *measured}))
    return _told_of(ctx, metrics, defined)


def _told_of(ctx: Context, metrics: list[str], defined: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The definitions of *metrics* that exist: all unknown, with a warning, of those that have points only."""
    nothing = {"unit": None, "kind": None, "description": None, "bad_direction": None}
    for name in metrics:
        if name not in defined:
            ctx.warn(f"metric {name!r} has no definition: its unit and kind are not known")
    return {name: defined.get(name, {"metric": name, **nothing}) for name in metrics}


async def _named(ctx: Context, metric: Any) -> dict[str, dict[str, Any]] | None:
    """What is defined of each metric asked for, in the order asked; None where all were, which the points tell.

    Raises:
        UnknownMetric: one has neither a definition nor points.
    """
    if metric is None:
        return None
    if isinstance(metric, str) or not isinstance(metric, (list, tuple)):
        return {metric: await definition_of(ctx, metric)}
    if not metric:
        raise BadParameter("metric", metric, "names no metric", "List them with metric_list(); None is all")
    for name in metric:
        if not isinstance(name, str):
            raise BadParameter("metric", name, "is not the name of a metric", "List them with metric_list()")
    return await _definitions_of(ctx, list(dict.fromkeys(metric)))


async def _read(
    ctx: Context, named: dict[str, dict[str, Any]] | None, ids: list[str] | None, span: TimeRange
) -> tuple[pl.DataFrame, dict[str, dict[str, Any]]]:
    """The points, with a column ``metric`` unless there is one alone, and what is defined of each metric."""
    points = await ctx.run(await _points(ctx, None if named is None else list(named), ids, span))
    if named is None:
        named = _told_of(ctx, sorted(points["metric"].unique()), await _defined(ctx))
    return points, named


async def _points(ctx: Context, metrics: list[str] | None, ids: list[str] | None, span: TimeRange) -> LazyFrame:
    """Those of one metric, or of several with a column ``metric``; of None, all."""
    held = [~nw.col("value").is_null()]
    if metrics is not None:
        # An equality lets an engine skip what cannot hold it; a list does not.
        held.insert(0, nw.col("metric") == metrics[0] if len(metrics) == 1 else nw.col("metric").is_in(metrics))
    if span.start is not None:
        held.append(nw.col("ts") >= span.start)
    if span.end is not None:
        held.append(nw.col("ts") < span.end)
    if not ctx.tables.has("metric"):
        ctx.warn("this estate has no table 'metric': nothing is known of any point")
    # The footers of all its files are looked at, in which pyarrow loads pandas.
    rows = (await sync.in_thread(lambda: ctx.tables.table("metric", within=span))).filter(*held)
    several = ["metric"] if metrics is None or len(metrics) > 1 else []
    return ci_rows(ctx, rows, ids).select("ci_id", *several, "series", "ts", "value")


def _check_aggregates(agg: Any) -> list[str]:
    asked = [agg] if isinstance(agg, str) else list(agg) if isinstance(agg, (list, tuple)) else []
    if not asked:
        raise BadParameter("agg", agg, "names no aggregate", f"Use {', '.join(AGGREGATES)}, or pNN")
    for name in asked:
        if not isinstance(name, str) or (name not in AGGREGATES and not _QUANTILE.match(name)):
            raise BadParameter("agg", name, "is not an aggregate", f"Use {', '.join(AGGREGATES)}, or p50, p95, p99.9")
    return list(dict.fromkeys(asked))


def _check_kinds(aggregates: list[str], named: dict[str, dict[str, Any]] | None) -> None:
    counted = next((name for name in aggregates if name in ("rate", "increase")), None)
    gauge = next((name for name, row in (named or {}).items() if row["kind"] == "gauge"), None)
    if counted is not None and gauge is not None:
        problem = f"is for counters, and {gauge!r} is a gauge"
        raise BadParameter("agg", counted, problem, "Use mean, max or last")


def _aggregated(points: pl.DataFrame, keys: list[str], aggregates: list[str]) -> pl.DataFrame:
    """*points* (ci_id, series, ts, value and *keys*) in groups, with ``n`` and a column an aggregate."""
    value = pl.col("value")
    made: dict[str, pl.Expr] = {}
    for name in aggregates:
        if quantile := _QUANTILE.match(name):
            made[name] = value.quantile(float(quantile.group(1)) / 100, interpolation="linear")
        elif name == "stddev":
            made[name] = value.std(ddof=1)
        elif name == "count":
            made[name] = pl.len().cast(pl.Int64)
        elif name not in ("rate", "increase"):
            made[name] = getattr(value, name)()
    # Floats are summed in one order, so that the same points have the same sum; in order of time only where it counts.
    order = ["ts", "ci_id", "series", "value"] if {"first", "last"} & set(aggregates) else ["value"]
    held = points.lazy().sort(order)
    expressions = [pl.len().cast(pl.Int64).alias("n"), *(made[name].alias(name) for name in made)]
    found = (held.group_by(keys, maintain_order=True).agg(expressions) if keys else held.select(expressions)).collect()
    found = found.filter(pl.col("n") > 0)
    if {"rate", "increase"} & set(aggregates):
        increases = _increases(points, keys)
        found = (
            found.join(increases, on=keys, how="left", nulls_equal=True)
            if keys
            else pl.concat([found, increases], how="horizontal")
            if found.height
            else found.with_columns(increase=pl.lit(None, pl.Float64), rate=pl.lit(None, pl.Float64))
        )
    return found.select(*keys, "n", *aggregates)


def _increases(points: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Increase and rate per second of counters, summed over the series of each group.

    A value below the one before is a reset, after which the counter counted from zero, as in Prometheus' ``increase``
    (promql/functions.go, extrapolatedRate), but without its extrapolation to the
    ends of the range. A step belongs to the bucket of its later point, so that buckets sum to the whole.
    """
    series = ["ci_id", "series"]
    steps = points.sort(*series, "ts").with_columns(
        step=pl.when(pl.col("value") >= pl.col("value").shift(1).over(series))
        .then(pl.col("value") - pl.col("value").shift(1).over(series))
        .otherwise(pl.when(pl.col("value").shift(1).over(series).is_not_null()).then(pl.col("value"))),
        seconds=(pl.col("ts") - pl.col("ts").shift(1).over(series)).dt.total_microseconds() / 1e6,
    )
    each = (
        steps.group_by([*keys, *(name for name in series if name not in keys)])
        .agg(
            increase=pl.when(pl.col("step").is_not_null().any()).then(pl.col("step").sum()),
            seconds=pl.col("seconds").sum(),
        )
        .with_columns(rate=pl.when(pl.col("seconds") > 0).then(pl.col("increase") / pl.col("seconds")))
    )
    totals = [
        pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sort().sum()).alias(name)
        for name in ("increase", "rate")
    ]
    return each.group_by(keys).agg(totals) if keys else each.select(totals)


def _without_nan(ctx: Context, points: pl.DataFrame) -> pl.DataFrame:
    measured = points.filter(pl.col("value").is_not_nan())
    if measured.height < points.height:
        ctx.warn(f"{points.height - measured.height} points are NaN and count in no aggregate")
    return measured


def _each(points: pl.DataFrame, names: list[str]) -> list[tuple[str, pl.DataFrame]]:
    """The points of each metric that has some, in the order of *names*; where none has, none of one without a name."""
    if "metric" not in points.columns:
        return [(names[0], points)]
    parts = points.partition_by("metric", as_dict=True, include_key=False)
    return [(name, parts[(name,)]) for name in names if (name,) in parts] or [("", points.drop("metric"))]


def _bucketed(points: pl.DataFrame, width: timedelta) -> pl.DataFrame:
    step = width // timedelta(microseconds=1)
    start = pl.col("ts").dt.epoch("us").floordiv(step) * step
    return points.with_columns(bucket=start.cast(pl.Datetime("us", "UTC")))


@tool(version=1, work=read_tables("metric"))
async def metric_aggregate(
    ctx: Context,
    metric: str | list[str] | None,
    *,
    ci: Any = None,
    where: dict[str, Any] | None = None,
    time_range: Any = "last_24h",
    agg: str | list[str] = "mean",
    by: str | list[str] | None = None,
) -> Frame:
    """Aggregate the points of a metric, or of several at once.

    Args:
        metric: The name of the metric, or a list of names; None is all that have points there.
        ci: Only these: a code, codes, a frame with ci_code, or a graph.
        where: Conditions on fields of the CIs, as they are now (ended CIs as they last were).
        time_range: A time range, half-open.
        agg: One or a list of count, min, max, mean, sum, stddev (of a sample), first, last, pNN (linear between
            points), and for counters rate (per second) and increase.
        by: ``ci``, a column of a CI, ``tags.NAME``, ``attributes.NAME``, ``series``, ``label.NAME``, ``bucket:5m``
            (gives ts), or a list of these.

    Returns:
        A frame: the keys (``ci`` gives ci_code, ``bucket:`` gives ts), metric, unit, n and a column an aggregate,
        in order of the keys. Of several metrics, the rows of each as if it were asked alone, one metric after the
        other in the order of the list (of None, by name); one that has no points has no rows.

    Raises:
        UnknownMetric: no such metric, or not one of them.
        BadParameter: an aggregate or a key cannot be meant, or an aggregate not of one of the metrics.
    """
    named = await _named(ctx, metric)
    aggregates = _check_aggregates(agg)
    _check_kinds(aggregates, named)
    asked = [] if by is None else several("by", by, "Name a key, or a list of them")
    points, defined = await _read(ctx, named, await scope_ids(ctx, ci, where), ctx.range(time_range))
    _check_kinds(aggregates, defined)  # of all, it is known only now which they are
    points = _without_nan(ctx, points)
    keys: dict[str, str] = {}
    for place, key in enumerate(asked):
        column = f"k{place}"
        points, name = await _with_key(ctx, points, None if named is None else list(named), key, column)
        if name in keys.values():
            raise BadParameter("by", by, f"names {name} twice", "Name each key once")
        keys[column] = name

    def shape() -> pl.DataFrame:
        parts = []
        for name, part in _each(points, list(defined)):
            found = _aggregated(part, list(keys), aggregates)
            unit = defined[name]["unit"] if name in defined else None
            told = [pl.lit(name).alias("metric"), pl.lit(unit, pl.String).alias("unit")]
            ordered = found.sort(list(keys), nulls_last=True) if keys else found
            shown = (pl.col(column).alias(key) for column, key in keys.items())
            parts.append(ordered.select(*shown, *told, "n", *aggregates))
        return pl.concat(parts)

    rows = await sync.in_thread(shape)
    ctx.notes.total = rows.height
    return rows


async def _with_key(
    ctx: Context, points: pl.DataFrame, metrics: list[str] | None, key: str, column: str
) -> tuple[pl.DataFrame, str]:
    if key == "series":
        return points.with_columns(pl.col("series").alias(column)), "series"
    if key.startswith("bucket:"):
        return _bucketed(points, parse_duration(key.removeprefix("bucket:"), name="by")).rename(
            {"bucket": column}
        ), "ts"
    if key.startswith("label."):
        asked = _labels(ctx, metrics).filter(nw.col("name") == nw.lit(key.removeprefix("label.")))
        labels = await ctx.run(asked)
        if not labels.height:
            await _refuse_label(ctx, metrics, key)
        same = [name for name in ("ci_id", "metric", "series") if name in points.columns]
        one = labels.group_by(same).agg(pl.col("value").max().alias(column))
        return points.join(one, on=same, how="left"), key
    field = await known_field(ctx, parse_field("ci_code" if key == "ci" else key, what="key"))
    if field.place == "column":
        cis = (await latest_cis(ctx)).select(
            "ci_id", pl.col(field.name).alias(column) if field.name != "ci_id" else pl.col("ci_id").alias(column)
        )
    else:
        named = properties_at(ctx, ctx.now).filter(
            nw.col("kind") == nw.lit(field.place), nw.col("name") == nw.lit(field.name)
        )
        cis = (await ctx.run(named)).group_by("ci_id").agg(pl.col("value").max().alias(column))
    return points.join(cis, on="ci_id", how="left"), field.text


def _labels(ctx: Context, metrics: list[str] | None) -> LazyFrame:
    rows = ctx.tables.table("label")
    return rows if metrics is None else rows.filter(nw.col("metric").is_in(metrics))


async def _refuse_label(ctx: Context, metrics: list[str] | None, key: str) -> None:
    names = await ctx.run(_labels(ctx, metrics).select("name").unique())
    known = sorted(f"label.{name}" for name in names["name"])
    whose = f"of metric {' or '.join(map(repr, metrics))}" if metrics else "of any metric"
    raise UnknownField(key, nearest(key, known), f"No series {whose} has a label of that name.")


@tool(version=1, work=read_tables("metric"))
async def metric_series_table(
    ctx: Context,
    metric: str | list[str] | None,
    ci: Any,
    *,
    time_range: Any = "last_24h",
    every: str | None = None,
    agg: str = "mean",
    fill: str | None = None,
    wide: bool = False,
    limit: int | None = None,
) -> Frame:
    """Get the points of a metric, or of several at once, of some CIs, raw or in buckets.

    Args:
        metric: The name of the metric, or a list of names; None is all that have points there.
        ci: A code, codes, a frame with ci_code, or a graph.
        time_range: A time range, half-open.
        every: Width of the buckets, on UTC multiples; None gives raw points.
        agg: How a bucket is aggregated: see metric_aggregate.
        fill: What a bucket without points gets: None (no row), ``previous``, ``zero``, ``interpolate``; needs *every*.
        wide: One row a time, and a column a series named by its code, or ``code[series]``; of several metrics, with
            the name of the metric and a space before that.
        limit: At most so many rows, the oldest; None is all.

    Returns:
        A frame with ts, ci_code, metric, value and n (points in it; 0 where filled), oldest first; those of one time
        by code and metric; with ``series`` after metric where there are several. With ``wide=True``: ts and a column
        per series.

    Raises:
        UnknownMetric, ItemNotFound, BadTimeRange, BadParameter
    """
    named = await _named(ctx, metric)
    (aggregate, *more) = _check_aggregates(agg)
    _check_kinds([aggregate], named)
    if more:
        raise BadParameter("agg", agg, "is more than one aggregate", "Name one; metric_aggregate takes several")
    if fill is not None:
        choose("fill", fill, FILLS)
        if every is None:
            raise BadParameter("fill", fill, "raw points have no gaps to fill", 'Give buckets too, such as every="5m"')
    check_count("limit", limit, optional=True)
    check_flag("wide", wide)
    if ci is None:
        raise BadParameter("ci", ci, "names no CI", "Give a code, a list of codes, a frame with ci_code, or a graph")
    span = ctx.range(time_range)
    ids = await scope_ids(ctx, ci)
    rows, defined = await _read(ctx, named, ids, span)
    if every is not None:
        _check_kinds([aggregate], defined)
        width = parse_duration(every)
        measured = _without_nan(ctx, rows)
        rows = await sync.in_thread(_in_buckets, measured, list(defined), span, width, aggregate, fill)
    apart = ["metric"] if "metric" in rows.columns else []
    told = [] if apart else [pl.lit(next(iter(defined))).alias("metric")]
    told += [pl.lit(1, pl.Int64).alias("n")] if every is None else []
    held = (await with_codes(ctx, rows)).lazy().with_columns(told)
    ordered = await sync.in_thread(lambda: held.sort("ts", "ci_code", *apart, "series", "value").collect())
    if wide:
        return ctx.cut(_wide(ctx, ordered, bool(apart)), limit=limit)
    asked = None if named is None else list(named)
    several = ["series"] if (ordered["series"] != "").any() or await _would_have_series(ctx, asked, ids, rows) else []
    return ctx.cut(ordered.select("ts", "ci_code", "metric", *several, "value", "n"), limit=limit)


def _in_buckets(
    points: pl.DataFrame, names: list[str], span: TimeRange, width: timedelta, aggregate: str, fill: str | None
) -> pl.DataFrame:
    parts = []
    for name, part in _each(points, names):
        grouped = _aggregated(_bucketed(part, width), ["ci_id", "series", "bucket"], [aggregate])
        rows = grouped.rename({"bucket": "ts", aggregate: "value"}).with_columns(pl.col("value").cast(pl.Float64))
        if fill is not None:
            rows = _filled(rows, span, width, fill)
        parts.append(rows.with_columns(metric=pl.lit(name)) if "metric" in points.columns else rows)
    return pl.concat(parts)


async def _would_have_series(
    ctx: Context, metrics: list[str] | None, ids: list[str] | None, rows: pl.DataFrame
) -> bool:
    """Whether an answer without rows would have a ``series`` column if it had some: empty and full are alike."""
    if rows.height or not ctx.tables.has("metric"):
        return False
    held = await _points(ctx, metrics, ids, TimeRange(None, None))
    return bool((await ctx.run(held.filter(nw.col("series") != nw.lit("")).head(1))).height)


def _filled(rows: pl.DataFrame, span: TimeRange, width: timedelta, fill: str) -> pl.DataFrame:
    if not rows.height:
        return rows
    step = width // timedelta(microseconds=1)
    first = rows["ts"].dt.epoch("us").min() if span.start is None else micros(span.start) // step * step
    last = rows["ts"].dt.epoch("us").max() if span.end is None else (micros(span.end) - 1) // step * step
    assert isinstance(first, int)
    assert isinstance(last, int)
    series = rows.select("ci_id", "series").unique().sort("ci_id", "series")
    if ((last - first) // step + 1) * series.height > _BUCKET_LIMIT:
        raise BadParameter(
            "every",
            str(width),
            f"makes more than {_BUCKET_LIMIT:,} buckets to fill",
            "Ask for wider buckets or a shorter range",
        )
    grid = pl.DataFrame({"ts": pl.int_range(first, last + 1, step, eager=True).cast(pl.Datetime("us", "UTC"))})
    full = (
        series.join(grid, how="cross")
        .join(rows, on=["ci_id", "series", "ts"], how="left")
        .sort("ci_id", "series", "ts")
    )
    over = ["ci_id", "series"]
    value = pl.col("value")
    filled = {
        "zero": value.fill_null(0.0),
        "previous": value.forward_fill().over(over),
        "interpolate": value.interpolate().over(over),
    }
    # A bucket with points keeps what they gave, even if that is nothing, such as the deviation of one.
    gap = pl.col("n").is_null()
    return full.with_columns(pl.when(gap).then(filled[fill]).otherwise(value), pl.col("n").fill_null(0))


def _wide(ctx: Context, rows: pl.DataFrame, apart: bool) -> pl.DataFrame:
    # A CI may be called ts, as the column of the times is.
    alone = (pl.col("series") == "") & (pl.col("ci_code") != "ts")
    name = pl.when(alone).then(pl.col("ci_code")).otherwise(pl.format("{}[{}]", "ci_code", "series"))
    name = pl.format("{} {}", "metric", name) if apart else name
    long = rows.with_columns(name=name).unique(["ts", "name"], keep="last", maintain_order=True)
    if long.height < rows.height:
        ctx.warn(f"{rows.height - long.height} points share series and time with another and are not in the wide table")
    if not long.height:
        return long.select("ts")
    pivoted = long.pivot("name", index="ts", values="value", maintain_order=True).sort("ts")
    return pivoted.select("ts", *sorted(column for column in pivoted.columns if column != "ts"))
