"""Triage: one CI hurts at some moment; what is hurt, what changed, what moved first, and what is not known?

The recipe asks, and puts into words what it was told. How far a metric is from normal is in ``movers``, which CI
explains another in ``leads``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from ciops_nb.answers import COMPLETE, provenance
from ciops_nb.estate.times import TimeRange, format_time, parse_duration, parse_range, parse_time
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.leads import Illness, Lead, needs_of, rank_leads
from ciops_nb.recipes.movers import FEWEST, Movers, gaps_of, points_of, rank_movers
from ciops_nb.recipes.run import recipe

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["triage"]

_MOST_SHOWN = 6
_MOST_LISTED = 12
_SEVERE = 4  # of severities from 1 to 5: the CI is not well, whatever its metrics say


@recipe
async def triage(
    ops: Ops,
    ci: str,
    *,
    at: Any,
    window: str = "2h",
    depth: int = 3,
    baseline: str = "24h",
    normal: Any = None,
    history: str = "6h",
) -> Findings:
    """What is hurt, what changed, and what moved first around one CI at one moment?

    Args:
        ci: Code of the CI that hurts.
        at: When it was noticed: a time such as ``2026-03-02T10:00Z``.
        window: How long before that moment to look for what moved, such as ``2h`` or ``30m``; half of it after.
        depth: How many hops to look upstream (to what it needs, 6 at most) and downstream (to what it hurts).
        baseline: How long a time directly before the window counts as normal, such as ``24h``; the points in it are
            what the metrics are compared with, twelve of a series at least.
        normal: A time range that counts as normal instead of the baseline, such as ``2023-08-20/2023-08-27``.
        history: How long before that moment to look for events, changes, maintenance and incidents, such as ``6h``;
            never shorter than the window.
    """
    moment = parse_time(at, tz=ops.tz, name="at")
    span = parse_duration(window, name="window")
    start, end = moment - span, moment + span / 2
    past = max(span, parse_duration(history, name="history"))
    usual = (
        TimeRange(start - parse_duration(baseline, name="baseline"), start)
        if normal is None
        else parse_range(normal, now=moment, tz=ops.tz, name="normal")
    )
    item, needed, hurt = await _together(
        ops.ci_get_by_code(ci, as_of=moment),
        ops.graph_expand(ci, view="dependency", depth=depth, as_of=moment),
        ops.graph_expand(ci, view="impact", depth=depth, as_of=moment),
    )
    around = list(dict.fromkeys([*needed, *hurt]))
    happened, metrics = await asyncio.gather(
        ops.history_recent(around, time_range=(moment - past, end), limit=None), ops.metric_list(around)
    )
    defined = {row["metric"]: row for row in _polars(metrics).iter_rows(named=True)}
    # The baseline and the window adjoin, so that one question answers both.
    spans: list[Any] = [(usual.start, end)] if normal is None else [usual, (start, end)]
    asked = await asyncio.gather(
        *(ops.metric_series_table(name, around, time_range=part) for name in defined for part in spans)
    )
    answers = {name: asked[place * len(spans) :][: len(spans)] for place, name in enumerate(defined)}
    case = _Case(ci, moment, start, end, usual, item, needed, hurt, happened, metrics, answers, defined)
    judged = _judge(case, adjoining=normal is None)
    # Where nothing was measured then, say when something was.
    whole = None if judged.now.height else await ops.estate()
    return _findings(case, judged, whole)


async def _together(*calls: Awaitable[Any]) -> list[Any]:
    """The answers to *calls*, which run at once; of several errors the first in order of asking, however they end."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


@dataclass(frozen=True)
class _Case:
    """The question, and what the tools answered."""

    ci: str
    moment: datetime
    start: datetime
    end: datetime
    usual: TimeRange
    item: Any
    needed: Any
    hurt: Any
    history: Any
    metrics: Any
    series: Mapping[str, Sequence[Any]]
    defined: Mapping[str, Mapping[str, Any]]

    @property
    def upstream(self) -> dict[str, int]:
        return {code: data["hops"] for code, data in self.needed.nodes(data=True)}

    @property
    def measured(self) -> tuple[str, ...]:
        """The calls that fetched points, or, where there were none to fetch, the one that said so."""
        return tuple(dict.fromkeys(_id(part) for parts in self.series.values() for part in parts)) or (
            _id(self.metrics),
        )

    def of_metric(self, name: str) -> tuple[str, ...]:
        return tuple(_id(part) for part in self.series[name])

    def answers(self) -> Iterator[Any]:
        yield from (self.item, self.needed, self.hurt, self.history, self.metrics)
        for parts in self.series.values():
            yield from parts


@dataclass(frozen=True)
class _Judged:
    """What follows from the answers: nothing of it was asked."""

    now: pl.DataFrame
    movers: Movers
    ill: pl.DataFrame  # the movers that speak of illness
    gaps: pl.DataFrame
    signs: pl.DataFrame  # changes, maintenance and severe events upstream until the moment, the oldest first
    compared: frozenset[str]
    leads: tuple[Lead, ...]
    nan: Mapping[str, int]  # how many points of each CI are NaN


def _judge(case: _Case, *, adjoining: bool) -> _Judged:
    kinds = {name: row["kind"] for name, row in case.defined.items()}
    bad = {name: row["bad_direction"] for name, row in case.defined.items()}
    if adjoining:
        points = points_of([_polars(part) for (part,) in case.series.values()], kinds)
        usual, now = points.filter(pl.col("ts") < case.start), points.filter(pl.col("ts") >= case.start)
    else:
        usual, now = (points_of([_polars(parts[n]) for parts in case.series.values()], kinds) for n in (0, 1))
    movers = rank_movers(usual, now, bad=bad, adjoining=adjoining)
    # A metric of which nobody said what is bad may be ill in either direction; one of which none is bad tells of load.
    unsaid = [name for name, way in bad.items() if way not in ("up", "down", "none")]
    ill = movers.moved.filter(pl.col("bad").fill_null(False) | pl.col("metric").is_in(unsaid))
    upstream, compared = case.upstream, frozenset(movers.compared["ci_code"])
    signs = _signs(case)
    severe = signs.filter((pl.col("kind") == "event") & (pl.col("ci_code") != case.ci))
    illnesses = [
        Illness(row["ci_code"], row["moved_at"], row["score"], row["step"] or timedelta(0))
        for row in ill.iter_rows(named=True)
    ]
    illnesses += [Illness(row["ci_code"], row["start_at"], reported=True) for row in severe.iter_rows(named=True)]
    leads = rank_leads(
        case.ci,
        needs_of(case.needed),
        hops=upstream,
        ill=illnesses,
        measured=compared,
        changed=set(signs.filter(pl.col("kind") == "change")["ci_code"]),
    )
    gaps = gaps_of(usual, now, start=case.start, until=case.moment)
    return _Judged(now, movers, ill, gaps, signs, compared, tuple(leads), _nan(case))


def _nan(case: _Case) -> dict[str, int]:
    """Pandas keeps NaN, and polars reads it from there as null: a tool hands out no nulls, so both mean NaN."""
    counts: dict[str, int] = {}
    for parts in case.series.values():
        for part in parts:
            for code in _polars(part).filter(pl.col("value").fill_null(float("nan")).is_nan())["ci_code"]:
                counts[code] = counts.get(code, 0) + 1
    return dict(sorted(counts.items()))


def _signs(case: _Case) -> pl.DataFrame:
    early = _polars(case.history).filter(pl.col("start_at") <= case.moment)
    severe = (pl.col("kind") == "event") & (pl.col("severity") >= _SEVERE) & (pl.col("ci_code") != case.ci)
    told = early.filter(pl.col("kind").is_in(["change", "maintenance"]) | severe)
    return told.filter(pl.col("ci_code").is_in(list(case.upstream))).sort("start_at", "record_id", "ci_code")


# --- in words ---------------------------------------------------------------------------------------------------------


def _findings(case: _Case, judged: _Judged, whole: Any) -> Findings:
    return Findings(
        headline=_headline(case, judged),
        statements=tuple(_found(case, judged)) or (Statement(_nothing(judged), case.measured),),
        sections=tuple(_sections(case, judged)),
        ruled_out=tuple(_ruled_out(case, judged)),
        unknown=(*_unknown(case, judged, whole), *_incomplete(case)),
        next_steps=tuple(_next_steps(case, judged)),
    )


def _nothing(judged: _Judged) -> str:
    if not judged.compared:
        return "No metric around it could be compared with a normal time."
    quiet = "No metric around it left its normal range in a bad direction"
    return f"{quiet}, and no change or severe event is recorded upstream."


def _headline(case: _Case, judged: _Judged) -> Statement:
    """The best lead and why; never a cause."""
    calls = (_id(case.needed), _id(case.history), *case.measured)
    about = f"{case.ci} at {format_time(case.moment)}"
    if not judged.leads:
        many = len(judged.compared & set(case.upstream))
        where = (
            f"none of the {many} measured CIs upstream, itself among them, left its normal range in a bad direction"
            if many
            else "nothing could be compared, so it is not known what left its normal range"
        )
        return Statement(f"{about}: {where}{_after(judged.signs, case.moment, case.ci)}.", calls)
    lead = judged.leads[0]
    first = _first(judged)
    others = [other.ci_code for other in judged.leads[1:] if lead.like(other)]
    rank = f"the best lead with {_listed(others)}, which nothing but size tells apart" if others else "the best lead"
    moved = _mover_of(judged, lead.ci_code)
    if moved is None:
        last = judged.signs.filter(pl.col("ci_code") == lead.ci_code).row(-1, named=True)
        text = f"no metric upstream moved, but there is {_sign(last)}"
        if first is not None:
            order = "after" if last["start_at"] <= first["moved_at"] else "then"
            text = f"{first['ci_code']} moved first ({_when(first)}), {order} {_sign(last)}"
        return Statement(f"{about}: {text}; {lead.ci_code} is {rank}: {_why(lead)}.", calls)
    signs = judged.signs if lead.ci_code == case.ci else judged.signs.filter(pl.col("ci_code") == lead.ci_code)
    after = _after(signs, lead.moved_at or case.start, lead.ci_code)
    if moved["moved_at"] is None:
        since = "out of its normal range since before the time looked at"
        text = f"{lead.ci_code} is {rank}: {since} ({_name(moved)}){after}"
        return Statement(f"{about}: {text}.", calls)
    if first is not None and first["ci_code"] == lead.ci_code:
        return Statement(f"{about}: {lead.ci_code} moved first ({_when(first)}){after}; {rank}: {_why(lead)}.", calls)
    text = f"{lead.ci_code} is {rank} ({_when(moved)}){after}: {_why(lead)}"
    if first is not None:
        other = next(other for other in judged.leads if other.ci_code == first["ci_code"])
        text += f"; {first['ci_code']} moved first ({_when(first)}), but {_why(other)}"
    return Statement(f"{about}: {text}.", calls)


def _first(judged: _Judged) -> dict[str, Any] | None:
    """The ill mover upstream that began first; of those at the same reading that of the better lead."""
    place = {lead.ci_code: number for number, lead in enumerate(judged.leads)}
    known = [row for row in judged.ill.iter_rows(named=True) if row["ci_code"] in place and row["moved_at"] is not None]
    return min(known, key=lambda row: (row["moved_at"], place[row["ci_code"]], -row["score"]), default=None)


def _mover_of(judged: _Judged, code: str) -> dict[str, Any] | None:
    """The ill mover of one CI that began first, at best one whose beginning is known."""
    rows = judged.ill.filter(pl.col("ci_code") == code).sort(
        "moved_at", "score", descending=[False, True], nulls_last=True, maintain_order=True
    )
    return rows.row(0, named=True) if rows.height else None


def _after(signs: pl.DataFrame, moment: datetime, code: str) -> str:
    """The last change, maintenance or severe event until *moment*."""
    before = signs.filter(pl.col("start_at") <= moment)
    return f", after {_sign(before.row(-1, named=True), without=code)}" if before.height else ""


def _sign(row: Mapping[str, Any], *, without: str = "") -> str:
    on = f" on {row['ci_code']}" if row["ci_code"] != without else ""
    return f"{row['kind']} {row['record_id']}{on} ({row['title']})"


def _why(lead: Lead) -> str:
    if lead.standing == "explained":
        return f"explained by {_listed(lead.explained_by)}"
    if lead.standing == "reported":
        return "a severe event tells that it is not well, though the measured CIs between are"
    if lead.standing == "changed":
        return "it was changed, and nothing measures it"
    if lead.standing == "apart" and not lead.linked:
        return "the measured CIs between are well"
    if lead.standing == "apart":
        return "it does not fit in time: " + ("later" if lead.moved_at is not None else "so before the time looked at")
    return "no CI it needs was seen to go wrong before it"


def _found(case: _Case, judged: _Judged) -> Iterator[Statement]:
    ill, upstream = judged.ill, case.upstream
    own = ill.filter(pl.col("ci_code") == case.ci).sort("moved_at", "metric", "series", nulls_last=True)
    for row in own.iter_rows(named=True):
        yield Statement(f"{case.ci}: {_moved(row)}.", case.of_metric(row["metric"]))
    downstream = sorted(set(ill.filter(pl.col("ci_code").is_in(list(case.hurt)))["ci_code"]) - {case.ci})
    if downstream:
        text = f"Hurt downstream, by their metrics: {_listed(downstream)}."
        yield Statement(text, (_id(case.hurt), *case.measured))
    others = [lead for lead in judged.leads if lead.ci_code != case.ci]
    for lead in others[:_MOST_SHOWN]:
        yield _told(case, judged, lead)
    if len(others) > _MOST_SHOWN:
        rest = _listed([lead.ci_code for lead in others[_MOST_SHOWN:]])
        yield Statement(f"Further CIs upstream that moved or changed: {rest}.", (_id(case.needed), *case.measured))
    earlier = judged.signs.height - _MOST_SHOWN
    if earlier > 0:
        text = f"{earlier} earlier changes, maintenance windows and severe events upstream are in the history below."
        yield Statement(text, (_id(case.needed), _id(case.history)))
    for row in judged.signs.tail(_MOST_SHOWN).iter_rows(named=True):
        outcome = "" if row["kind"] == "event" else f" ({row['result'] or 'result not known'})"
        on = f"{row['ci_code']}{_away(upstream[row['ci_code']], ' ({})')}"
        text = f"{row['kind'].capitalize()} {row['record_id']} on {on} at {format_time(row['start_at'])}"
        yield Statement(f"{text}: {row['title']}{outcome}.", (_id(case.needed), _id(case.history)))
    load = judged.movers.moved.join(ill, on=["ci_code", "metric", "series"], how="anti")
    load = load.filter(pl.col("bad").is_null() & pl.col("ci_code").is_in(list(upstream)))
    if load.height:
        names = [f"{row['ci_code']} {_name(row)} ({row['direction']})" for row in load.iter_rows(named=True)]
        yield Statement(f"Moved, though neither direction is bad: {_listed(names)}.", case.measured)


def _told(case: _Case, judged: _Judged, lead: Lead) -> Statement:
    row = _mover_of(judged, lead.ci_code)
    calls = (_id(case.needed), *(case.of_metric(row["metric"]) if row else (_id(case.history),)))
    moved = f"{_moved(row)}; " if row else ""
    return Statement(f"{lead.ci_code}, {_away(lead.hops)}: {moved}{_why(lead)}.", calls)


def _ruled_out(case: _Case, judged: _Judged) -> Iterator[Statement]:
    compared = judged.compared & set(case.upstream)
    quiet = compared - set(judged.ill["ci_code"])
    if quiet:
        text = "No metric left its normal range in a bad direction"
        yield Statement(f"{text} on {len(quiet)} of the {len(compared)} measured CIs upstream.", case.measured)


def _unknown(case: _Case, judged: _Judged, whole: Any) -> Iterator[Statement]:
    upstream, movers = case.upstream, judged.movers
    yield from _unmeasured(case, judged, whole)
    if judged.gaps.height:
        names = [
            f"{row['ci_code']} {_name(row)} from {format_time(row['gap_from'])} to {format_time(row['gap_until'])}"
            for row in judged.gaps.iter_rows(named=True)
        ]
        yield Statement(f"Without points for longer than usual: {_listed(names)}.", case.measured)
    if judged.nan:
        names = [f"{code} ({count})" for code, count in judged.nan.items()]
        yield Statement(
            f"Points that are NaN, which is no measurement, were left out: {_listed(names)}.", case.measured
        )
    if movers.brief.height:
        names = [f"{row['ci_code']} {_name(row)}" for row in movers.brief.iter_rows(named=True)]
        text = f"Out of range at the very last point, so it is not known whether it stays: {_listed(names)}."
        yield Statement(text, case.measured)
    if judged.leads:
        lead, *others = judged.leads
        alike = [other.ci_code for other in others if lead.like(other)]
        if alike:
            text = f"Which of {_listed(sorted([lead.ci_code, *alike]))} went wrong first: the points are too far apart."
            yield Statement(text, (_id(case.needed), *case.measured))
    if len(upstream) == 1:
        yield Statement(
            f"No relation tells what {case.ci} needs, so nothing upstream was looked at.", (_id(case.needed),)
        )
    hidden = [entry for graph in (case.needed, case.hurt) for entry in graph.graph["frontier"]]
    if hidden:
        text = f"{len(hidden)} CIs have further neighbours that were not looked at (the search stopped there)."
        yield Statement(text, (_id(case.needed), _id(case.hurt)))
    if not (judged.signs["kind"] == "change").any():
        text = "No change is recorded upstream before that moment: the cause may not be a recorded one."
        yield Statement(text, (_id(case.history),))
    text = "That something moved first does not prove that it is the cause; no experiment was made."
    yield Statement(text, case.measured)


def _unmeasured(case: _Case, judged: _Judged, whole: Any) -> Iterator[Statement]:
    """The CIs upstream of whose health nothing is known, by the reason; a CI is told once."""
    left = set(case.upstream) - judged.compared
    silent = judged.movers.silent.filter(pl.col("ci_code").is_in(sorted(left)))
    quiet = {
        row[0]: row[1] for row in silent.group_by("ci_code").agg(pl.col("last_at").max()).sort("ci_code").iter_rows()
    }
    fresh = set(judged.movers.without_normal["ci_code"]) & left - set(quiet)
    if whole is not None:
        yield Statement(_no_points(case, whole), (*case.measured, _id(whole)))
    elif quiet:
        names = [f"{code} (last {format_time(last)})" for code, last in quiet.items()]
        yield Statement(
            f"Measured in the normal time and silent since the window began: {_listed(names)}.", case.measured
        )
    if fresh:
        text = f"Measured, but with fewer than {FEWEST} points of a series in the normal time ({case.usual})"
        yield Statement(f"{text}, so not compared: {_listed(sorted(fresh))}.", case.measured)
    never = sorted(left - set(quiet) - fresh)
    if never:
        text = (
            "Without metrics in the window, or in the normal time to compare with, so nothing is known of their health"
        )
        yield Statement(f"{text}: {_listed(never)}.", case.measured)


def _no_points(case: _Case, whole: Any) -> str:
    row = _polars(whole).filter(pl.col("table") == "metric").row(0, named=True)
    text = f"No metric of these CIs has points from {format_time(case.start)} to {format_time(case.end)}"
    if not row["present"] or not row["rows"]:
        return f"{text}: this tenant has no metrics at all."
    return (
        f"{text}; the metrics of this tenant run from {format_time(row['first_at'])} to {format_time(row['last_at'])}."
    )


def _incomplete(case: _Case) -> Iterator[Statement]:
    """What the tools said of their own answers: what they left out, and their warnings."""
    told: dict[str, list[str]] = {}
    for answer in case.answers():
        record = provenance(answer)
        if record.completeness.status != COMPLETE:
            cut = [f"{part['count']} {part['what']} ({part['why']})" for part in record.completeness.left_out]
            what = f", without {', '.join(cut)}" if cut else ""
            told.setdefault(f"An answer of {record.tool} is {record.completeness.status}{what}.", []).append(
                record.call_id
            )
        for warning in record.warnings:
            told.setdefault(f"{record.tool} warns: {warning}.", []).append(record.call_id)
    for text, calls in told.items():
        yield Statement(text, tuple(dict.fromkeys(calls)))


def _next_steps(case: _Case, judged: _Judged) -> Iterator[Statement]:
    if judged.leads:
        lead, *others = judged.leads
        text = (
            f"Look at {lead.ci_code}: its changes, its logs, and what else depends on it (graph_expand, view impact)."
        )
        yield Statement(text, (_id(case.needed),))
        rivals = [other for other in others if other.standing in (lead.standing, "source", "reported")]
        if rivals:
            text = f"Then at {_listed([other.ci_code for other in rivals])}."
            yield Statement(text, (_id(case.needed),))
    if judged.movers.without_normal.height:
        text = 'Name a time that counts as normal and has points: normal="START/END".'
        yield Statement(text, case.measured)


def _sections(case: _Case, judged: _Judged) -> Iterator[Section]:
    ill = set(judged.ill["ci_code"])
    yield Section("The CI", case.item, (_id(case.item),))
    yield Section(
        "Where to look first", _leads_frame(judged.leads), (_id(case.needed), _id(case.history), *case.measured)
    )
    yield Section(
        "What happened around it", case.history, (_id(case.history),), picture="timeline", options={"at": case.moment}
    )
    for title, graph in (("What it needs", case.needed), ("What it hurts", case.hurt)):
        shown = {"focus": case.ci, "highlight": sorted(ill & set(graph))}
        yield Section(title, graph, (_id(graph),), picture="topology", options=shown)
    yield Section("What moved most", judged.movers.moved.drop("step"), case.measured, picture="movers")
    pictured = _series_of(case, judged.movers.moved)
    if pictured is not None:
        options = {"at": case.moment, "window": (case.start, case.end)}
        yield Section("The metrics that moved", pictured, case.measured, picture="series", options=options)


def _leads_frame(leads: Iterable[Lead]) -> pl.DataFrame:
    rows = [(lead.ci_code, lead.hops, lead.standing, lead.moved_at, lead.score, _why(lead)) for lead in leads]
    schema: dict[str, Any] = {
        "ci_code": pl.String, "hops": pl.Int64, "standing": pl.String, "moved_at": pl.Datetime("us", "UTC"),
        "score": pl.Float64, "why": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _series_of(case: _Case, moved: pl.DataFrame) -> pl.DataFrame | None:
    """The points of the series that moved most, for the picture."""
    top = moved.head(_MOST_SHOWN).select("ci_code", "metric").unique(maintain_order=True)
    parts = [
        _polars(answer).filter(pl.col("ci_code") == code)
        for code, metric in top.iter_rows()
        for answer in case.series[metric]
    ]
    if not parts:
        return None
    # A metric of several series has a column that tells them apart; the others then have nothing in it.
    together = pl.concat(parts, how="diagonal").sort("ci_code", "metric", "ts", maintain_order=True)
    return together.with_columns(pl.col("series").fill_null("")) if "series" in together.columns else together


def _moved(row: Mapping[str, Any]) -> str:
    since = "since before the time looked at" if row["moved_at"] is None else f"first at {format_time(row['moved_at'])}"
    return f"{_name(row)} went {row['direction']} from {row['before']:.4g} to {row['worst']:.4g}, {since}"


def _when(row: Mapping[str, Any]) -> str:
    return f"{_name(row)}, {format_time(row['moved_at'])}"


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['metric']} [{row['series']}]" if row["series"] else str(row["metric"])


def _away(hops: int, form: str = "{}") -> str:
    return form.format(f"{hops} hop{'s' * (hops != 1)} upstream") if hops else ""


def _listed(names: Collection[str]) -> str:
    shown = list(names)
    more = len(shown) - _MOST_LISTED
    return ", ".join(shown if more <= 0 else [*shown[:_MOST_LISTED], f"and {more} more"])


def _id(answer: Any) -> str:
    return str(provenance(answer).call_id)


def _polars(frame: Any) -> pl.DataFrame:
    return frame if isinstance(frame, pl.DataFrame) else pl.from_pandas(frame)
