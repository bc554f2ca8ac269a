"""Questions about rules: when they would have fired on what the estate holds.

What a rule means is for ``ciops_nb.cep``; what it reads is fetched by ``rule_data``.
"""

from __future__ import annotations

import dataclasses
import functools
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from ciops_nb import sync
from ciops_nb.context import Context, Frame
from ciops_nb.errors import BadParameter
from ciops_nb.estate.times import TimeRange, format_time, parse_duration, parse_time, shift
from ciops_nb.parameters import check_count
from ciops_nb.registry import tool
from ciops_nb.tools.rule_data import Past, incidents_of, maintenance_of, past_of, relations_of
from ciops_nb.tools.rule_ground import NO_MAINTENANCE, only_of, past_within
from ciops_nb.tools.scope import codes_of, scope_ids

if TYPE_CHECKING:
    from ciops_nb.cep import Rule

__all__ = ["cep_compare", "cep_explain", "cep_inject", "cep_simulate", "cep_sweep", "read_rules"]

_HOLDS = ("0s", "1m", "2m", "5m", "10m", "15m", "30m")
_STEPS = (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)  # tenths of the threshold
_FARTHEST, _DEEPEST = 6, 10


@tool(version=2)
async def cep_simulate(
    ctx: Context, rule: Any, *, time_range: Any = "last_7d", ci: Any = None, data_as_of: Any = None
) -> Frame:
    """Replay rules: when would they have fired?

    The series of the estate have the labels ``ci`` (the code), ``series`` where there is one, and those of the table
    ``label``; one called like a column of a point is named exported_NAME.

    What happened has the fields ci, kind (event, change, maintenance, incident), type (as ``history_recent`` shows it:
    incidents have none), severity, title, detail, source (who reported or did it), result, and each key of the
    properties of events; one called like a field is named exported_NAME. It happens when it begins, and is told apart
    by the id of its record.

    What depends on what follows the relation types of the estate: of one whose impact is ``both``, each end depends on
    the other; one with ``none`` is left out.

    Args:
        rule: A rule or several: YAML text, the path of a YAML file, a dict, a Rule, or a list of these.
        time_range: A time range; rules are evaluated at its start and each minute (or their ``every``) after it, up to
            its end and with it. ``all`` is from the first to the last of what the rules read. A tick sees points
            that are less than 5 minutes old, or less than twice the usual distance of the points of a metric where
            that is more than 5 minutes; the answer then warns of it.
        ci: Only points and records of these: a code, codes, a frame with ci_code, or a graph. Where a rule walks
            relations all are read, and only the alerts of these are shown.
        data_as_of: A time: the last tick is there, and the rules see only what was known by then. An estate does not
            say when its rows came in, so they are taken to have come when they happened, and the answer warns of it.

    Returns:
        A frame, an alert a row, by rule, active_at, ci_code and labels: rule, match (numbered within the rule),
        ci_code, labels (JSON), status (fired, suppressed, pending_only), active_at, fired_at, ended_at (null: still on
        at the end), value (when it fired), n (ticks at which the condition held) and evidence (a list of the samples
        and records it rests on, each with step, record_id, ts, ci_code, metric, value, hops). An alert that fired is
        suppressed if it did so within maintenance of its own CI only: from when it fired until it ended. One that goes
        on afterwards would have paged and stays fired. Both name the maintenance in their evidence, as the step
        maintenance.

    Raises:
        BadRule: a rule cannot be read, or asks for what is not supported yet.
        UnknownMetric: a rule names a metric that is not there.
        ItemNotFound, BadTimeRange, BadParameter
    """
    known = None if data_as_of is None else parse_time(data_as_of, tz=ctx.tz, name="data_as_of")
    rules = await sync.in_thread(read_rules, rule)
    past, codes = await past_within(ctx, rules, ci, time_range)
    if known is not None:
        past = past.known_by(known)
        ctx.warn(f"when rows came in is not told here: those up to {format_time(known)} are taken as known by then")
    found = await _alerts(ctx, rules, past, codes)
    ctx.notes.total = found.height
    return found.rename({"ci": "ci_code"})


@tool(version=1)
async def cep_explain(ctx: Context, rule: Any, *, time_range: Any = "last_7d", ci: Any = None) -> Frame:
    """Say how far rules got: for how long, how close to the threshold, and which part did not hold.

    Args:
        rule: As for ``cep_simulate``.
        time_range: As for ``cep_simulate``.
        ci: As for ``cep_simulate``.

    Returns:
        A frame, a series of a part of a rule a row, by rule, ci_code, labels and part: rule, part (empty for the whole
        condition; all[2] is the second under ``all``), ci_code, labels (JSON), state (of a whole: fired, too_short,
        never, no_data; of a part: held, never, no_data), held_s (for how many seconds it held at most; null if it never
        did), needed_s (its ``for``), missing_s, held_at (since when it held so long), best (the value that came
        closest), threshold, margin (how far beyond the threshold; negative: how much was missing), best_at and n (ticks
        at which it had a value). Of a rule that is found at moments of its own, the parts are the events it asks for.

    Raises:
        BadRule, UnknownMetric, ItemNotFound, BadTimeRange, BadParameter: as for ``cep_simulate``.
    """
    from ciops_nb.cep.explain import explain

    rules = await sync.in_thread(read_rules, rule)
    past, codes = await past_within(ctx, rules, ci, time_range)
    found = await sync.in_thread(functools.partial(explain, rules, **past.given()))
    if codes is not None:
        found = found.filter(pl.col("ci").is_in(codes))
    ctx.notes.total = found.height
    return found.rename({"ci": "ci_code"})


@tool(version=1)
async def cep_compare(
    ctx: Context, old_rule: Any, new_rule: Any, *, time_range: Any = "last_7d", ci: Any = None
) -> Frame:
    """Hold an old rule against a new one: which alerts has only one of them, and which come earlier or later?

    Alerts are the same if their labels are, but for those that the rules give, and they fire at some moment both.
    Those in maintenance are left out.

    Args:
        old_rule: A rule or several, as for ``cep_simulate``.
        new_rule: The same. One rule is compared with one whatever they are called; of several, those with the same id.
        time_range: As for ``cep_simulate``.
        ci: As for ``cep_simulate``.

    Returns:
        A frame, an alert or a pair of them a row, by the time of firing: state (both, only_old, only_new), old_rule,
        new_rule, ci_code, labels (JSON), old_fired_at, new_fired_at, fired_later_s (by how many seconds the new one
        fires later; negative is earlier), old_ended_at, new_ended_at and ended_later_s (null where one is still on).

    Raises:
        BadRule, UnknownMetric, ItemNotFound, BadTimeRange, BadParameter: as for ``cep_simulate``.
    """
    from ciops_nb.cep.compare import compared

    old, new = await sync.in_thread(read_rules, old_rule), await sync.in_thread(read_rules, new_rule)
    past, codes = await past_within(ctx, [*old, *new], ci, time_range)
    before, after = await _alerts(ctx, old, past, codes), await _alerts(ctx, new, past, codes)
    found = await sync.in_thread(compared, before, after, old, new)
    ctx.notes.total = found.height
    return found.rename({"ci": "ci_code"})


@tool(version=1)
async def cep_sweep(
    ctx: Context,
    rule: Any,
    *,
    value: Any = None,
    hold: Any = None,
    incidents: str | list[str] | None = None,
    hops: int = 0,
    before: str = "1h",
    after: str = "1h",
    time_range: Any = "last_7d",
    ci: Any = None,
) -> Frame:
    """Try a rule with other thresholds and durations against the incidents that are known.

    An incident is caught if an alert fires on its CI, or near it, from *before* it was opened until it was resolved (or
    until *after* it was opened, where it was not). Each incident that was opened within the time range counts once. An
    alert that fires at no such time is needless; those in maintenance count as suppressed and for nothing else.

    Args:
        rule: One rule that compares a metric or a ratio with a number, alone or as the first of ``all``, and those that
            record what it reads.
        value: The thresholds to try, a list of numbers; None is its own and ten around it, up to half more or less.
        hold: The durations to try instead of its ``for``, a list such as ``["0s", "5m"]``; None is its own, and from
            none to half an hour.
        incidents: Only these: an id, or a list of ids; None is all.
        hops: How near an alert has to be: so many relations from the CI of the incident, whichever way (6 at most).
        before: How long before the opening an alert may fire.
        after: How long after it, where it is not known when the incident was resolved.
        time_range: As for ``cep_simulate``.
        ci: Only points and incidents of these, as for ``cep_simulate``.

    Returns:
        A frame, a cell of the grid a row, by value and duration: value, for, for_s (in seconds), fired, suppressed,
        pages_per_week, caught, missed, needless, precision (of the alerts that fired, the share that is not needless),
        recall (of the incidents, the share caught), lead_time_s (median, seconds before the opening; negative is after)
        and on_front (no other cell catches as much with fewer needless alerts, or as few of them and fewer alerts).

    Raises:
        BadRule: the rule has no threshold to turn, or cannot be read.
        UnknownMetric, ItemNotFound, BadTimeRange, BadParameter: as for ``cep_simulate``.
    """
    from ciops_nb.cep.sweep import only_alerting, sweep, threshold_of

    rules = await sync.in_thread(read_rules, rule)
    one = only_alerting(rules)
    check_count("hops", hops)
    if hops > _FARTHEST:
        raise BadParameter("hops", hops, f"is more than {_FARTHEST}", "Ask for less: nearly all is near then")
    for name, length in (("before", before), ("after", after)):
        parse_duration(length, name=name)
    own = threshold_of(one)
    values = [own * (10 + step) / 10 for step in _STEPS] + [own] if value is None else _listed("value", value)
    holds = [one.for_, *_HOLDS] if hold is None else _listed("hold", hold)
    past, _ = await past_within(ctx, rules, ci, time_range)
    known = await incidents_of(ctx, await scope_ids(ctx, ci), incidents, hops)
    codes = None if past.metrics is None else past.metrics["ci"].drop_nulls().unique().to_list()
    calm = await maintenance_of(ctx, codes or [], past.start, past.end)
    if calm is None:
        ctx.warn(NO_MAINTENANCE)
    ask = functools.partial(
        sweep, rules, values=values, holds=holds, incidents=known, maintenance=calm, before=before, after=after,
        **past.given(),
    )  # fmt: skip
    found = await sync.in_thread(ask)
    ctx.notes.total = found.height
    return found


@tool(version=1)
async def cep_inject(
    ctx: Context,
    rule: Any,
    *,
    ci: Any,
    fault: dict[str, Any],
    at: Any,
    lasting: str = "30m",
    event: dict[str, Any] | None = None,
    hops: int = 3,
    delay: str = "1m",
    damping: float = 0.7,
    around: str = "1h",
    seed: int = 0,
) -> Frame:
    """Put a fault that did not happen into a copy of the past: would the rules see it, where, and how soon?

    The fault spreads from its CI to what is hurt when that fails, by the relations of that moment, and takes its time
    from hop to hop. Points and events are changed in a copy; nothing is written.

    Args:
        rule: As for ``cep_simulate``.
        ci: Where it begins: a code, codes, a frame with ci_code, or a graph.
        fault: What happens to which metric: ``{"response_time": {"times": 3}, "cpu": {"add": 40}, "queue": {"set": 0},
            "disk": "gone"}``. Points are changed where a CI has them; none are made.
        at: When it begins.
        lasting: For how long, on each CI.
        event: What each CI reports when it is struck: the fields of an event, such as ``{"type": "alert"}``.
        hops: How far it spreads downstream (10 at most).
        delay: How long it takes from hop to hop, on average: each takes between half and one and a half times that.
        damping: How much of it is left after a hop, from 0 to 1. Of points that are gone, so many are.
        around: How long before it, and after the last of it, the rules are evaluated.
        seed: Of the draws, which are the same each time for the same seed.

    Returns:
        A frame, an alert a row, by rule, active_at, ci_code and labels: rule, match, ci_code, labels (JSON), status,
        active_at, fired_at, ended_at, value, n, evidence (all as of ``cep_simulate``), injected (there was no such
        alert at that time without the fault), delay_s (seconds from *at* until it fired, or became active) and hops
        (how far from the fault its CI is; null: it was not struck).

    Raises:
        BadRule, UnknownMetric, ItemNotFound, BadTimeRange, BadParameter: as for ``cep_simulate``.
    """
    import numpy as np

    from ciops_nb.cep.inject import faults, hurt_by, injected, struck, told_apart

    rules = await sync.in_thread(read_rules, rule)
    wanted, reported = faults(fault), _event(event)
    check_count("hops", hops)
    check_count("seed", seed)
    if hops > _DEEPEST:
        raise BadParameter("hops", hops, f"is more than {_DEEPEST}", "Ask for less")
    if isinstance(damping, bool) or not isinstance(damping, (int, float)) or not 0 <= damping <= 1:
        raise BadParameter("damping", damping, "is not a share", "Give a number from 0 to 1")
    moment = parse_time(at, tz=ctx.tz, name="at")
    step, length = parse_duration(delay, name="delay"), parse_duration(lasting, name="lasting")
    margin = parse_duration(around, name="around")
    start = shift(moment, -margin, "around", around)
    over = shift(shift(moment, length, "lasting", lasting), 2 * hops * step, "delay", delay)
    end = shift(over, margin, "around", around)
    await scope_ids(ctx, ci)
    roots = codes_of(ci)
    past = await past_of(ctx, rules, None, TimeRange(start, end))
    draws = np.random.default_rng(seed)
    hit = struck(
        hurt_by(await relations_of(ctx), roots, moment, hops),
        at=moment, lasting=length, delay=step, damping=float(damping), chance=draws,
    )  # fmt: skip
    metrics, events = await sync.in_thread(injected, past.metrics, past.events, hit, wanted, reported, draws)
    _warn_of_nothing(ctx, past, hit, [one.metric for one in wanted], reported)
    changed = dataclasses.replace(past, metrics=metrics, events=events)
    found, without = await _alerts(ctx, rules, changed, None), await _alerts(ctx, rules, past, None)
    told = await sync.in_thread(told_apart, found, without, hit, moment)
    ctx.notes.total = told.height
    return told.rename({"ci": "ci_code"})


def _event(event: Any) -> dict[str, Any] | None:
    if event is None:
        return None
    if not isinstance(event, dict) or not all(
        isinstance(name, str) and (value is None or isinstance(value, (str, int, float, bool)))
        for name, value in event.items()
    ):
        raise BadParameter("event", event, "is not the fields of an event", 'Write {"type": "alert", "severity": 4}')
    for name in ("ts", "ci", "seq"):
        if name in event:
            raise BadParameter("event", event, f"says {name!r}, which the fault does", "Leave it out")
    return event


def _warn_of_nothing(
    ctx: Context, past: Past, hit: pl.DataFrame, metrics: list[str], event: dict[str, Any] | None
) -> None:
    """Say which part of a fault changes nothing that the rules look at."""
    for metric in metrics:
        if past.metrics is None or not past.metrics.filter(
            pl.col("metric") == metric, pl.col("ci").is_in(hit["ci"].implode())
        ).height:  # fmt: skip
            ctx.warn(f"no rule reads metric {metric!r}, or no CI that is struck has it: the fault does not show in it")
    if event and past.events is None:
        ctx.warn("no rule reads events: the fault does not show in them")


def _listed(name: str, value: Any) -> list[Any]:
    """*value* as a list: one is a list of one."""
    for method in ("tolist", "to_list"):  # numpy, pandas; polars
        if hasattr(value, method):
            value = getattr(value, method)()
            break
    if isinstance(value, (list, tuple, range)):
        return list(value)
    if isinstance(value, (str, int, float, timedelta)):
        return [value]
    raise BadParameter(name, value, "is not a list of what to try", "Give a list")


def read_rules(rule: Any) -> list[Rule]:
    """The rules that *rule* means; those that were read already are taken as they are."""
    from ciops_nb.cep import load

    return load(rule)


async def _alerts(ctx: Context, rules: list[Rule], past: Past, codes: list[str] | None) -> pl.DataFrame:
    """The alerts of *rules*, those in maintenance marked."""
    from ciops_nb.cep import replay
    from ciops_nb.cep.maintenance import in_maintenance

    found = only_of(await sync.in_thread(functools.partial(replay, rules, **past.given())), codes)
    fired = found.filter(pl.col("status") == "fired")
    if not fired.height:
        return found
    maintenance = await maintenance_of(ctx, fired["ci"].drop_nulls().unique().to_list(), past.start, past.end)
    if maintenance is None:
        ctx.warn(NO_MAINTENANCE)
        return found
    return await sync.in_thread(in_maintenance, found, maintenance, past.end)
