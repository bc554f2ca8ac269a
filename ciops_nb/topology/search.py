"""Everything around some nodes: breadth-first search over a snapshot, a level at a time.

Answers are arrays of nodes and edges; ``convert`` makes a graph of them. Paths between two nodes are in ``paths``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ciops_nb.errors import BadParameter
from ciops_nb.topology.csr import Bools, Ints, Snapshot, runs
from ciops_nb.topology.follow import Direction, Rule, edges_from, existing, neighbours, rule_for

__all__ = ["Edges", "Expansion", "Frontier", "distances", "edges_among", "expand", "select_edges"]

Why = Literal["depth", "max_nodes"]


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges as stored, sorted by the codes of source and target and by type.

    Attributes:
        source: Node at the start of each arrow.
        target: Node at its end.
        kind: Number of its relation type.
        row: Its row in the frame of relations.
        collapsed: How many further rows repeat one of these edges and are not shown.
    """

    source: Ints
    target: Ints
    kind: Ints
    row: Ints
    collapsed: int

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True, eq=False)
class Frontier:
    """Where the search stopped.

    Attributes:
        nodes: Returned nodes with neighbours that were not returned, in order of hops and code.
        left_out: How many distinct ones, for each.
        at_depth: Whether that is for the depth that was asked; otherwise it is for the most nodes that were.
    """

    nodes: Ints
    left_out: Ints
    at_depth: Bools

    def __len__(self) -> int:
        return len(self.nodes)

    def records(self, snapshot: Snapshot) -> list[tuple[str, int, Why]]:
        """For each node its code, how many neighbours were left out, and why."""
        why: list[Why] = ["depth" if at_depth else "max_nodes" for at_depth in self.at_depth.tolist()]
        return list(zip(snapshot.codes(self.nodes), self.left_out.tolist(), why, strict=True))


@dataclass(frozen=True, eq=False)
class Expansion:
    """What lies around some nodes.

    Attributes:
        nodes: The nodes found, roots included, in order of hops and code.
        hops: How many steps each is away from the nearest root.
        total: How many there would be without the limit on nodes.
        frontier: Where the search stopped.
        edges: All edges among the nodes, whichever were followed.
    """

    nodes: Ints
    hops: Ints
    total: int
    frontier: Frontier
    edges: Edges


def expand(
    snapshot: Snapshot,
    roots: Ints,
    *,
    depth: int,
    direction: Direction = "either",
    types: Collection[int] | None = None,
    max_nodes: int = 2000,
) -> Expansion:
    """Find the nodes within *depth* steps of *roots*, the nearest first.

    Args:
        snapshot: The moment to search.
        roots: Nodes to start from; repeats count once.
        depth: The most steps to take.
        direction: ``upstream`` to what a node needs, ``downstream`` to what is hurt when it fails, or ``either``
            way over any relation.
        types: Only follow relations of these types (numbers); None is all.
        max_nodes: Return at most so many, roots included: the nearest, of equally near ones the first by code.

    Raises:
        BadParameter: a root does not exist, or an argument is out of its range.
    """
    if depth < 0:
        raise BadParameter("depth", depth, "is below 0", "0 returns the roots alone")
    if max_nodes < 1:
        raise BadParameter("max_nodes", max_nodes, "is below 1", "Allow at least one node")
    rule = rule_for(snapshot, direction, types)
    steps = distances(snapshot, existing(snapshot, roots, "roots"), rule, depth)
    reached = snapshot.by_code[steps[snapshot.by_code] >= 0]
    nodes = reached[np.argsort(steps[reached], kind="stable")][:max_nodes]
    member = snapshot.mask(nodes)
    return Expansion(
        nodes=nodes,
        hops=steps[nodes],
        total=len(reached),
        frontier=_frontier(snapshot, nodes, member, rule, steps[nodes] == depth),
        edges=edges_among(snapshot, nodes, member),
    )


def distances(snapshot: Snapshot, roots: Ints, rule: Rule, depth: int | None, *, until: int | None = None) -> Ints:
    """For each node the fewest steps from *roots*, -1 where it takes more than *depth* or cannot be reached.

    With *until*, a node, the search goes on beyond *depth* until it has reached that node.
    """
    steps = np.full(len(snapshot.rank), -1, dtype=np.int32)
    steps[roots] = 0
    level, edge = 0, roots
    while len(edge) and (depth is None or level < depth or (until is not None and steps[until] < 0)):
        level += 1
        reached = neighbours(snapshot, edge, rule)[1]
        steps[reached[steps[reached] < 0]] = level
        edge = np.flatnonzero(steps == level)
    return steps


def edges_among(snapshot: Snapshot, nodes: Ints, member: Bools) -> Edges:
    """All edges with both ends among *nodes*, whose mask is *member*."""
    places = edges_from(snapshot, nodes)
    return select_edges(snapshot, places[member[snapshot.forward.node[places]]])


def select_edges(snapshot: Snapshot, places: Ints) -> Edges:
    """The edges at *places* of ``snapshot.forward``, in their order."""
    source, target, kind = snapshot.source[places], snapshot.forward.node[places], snapshot.forward.kind[places]
    order = np.lexsort((kind, snapshot.rank[target], snapshot.rank[source]))
    collapsed = int(snapshot.copies[places].sum()) - len(places)
    return Edges(
        source=source[order],
        target=target[order],
        kind=kind[order].astype(np.int32),
        row=snapshot.row[places[order]],
        collapsed=collapsed,
    )


def _frontier(snapshot: Snapshot, nodes: Ints, member: Bools, rule: Rule, at_depth: Bools) -> Frontier:
    place, node = neighbours(snapshot, nodes, rule)
    outside = ~member[node]
    # One number a pair, so that sorting finds the pairs that several relations make.
    pairs = np.sort(place[outside] * np.int64(len(member)) + node[outside])
    from_place = pairs[runs(pairs)[0]] // max(len(member), 1)
    first, count = runs(from_place)
    found = from_place[first]
    return Frontier(nodes[found], count, at_depth[found])
