"""Questions about how configuration items hang together."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from ciops_nb import sync
from ciops_nb.context import Context, Graph
from ciops_nb.errors import BadParameter
from ciops_nb.estate.schema import DTYPES, TABLES, Impact
from ciops_nb.estate.times import micros
from ciops_nb.parameters import check_count, choose, several
from ciops_nb.registry import tool
from ciops_nb.tools.around import Follow, around
from ciops_nb.tools.scope import codes_of, no_such_ci, versions
from ciops_nb.topology import (
    Direction,
    Edges,
    Expansion,
    PathsResult,
    Snapshot,
    Topology,
    expand,
    shortest_paths,
    to_networkx,
)
from ciops_nb.topology.csr import Ints
from ciops_nb.topology.follow import rule_for
from ciops_nb.ways import Work

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["DIRECTIONS", "VIEWS", "View", "graph_expand", "graph_path", "near_by", "relation_types"]


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
_HOPS = 64  # beyond, an estimate changes no more
DIRECTIONS = ("upstream", "downstream", "either")
_NODE = ("ci_id", "ci_name", "ci_type", "ci_subtype", "status", "criticality")


@dataclass(frozen=True)
class _Seen:
    """What a question can see: from which CIs on, how far, in which direction, over which relation types."""

    roots: list[str]
    depth: int
    direction: Direction
    relations: Any
    view: View
    target: str | None = None

    def work(self, sizes: Mapping[str, int], most: int | None = None) -> Work:
        """What it takes to answer, of at most so many nodes."""
        cis, relations = max(sizes["ci"], 1), sizes["relation"]
        each = (2 if self.direction == "either" else 1) * relations / cis  # followed from a CI, on average
        nodes, edge, hops = 0.0, float(len(self.roots)), 0
        while hops <= min(self.depth, _HOPS) and nodes < cis:
            nodes, edge, hops = nodes + edge, edge * each, hops + 1
        nodes = min(nodes, cis)
        reads = ("ci", "ci", "relation", *("relation", "ci") * hops)
        part = min(nodes * (1 + 2 * relations / cis), cis + relations)
        return Work("topology", ("ci", "relation"), 1.1, reads, part, min(nodes, nodes if most is None else most))


async def near_by(ctx: Context, moment: datetime, code: str, hops: int, most: int) -> list[str]:
    """The codes of the CIs that were at most *hops* relations from *code*, with itself; none if it was not there."""
    snapshot, _ = await _at(ctx, moment, _Seen([code], hops, "either", None, VIEWS["path"]))
    root = snapshot.find([code])
    if root[0] < 0:
        return []
    found = await sync.in_thread(functools.partial(expand, snapshot, root, depth=hops, max_nodes=most))
    return snapshot.codes(found.nodes)


async def _at(ctx: Context, moment: datetime, seen: _Seen) -> tuple[Snapshot, pl.DataFrame]:
    """The graph as it was at *moment*, of all CIs or of those in sight, and the versions of CIs, which its own number.

    All versions of the graph are held once for a state of the data.
    """

    async def whole() -> tuple[Topology, pl.DataFrame]:
        cis, relations = await sync.together(versions(ctx), ctx.run(ctx.tables.table("relation")))
        return await sync.in_thread(Topology.build, cis, relations, ctx.manifest.relation_types), cis

    async def part() -> tuple[Topology, pl.DataFrame]:
        types = await relation_types(ctx)
        follow = _followed(types, seen)
        cis, relations = await around(ctx, moment, seen.roots, depth=seen.depth, follow=follow, target=seen.target)
        return await sync.in_thread(Topology.build, cis, relations, types), cis

    if not ctx.tables.has("relation"):
        ctx.warn("this estate has no table 'relation': nothing is known of how CIs hang together")
    topology, cis = await ctx.either(seen.work(await ctx.sizes()), whole, part)
    return await sync.in_thread(topology.at, micros(moment)), cis


async def relation_types(ctx: Context) -> dict[str, Impact]:
    """All relation types that were ever used, or are declared, so that a part of the graph knows them all."""

    async def build() -> list[str]:
        return (await ctx.run(ctx.tables.table("relation").select("relation_type").unique()))["relation_type"].to_list()

    used = await ctx.shared.get("relation_types", build)
    return {**dict.fromkeys(used, "none"), **ctx.manifest.relation_types}


def _followed(types: Mapping[str, Impact], seen: _Seen) -> Follow:
    """The names of the types that may be followed along their arrow, and against it."""
    cis, relations = (
        pl.DataFrame(schema={column.name: DTYPES[column.kind] for column in TABLES[name].columns})
        for name in ("ci", "relation")
    )
    blank = Topology.build(cis, relations, types).at(0)
    rule = rule_for(blank, seen.direction, _types(blank, seen.relations, seen.view))
    names = np.array(blank.topology.types, dtype=object)
    return Follow(names[rule.along].tolist(), names[rule.against].tolist())


def _types(snapshot: Snapshot, relations: Any, view: View) -> frozenset[int] | None:
    if relations is None:
        held = [name for name in view.relations or () if name in snapshot.topology.types]
        return None if view.relations is None else snapshot.topology.type_codes(held)
    return snapshot.topology.type_codes(several("relations", relations, "Name a relation type, or a list of them"))


async def _find(ctx: Context, snapshot: Snapshot, codes: list[str], moment: datetime) -> Ints:
    found = snapshot.find(codes)
    for code, node in zip(codes, found.tolist(), strict=True):
        if node < 0:
            raise await no_such_ci(ctx, "ci_code", code, moment)
    return found


def _graph(snapshot: Snapshot, cis: pl.DataFrame, nodes: Ints, hops: Ints, edges: Edges) -> nx.MultiDiGraph[str]:
    rows = cis[snapshot.version[nodes].tolist()]
    columns: dict[str, Any] = {name: rows[name].to_list() for name in _NODE}
    return to_networkx(snapshot, nodes, edges, {**columns, "hops": hops.tolist()})


def _warn(ctx: Context, snapshot: Snapshot, nodes: Ints, edges: Edges) -> None:
    loose = len(snapshot.dangling(nodes))
    if loose:
        ctx.warn(f"{loose} relations of these CIs lead to CIs that do not exist at that time and are not shown")
    if edges.collapsed:
        ctx.warn(f"{edges.collapsed} rows repeat a relation of the same type between the same CIs and are shown once")


def _expand_reads(given: Mapping[str, Any], sizes: Mapping[str, int]) -> tuple[Work, ...]:
    shape = _shape(given["view"], given["depth"], given["direction"])
    return (_Seen(codes_of(given["ci"]), *shape[1:], given["relations"], shape[0]).work(sizes, given["max_nodes"]),)


def _path_reads(given: Mapping[str, Any], sizes: Mapping[str, int]) -> tuple[Work, ...]:
    seen = _Seen([given["source"]], given["max_hops"], given["direction"], given["relations"], VIEWS["path"])
    return (seen.work(sizes, given["k"] * (given["max_hops"] + 1)),)


def _shape(view: str, depth: int | None, direction: str | None) -> tuple[View, int, Direction]:
    """The view, with how far and in which direction it is meant to go."""
    shape = VIEWS[choose("view", view, tuple(VIEWS))]
    check_count("depth", depth, optional=True)
    steps = shape.depth if depth is None else depth
    if steps > shape.deepest:
        raise BadParameter(
            "depth", depth, f"view {view!r} goes to {shape.deepest} at most", "Ask for less, or choose a deeper view"
        )
    way = choose("direction", shape.direction if direction is None else direction, DIRECTIONS)
    return shape, steps, cast("Direction", way)


@tool(version=1, work=_expand_reads)
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
) -> Graph:
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
        view, depth, direction, impact (what each relation type in it says of who is hurt: target_to_source,
        source_to_target, both, none) and frontier: ci_code, count and why (depth, max_nodes) of each node with
        neighbours that are not in the graph.

    Raises:
        ItemNotFound, BadParameter
    """
    shape, steps, way = _shape(view, depth, direction)
    check_count("max_nodes", max_nodes, least=1)
    moment = ctx.moment(as_of)
    roots = codes_of(ci)
    seen = _Seen(roots, steps, way, relations, shape)
    snapshot, cis = await _at(ctx, moment, seen)
    types = _types(snapshot, relations, shape)
    start = await _find(ctx, snapshot, roots, moment)

    def search() -> tuple[Expansion, nx.MultiDiGraph[str]]:
        found = expand(snapshot, start, depth=steps, direction=seen.direction, types=types, max_nodes=max_nodes)
        return found, _graph(snapshot, cis, found.nodes, found.hops, found.edges)

    found, graph = await sync.in_thread(search)
    frontier = [{"ci_code": code, "count": count, "why": why} for code, count, why in found.frontier.records(snapshot)]
    kinds = [
        (snapshot.topology.types[kind], snapshot.topology.impacts[kind])
        for kind in np.unique(found.edges.kind).tolist()
    ]
    graph.graph.update(roots=roots, view=view, depth=steps, direction=way, impact=dict(kinds), frontier=frontier)
    ctx.notes.total = found.total
    hidden = found.total - len(found.nodes)
    if hidden:
        ctx.notes.left_out.append({"what": "nodes", "count": hidden, "why": f"max_nodes={max_nodes}"})
    _warn(ctx, snapshot, found.nodes, found.edges)
    return graph


@tool(version=1, work=_path_reads)
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
) -> Graph:
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
        A ``networkx.MultiDiGraph`` of the paths' nodes (with ci_id, ci_name, ci_type, ci_subtype, status, criticality
        and hops) and steps; ``G.graph["paths"]`` lists them as lists of ci_code
        and is empty if there is none. If there is only a longer path, a warning says how long it is.

    Raises:
        ItemNotFound, BadParameter
    """
    choose("direction", direction, DIRECTIONS)
    check_count("max_hops", max_hops)
    check_count("k", k, least=1)
    for name, value in (("source", source), ("target", target)):
        if not isinstance(value, str):
            raise BadParameter(name, value, "is not a code", "Give the code of one CI")
    moment = ctx.moment(as_of)
    seen = _Seen([source], max_hops, cast("Direction", direction), relations, VIEWS["path"], target)
    snapshot, cis = await _at(ctx, moment, seen)
    types = _types(snapshot, relations, VIEWS["path"])
    start, end = (await _find(ctx, snapshot, [source, target], moment)).tolist()

    def search() -> tuple[PathsResult, nx.MultiDiGraph[str]]:
        found = shortest_paths(snapshot, start, end, direction=seen.direction, types=types, max_hops=max_hops, k=k)
        return found, _graph(snapshot, cis, found.nodes, found.hops, found.edges)

    found, graph = await sync.in_thread(search)
    graph.graph.update(roots=[source, target], view="path", depth=max_hops, direction=direction, frontier=[])
    graph.graph["paths"] = [snapshot.codes(np.array(path)) for path in found.paths]
    ctx.notes.total = len(found.nodes)
    if not found.paths:
        away = found.shortest_hops
        ctx.warn(
            "there is no path of any length"
            if away is None
            else f"the shortest path has {away} hops, beyond max_hops={max_hops}"
        )
    _warn(ctx, snapshot, found.nodes, found.edges)
    return graph
