"""The shortest ways from one node to another: simple paths in order of length, then of the codes along them.

The algorithm is Yen's (J. Y. Yen, "Finding the K Shortest Loopless Paths in a Network", Management Science 17, 1971)
with Lawler's refinement (E. L. Lawler, "A procedure for computing the K best solutions...", Management Science 18,
1972): each answer splits the paths that are left into classes that do not overlap, so no path is found twice. A class
is searched only when its lower bound is the least of all, and only over nodes from which the target, by a
breadth-first search done once, can still be near enough (as A* does).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np

from ciops_nb.errors import BadParameter
from ciops_nb.topology.csr import Ints, Snapshot
from ciops_nb.topology.follow import Direction, Rule, edges_from, existing, neighbours, rule_for
from ciops_nb.topology.search import Edges, distances, select_edges

__all__ = ["PathsResult", "shortest_paths"]

Path = tuple[int, ...]

_FAR = np.iinfo(np.int32).max // 4  # more steps than any graph here has, and sums of it do not overflow


@dataclass(frozen=True, eq=False)
class PathsResult:
    """The first paths from one node to another.

    Attributes:
        paths: Nodes along each, by length, then by their codes.
        shortest_hops: Steps of the shortest path, however long; None if there is none.
        more: Whether there are further paths within the hops asked.
        nodes: The nodes on the paths, in order of hops and code.
        hops: How many steps along these paths each is away from their start.
        edges: The relations that the paths take, each once.
        between: For two nodes that follow each other on a path the places in ``edges`` of what connects them.
    """

    paths: list[list[int]]
    shortest_hops: int | None
    more: bool
    nodes: Ints
    hops: Ints
    edges: Edges
    between: Mapping[tuple[int, int], Ints]


@dataclass(frozen=True)
class _Class:
    """All simple paths that start with *prefix* and do not go on to a node of *barred*."""

    prefix: Path
    barred: frozenset[int]


def shortest_paths(
    snapshot: Snapshot,
    source: int,
    target: int,
    *,
    direction: Direction = "either",
    types: Collection[int] | None = None,
    max_hops: int = 6,
    k: int = 1,
) -> PathsResult:
    """Find the first *k* simple paths from *source* to *target*.

    Paths are sequences of nodes: parallel relations do not make different paths.

    Args:
        snapshot: The moment to search.
        source: The node to start from.
        target: The node to reach; if it is *source*, the one path is that node alone.
        direction: ``upstream``, ``downstream`` or ``either``, as in ``expand``.
        types: Only follow relations of these types (numbers); None is all.
        max_hops: The most steps of a path.
        k: The most paths.

    Raises:
        BadParameter: a node does not exist, or an argument is out of its range.
    """
    if max_hops < 0:
        raise BadParameter("max_hops", max_hops, "is below 0", "A path to a neighbour has 1 hop")
    if k < 1:
        raise BadParameter("k", k, "is below 1", "Ask for at least one path")
    rule = rule_for(snapshot, direction, types)
    start = int(existing(snapshot, np.array([source]), "source")[0])
    end = int(existing(snapshot, np.array([target]), "target")[0])
    max_hops = min(max_hops, len(snapshot))  # no simple path is longer
    steps = distances(snapshot, np.array([end]), rule.reverse(), max_hops, until=start)
    to_go = np.where(steps < 0, _FAR, steps)
    paths = _Search(snapshot, rule, end, to_go, max_hops).first(start, k + 1)
    shortest = int(steps[start]) if steps[start] >= 0 else None
    return _result(snapshot, rule, paths[:k], shortest, more=len(paths) > k)


class _Search:
    """The paths to one target in order, found class by class."""

    def __init__(self, snapshot: Snapshot, rule: Rule, target: int, to_go: Ints, max_hops: int) -> None:
        self.snapshot, self.rule, self.target, self.to_go, self.max_hops = snapshot, rule, target, to_go, max_hops

    def first(self, source: int, k: int) -> list[Path]:
        """The first *k* paths from *source*.

        The heap holds paths and classes under (length, ranks of the codes). For a class that is a lower bound: the
        ranks of its prefix sort before those of any path that continues it.
        """
        found: list[Path] = []
        heap: list[tuple[int, Path, int, Path, _Class]] = []
        serial = 0

        def push(length: int, path: Path, rest: _Class, *, is_path: bool) -> None:
            nonlocal serial
            serial += 1
            ranks = tuple(self.snapshot.rank[list(path)].tolist())
            heappush(heap, (length, ranks, serial, path if is_path else (), rest))

        if self.to_go[source] <= self.max_hops:
            push(int(self.to_go[source]), (source,), _Class((source,), frozenset()), is_path=False)
        while heap and len(found) < k:
            length, _, _, path, rest = heappop(heap)
            if path:
                found.append(path)
                for left in _split(path, rest):
                    push(length, left.prefix, left, is_path=False)
                continue
            best, bound = self.best_of(rest, length)
            if best:
                push(length, best, rest, is_path=True)
            elif bound <= self.max_hops:
                push(bound, rest.prefix, rest, is_path=False)
        return found

    def best_of(self, rest: _Class, length: int) -> tuple[Path, int]:
        """The first path of a class with *length* steps in all, if its shorter ones are ruled out.

        Returns:
            The path and its length; or no path, and a length that its shortest has at least (a large one: it is empty).
        """
        spur, left = rest.prefix[-1], length - len(rest.prefix) + 1
        if spur == self.target and left == 0:
            return rest.prefix, length
        rank, seen = self.snapshot.rank, self.snapshot.mask(np.array(rest.prefix))
        edge, parents, levels = np.array([spur]), [], []
        bound = _FAR
        for level in range(1, left + 1):
            place, node = neighbours(self.snapshot, edge, self.rule)
            fresh = ~seen[node]
            if level == 1 and rest.barred:
                fresh &= ~np.isin(node, list(rest.barred))
            need = self.to_go[node] + level
            late = need[fresh & (need > left)]
            bound = min(bound, int(late.min(initial=_FAR)))
            place, node = _first_way(place[fresh & (need <= left)], node[fresh & (need <= left)], rank)
            if not len(node):
                return (), bound + length - left
            seen[node] = True
            parents.append(place)
            levels.append(node)
            edge = node
        return rest.prefix + _trace(levels, parents), length


def _split(path: Path, rest: _Class) -> list[_Class]:
    """The classes that make up *rest* without *path*, its first path: they leave it after each of its nodes."""
    kept = len(rest.prefix)
    parts = [_Class(rest.prefix, rest.barred | {path[kept]})] if len(path) > kept else []
    return parts + [_Class(path[: end + 1], frozenset({path[end + 1]})) for end in range(kept, len(path) - 1)]


def _first_way(place: Ints, node: Ints, rank: Ints) -> tuple[Ints, Ints]:
    """Each node once, reached from the first place it can be, in order of the way to it.

    Places are in order of the codes on the way to them, so this is the order of the codes on the way to the nodes.
    """
    order = np.lexsort((rank[node], place))
    place, node = place[order], node[order]
    first = np.sort(np.unique(node, return_index=True)[1])
    return place[first], node[first]


def _trace(levels: list[Ints], parents: list[Ints]) -> Path:
    way, at = [], 0
    for nodes, places in zip(reversed(levels), reversed(parents), strict=True):
        way.append(int(nodes[at]))
        at = int(places[at])
    return tuple(reversed(way))


def _result(snapshot: Snapshot, rule: Rule, paths: list[Path], shortest: int | None, *, more: bool) -> PathsResult:
    hops: dict[int, int] = {}
    for path in paths:
        for step, node in enumerate(path):
            hops[node] = min(step, hops.get(node, step))
    ordered = sorted(hops, key=lambda node: (hops[node], int(snapshot.rank[node])))
    steps = sorted({pair for path in paths for pair in pairwise(path)})
    stored = {pair: _stored_between(snapshot, rule, *pair) for pair in steps}
    places = np.array(sorted({place for found in stored.values() for place in found.tolist()}), dtype=np.int64)
    edges = select_edges(snapshot, places)
    at = {row: place for place, row in enumerate(edges.row.tolist())}
    return PathsResult(
        paths=[list(path) for path in paths],
        shortest_hops=shortest,
        more=more,
        nodes=np.array(ordered, dtype=np.int32),
        hops=np.array([hops[node] for node in ordered], dtype=np.int32),
        edges=edges,
        between={
            pair: np.array(sorted(at[row] for row in snapshot.row[found].tolist()), dtype=np.int64)
            for pair, found in stored.items()
        },
    )


def _stored_between(snapshot: Snapshot, rule: Rule, here: int, there: int) -> Ints:
    """The places of the edges by which a step goes from *here* to *there*."""
    found = []
    for start, end, followed in ((here, there, rule.along), (there, here, rule.against)):
        places = edges_from(snapshot, np.array([start]))
        places = places[snapshot.forward.node[places] == end]
        found.append(places[followed[snapshot.forward.kind[places]]])
    return np.concatenate(found)
