"""Triage: one CI hurts at some moment; what is hurt, what changed, what moved first, and what is not known?"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from ciops_nb.answers import provenance
from ciops_nb.estate.times import TimeRange, format_time, parse_duration, parse_range, parse_time
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.run import recipe

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["rank_movers", "triage"]

_THRESHOLD = 4.0  # robust standard deviations from the time before: in a day of noise, next to nothing gets there
_MOST_SHOWN = 6
_SEVERE = 4


@recipe
async def triage(
    ops: Ops, ci: str, *, at: Any, window: str = "2h", depth: int = 3, baseline: str = "24h", normal: Any = None
) -> Findings:
    """What is hurt, what changed, and what moved first around one CI at one moment?

    Args:
        ci: Code of the CI that hurts.
        at: When it was noticed.
        window: How far to look before that moment and after it (half of it after).
        depth: How many hops to look upstream and downstream.
        baseline: How long a time before the window counts as normal.
        normal: A time range that counts as normal instead, such as ``2023-08-20/2023-08-27``.
    """
    moment = parse_time(at, tz=ops.tz, name="at")
    span = parse_duration(window, name="window")
    start, end = moment - span, moment + span / 2
    before = (
        TimeRange(start - parse_duration(baseline, name="baseline"), start)
        if normal is None
        else parse_range(normal, now=moment, tz=ops.tz, name="normal")
    )
    item, needed, hurt = await asyncio.gather(
        ops.ci_get_by_code(ci, as_of=moment),
        ops.graph_expand(ci, view="dependency", depth=depth, as_of=moment),
        ops.graph_expand(ci, view="impact", depth=depth, as_of=moment),
    )
    around = list(dict.fromkeys([*needed, *hurt]))
    history, metrics = await asyncio.gather(
        ops.history_recent(around, time_range=(start, end), limit=None), ops.metric_list(around)
    )
    names = _column(metrics, "metric")
    series = await asyncio.gather(
        *(ops.metric_series_table(name, around, time_range=span) for name in names for span in (before, (start, end)))
    )
    usual, now = ([_polars(answer) for answer in series[place::2]] for place in (0, 1))
    movers, compared = rank_movers(usual, now, metrics=_polars(metrics))
    answers = dict(zip(names, zip(series[::2], series[1::2], strict=True), strict=True))
    return _findings(ci, moment, start, end, item, needed, hurt, history, movers, compared, answers)


def rank_movers(
    usual: list[pl.DataFrame], now: list[pl.DataFrame], *, metrics: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which metrics of which CIs left their normal range, and when first.

    The normal range is the median of the usual points, plus and minus the median absolute deviation times 1.4826
    (F. R. Hampel, The Influence Curve and Its Role in Robust Estimation, 1974); a series that did not vary is measured
    against a thousandth of its level. Counters are compared by their steps. A series with fewer than twelve usual
    points is not compared.

    Args:
        usual: Frames of ``metric_series_table``, raw, of a time that counts as normal; one a metric.
        now: The same of the time to judge.
        metrics: The frame of ``metric_list``.

    Returns:
        A frame with ci_code, metric, series, score (deviations at the worst point), direction (up, down), bad
        (whether that direction is bad for this metric; null where unknown), moved_at (the first point outside of
        four deviations that another follows), before (the median) and worst (the value there), worst first; and a
        frame with ci_code, metric, series of what was compared.
    """
    schema: dict[str, pl.DataType] = {
        "ci_code": pl.String(), "metric": pl.String(), "series": pl.String(), "score": pl.Float64(),
        "direction": pl.String(), "bad": pl.Boolean(), "moved_at": pl.Datetime("us", "UTC"), "before": pl.Float64(),
        "worst": pl.Float64(),
    }  # fmt: skip
    known = {row["metric"]: row for row in metrics.iter_rows(named=True)}
    keys = ["ci_code", "metric", "series"]
    before = _points(usual, known)
    middle = before.group_by(keys).agg(before=pl.col("value").median(), points=pl.len()).filter(pl.col("points") >= 12)
    spread = (
        before.join(middle, on=keys)
        .group_by(keys)
        .agg(spread=(pl.col("value") - pl.col("before")).abs().median() * 1.4826)
        .join(middle, on=keys)
    )
    scored = (
        _points(now, known)
        .join(spread, on=keys)
        .with_columns(floor=pl.max_horizontal("spread", pl.col("before").abs() * 1e-3, 1e-9))
        .with_columns(score=(pl.col("value") - pl.col("before")) / pl.col("floor"))
        .sort(*keys, "ts")
        .with_columns(out=pl.col("score").abs() >= _THRESHOLD)
        .with_columns(held=pl.col("out") & pl.col("out").shift(-1, fill_value=False).over(keys))
    )
    moved = scored.filter(pl.col("held")).group_by(keys).agg(moved_at=pl.col("ts").min())
    worst = (
        scored.filter(pl.col("out"))
        .sort(pl.col("score").abs(), "ts", descending=[True, False])
        .unique(keys, keep="first", maintain_order=True)
    )
    found = worst.join(moved, on=keys).sort(pl.col("score").abs(), *keys, descending=[True, False, False, False])
    bad = {name: row["bad_direction"] for name, row in known.items() if row["bad_direction"] in ("up", "down")}
    direction = pl.when(pl.col("score") > 0).then(pl.lit("up")).otherwise(pl.lit("down"))
    movers = found.select(
        *keys,
        score=pl.col("score").abs().round(2),
        direction=direction,
        bad=pl.col("metric").replace_strict(bad, default=None, return_dtype=pl.String) == direction,
        moved_at="moved_at",
        before="before",
        worst="value",
    )
    return movers.cast(dict(schema)), scored.select(keys).unique().sort(keys)  # type: ignore[arg-type]


def _points(series: list[pl.DataFrame], known: dict[str, dict[str, Any]]) -> pl.DataFrame:
    """The measured points of several answers in one frame, counters as their steps."""
    parts = [
        pl.DataFrame(
            schema={
                "ts": pl.Datetime("us", "UTC"),
                **dict.fromkeys(("ci_code", "metric", "series"), pl.String),
                "value": pl.Float64,
            }
        )
    ]
    for answer in series:
        if not answer.height:
            continue
        frame = answer if "series" in answer.columns else answer.with_columns(series=pl.lit(""))
        frame = frame.select("ts", "ci_code", "metric", "series", "value").filter(pl.col("value").is_not_nan())
        if frame.height and known.get(frame["metric"][0], {}).get("kind") == "counter":
            step = pl.col("value") - pl.col("value").shift(1).over("ci_code", "series", order_by="ts")
            # A counter that falls was reset and counts from zero.
            frame = frame.with_columns(value=pl.when(step < 0).then("value").otherwise(step)).drop_nulls("value")
        parts.append(frame)
    return pl.concat(parts).sort("ci_code", "metric", "series", "ts")


def _findings(
    ci: str,
    moment: datetime,
    start: datetime,
    end: datetime,
    item: Any,
    needed: Any,
    hurt: Any,
    history: Any,
    movers: pl.DataFrame,
    compared: pl.DataFrame,
    series: dict[str, tuple[Any, Any]],
) -> Findings:
    ids = {
        name: (provenance(answer).call_id,)
        for name, answer in (("item", item), ("needed", needed), ("hurt", hurt), ("history", history))
    }
    series_ids = {name: tuple(provenance(answer).call_id for answer in pair) for name, pair in series.items()}
    measured = tuple(sorted(call for pair in series_ids.values() for call in pair))
    happened = _polars(history)
    upstream = {code: data["hops"] for code, data in needed.nodes(data=True)}
    bad = movers.filter(pl.col("bad").fill_null(True))
    first = bad.filter(pl.col("ci_code").is_in(list(upstream))).sort("moved_at", "score", descending=[False, True])
    early = happened.filter(pl.col("start_at") <= moment).sort("start_at", "record_id")
    changes = early.filter(pl.col("kind") == "change")
    severe = early.filter((pl.col("kind") == "event") & (pl.col("severity") >= _SEVERE) & (pl.col("ci_code") != ci))
    signs = pl.concat([changes, severe]).filter(pl.col("ci_code").is_in(list(upstream))).sort("start_at", "record_id")
    statements = []
    own = bad.filter(pl.col("ci_code") == ci).sort("moved_at", "metric")
    for row in own.head(_MOST_SHOWN).iter_rows(named=True):
        statements.append(Statement(f"{ci}: {_moved(row)}.", series_ids[row["metric"]]))
    downstream = sorted(set(bad.filter(pl.col("ci_code").is_in(list(hurt)))["ci_code"]) - {ci})
    if downstream:
        statements.append(
            Statement(f"Hurt downstream, by their metrics: {', '.join(downstream)}.", (*ids["hurt"], *measured))
        )
    for row in first.filter(pl.col("ci_code") != ci).head(_MOST_SHOWN).iter_rows(named=True):
        hops = upstream[row["ci_code"]]
        statements.append(
            Statement(
                f"{row['ci_code']}, {hops} hop{'s' * (hops != 1)} upstream: {_moved(row)}.",
                (*ids["needed"], *series_ids[row["metric"]]),
            )
        )
    for row in signs.tail(_MOST_SHOWN).iter_rows(named=True):
        hops = upstream[row["ci_code"]]
        away = "" if not hops else f" ({hops} hop{'s' * (hops != 1)} upstream)"
        outcome = f" ({row['result'] or 'result not known'})" if row["kind"] == "change" else ""
        text = (
            f"{row['kind'].capitalize()} {row['record_id']} on {row['ci_code']}{away} at {format_time(row['start_at'])}"
        )
        statements.append(Statement(f"{text}: {row['title']}{outcome}.", (*ids["needed"], *ids["history"])))
    headline = _headline(
        ci,
        moment,
        first,
        signs,
        len(set(upstream) & set(compared["ci_code"])),
        (*ids["needed"], *ids["history"], *measured),
    )
    measured_cis = set(upstream) & set(compared["ci_code"])
    silent = sorted(set(upstream) - measured_cis)
    quiet = measured_cis - set(bad["ci_code"])
    ruled_out = []
    if quiet:
        text = f"No metric left its normal range on {len(quiet)} of the {len(measured_cis)} measured CIs upstream."
        ruled_out.append(Statement(text, measured))
    unknown = []
    if silent:
        unknown.append(
            Statement(
                "Without metrics now, or in the normal time to compare with, so nothing is known of their health: "
                + f"{', '.join(silent)}.",
                measured,
            )
        )
    hidden = [entry for graph in (needed, hurt) for entry in graph.graph["frontier"]]
    if hidden:
        unknown.append(
            Statement(
                f"{len(hidden)} CIs have further neighbours that were not looked at (the search stopped there).",
                (*ids["needed"], *ids["hurt"]),
            )
        )
    if not changes.height:
        unknown.append(
            Statement(
                "No change is recorded around here before that moment: the cause may not be a recorded one.",
                ids["history"],
            )
        )
    unknown.append(
        Statement("That something moved first does not prove that it is the cause; no experiment was made.", measured)
    )
    steps = []
    if first.height:
        lead = first.row(0, named=True)["ci_code"]
        steps.append(
            Statement(
                f"Look at {lead}: its changes, its logs, and what else depends on it (graph_expand, view impact).",
                ids["needed"],
            )
        )
    pictured = _series_of(movers, series)
    return Findings(
        headline=headline,
        statements=tuple(statements) or (Statement("No metric around it left its normal range.", measured),),
        sections=(
            Section("The CI", item, ids["item"]),
            Section("What happened around it", history, ids["history"], picture="timeline", options={"at": moment}),
            Section(
                "What it needs",
                needed,
                ids["needed"],
                picture="topology",
                options={"focus": ci, "highlight": sorted(set(bad["ci_code"]) & set(needed))},
            ),
            Section(
                "What it hurts",
                hurt,
                ids["hurt"],
                picture="topology",
                options={"focus": ci, "highlight": sorted(set(bad["ci_code"]) & set(hurt))},
            ),
            Section("What moved most", movers, measured, picture="movers"),
            *(
                [
                    Section(
                        "The metrics that moved",
                        pictured,
                        measured,
                        picture="series",
                        options={"at": moment, "window": (start, end)},
                    )
                ]
                if pictured is not None
                else []
            ),
        ),
        ruled_out=tuple(ruled_out),
        unknown=tuple(unknown),
        next_steps=tuple(steps),
    )


def _headline(
    ci: str, moment: datetime, first: pl.DataFrame, signs: pl.DataFrame, measured: int, calls: tuple[str, ...]
) -> Statement:
    if not first.height:
        where = (
            f"of the {measured} measured CIs it needs, none"
            if measured
            else "nothing could be compared, so it is not known what"
        )
        return Statement(f"{ci} at {format_time(moment)}: {where} left its normal range.", calls)
    lead = first.row(0, named=True)
    before = signs.filter(pl.col("start_at") <= lead["moved_at"])
    own = before.filter(pl.col("ci_code") == lead["ci_code"])
    # Where nothing upstream moved, a change or a bad event upstream is the best lead there is.
    told = own if own.height or lead["ci_code"] != ci else before
    after = ""
    if told.height:
        sign = told.row(-1, named=True)
        on = f" on {sign['ci_code']}" if sign["ci_code"] != lead["ci_code"] else ""
        after = f", after {sign['kind']} {sign['record_id']}{on} ({sign['title']})"
    return Statement(
        f"{ci} at {format_time(moment)}: {lead['ci_code']} moved first "
        f"({lead['metric']}, {format_time(lead['moved_at'])}){after}.",
        calls,
    )


def _moved(row: dict[str, Any]) -> str:
    name = row["metric"] + (f" [{row['series']}]" if row["series"] else "")
    change = f"{row['direction']} from {row['before']:.4g} to {row['worst']:.4g}"
    return f"{name} went {change}, first at {format_time(row['moved_at'])}"


def _series_of(movers: pl.DataFrame, series: dict[str, tuple[Any, Any]]) -> pl.DataFrame | None:
    """The points of the series that moved most, for the picture."""
    top = movers.head(_MOST_SHOWN).select("ci_code", "metric").unique(maintain_order=True)
    parts = [
        _polars(answer).filter(pl.col("ci_code") == code)
        for code, metric in top.iter_rows()
        for answer in series[metric]
    ]
    if not parts:
        return None
    # A metric of several series has a column that tells them apart; the others then have nothing in it.
    together = pl.concat(parts, how="diagonal").sort("ci_code", "metric", "ts", maintain_order=True)
    return together.with_columns(pl.col("series").fill_null("")) if "series" in together.columns else together


def _polars(frame: Any) -> pl.DataFrame:
    return frame if isinstance(frame, pl.DataFrame) else pl.from_pandas(frame)


def _column(frame: Any, name: str) -> list[str]:
    return list(frame[name])
