"""Review of rules: how often would they have paged, for what, how near did others come, and what would be better?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl

from ciops_nb import sync
from ciops_nb.errors import BadRule
from ciops_nb.estate.times import TimeRange, format_time, parse_range
from ciops_nb.kinds import Between, CiCodes, Length, Range, RuleText
from ciops_nb.recipes.evidence import as_polars, call_id, counted, incomplete, listed
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.run import recipe
from ciops_nb.tools.cep import read_rules

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["better_cells", "noisiest", "rule_review"]

_MOST_TOLD = 5
_FEW = 5  # incidents: too few to say much of a threshold


@dataclass(frozen=True)
class _Swept:
    """What a sweep says of one rule: the cell that it is now, and those that would be better."""

    answer: Any
    own: Mapping[str, Any]
    better: list[dict[str, Any]]


@recipe
async def rule_review(
    ops: Ops,
    rule: RuleText,
    *,
    time_range: Range = "last_7d",
    ci: CiCodes | None = None,
    hops: Annotated[int, Between(0, 6)] = 1,
    before: Length = "1h",
    after: Length = "1h",
) -> Findings:
    """Would these rules have paged for what mattered, and for how much else?

    Args:
        rule: A rule or several: YAML text, the path of a YAML file, a dict, or a list of these.
        time_range: The time to try them on.
        ci: Only these: a code, codes, a frame with ci_code, or a graph.
        hops: How many relations away from the CI of an incident an alert may be to have caught it, 6 at most.
        before: How long before an incident was opened an alert may fire and still be for it.
        after: How long after it, where it is not known when the incident was resolved.

    Raises:
        BadRule: a rule cannot be read.
        UnknownMetric, ItemNotFound, BadTimeRange, BadParameter
    """
    every = await sync.in_thread(read_rules, rule)
    rules, recording = ([one for one in every if (one.record is None) is alerts] for alerts in (True, False))
    span = parse_range(time_range, now=await ops.now(), tz=ops.tz)
    given: dict[str, Any] = {"time_range": span, "ci": ci}
    against = {**given, "hops": hops, "before": before, "after": after}
    alerts, near, swept = await asyncio.gather(
        ops.cep_simulate(every, **given),
        ops.cep_explain(every, **given),
        asyncio.gather(*(_swept(ops, one, recording, against) for one in rules)),
    )
    known = {one.id or "": found for one, found in zip(rules, swept, strict=True)}
    shown, how_far = as_polars(alerts), as_polars(near)
    statements: list[Statement] = []
    for one in rules:
        name = one.id or ""
        statements += _of_rule(name, shown.filter(pl.col("rule") == name), span, known[name], call_id(alerts))
        statements += _near(name, how_far.filter(pl.col("rule") == name, pl.col("part") == ""), call_id(near))
    answers = [alerts, near, *(found.answer for found in swept if found is not None)]
    sections = [
        Section("Alerts", alerts, (call_id(alerts),), picture="replay_timeline", options=_window(span)),
        Section("Who fired", noisiest(shown), (call_id(alerts),)),
        Section("How near", near, (call_id(near),)),
    ]
    for name, found in known.items():
        if found is not None:
            sections += _thresholds(name, found)
    return Findings(
        Statement(_headline(shown, span), (call_id(alerts),)),
        tuple(statements),
        tuple(sections),
        unknown=(*incomplete(answers), *_unknown(known, call_id(alerts))),
        next_steps=tuple(_next(known)),
    )


def _window(span: TimeRange) -> dict[str, Any]:
    """All the time that was looked into, where it is known, so that quiet is seen to be quiet."""
    if span.start is None or span.end is None:
        return {}
    return {"window": [format_time(span.start), format_time(span.end)]}


def _thresholds(name: str, swept: _Swept) -> Iterator[Section]:
    calls, own = (call_id(swept.answer),), [swept.own["value"], swept.own["for_s"]]
    yield Section(f"What {name} would catch", swept.answer, calls, picture="sweep_map", options={"at": own})
    yield Section(
        f"Thresholds for {name}",
        as_polars(swept.answer).filter(pl.col("on_front")),
        calls,
        text="The cells than which none catches as much with fewer needless alerts.",
    )


async def _swept(ops: Ops, rule: Any, recording: list[Any], given: Mapping[str, Any]) -> _Swept | None:
    """The sweep of one rule; None where it has no threshold to turn."""
    try:
        answer = await ops.cep_sweep([*recording, rule], **given)
    except BadRule:
        return None
    grid = as_polars(answer)
    own = grid.filter(pl.col("for_s") == rule.for_.total_seconds(), pl.col("value") == _threshold(grid))
    cell = own.row(0, named=True)
    return _Swept(answer, cell, better_cells(grid, cell))


def _threshold(grid: pl.DataFrame) -> float:
    """The rule's own: the middle one of those that a sweep tries by itself."""
    values = grid["value"].unique().sort()
    return float(values[len(values) // 2])


def better_cells(grid: pl.DataFrame, own: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Cells that are better than *own*: what catches as much with fewer needless alerts or then fewer, and what more.

    Of each kind there is one at most. The first has the fewest needless alerts and then the fewest at all; the second
    catches the most, and then has the fewest. Of equals the one closest to *own* is taken.
    """
    cost, near = ("needless", "fired"), [(pl.col(name) - own[name]).abs() for name in ("value", "for_s")]
    cheapest = grid.filter(pl.col("caught") >= own["caught"]).sort(*cost, -pl.col("caught"), *near).row(0, named=True)
    widest = grid.sort(-pl.col("caught"), *cost, *near).row(0, named=True)
    found = [cheapest] if tuple(map(cheapest.get, cost)) < tuple(map(own.get, cost)) else []
    return [*found, widest] if widest["caught"] > max(own["caught"], *(one["caught"] for one in found), 0) else found


def noisiest(alerts: pl.DataFrame) -> pl.DataFrame:
    """Who fired how often: rule, ci_code, fired, suppressed, pending_only and firing_s, the most first.

    *firing_s* is for how long, of those that ended.
    """
    status = pl.col("status")
    return (
        alerts.group_by("rule", "ci_code")
        .agg(
            *((status == name).sum().cast(pl.Int64).alias(name) for name in ("fired", "suppressed", "pending_only")),
            firing_s=(pl.col("ended_at") - pl.col("fired_at")).dt.total_microseconds().sum() / 1e6,
        )
        .sort("fired", "suppressed", "rule", "ci_code", descending=[True, True, False, False], nulls_last=True)
    )


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _headline(alerts: pl.DataFrame, span: TimeRange) -> str:
    fired = alerts.filter(pl.col("status") == "fired").height
    held_back = alerts.filter(pl.col("status") == "suppressed").height
    silent = f"; {counted(held_back, 'more alert')} fired in maintenance" if held_back else ""
    if not fired:
        return f"Nobody would have been paged in {_told(span)}{silent}."
    return f"{counted(fired, 'page')} in {_told(span)}{_per_week(fired, span)}{silent}."


def _told(span: TimeRange) -> str:
    if span.start is None or span.end is None:
        return "all the time there is"
    return f"{format_time(span.start)} to {format_time(span.end)}"


def _per_week(fired: int, span: TimeRange) -> str:
    if span.start is None or span.end is None:
        return ""
    return f", {fired / ((span.end - span.start) / timedelta(weeks=1)):.3g} a week"


def _of_rule(name: str, alerts: pl.DataFrame, span: TimeRange, swept: _Swept | None, call: str) -> Iterator[Statement]:
    count = {status: alerts.filter(pl.col("status") == status).height for status in alerts["status"].unique()}
    fired = count.get("fired", 0)
    rest = [
        text
        for text, number in (
            (f"{count.get('suppressed', 0)} in maintenance, so suppressed", count.get("suppressed", 0)),
            (f"{count.get('pending_only', 0)} that did not last", count.get("pending_only", 0)),
        )
        if number
    ]
    also = f", and {' and '.join(rest)}" if rest else ""
    yield Statement(f"{name} would have paged {counted(fired, 'time')}{_per_week(fired, span)}{also}.", (call,))
    if fired:
        by = noisiest(alerts).filter(pl.col("fired") > 0)
        shares = [f"{row['ci_code'] or 'no CI'} ({row['fired']})" for row in by.head(_MOST_TOLD).iter_rows(named=True)]
        more = by.height - len(shares)
        text = f"{name} fired most on {', '.join(shares)}" + (f" and on {more} more" if more else "")
        yield Statement(f"{text}.", (call,))
    if swept is not None:
        yield Statement(_against(name, swept.own), (call_id(swept.answer),))


def _against(name: str, cell: Mapping[str, Any]) -> str:
    known = cell["caught"] + cell["missed"]
    if not known:
        return f"{name}: no incident is known in that time, so each of its {counted(cell['fired'], 'page')} met none."
    early = cell["lead_time_s"]
    lead = (
        "" if early is None else f", {_length(abs(early))} {'before' if early >= 0 else 'after'} the opening (median)"
    )
    return (
        f"{name} caught {cell['caught']} of {counted(known, 'incident')}{lead}; {cell['missed']} missed, and "
        f"{counted(cell['needless'], 'page')} met no incident."
    )


def _near(name: str, rows: pl.DataFrame, call: str) -> Iterator[Statement]:
    short = rows.filter(pl.col("state") == "too_short").sort("missing_s", "ci_code", nulls_last=True)
    if short.height:
        row = short.row(0, named=True)
        held = f"{_length(row['held_s'])} of {_length(row['needed_s'])} from {format_time(row['held_at'])}"
        text = f"{name} held too briefly to fire on {short.height:,} series, the longest on {row['ci_code']}: {held}"
        yield Statement(f"{text}.", (call,))
    never = rows.filter(pl.col("state") == "never", pl.col("margin").is_not_null())
    if never.height:
        row = never.sort("margin", "ci_code", descending=[True, False], nulls_last=True).row(0, named=True)
        near = f"{row['best']:.4g} against {row['threshold']:.4g} on {row['ci_code']} at {format_time(row['best_at'])}"
        text = f"{name} never held on {never.height:,} series; nearest came {near}"
        yield Statement(f"{text}.", (call,))
    without = rows.filter(pl.col("state") == "no_data")
    if without.height:
        who = listed(without["ci_code"].drop_nulls().unique().sort().to_list()) or "any series"
        yield Statement(f"{name} had no data of {who}: that it did not fire there says nothing.", (call,))


def _length(seconds: float) -> str:
    """``1h 5m``, of which no part is nothing."""
    left, parts = round(seconds), []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts) or "0s"


def _unknown(known: Mapping[str, _Swept | None], call: str) -> Iterator[Statement]:
    for name, swept in known.items():
        if swept is None:
            text = f"{name} compares nothing with one number: no other threshold was tried, nor was it held against"
            yield Statement(f"{text} incidents.", (call,))
        elif (count := swept.own["caught"] + swept.own["missed"]) < _FEW:
            text = f"{name} was held against {counted(count, 'incident')}: that is too few to judge a threshold by"
            yield Statement(f"{text}.", (call_id(swept.answer),))
    text = "An alert near an incident need not be due to it, and an incident that nobody recorded counts as none"
    yield Statement(f"{text}.", (call,))


def _next(known: Mapping[str, _Swept | None]) -> Iterator[Statement]:
    for name, swept in known.items():
        if swept is None:
            continue
        own = swept.own
        for cell in swept.better:
            text = (
                f"A lead for {name}: {cell['value']:g} for {cell['for']} would have caught {cell['caught']} "
                f"(now {own['caught']}) with {counted(cell['needless'], 'needless page')} (now {own['needless']}). "
                f"It fits this time; try it on another before you believe it"
            )
            yield Statement(f"{text}.", (call_id(swept.answer),))
