"""Blast radius: what is hurt when a CI fails?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from ciops_nb.estate.times import format_time, parse_time
from ciops_nb.recipes.evidence import call_id, counted, incomplete, listed
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.run import recipe

if TYPE_CHECKING:
    import networkx as nx

    from ciops_nb.session import Ops

__all__ = ["Blast", "blast_of", "blast_radius"]

_CRITICAL = 4


@dataclass(frozen=True)
class Blast:
    """How many steps after the failure each CI is hurt, and why others are spared though they lose what they need."""

    hurt: dict[str, int]
    spared: dict[str, str]


@recipe
async def blast_radius(
    ops: Ops, ci: str, *, at: Any = None, depth: int = 5, relations: list[str] | None = None
) -> Findings:
    """What is hurt when this CI fails, and what do redundant groups spare?

    Args:
        ci: Code of the CI that fails.
        at: The moment whose topology counts; None is now.
        depth: How many hops downstream to look, 10 at most.
        relations: The relation types that pass a failure on; None is all that have an impact.
    """
    moment = await ops.now() if at is None else parse_time(at, tz=ops.tz, name="at")
    reached = await ops.graph_expand(ci, view="impact", depth=depth, relations=relations, as_of=moment)
    # What stays healthy of a group lies outside of what is reached: the needs of all that is are looked at too.
    needs = await ops.graph_expand(
        list(reached), view="dependency", depth=1, relations=relations, max_nodes=max(2000, 20 * len(reached)),
        as_of=moment,
    )  # fmt: skip
    calls = (call_id(reached), call_id(needs))
    blast, one_way = (blast_of(needs, ci, within=list(reached), both=both) for both in (True, False))
    rows = _rows(reached, blast)
    hurt = rows.filter(pl.col("step") > 0)
    systems = hurt.filter(pl.col("ci_type") == "SYSTEM")["ci_code"].to_list()
    critical = hurt.filter(pl.col("criticality") >= _CRITICAL)["ci_code"].to_list()
    whole = f", among them {listed(systems)}" if systems else ""
    statements = [
        Statement(f"{counted(len(codes), 'CI')} after {counted(step, 'step')}: {listed(codes)}.", calls)
        for (step,), codes in (
            (key, part["ci_code"].to_list()) for key, part in hurt.partition_by("step", as_dict=True).items()
        )
    ]
    if critical:
        statements.append(Statement(f"Of criticality {_CRITICAL} and more: {listed(critical)}.", calls))
    unknown = [*incomplete([reached, needs])]
    if reached.graph["frontier"]:
        further = listed([entry["ci_code"] for entry in reached.graph["frontier"]])
        unknown.append(
            Statement(f"What hangs on these was not looked at, further than {depth} hops: {further}.", calls[:1])
        )
    if len(one_way.hurt) < len(blast.hurt):
        kinds = sorted(kind for kind, way in needs.graph["impact"].items() if way == "both")
        rest = counted(len(one_way.hurt) - 1, "CI")
        text = (
            f"{listed(kinds)} passes a failure on both ways, which may be too much: without it, {rest} would be hurt."
        )
        unknown.append(Statement(text, calls))
    unknown.append(Statement("That a relation is recorded does not prove that a failure passes along it.", calls))
    return Findings(
        Statement(
            f"If {ci} fails ({format_time(moment)}), {counted(hurt.height, 'CI')} downstream "
            f"{'is' if hurt.height == 1 else 'are'} hurt{whole}.",
            calls,
        ),
        tuple(statements),
        (
            Section("What is hurt", rows, calls),
            Section(
                "How it spreads", reached, calls[:1], picture="topology",
                options={"focus": ci, "highlight": sorted(blast.hurt)},
            ),
        ),
        ruled_out=tuple(
            Statement(f"{code} goes on: {why}.", calls) for code, why in sorted(blast.spared.items())
        ),
        unknown=tuple(unknown),
        next_steps=(Statement("Ask the owners of the most critical ones what they would see first.", calls),)
        if hurt.height
        else (),
    )  # fmt: skip


def blast_of(graph: nx.MultiDiGraph[str], root: str, *, within: list[str], both: bool = True) -> Blast:
    """Let *root* fail and see who follows, step by step, until nobody more does.

    A CI is hurt when something fails that it needs. Needs with one redundancy_group stand in for each other: they hurt
    only when fewer than min_healthy of them (1 if it is not said) are left.

    Args:
        graph: Of ``graph_expand``: *within* and all they need.
        root: What fails.
        within: The CIs that may be hurt.
        both: Whether relations with the impact ``both`` pass the failure on.
    """
    needs = {code: _needs(graph, code, both) for code in within}
    hurt = {root: 0}
    for step in range(1, len(within) + 1):
        next_ones = {code for code in within if code not in hurt and _is_hurt(needs[code], hurt)}
        if not next_ones:
            break
        hurt.update(dict.fromkeys(next_ones, step))
    spared = {code: why for code in within if code not in hurt and (why := _why_spared(needs[code], hurt)) is not None}
    return Blast(hurt, spared)


_Needs = list[tuple[set[str], int]]  # groups of what stands in for each other, and how many must be left


def _needs(graph: nx.MultiDiGraph[str], code: str, both: bool) -> _Needs:
    impact: Mapping[str, str] = graph.graph["impact"]
    two_way = ("both",) if both else ()
    groups: dict[str, tuple[set[str], int]] = {}
    found: _Needs = []
    for _, target, data in graph.out_edges(code, data=True):
        if impact[data["relation_type"]] in ("target_to_source", *two_way) and target != code:
            group = data.get("redundancy_group")
            if group is None:
                found.append(({target}, 1))
            else:
                members, least = groups.setdefault(group, (set(), 1))
                members.add(target)
                groups[group] = (members, max(least, data.get("min_healthy") or 1))
    for source, _, data in graph.in_edges(code, data=True):
        if impact[data["relation_type"]] in ("source_to_target", *two_way) and source != code:
            found.append(({source}, 1))
    return [*found, *groups.values()]


def _is_hurt(needs: _Needs, hurt: Mapping[str, int]) -> bool:
    return any(len(members - hurt.keys()) < least for members, least in needs)


def _why_spared(needs: _Needs, hurt: Mapping[str, int]) -> str | None:
    for members, least in needs:
        lost = members & hurt.keys()
        if lost:
            left = sorted(members - hurt.keys())
            return f"it loses {listed(sorted(lost))} and has {listed(left)} left, of which it needs {least}"
    return None


def _rows(graph: nx.MultiDiGraph[str], blast: Blast) -> pl.DataFrame:
    told = ("ci_name", "ci_type", "ci_subtype", "criticality", "hops")
    rows = [(code, *(data[name] for name in told), blast.hurt.get(code)) for code, data in graph.nodes(data=True)]
    schema: dict[str, Any] = {
        **dict.fromkeys(("ci_code", "ci_name", "ci_type", "ci_subtype"), pl.String),
        **dict.fromkeys(("criticality", "hops", "step"), pl.Int64),
    }
    return pl.DataFrame(rows, schema=schema, orient="row").sort("step", "ci_code", nulls_last=True)
