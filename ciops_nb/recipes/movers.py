"""Which metrics left their normal range, how far, and since when: pure functions on frames of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

__all__ = ["FEWEST", "KEYS", "THRESHOLD", "Movers", "gaps_of", "points_of", "rank_movers"]

THRESHOLD = 4.0
"""Robust deviations from normal beyond which a point is out: of points of normal noise, one in sixteen thousand is."""
FEWEST = 12
"""Points a normal range is made of, at least: half of them must not vary much by chance."""
KEYS = ["ci_code", "metric", "series"]

_TIME = pl.Datetime("us", "UTC")
_POINTS: dict[str, Any] = {"ts": _TIME, **dict.fromkeys(KEYS, pl.String), "value": pl.Float64}
_MOVERS: dict[str, Any] = {
    **dict.fromkeys(KEYS, pl.String), "score": pl.Float64, "direction": pl.String, "bad": pl.Boolean,
    "moved_at": _TIME, "before": pl.Float64, "worst": pl.Float64, "step": pl.Duration("us"),
}  # fmt: skip


@dataclass(frozen=True)
class Movers:
    """What became of each series: frames as ``rank_movers`` tells, and the keys of the rest.

    Attributes:
        moved: Those out of their range.
        brief: Those whose last point alone is out.
        compared: Those with a normal range and points to judge.
        without_normal: Those with points to judge and no range.
        silent: Those with a range and no points to judge, with last_at, the time of their last usual point.
    """

    moved: pl.DataFrame
    brief: pl.DataFrame
    compared: pl.DataFrame
    without_normal: pl.DataFrame
    silent: pl.DataFrame


def points_of(answers: Sequence[pl.DataFrame], kinds: Mapping[str, str | None]) -> pl.DataFrame:
    """The measured points of several metrics in one frame, counters as their rate.

    Args:
        answers: Frames of ``metric_series_table``, raw, of one metric or several.
        kinds: ``counter`` or ``gauge`` of each metric; one that is not named is taken as it is.

    Returns:
        A frame with ci_code, metric, series (empty where there is one), ts and value, in order of these. NaN is no
        measurement and is left out. A counter's value is its increase per second since the point before it, so that
        its first point is none; one that fell was reset, and counted from zero.
    """
    counters = [name for name, kind in kinds.items() if kind == "counter"]
    parts = [pl.DataFrame(schema=_POINTS)]
    for answer in answers:
        if not answer.height:
            continue
        frame = answer if "series" in answer.columns else answer.with_columns(series=pl.lit(""))
        frame = frame.select(pl.col(name).cast(kind) for name, kind in _POINTS.items())
        frame = frame.with_columns(pl.col("series").fill_null(""))
        frame = frame.filter(
            pl.col("value").is_not_null() & pl.col("value").is_not_nan() & pl.col("ci_code").is_not_null()
        )
        counted = pl.col("metric").is_in(counters)
        parts += [frame.filter(~counted), _rates(frame.filter(counted))]
    return pl.concat(parts).sort(*KEYS, "ts", maintain_order=True).select(*KEYS, "ts", "value")


def _rates(frame: pl.DataFrame) -> pl.DataFrame:
    value, ts = pl.col("value"), pl.col("ts")
    before, since = (column.shift(1).over(KEYS, order_by="ts") for column in (value, ts))
    seconds = (ts - since).dt.total_microseconds() / 1e6
    step = pl.when(value < before).then(value).otherwise(value - before)
    return frame.with_columns(value=pl.when(seconds > 0).then(step / seconds)).drop_nulls("value")


def rank_movers(
    usual: pl.DataFrame, now: pl.DataFrame, *, bad: Mapping[str, str | None], adjoining: bool = False
) -> Movers:
    """Which series left their normal range, how far, and since when.

    The normal range is the median of the usual points, give or take four times their median absolute deviation scaled
    by 1.4826, which is the standard deviation where noise is Gaussian (F. R. Hampel, The Influence Curve and Its Role
    in Robust Estimation, 1974): half of the usual points may be anything without moving it. A series that does not
    vary has no such scale; there, and where it varies less, a thousandth of its level is the unit, of the normal or
    the present level, whichever is larger.

    A point outside of the range counts if the next or the one before it is out on the same side: a run. Of several
    runs the one that went farthest is told. Where the usual points lie directly before those to judge, a run is
    followed back into them.

    Args:
        usual: Points (as of ``points_of``) of a time that counts as normal.
        now: Those to judge.
        bad: Per metric the direction that is bad: ``up``, ``down``, ``none`` (no direction is), or None (not known).
        adjoining: Whether *now* begins where *usual* ends.

    Returns:
        ``moved``, the worst first: ci_code, metric, series, score (deviations at the worst point), direction (up,
        down), bad (true, false; null where ``none`` or not known), moved_at (when the run began; null where it
        reaches back to the first point there is, so that its beginning is not known), before (the median), worst (the
        value at the worst point) and step (the time between the points judged: moved_at is no more exact than that).
        ``brief``, in the same columns: series whose very last point is out, and only that one.
        The others tell which series were compared, and which could not be.
    """
    middle = pl.col("value").median()
    normal = usual.group_by(KEYS).agg(
        before=middle,
        spread=(pl.col("value") - middle).abs().median(),
        points=pl.len(),
        last_at=pl.col("ts").max(),
    )
    normal = normal.filter(pl.col("points") >= FEWEST).sort(KEYS)
    present = now.group_by(KEYS).agg(step=pl.col("ts").sort().diff().median(), since=pl.col("ts").min())
    judged = normal.join(present, on=KEYS)
    points = pl.concat([usual, now]) if adjoining else now
    found = _runs(_scored(points, judged))
    # A run is about now if it reaches into the points to judge.
    found = found.filter(pl.col("until") >= pl.col("since"))
    lasting = found.filter(pl.col("length") >= 2)
    brief = found.filter((pl.col("length") == 1) & pl.col("is_last")).join(lasting, on=KEYS, how="anti")
    return Movers(
        moved=_told(lasting, bad),
        brief=_told(brief, bad),
        compared=judged.select(KEYS).sort(KEYS),
        without_normal=present.join(normal, on=KEYS, how="anti").select(KEYS).sort(KEYS),
        silent=normal.join(present, on=KEYS, how="anti").select(*KEYS, "last_at").sort(KEYS),
    )


def _scored(points: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    level = pl.max_horizontal(pl.col("before").abs(), pl.col("value").abs())
    unit = pl.max_horizontal(pl.col("spread") * 1.4826, level * 1e-3, 1e-9)
    return (
        points.join(judged, on=KEYS)
        .with_columns(score=(pl.col("value") - pl.col("before")) / unit)
        .with_columns(side=pl.when(pl.col("score").abs() >= THRESHOLD).then(pl.col("score").sign()).otherwise(0.0))
        .sort(*KEYS, "ts", maintain_order=True)
    )


def _runs(scored: pl.DataFrame) -> pl.DataFrame:
    """The stretches of points out on one side, one row each: length, from, until, and the worst point in it."""
    begins = (pl.col("side") != pl.col("side").shift(1)).fill_null(True).over(KEYS)
    ends = (pl.col("side") != pl.col("side").shift(-1)).fill_null(True).over(KEYS)
    numbered = scored.with_columns(run=begins.cum_sum().over(KEYS), ends=ends)
    last = numbered.group_by(KEYS).agg(last_run=pl.col("run").max())
    worst = pl.col("score").abs().arg_max()
    return (
        numbered.filter(pl.col("side") != 0)
        .group_by(*KEYS, "run", maintain_order=True)
        .agg(
            pl.col("before", "since", "step").first(),
            length=pl.len(),
            begun=pl.col("ts").min(),
            until=pl.col("ts").max(),
            score=pl.col("score").get(worst),
            worst=pl.col("value").get(worst),
        )
        .join(last, on=KEYS)
        .with_columns(is_last=pl.col("run") == pl.col("last_run"))
    )


def _told(runs: pl.DataFrame, bad: Mapping[str, str | None]) -> pl.DataFrame:
    worst = runs.sort(pl.col("score").abs(), "begun", descending=[True, False], maintain_order=True).unique(
        KEYS, keep="first", maintain_order=True
    )
    known = {metric: way for metric, way in bad.items() if way in ("up", "down")}
    direction = pl.when(pl.col("score") > 0).then(pl.lit("up")).otherwise(pl.lit("down"))
    told = worst.with_columns(
        direction=direction,
        bad=pl.col("metric").replace_strict(known, default=None, return_dtype=pl.String) == direction,
        moved_at=pl.when(pl.col("run") > 1).then("begun"),
        score=pl.col("score").abs().round(2),
    )
    ordered = told.sort("score", *KEYS, descending=[True, False, False, False])
    return ordered.select(pl.col(name).cast(kind) for name, kind in _MOVERS.items())


def gaps_of(usual: pl.DataFrame, now: pl.DataFrame, *, start: datetime, until: datetime) -> pl.DataFrame:
    """Stretches without points, in series that have a normal range and points to judge.

    A stretch is one of more than three times the usual distance of the points (their median) between two points, or
    between a point and an end of the time from *start* to *until*.

    Returns:
        A frame with ci_code, metric, series, gap_from and gap_until, in order of these.
    """
    pace = usual.group_by(KEYS).agg(pace=pl.col("ts").sort().diff().median(), points=pl.len())
    pace = pace.filter(pl.col("points") >= FEWEST).join(now.select(KEYS).unique(), on=KEYS).select(*KEYS, "pace")
    ends = [pace.select(*KEYS, ts=pl.lit(moment, _TIME)) for moment in (start, until)]
    times = pl.concat([now.filter(pl.col("ts") < until).select(*KEYS, "ts"), *ends]).sort(*KEYS, "ts")
    return (
        times.join(pace, on=KEYS)
        .sort(*KEYS, "ts")
        .with_columns(gap_from=pl.col("ts").shift(1).over(KEYS))
        .filter(pl.col("ts") - pl.col("gap_from") > pl.col("pace") * 3)
        .select(*KEYS, "gap_from", gap_until="ts")
        .sort(*KEYS, "gap_from")
    )
