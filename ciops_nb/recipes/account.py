"""A triage in words: every sentence with the calls it rests on, and what is not known said as plainly as what is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import polars as pl

from ciops_nb.estate.times import format_time
from ciops_nb.recipes.case import Case, Judged
from ciops_nb.recipes.evidence import as_polars, call_id, incomplete, listed
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.leads import Lead
from ciops_nb.recipes.lookup import Candidates
from ciops_nb.recipes.movers import FEWEST, KEYS
from ciops_nb.recipes.what_changed import ranked_section, told_record

__all__ = ["findings_of", "not_clear"]

_MOST_SHOWN = 6


def findings_of(case: Case, judged: Judged, whole: Any) -> Findings:
    """The findings of a triage; *whole*: the answer of ``estate``, asked where no metric had points."""
    return Findings(
        headline=_headline(case, judged),
        statements=tuple(_found(case, judged)),
        sections=tuple(_sections(case, judged)),
        ruled_out=tuple(_ruled_out(case, judged)),
        unknown=(*_unknown(case, judged, whole), *incomplete(case.answers())),
        next_steps=tuple(_next_steps(case, judged)),
    )


def not_clear(found: Candidates) -> Findings:
    """The findings where the words may mean several CIs: these, and nothing of any."""
    step = Statement(f"Give the code, such as ci={found.rows['ci_code'][0]!r}, or a further word.", found.calls)
    return Findings(
        Statement(f"{found.doubt()}, so nothing was triaged.", found.calls),
        found.reasons(),
        (found.section(),),
        unknown=tuple(incomplete([found.answer])),
        next_steps=(step,),
    )


def _nothing(judged: Judged) -> str:
    if not judged.compared:
        return "No metric around it could be compared with a normal time."
    quiet = "No metric around it left its normal range in a bad direction"
    return f"{quiet}, and no change or severe event is recorded upstream."


def _headline(case: Case, judged: Judged) -> Statement:
    """The best lead and why; never a cause."""
    calls = (call_id(case.needed), call_id(case.history), *case.measured)
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
    rank = f"the best lead with {listed(others)}, which nothing but size tells apart" if others else "the best lead"
    moved = _mover_of(judged, lead.ci_code)
    if moved is None:
        sign = judged.signs.filter(pl.col("ci_code") == lead.ci_code).row(0, named=True)
        text = f"no metric upstream moved, but there is {_sign(sign)}"
        if first is not None:
            order = "after" if sign["start_at"] <= first["moved_at"] else "then"
            text = f"{first['ci_code']} moved first ({_when(first)}), {order} {_sign(sign)}"
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


def _first(judged: Judged) -> dict[str, Any] | None:
    """The ill mover upstream that began first; of those at the same reading that of the better lead."""
    place = {lead.ci_code: number for number, lead in enumerate(judged.leads)}
    known = [row for row in judged.ill.iter_rows(named=True) if row["ci_code"] in place and row["moved_at"] is not None]
    return min(known, key=lambda row: (row["moved_at"], place[row["ci_code"]], -row["score"]), default=None)


def _mover_of(judged: Judged, code: str) -> dict[str, Any] | None:
    """The ill mover of one CI that began first, at best one whose beginning is known."""
    rows = judged.ill.filter(pl.col("ci_code") == code).sort(
        "moved_at", "score", descending=[False, True], nulls_last=True, maintain_order=True
    )
    return rows.row(0, named=True) if rows.height else None


def _after(signs: pl.DataFrame, moment: datetime, code: str) -> str:
    """The change, maintenance or severe event until *moment* that ranks highest."""
    before = signs.filter(pl.col("start_at") <= moment)
    return f", after {_sign(before.row(0, named=True), without=code)}" if before.height else ""


def _sign(row: Mapping[str, Any], *, without: str = "") -> str:
    on = f" on {row['ci_code']}" if row["ci_code"] != without else ""
    return f"{row['kind']} {row['record_id']}{on} ({row['title']})"


def _why(lead: Lead) -> str:
    if lead.standing == "explained":
        return f"explained by {listed(lead.explained_by)}"
    if lead.standing == "reported":
        return "a severe event tells that it is not well, though the measured CIs between are"
    if lead.standing == "changed":
        return "it was changed, and nothing measures it"
    if lead.standing == "apart" and not lead.linked:
        return "the measured CIs between are well"
    if lead.standing == "apart":
        return "it does not fit in time: " + ("later" if lead.moved_at is not None else "so before the time looked at")
    return "no CI it needs was seen to go wrong before it"


def _found(case: Case, judged: Judged) -> Iterator[Statement]:
    """How the words were understood, what moved on the CI, who is hurt, then what may have led to it."""
    if case.meant is not None:
        yield case.meant.taken()
    own, hurt, led = (tuple(part(case, judged)) for part in (_own, _hurt, _led))
    yield from own or (() if led or judged.ill.height else (Statement(_nothing(judged), case.measured),))
    yield from hurt
    yield from led


def _own(case: Case, judged: Judged) -> Iterator[Statement]:
    own = judged.ill.filter(pl.col("ci_code") == case.ci).sort("moved_at", "metric", "series", nulls_last=True)
    for row in own.iter_rows(named=True):
        yield Statement(f"{case.ci}: {_moved(row)}.", case.measured)


def _hurt(case: Case, judged: Judged) -> Iterator[Statement]:
    if len(case.hurt) > 1:
        yield judged.failure.headline()
    downstream = sorted(set(judged.ill.filter(pl.col("ci_code").is_in(list(case.hurt)))["ci_code"]) - {case.ci})
    if downstream:
        text = f"Hurt downstream, by their metrics: {listed(downstream)}."
        yield Statement(text, (call_id(case.hurt), *case.measured))


def _led(case: Case, judged: Judged) -> Iterator[Statement]:
    others = [lead for lead in judged.leads if lead.ci_code != case.ci]
    for lead in others[:_MOST_SHOWN]:
        yield _told(case, judged, lead)
    if len(others) > _MOST_SHOWN:
        rest = listed([lead.ci_code for lead in others[_MOST_SHOWN:]])
        yield Statement(f"Further CIs upstream that moved or changed: {rest}.", (call_id(case.needed), *case.measured))
    calls = (call_id(case.needed), call_id(case.history))
    for row in judged.signs.head(_MOST_SHOWN).iter_rows(named=True):
        told = told_record(row)
        yield Statement(f"{told[0].upper()}{told[1:]}.", calls)
    further = judged.signs.height - _MOST_SHOWN
    if further > 0:
        text = f"{further} further changes, maintenance windows and severe events upstream rank below these."
        yield Statement(text, calls)
    load = judged.movers.moved.join(judged.ill, on=KEYS, how="anti")
    load = load.filter(pl.col("bad").is_null() & pl.col("ci_code").is_in(list(case.upstream)))
    if load.height:
        names = [f"{row['ci_code']} {_name(row)} ({row['direction']})" for row in load.iter_rows(named=True)]
        yield Statement(f"Moved, though neither direction is bad: {listed(names)}.", case.measured)


def _told(case: Case, judged: Judged, lead: Lead) -> Statement:
    row = _mover_of(judged, lead.ci_code)
    calls = (call_id(case.needed), *(case.measured if row else (call_id(case.history),)))
    moved = f"{_moved(row)}; " if row else ""
    return Statement(f"{lead.ci_code}, {_away(lead.hops)}: {moved}{_why(lead)}.", calls)


def _ruled_out(case: Case, judged: Judged) -> Iterator[Statement]:
    compared = judged.compared & set(case.upstream)
    quiet = compared - set(judged.ill["ci_code"])
    if quiet:
        text = "No metric left its normal range in a bad direction"
        yield Statement(f"{text} on {len(quiet)} of the {len(compared)} measured CIs upstream.", case.measured)
    spared = judged.failure.spared()
    yield from spared[:_MOST_SHOWN]
    if len(spared) > _MOST_SHOWN:
        text = f"{len(spared) - _MOST_SHOWN} more lose something they need and go on"
        yield Statement(f"{text}: see who is hurt, below.", judged.failure.calls)


def _unknown(case: Case, judged: Judged, whole: Any) -> Iterator[Statement]:
    upstream, movers = case.upstream, judged.movers
    yield from _unmeasured(case, judged, whole)
    if judged.gaps.height:
        names = [
            f"{row['ci_code']} {_name(row)} from {format_time(row['gap_from'])} to {format_time(row['gap_until'])}"
            for row in judged.gaps.iter_rows(named=True)
        ]
        yield Statement(f"Without points for longer than usual: {listed(names)}.", case.measured)
    if judged.nan:
        names = [f"{code} ({count})" for code, count in judged.nan.items()]
        yield Statement(f"Points that are NaN, which is no measurement, were left out: {listed(names)}.", case.measured)
    if movers.brief.height:
        names = [f"{row['ci_code']} {_name(row)}" for row in movers.brief.iter_rows(named=True)]
        text = f"Out of range at the very last point, so it is not known whether it stays: {listed(names)}."
        yield Statement(text, case.measured)
    if judged.leads:
        lead, *others = judged.leads
        alike = [other.ci_code for other in others if lead.like(other)]
        if alike:
            text = f"Which of {listed(sorted([lead.ci_code, *alike]))} went wrong first: the points are too far apart."
            yield Statement(text, (call_id(case.needed), *case.measured))
    if len(upstream) == 1 and not case.needed.graph["frontier"]:
        yield Statement(
            f"No relation tells what {case.ci} needs, so nothing upstream was looked at.", (call_id(case.needed),)
        )
    hidden = [entry for graph in (case.needed, case.hurt) for entry in graph.graph["frontier"]]
    if hidden:
        text = f"{len(hidden)} CIs have further neighbours that were not looked at (the search stopped there)."
        yield Statement(text, (call_id(case.needed), call_id(case.hurt)))
    yield from judged.failure.both_ways()
    if not (judged.signs["kind"] == "change").any():
        text = "No change is recorded upstream before that moment: the cause may not be a recorded one."
        yield Statement(text, (call_id(case.history),))
    text = "That something moved first does not prove that it is the cause; no experiment was made."
    yield Statement(text, case.measured)


def _unmeasured(case: Case, judged: Judged, whole: Any) -> Iterator[Statement]:
    """The CIs upstream of whose health nothing is known, by the reason; a CI is told once."""
    left = set(case.upstream) - judged.compared
    silent = judged.movers.silent.filter(pl.col("ci_code").is_in(sorted(left)))
    quiet = {
        row[0]: row[1] for row in silent.group_by("ci_code").agg(pl.col("last_at").max()).sort("ci_code").iter_rows()
    }
    fresh = set(judged.movers.without_normal["ci_code"]) & left - set(quiet)
    if whole is not None:
        yield Statement(_no_points(case, whole), (*case.measured, call_id(whole)))
    elif quiet:
        names = [f"{code} (last {format_time(last)})" for code, last in quiet.items()]
        yield Statement(
            f"Measured in the normal time and silent since the window began: {listed(names)}.", case.measured
        )
    if fresh:
        text = f"Measured, but with fewer than {FEWEST} points of a series in the normal time ({case.usual})"
        yield Statement(f"{text}, so not compared: {listed(sorted(fresh))}.", case.measured)
    never = sorted(left - set(quiet) - fresh)
    if never:
        text = (
            "Without metrics in the window, or in the normal time to compare with, so nothing is known of their health"
        )
        yield Statement(f"{text}: {listed(never)}.", case.measured)


def _no_points(case: Case, whole: Any) -> str:
    row = as_polars(whole).filter(pl.col("table") == "metric").row(0, named=True)
    text = f"No metric of these CIs has points from {format_time(case.start)} to {format_time(case.end)}"
    if not row["present"] or not row["rows"]:
        return f"{text}: this tenant has no metrics at all."
    return (
        f"{text}; the metrics of this tenant run from {format_time(row['first_at'])} to {format_time(row['last_at'])}."
    )


def _next_steps(case: Case, judged: Judged) -> Iterator[Statement]:
    if judged.leads:
        lead, *others = judged.leads
        text = (
            f"Look at {lead.ci_code}: its changes, its logs, and what else depends on it (graph_expand, view impact)."
        )
        yield Statement(text, (call_id(case.needed),))
        rivals = [other for other in others if other.standing in (lead.standing, "source", "reported")]
        if rivals:
            text = f"Then at {listed([other.ci_code for other in rivals])}."
            yield Statement(text, (call_id(case.needed),))
    if judged.movers.without_normal.height:
        text = 'Name a time that counts as normal and has points: normal="START/END".'
        yield Statement(text, case.measured)


def _sections(case: Case, judged: Judged) -> Iterator[Section]:
    ill = set(judged.ill["ci_code"])
    if case.meant is not None:
        yield case.meant.section()
    yield Section("The CI", case.item, (call_id(case.item),))
    yield Section(
        "Where to look first", _leads_frame(judged.leads), (call_id(case.needed), call_id(case.history), *case.measured)
    )
    yield ranked_section("What changed", judged.changed, (call_id(case.needed), call_id(case.history)))
    yield Section(
        "What happened around it",
        case.history,
        (call_id(case.history),),
        picture="timeline",
        options={"at": case.moment},
    )
    for title, graph in (("What it needs", case.needed), ("What it hurts", case.hurt)):
        shown = {"focus": case.ci, "highlight": sorted(ill & set(graph))}
        yield Section(title, graph, (call_id(graph),), picture="topology", options=shown)
    yield judged.failure.section("Who is hurt")
    units = {name: row["unit"] for name, row in case.defined.items() if row["unit"]}
    moved = judged.movers.moved.drop("step")
    yield Section("What moved most", moved, case.measured, picture="movers", options={"units": units})
    pictured = _series_of(case, judged.movers.moved)
    if pictured is not None:
        options = {"at": case.moment, "window": (case.start, case.end), "units": units}
        yield Section("The metrics that moved", pictured, case.measured, picture="series", options=options)


def _leads_frame(leads: Iterable[Lead]) -> pl.DataFrame:
    rows = [(lead.ci_code, lead.hops, lead.standing, lead.moved_at, lead.score, _why(lead)) for lead in leads]
    schema: dict[str, Any] = {
        "ci_code": pl.String, "hops": pl.Int64, "standing": pl.String, "moved_at": pl.Datetime("us", "UTC"),
        "score": pl.Float64, "why": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _series_of(case: Case, moved: pl.DataFrame) -> pl.DataFrame | None:
    """The points of the series that moved most, for the picture."""
    top = moved.head(_MOST_SHOWN).select("ci_code", "metric").unique(maintain_order=True)
    if not top.height:
        return None
    parts = [
        part.filter(pl.col("ci_code") == code, pl.col("metric") == metric)
        for code, metric in top.iter_rows()
        for part in case.points
    ]
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
