"""Blast radius: what is hurt when a CI fails?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl

from ciops_nb.estate.times import format_time, parse_time
from ciops_nb.kinds import Between, CiCode, Moment
from ciops_nb.recipes.evidence import call_id, counted, incomplete, listed
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.run import recipe

if TYPE_CHECKING:
    import networkx as nx

    from ciops_nb.session import Ops

__all__ = ["Blast", "Failure", "ask_needs", "blast_of", "blast_radius", "failure_of"]

_CRITICAL = 4


@dataclass(frozen=True)
class Blast:
    """How many steps after the failure each CI is hurt, and why others are spared though they lose what they need."""

    hurt: dict[str, int]
    spared: dict[str, str]


@recipe
async def blast_radius(
    ops: Ops,
    ci: CiCode,
    *,
    at: Moment | None = None,
    depth: Annotated[int, Between(0, 10)] = 5,
    relations: list[str] | None = None,
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
    needs = await ask_needs(ops, reached, relations=relations, moment=moment)
    failure = failure_of(ci, moment, reached, needs)
    calls, hurt = failure.calls, failure.hurt
    critical = hurt.filter(pl.col("criticality") >= _CRITICAL)["ci_code"].to_list()
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
    unknown += failure.both_ways()
    unknown.append(Statement("That a relation is recorded does not prove that a failure passes along it.", calls))
    shown = {"focus": ci, "highlight": sorted(failure.blast.hurt)}
    return Findings(
        failure.headline(),
        tuple(statements),
        (
            failure.section("What is hurt"),
            Section("How it spreads", reached, calls[:1], picture="topology", options=shown),
        ),
        ruled_out=failure.spared(),
        unknown=tuple(unknown),
        next_steps=(Statement("Ask the owners of the most critical ones what they would see first.", calls),)
        if hurt.height
        else (),
    )


@dataclass(frozen=True)
class Failure:
    """What follows from the failure of one CI: the graphs it was seen in, who is hurt and who is spared."""

    ci: str
    moment: datetime
    reached: Any
    needs: Any
    blast: Blast
    one_way: Blast  # if nothing passed a failure on both ways

    @property
    def calls(self) -> tuple[str, str]:
        return call_id(self.reached), call_id(self.needs)

    @cached_property
    def rows(self) -> pl.DataFrame:
        """All that are reached with the step after which each is hurt, null for those that go on."""
        return _rows(self.reached, self.blast)

    @property
    def hurt(self) -> pl.DataFrame:
        """Those of *rows* that are hurt, without the one that fails."""
        return self.rows.filter(pl.col("step") > 0)

    def headline(self) -> Statement:
        hurt = self.hurt
        systems = hurt.filter(pl.col("ci_type") == "SYSTEM")["ci_code"].to_list()
        whole = f", among them {listed(systems)}" if systems else ""
        many = f"{counted(hurt.height, 'CI')} downstream {'is' if hurt.height == 1 else 'are'} hurt{whole}"
        return Statement(f"If {self.ci} fails ({format_time(self.moment)}), {many}.", self.calls)

    def spared(self) -> tuple[Statement, ...]:
        """Who loses something and goes on all the same."""
        told = sorted(self.blast.spared.items())
        return tuple(Statement(f"{code} goes on: {why}.", self.calls) for code, why in told)

    def both_ways(self) -> Iterator[Statement]:
        """What relations that pass a failure on both ways make of it, if they do."""
        if len(self.one_way.hurt) < len(self.blast.hurt):
            kinds = sorted(kind for kind, way in self.needs.graph["impact"].items() if way == "both")
            rest = counted(len(self.one_way.hurt) - 1, "CI")
            what = f"{listed(kinds)} passes a failure on both ways, which may be too much"
            yield Statement(f"{what}: without it, {rest} would be hurt.", self.calls)

    def section(self, title: str) -> Section:
        return Section(
            title, self.rows, self.calls, text="step: after how many steps each is hurt; without one, it goes on."
        )


async def ask_needs(ops: Ops, reached: Any, *, relations: list[str] | None = None, moment: datetime) -> Any:
    """The needs of all that is *reached*: what stays healthy of a group lies outside of it."""
    most = max(2000, 20 * len(reached))
    return await ops.graph_expand(
        list(reached), view="dependency", depth=1, relations=relations, max_nodes=most, as_of=moment
    )


def failure_of(ci: str, moment: datetime, reached: Any, needs: Any) -> Failure:
    """Let *ci* fail in the graphs that were asked: *reached*, what lies downstream, and *needs*, what that needs."""
    blast, one_way = (blast_of(needs, ci, within=list(reached), both=both) for both in (True, False))
    return Failure(ci, moment, reached, needs, blast, one_way)


def blast_of(graph: nx.MultiDiGraph[str], root: str, *, within: list[str], both: bool = True) -> Blast:
    """Let *root* fail and see who follows, step by step, until nobody more does.

    A CI is hurt when something fails that it needs. Needs with one redundancy_group stand in for each other: they hurt
    only when one of them fails and fewer than min_healthy (1 if it is not said) are left.

    Args:
        graph: Of ``graph_expand``: *within* and all they need.
        root: What fails.
        within: The CIs that may be hurt; those of one step come in this order.
        both: Whether relations with the impact ``both`` pass the failure on.
    """
    needs = {code: _needs(graph, code, both) for code in within}
    hurt = {root: 0}
    for step in range(1, len(within) + 1):
        next_ones = [code for code in within if code not in hurt and _is_hurt(needs[code], hurt)]
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
    return any(members & hurt.keys() and len(members - hurt.keys()) < least for members, least in needs)


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
