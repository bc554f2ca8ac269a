"""Questions about rules: when they would have fired on the points of the estate.

What a rule means is for ``ciops_nb.cep``; here the points that it names are read and given their labels.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb import sync
from ciops_nb.context import Context, Frame
from ciops_nb.errors import BadParameter
from ciops_nb.estate.times import TimeRange
from ciops_nb.registry import tool
from ciops_nb.tools.metric import definition_of
from ciops_nb.tools.scope import ci_rows, scope_ids, with_codes

if TYPE_CHECKING:
    from ciops_nb.cep import Rule

__all__ = ["cep_simulate", "read_rules"]

_ENOUGH = timedelta(hours=1)  # of points before a short range, to know how far they lie apart
_TAKEN = ("ts", "metric", "ci", "series", "value", "stale")


@tool(version=1)
async def cep_simulate(
    ctx: Context, rule: Any, *, time_range: Any = "last_7d", ci: Any = None, data_as_of: Any = None
) -> Frame:
    """Replay rules: when would they have fired?

    The series of the estate have the labels ``ci`` (the code), ``series`` where there is one, and those of the table
    ``label``; one called like a column of a point is named exported_NAME.

    Args:
        rule: A rule or several: YAML text, the path of a YAML file, a dict, a Rule, or a list of these.
        time_range: A time range; rules are evaluated at its start and each minute (or their ``every``) after it, up to
            its end and with it. ``all`` is from the first point of the rules' metrics to the last. A tick sees points
            that are less than 5 minutes old, or less than twice the usual distance of the points of a metric where
            that is more than 5 minutes; the answer then warns of it.
        ci: Only points of these: a code, codes, a frame with ci_code, or a graph.
        data_as_of: Not supported yet.

    Returns:
        A frame, an alert a row, by rule, active_at, ci_code and labels: rule, match (numbered within the rule),
        ci_code, labels (JSON), status (fired, pending_only), active_at, fired_at, ended_at (null: still on at the end),
        value (when it fired), n (ticks at which the condition held) and evidence (a list of the samples it rests on,
        each with step, record_id, ts, ci_code, metric, value, hops).

    Raises:
        BadRule: a rule cannot be read, or asks for what is not supported yet.
        UnknownMetric: a rule names a metric that is not there.
        ItemNotFound, BadTimeRange, BadParameter
    """
    from ciops_nb.cep import replay
    from ciops_nb.cep.replay import LOOKBACK

    if data_as_of is not None:
        raise BadParameter("data_as_of", data_as_of, "is not supported yet by this release", "Leave it out")
    rules = await sync.in_thread(read_rules, rule)
    used = sorted({read.metric for one in rules for read in one.reads() if read.metric is not None})
    for metric in used:
        await definition_of(ctx, metric)
    ids = await scope_ids(ctx, ci)
    span = ctx.range(time_range)
    lookback = dict.fromkeys(used, LOOKBACK)
    points = await _points(ctx, used, ids, span, max(_reach(rules, lookback), _ENOUGH))
    if sparse := _sparse(points, LOOKBACK):
        lookback |= sparse
        points = await _points(ctx, used, ids, span, _reach(rules, lookback))
        told = ", ".join(f"{metric} {length}" for metric, length in sparse.items())
        ctx.warn(f"points lie further apart than the look-back of {LOOKBACK}, so a tick sees older ones: {told}")
    for metric in sorted({*used} - {*points["metric"]}):
        ctx.warn(f"metric {metric!r} has no points here: a rule on it could not fire")
    start, end = _span(span, points)
    labelled = await _labelled(ctx, used, points)
    ask = functools.partial(replay, rules, metrics=labelled, start=start, end=end, lookback=lookback)
    found = (await sync.in_thread(ask)).rename({"ci": "ci_code"})
    ctx.notes.total = found.height
    return found


def read_rules(rule: Any) -> list[Rule]:
    """The rules that *rule* means; those that were read already are taken as they are."""
    from ciops_nb.cep import load

    return load(rule)


def _reach(rules: list[Rule], lookback: dict[str, timedelta]) -> timedelta:
    """How far before a tick the rules look."""
    reads = [read for rule in rules for read in rule.reads()]
    return max((read.back or lookback[read.metric or ""]) + read.offset for read in reads)


def _sparse(points: pl.DataFrame, usual: timedelta) -> dict[str, timedelta]:
    """How far back a tick has to look for metrics whose points lie further apart than the usual look-back.

    Seen through that, such a series would end after every point and no condition could hold for long. Twice the
    usual distance bridges one missing point.
    """
    series = ["metric", "ci_id", "series"]
    apart = (
        points.select("metric", apart=pl.col("ts").diff().over(series)).group_by("metric").agg(pl.col("apart").median())
    )
    sparse = apart.filter(pl.col("apart") > usual).sort("metric")
    return {metric: 2 * distance for metric, distance in sparse.iter_rows()}


async def _points(
    ctx: Context, used: list[str], ids: list[str] | None, span: TimeRange, reach: timedelta
) -> pl.DataFrame:
    since = None if span.start is None else _earlier(span.start, reach)
    # The last tick is at the very end of the range, and sees what is measured there.
    within = TimeRange(since, None if span.end is None else span.end + timedelta(microseconds=1))
    rows = ctx.tables.table("metric", within).filter(nw.col("metric").is_in(used), ~nw.col("value").is_null())
    if since is not None:
        rows = rows.filter(nw.col("ts") > nw.lit(since))
    if span.end is not None:
        rows = rows.filter(nw.col("ts") <= nw.lit(span.end))
    found = await ctx.run(ci_rows(ctx, rows, ids).select("metric", "ci_id", "series", "ts", "value"))
    return found.sort("metric", "ci_id", "series", "ts", "value")


def _earlier(moment: datetime, reach: timedelta) -> datetime:
    try:
        return moment - reach
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _span(span: TimeRange, points: pl.DataFrame) -> tuple[Any, Any]:
    """The first and the last tick: of an open end, the first or the last point."""
    start = span.start if span.start is not None else points["ts"].min()
    end = span.end if span.end is not None else points["ts"].max()
    either = start if start is not None else end if end is not None else datetime(1970, 1, 1, tzinfo=UTC)
    return start if start is not None else either, end if end is not None else either


async def _labelled(ctx: Context, used: list[str], points: pl.DataFrame) -> pl.DataFrame:
    """*points* as ``replay`` takes them, a column a label."""
    series = points.select("metric", "ci_id", "series").unique().sort("metric", "ci_id", "series")
    named = (await with_codes(ctx, series)).rename({"ci_code": "ci"})
    if named["ci"].null_count():  # no such CI: a label keeps its series apart from those of others
        ctx.warn("some points are of CIs that are not there: their alerts have no ci_code, but a label ci_id")
        unknown = pl.when(pl.col("ci").is_null()).then(pl.col("ci_id"))
        named = named.with_columns(unknown.alias("label ci_id"))
    labels = await _labels(ctx, used)
    if labels.height:
        wide = labels.pivot("name", index=["metric", "ci_id", "series"], values="value", aggregate_function="max")
        named = named.join(wide, on=["metric", "ci_id", "series"], how="left")
    joined = points.join(named, on=["metric", "ci_id", "series"], how="left", maintain_order="left").drop("ci_id")
    return _without_twins(ctx, joined.rename(lambda name: name.removeprefix("label ")))


async def _labels(ctx: Context, used: list[str]) -> pl.DataFrame:
    """The labels of the series: metric, ci_id, series, name (with ``label `` before it, so that none is a column)."""
    rows = ctx.tables.table("label").filter(nw.col("metric").is_in(used))
    found = await ctx.run(rows.select("metric", "ci_id", "series", "name", "value"))
    name = pl.col("name")
    free = pl.when(name.is_in(_TAKEN)).then(pl.format("exported_{}", name)).otherwise(name)
    return found.with_columns(pl.format("label {}", free).alias("name")).sort("name")


def _without_twins(ctx: Context, points: pl.DataFrame) -> pl.DataFrame:
    """Of points with the same labels at one time, as of CIs that share a code, the greatest is kept."""
    kept = points.unique([name for name in points.columns if name != "value"], keep="last", maintain_order=True)
    if kept.height < points.height:
        ctx.warn(f"{points.height - kept.height} points share labels and time with another and were left out")
    return kept
