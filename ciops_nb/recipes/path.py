"""Path: how do two CIs hang together?"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, Literal

from ciops_nb.estate.times import format_time, parse_time
from ciops_nb.kinds import Between, CiCode, Moment
from ciops_nb.recipes.evidence import call_id, counted, incomplete, listed
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.run import recipe

if TYPE_CHECKING:
    import networkx as nx

    from ciops_nb.session import Ops

__all__ = ["on_all_paths", "path"]


@recipe
async def path(
    ops: Ops,
    source: CiCode,
    target: CiCode,
    *,
    direction: Literal["upstream", "downstream", "either"] = "either",
    max_hops: Annotated[int, Between(0)] = 6,
    k: Annotated[int, Between(1)] = 3,
    at: Moment | None = None,
) -> Findings:
    """How do two CIs hang together, and what lies on every way between them?

    Args:
        source: Code of the one.
        target: Code of the other.
        direction: upstream (each step to what is needed), downstream (to what is hurt), either.
        max_hops: How many steps a way may have.
        k: How many ways to show, the shortest first.
        at: The moment whose topology counts; None is now.
    """
    moment = await ops.now() if at is None else parse_time(at, tz=ops.tz, name="at")
    found = await ops.graph_path(source, target, direction=direction, max_hops=max_hops, k=k, as_of=moment)
    calls = (call_id(found),)
    paths = found.graph["paths"]
    unknown = tuple(incomplete([found]))
    if not paths:
        text = f"No way of at most {counted(max_hops, 'hop')} leads from {source} to {target} ({format_time(moment)})."
        step = Statement("Allow more hops, or another direction.", calls)
        return Findings(Statement(text, calls), unknown=unknown, next_steps=(step,))
    statements = [Statement(f"{_told(found, way)}.", calls) for way in paths]
    between = on_all_paths(paths)
    if len(paths) > 1:
        shared = f"On all {len(paths)} of them: {listed(between)}" if between else "Nothing lies on all of them"
        statements.append(Statement(f"{shared}.", calls))
    if len(paths) == k:
        unknown = (*unknown, Statement(f"There may be more ways than the {k} shortest, which were asked for.", calls))
    shortest = counted(len(paths[0]) - 1, "hop")
    return Findings(
        Statement(f"{source} and {target} are {shortest} apart: {' - '.join(paths[0])}.", calls),
        tuple(statements),
        (Section("The ways", found, calls, picture="paths"),),
        unknown=unknown,
    )


def on_all_paths(paths: list[list[str]]) -> list[str]:
    """The codes between the ends that lie on every one of *paths*, in the order of the first."""
    shared = set(paths[0]).intersection(*paths[1:])
    return [code for code in paths[0][1:-1] if code in shared]


def _told(graph: nx.MultiDiGraph[str], way: list[str]) -> str:
    """The steps of *way* with their relations, an arrow as each is stored."""
    told = way[0]
    for one, other in itertools.pairwise(way):
        along = sorted(graph[one][other]) if graph.has_edge(one, other) else []
        against = sorted(graph[other][one]) if graph.has_edge(other, one) else []
        steps = [*(f"-{kind}->" for kind in along), *(f"<-{kind}-" for kind in against)]
        told += f" {' '.join(steps)} {other}"
    return told
