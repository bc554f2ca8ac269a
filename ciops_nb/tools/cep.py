"""Questions about rules: when they would have fired on what the estate holds.

What a rule means is for ``ciops_nb.cep``; what it reads is fetched by ``rule_data``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import polars as pl

from ciops_nb import sync
from ciops_nb.context import Context, Frame
from ciops_nb.estate.times import parse_time
from ciops_nb.registry import tool
from ciops_nb.tools.rule_data import Past, maintenance_of, past_of, walks_relations
from ciops_nb.tools.scope import codes_of, scope_ids

if TYPE_CHECKING:
    from ciops_nb.cep import Rule

__all__ = ["cep_simulate", "read_rules"]


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
        data_as_of: A time: the rules see only what was known by then.

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
    past, codes = await _past(ctx, rules, ci, time_range)
    found = await _alerts(ctx, rules, past, codes, data_as_of=known)
    ctx.notes.total = found.height
    return found.rename({"ci": "ci_code"})


def read_rules(rule: Any) -> list[Rule]:
    """The rules that *rule* means; those that were read already are taken as they are."""
    from ciops_nb.cep import load

    return load(rule)


async def _past(ctx: Context, rules: list[Rule], ci: Any, time_range: Any) -> tuple[Past, list[str] | None]:
    """What *rules* read, and the codes whose alerts alone are asked for (None: all that there are)."""
    ids, codes = await scope_ids(ctx, ci), None
    if ids is not None and walks_relations(rules):
        ids, codes = None, codes_of(ci)
    return await past_of(ctx, rules, ids, ctx.range(time_range)), codes


async def _alerts(
    ctx: Context, rules: list[Rule], past: Past, codes: list[str] | None, *, data_as_of: Any = None
) -> pl.DataFrame:
    """The alerts of *rules*, those in maintenance marked."""
    from ciops_nb.cep import replay
    from ciops_nb.cep.maintenance import in_maintenance

    ask = functools.partial(replay, rules, **past.given(), data_as_of=data_as_of)
    found = await sync.in_thread(ask)
    if codes is not None:
        found = found.filter(pl.col("ci").is_in(codes)).with_columns(match=pl.int_range(1, pl.len() + 1).over("rule"))
    fired = found.filter(pl.col("status") == "fired")
    if not fired.height:
        return found
    maintenance = await maintenance_of(ctx, fired["ci"].drop_nulls().unique().to_list(), past.start, past.end)
    if maintenance is None:
        ctx.warn("this estate has no table 'maintenance': no alert is known to be suppressed")
        return found
    return await sync.in_thread(in_maintenance, found, maintenance, past.end)
