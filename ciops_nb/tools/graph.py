"""Questions about how configuration items hang together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ciops_nb import sync
from ciops_nb.context import Context, check_count, choose
from ciops_nb.errors import BadParameter, ItemNotFound
from ciops_nb.estate.names import nearest
from ciops_nb.estate.schema import CI_COLUMNS
from ciops_nb.estate.times import format_time
from ciops_nb.registry import tool
from ciops_nb.tools.scope import codes_of, valid
from ciops_nb.topology.csr import Topology
from ciops_nb.topology.search import expand, hops_to, shortest_paths

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["VIEWS", "View", "graph_expand", "graph_path"]


@dataclass(frozen=True)
class View:
    """A way to look at a graph: how deep, in which direction, along which relations (None: all)."""

    depth: int
    deepest: int
    direction: str
    relations: tuple[str, ...] | None = None


VIEWS = {
    "summary": View(1, 1, "either"),
    "neighbors": View(1, 3, "either"),
    "composition": View(2, 6, "upstream", ("COMPOSED_OF",)),
    "dependency": View(2, 6, "upstream"),
    "impact": View(3, 10, "downstream"),
    "path": View(3, 10, "either"),
}
_DIRECTIONS = ("upstream", "downstream", "either")
_REVERSED = {"upstream": "downstream", "downstream": "upstream", "either": "either"}
_NODE = ("ci_id", "ci_name", "ci_type", "ci_subtype", "status", "criticality")


async def _topology(ctx: Context, moment: datetime) -> Topology:
    async def build() -> Topology:
        cis, relations = await asyncio.gather(
            ctx.run(ctx.tables.table("ci").filter(valid(moment)).select(CI_COLUMNS)),
            ctx.run(ctx.tables.table("relation").filter(valid(moment))),
        )
        return await sync.in_thread(Topology, cis, relations, ctx.manifest.relation_types)

    return await ctx.shared.get(f"topology {format_time(moment)}", build)


def _relations(topology: Topology, relations: Any, view: View) -> tuple[str, ...] | None:
    if relations is None:
        return view.relations
    asked = [relations] if isinstance(relations, str) else list(relations)
    for name in asked:
        if name not in topology.types:
            near = nearest(str(name), topology.types) or topology.types
            raise BadParameter("relations", name, "is not a relation type", f"Choose from {', '.join(near)}")
    return tuple(sorted(set(asked)))


def _number(topology: Topology, code: str, moment: datetime) -> int:
    if code not in topology.numbers:
        raise ItemNotFound(code, nearest(code, topology.codes), when=format_time(moment))
    return topology.numbers[code]


def _graph(topology: Topology, nodes: list[int], hops: list[int], edges: Any) -> nx.MultiDiGraph[str]:
    import networkx as nx

    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    rows = topology.cis[nodes].select("ci_code", *_NODE).iter_rows() if nodes else ()
    for (code, *values), hop in zip(rows, hops, strict=True):
        graph.add_node(code, **dict(zip(_NODE, values, strict=True)), hops=hop)
    graph.add_edges_from(topology.describe_edges(edges))
    return graph


def _mind_torn(ctx: Context, topology: Topology, nodes: list[int]) -> None:
    torn = int(topology.torn[nodes].sum()) if nodes else 0
    if torn:
        ctx.warn(f"{torn} relations of these CIs lead to CIs that do not exist at that time and are not shown")


@tool(version=1)
async def graph_expand(
    ctx: Context,
    ci: Any,
    *,
    view: str = "neighbors",
    depth: int | None = None,
    direction: str | None = None,
    relations: str | list[str] | None = None,
    max_nodes: int = 2000,
    as_of: Any = None,
) -> Any:
    """Collect what is around some CIs, breadth first.

    Args:
        ci: Where to start: a code, codes, a frame with ci_code, or a graph.
        view: summary, neighbors, composition, dependency, impact or path: sets what is followed and how far.
        depth: How many hops; None is the view's own. Above the view's deepest it is an error.
        direction: upstream (to what is needed), downstream (to what is hurt), either; None is the view's own.
        relations: The relation types to follow; None is the view's own.
        max_nodes: At most so many nodes, the nearest first, ties by code.
        as_of: The moment to look at; None is now.

    Returns:
        A ``networkx.MultiDiGraph``. Nodes are ci_codes with ci_id, ci_name, ci_type, ci_subtype, status, criticality
        and hops; edges run as stored, keyed by relation type, all those among the nodes. ``G.graph`` holds roots,
        view, depth, direction and frontier: ci_code, count and why (depth, max_nodes) of each node with neighbours
        that are not in the graph.

    Raises:
        ItemNotFound, BadParameter
    """
    shape = VIEWS[choose("view", view, tuple(VIEWS))]
    check_count("depth", depth, optional=True)
    steps = shape.depth if depth is None else depth
    if steps > shape.deepest:
        raise BadParameter("depth", depth, f"view {view!r} goes to {shape.deepest} at most", "Ask for less, or choose a deeper view")
    way = choose("direction", direction or shape.direction, _DIRECTIONS)
    check_count("max_nodes", max_nodes, least=1)
    moment = ctx.moment(as_of)
    topology = await _topology(ctx, moment)
    types = _relations(topology, relations, shape)
    roots = codes_of(ci)
    found = expand(topology.adjacency(way, types), [_number(topology, code, moment) for code in roots], steps, max_nodes)
    nodes = found.nodes.tolist()
    graph = _graph(topology, nodes, found.hops.tolist(), topology.edges_among(np.sort(found.nodes)))
    frontier = [{"ci_code": topology.codes[node], "count": count, "why": why} for node, count, why in found.frontier]
    graph.graph.update(roots=roots, view=view, depth=steps, direction=way, frontier=frontier)
    ctx.notes.total = found.total
    if found.total > len(nodes):
        ctx.notes.left_out.append({"what": "nodes", "count": found.total - len(nodes), "why": f"max_nodes={max_nodes}"})
    _mind_torn(ctx, topology, nodes)
    return graph


@tool(version=1)
async def graph_path(
    ctx: Context,
    source: str,
    target: str,
    *,
    relations: str | list[str] | None = None,
    direction: str = "either",
    max_hops: int = 6,
    k: int = 1,
    as_of: Any = None,
) -> Any:
    """Find the shortest ways from one CI to another.

    Args:
        source: The code to start from.
        target: The code to reach.
        relations: The relation types to follow; None is all.
        direction: upstream (each step to what is needed), downstream (to what is hurt), either.
        max_hops: At most so many steps.
        k: How many paths, the shortest first, ties by code.
        as_of: The moment to look at; None is now.

    Returns:
        A ``networkx.MultiDiGraph`` of the paths' nodes and steps; ``G.graph["paths"]`` lists them as lists of ci_code
        and is empty if there is none. If there is only a longer path, a warning says how long it is.

    Raises:
        ItemNotFound, BadParameter
    """
    choose("direction", direction, _DIRECTIONS)
    check_count("max_hops", max_hops)
    check_count("k", k, least=1)
    moment = ctx.moment(as_of)
    topology = await _topology(ctx, moment)
    types = _relations(topology, relations, VIEWS["path"])
    for name, value in (("source", source), ("target", target)):
        if not isinstance(value, str):
            raise BadParameter(name, value, "is not a code", "Give the code of one CI")
    start, end = _number(topology, source, moment), _number(topology, target, moment)
    forth, back = (topology.adjacency(way, types) for way in (direction, _REVERSED[direction]))
    paths = await sync.in_thread(lambda: shortest_paths(forth, back, start, end, max_hops=max_hops, k=k))
    hops: dict[int, int] = {}
    for path in paths:
        for hop, node in enumerate(path):
            hops[node] = min(hop, hops.get(node, hop))
    pairs = {pair for path in paths for pair in zip(path, path[1:], strict=False)}
    nodes = sorted(hops, key=lambda node: (hops[node], node))
    edges = topology.edges_between(pairs, direction, types) if pairs else []
    graph = _graph(topology, nodes, [hops[node] for node in nodes], edges)
    graph.graph.update(roots=[source, target], view="path", depth=max_hops, frontier=[])
    graph.graph["paths"] = [[topology.codes[node] for node in path] for path in paths]
    ctx.notes.total = len(nodes)
    if not paths:
        away = int(hops_to(back, end)[start])
        ctx.warn("there is no path of any length" if away < 0 else f"the shortest path has {away} hops, beyond max_hops={max_hops}")
    return graph
