"""One layered layout of a graph of configuration items, shared by picture, report and widget.

Failure runs from left to right: what an item needs (upstream) stands left of it, what is hurt when it fails
(downstream) stands right of it. The steps are those of Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of
Hierarchical System Structures" (IEEE SMC-11(2), 1981): give each node a layer, order the layers by barycentre sweeps
so that few edges cross, then place the nodes. Two departures: with a focus the layer of a node is its signed distance
from the focus, because an analyst reads columns as hops; and a layer of many nodes is folded into several
columns, because a picture of 300 rows fits no page.

Nothing here draws, and nothing depends on chance or on the hash seed.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ciops_nb.errors import ItemNotFound
from ciops_nb.estate.names import nearest
from ciops_nb.estate.schema import DEFAULT_RELATION_TYPES

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["focus_of", "impact_of", "layered", "layers", "reached"]

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Pair: TypeAlias = tuple[int, int]
_Shape: TypeAlias = tuple[tuple[int, ...], tuple[Pair, ...], int]

_SWEEPS = 16
_PATIENCE = 4  # sweeps without fewer crossings after which to stop
_STRAIGHTENINGS = 8
_BEND = 0.5  # rows kept free where an edge passes a layer, while there are few


def layered(graph: nx.MultiDiGraph[str], *, focus: str | None = None) -> dict[str, tuple[float, float]]:
    """Coordinates of every node, in columns (x) and rows (y, upwards); the same graph gives the same coordinates.

    Args:
        graph: Nodes keyed by ci_code, edges with relation_type, as ``graph_expand`` returns it.
        focus: The item at x = 0; by default the one root of the graph, if it has just one. With a focus an item's
            layer is its signed hops from it; without, the length of the longest chain of needs below it.

    Returns:
        ci_code: (x, y). No two nodes share a place; nodes in one column are at least 1 apart.

    Raises:
        ItemNotFound: *focus* is not in the graph.
    """
    focus = focus_of(graph, focus)
    web = _Web.of(graph)
    level = _levels(web, focus)
    limit = max(10, ceil(2.2 * sqrt(len(web.names))))
    places: dict[str, tuple[float, float]] = {}
    bottom = 0.0
    parts, alone = _parts(web, focus)
    home = {node: i for i, part in enumerate(parts) for node in part}
    pairs = _grouped((*web.needed, *web.tied), home, len(parts))
    placed: dict[_Shape, tuple[Floats, Floats]] = {}  # an estate has many small parts of a few shapes
    for i, (part, pairs_of) in enumerate(zip(parts, pairs, strict=True)):
        shape = _shape(part, pairs_of, level, focused=i == 0 and focus is not None)
        if shape not in placed:
            placed[shape] = _place(*shape, limit)
        x, row = placed[shape]
        row = row + (bottom - row.min())
        places.update((web.names[node], (float(x[i]), 0.0 - float(row[i]))) for i, node in enumerate(part))
        bottom = float(row.max()) + 1.5
    left = min((x for x, _ in places.values()), default=0.0)
    width = max(1 + round(max((x for x, _ in places.values()), default=0.0) - left), ceil(len(alone) / limit))
    for i, node in enumerate(alone):
        places[web.names[node]] = (left + i % width, 0.0 - (bottom + i // width))
    return {name: (round(x, 4), round(y, 4)) for name, (x, y) in sorted(places.items())}


def layers(graph: nx.MultiDiGraph[str], *, focus: str | None = None) -> dict[str, int]:
    """The layer of every node: with a focus its signed hops (negative upstream), without one counted from the left.

    Raises:
        ItemNotFound: *focus* is not in the graph.
    """
    web = _Web.of(graph)
    return dict(zip(web.names, _levels(web, focus_of(graph, focus)), strict=True))


def reached(graph: nx.MultiDiGraph[str], focus: str) -> set[str]:
    """The focus, all it needs and all it hurts: what truly is up- or downstream, and not just beside those."""
    web = _Web.of(graph)
    start = web.names.index(focus)
    return {web.names[node] for adjacent in (web.successors(), web.predecessors()) for node in _hops(start, adjacent)}


def focus_of(graph: nx.MultiDiGraph[str], focus: str | None = None) -> str | None:
    """*focus*, or the one root of the graph, or None.

    Raises:
        ItemNotFound: *focus* is not in the graph.
    """
    if focus is not None:
        if focus not in graph:
            raise ItemNotFound(focus, nearest(focus, graph), when="in this graph")
        return focus
    roots = [root for root in graph.graph.get("roots") or () if root in graph]
    return roots[0] if len(roots) == 1 else None


def impact_of(relation_type: Any, data: dict[str, Any]) -> str:
    """Who is hurt when the other end fails: the edge's own ``impact``, or that of its type.

    A type that is not known counts as a need, since that is what most relations of a CMDB say.
    """
    return str(data.get("impact") or DEFAULT_RELATION_TYPES.get(str(relation_type), "target_to_source"))


@dataclass(frozen=True)
class _Web:
    """The graph as numbers: *needed* pairs run from what is needed to who needs it, *tied* pairs have no such order."""

    names: list[str]
    needed: list[Pair]
    tied: list[Pair]

    @classmethod
    def of(cls, graph: nx.MultiDiGraph[str]) -> _Web:
        names = sorted(graph, key=str)
        number = {name: i for i, name in enumerate(names)}
        needed, tied = set(), set()
        for source, target, data in graph.edges(data=True):
            a, b = number[source], number[target]
            if a == b:
                continue
            impact = impact_of(data.get("relation_type"), data)
            if impact == "target_to_source":
                needed.add((b, a))
            elif impact == "source_to_target":
                needed.add((a, b))
            else:
                tied.add((min(a, b), max(a, b)))
        return cls(names, sorted(needed), sorted(tied))

    def successors(self) -> list[list[int]]:
        return _adjacent(len(self.names), self.needed)

    def predecessors(self) -> list[list[int]]:
        return _adjacent(len(self.names), [(b, a) for a, b in self.needed])

    def ties(self) -> list[list[int]]:
        return _adjacent(len(self.names), [*self.tied, *((b, a) for a, b in self.tied)])


def _adjacent(size: int, pairs: Iterable[Pair]) -> list[list[int]]:
    lists: list[list[int]] = [[] for _ in range(size)]
    for a, b in pairs:
        lists[a].append(b)
    return lists


def _parts(web: _Web, focus: str | None) -> tuple[list[list[int]], list[int]]:
    """The connected parts of the graph, that of the focus first, then the larger first; and the nodes without edges."""
    neighbours = _adjacent(len(web.names), [p for a, b in (*web.needed, *web.tied) for p in ((a, b), (b, a))])
    seen: set[int] = set()
    parts, alone = [], []
    for start in range(len(web.names)):
        if start in seen:
            continue
        part, ahead = {start}, [start]
        while ahead:
            fresh = [n for n in neighbours[ahead.pop()] if n not in part]
            part.update(fresh)
            ahead += fresh
        seen |= part
        if len(part) == 1 and web.names[start] != focus:
            alone.append(start)
        else:
            parts.append(sorted(part))
    centre = None if focus is None else web.names.index(focus)
    parts.sort(key=lambda part: (centre not in part, -len(part), part[0]))
    return parts, alone


def _grouped(pairs: Iterable[Pair], home: dict[int, int], count: int) -> list[list[Pair]]:
    groups: list[list[Pair]] = [[] for _ in range(count)]
    for pair in pairs:
        groups[home[pair[0]]].append(pair)
    return groups


# --- layers ---------------------------------------------------------------------------------------------------------


def _levels(web: _Web, focus: str | None) -> list[int]:
    level = _longest_paths(web) if focus is None else _signed_hops(web, web.names.index(focus))
    return [level[node] for node in range(len(web.names))]


def _hops(start: int, adjacent: list[list[int]]) -> dict[int, int]:
    hops, ahead = {start: 0}, [start]
    while ahead:
        ahead_next = []
        for node in ahead:
            for other in adjacent[node]:
                if other not in hops:
                    hops[other] = hops[node] + 1
                    ahead_next.append(other)
        ahead = ahead_next
    return hops


def _signed_hops(web: _Web, focus: int) -> dict[int, int]:
    """Hops along impact: positive downstream, negative upstream; in a cycle the shorter way counts.

    What is neither (what shares a database with the focus, say) stands where its nearest placed neighbours put it.
    """
    down, up = _hops(focus, web.successors()), _hops(focus, web.predecessors())
    level = {n: -up[n] if n in up and up[n] <= down.get(n, up[n]) else down[n] for n in {*down, *up}}
    _spread(level, web)
    rest = [n for n in range(len(web.names)) if n not in level]
    if rest:  # parts that the focus does not reach
        apart = _longest_paths(web)
        level.update((n, apart[n]) for n in rest)
    return level


def _spread(level: dict[int, int], web: _Web) -> None:
    """Give the nodes around those placed a layer too, nearest first."""
    after, before, beside = web.successors(), web.predecessors(), web.ties()
    ahead = sorted(level)
    while ahead:
        strong: dict[int, list[int]] = defaultdict(list)
        weak: dict[int, list[int]] = defaultdict(list)
        for node in ahead:
            for votes, others, step in ((strong, after, 1), (strong, before, -1), (weak, beside, 0)):
                for other in others[node]:
                    if other not in level:
                        votes[other].append(level[node] + step)
        ahead = sorted({*strong, *weak})
        for node in ahead:
            votes_of = sorted(strong.get(node) or weak[node])
            level[node] = votes_of[(len(votes_of) - 1) // 2]


def _longest_paths(web: _Web) -> dict[int, int]:
    """Layers by longest path, then drawn towards the side where most neighbours are, so that edges stay short."""
    after, before = web.successors(), web.predecessors()
    order = _sequence(after, before)
    rank = {node: i for i, node in enumerate(order)}
    # An edge against the sequence closes a cycle: for the layers it counts the other way round.
    nexts = [[o for o in {*after[n], *before[n]} if rank[o] > rank[n]] for n in range(len(order))]
    level = dict.fromkeys(order, 0)
    for node in order:
        for other in nexts[node]:
            level[other] = max(level[other], level[node] + 1)
    earlier = [len({*after[n], *before[n]}) - len(nexts[n]) for n in range(len(order))]
    for node in reversed(order):
        if len(nexts[node]) > earlier[node]:
            level[node] = min(level[other] for other in nexts[node]) - 1
    ties = web.ties()
    placed = {n: level[n] for n in order if after[n] or before[n] or not ties[n]}
    if placed:
        _spread(placed, web)
    return {n: placed.get(n, 0) for n in order}


def _sequence(after: list[list[int]], before: list[list[int]]) -> list[int]:
    """An order in which few edges run backwards; none, if there is no cycle.

    After Eades, Lin and Smyth, "A fast and effective heuristic for the feedback arc set problem" (1993): take sources
    while there are any, else the node with the largest surplus of edges going out.
    """
    entering = [len(nodes) for nodes in before]
    leaving = [len(nodes) for nodes in after]
    sources = [n for n, count in enumerate(entering) if not count]
    surplus = [(entering[n] - leaving[n], n) for n in range(len(after))]
    heapq.heapify(surplus)
    done: set[int] = set()
    order: list[int] = []
    while len(order) < len(after):
        if sources:
            node = heapq.heappop(sources)
        else:
            key, node = heapq.heappop(surplus)
            if key != entering[node] - leaving[node]:
                continue  # grown old: a newer entry of this node is in the heap
        if node in done:
            continue
        done.add(node)
        order.append(node)
        for others, degree in ((after[node], entering), (before[node], leaving)):
            for other in others:
                degree[other] -= 1
                if other not in done:
                    heapq.heappush(surplus, (entering[other] - leaving[other], other))
                    if not entering[other] and degree is entering:
                        heapq.heappush(sources, other)
    return order


# --- order and place ------------------------------------------------------------------------------------------------


@dataclass
class _Rows:
    """A part of the graph in layers: *members* in their order, *links* between each layer and the next."""

    members: list[Ints]
    links: list[tuple[Ints, Ints]]
    slot: Ints  # of each node: its place in its layer before any is moved
    size: int  # all nodes, with the bends of long edges
    real: int  # nodes of the graph; they come first


def _shape(part: list[int], pairs: list[Pair], level: list[int], *, focused: bool) -> _Shape:
    """What the places in a connected part follow from: the layers from 0, the pairs, and which layer is at x = 0."""
    lowest = min(level[n] for n in part)
    number = {node: i for i, node in enumerate(part)}
    origin = -lowest if focused else 0
    return tuple(level[n] - lowest for n in part), tuple((number[a], number[b]) for a, b in pairs), origin


def _place(level: Sequence[int], pairs: Iterable[Pair], origin: int, limit: int) -> tuple[Floats, Floats]:
    """x and row of the nodes of one connected part; the layer *origin* is at x = 0."""
    rows = _rows(level, pairs)
    _uncross(rows)
    folds = [max(1, ceil(int((layer < rows.real).sum()) / limit)) for layer in rows.members]
    row = _straighten(rows, folds, limit)
    x = np.zeros(rows.real)
    starts = np.cumsum([0.0, *(fold + (0.4 if fold > 1 else 0.0) for fold in folds)])
    for layer, fold, start in zip(rows.members, folds, starts, strict=False):
        inside = layer[layer < rows.real]
        x[inside] = start + np.arange(len(inside)) % fold
    return x - starts[origin], row[: rows.real]


def _rows(level: Sequence[int], pairs: Iterable[Pair]) -> _Rows:
    """The layers, with a bend wherever an edge passes one, so that no node is put in its way."""
    spans = set()
    for pair in pairs:
        first, second = sorted(pair, key=lambda n: (level[n], n))
        spans.add((level[second] - level[first], first, second))
    ordered = sorted(span for span in spans if span[0] > 0)
    budget = max(2000, 2 * len(level))  # bends cost time; in a huge graph the longest edges go without
    links: list[list[Pair]] = [[] for _ in range(max(level))]
    held: list[list[int]] = [[] for _ in range(max(level) + 1)]
    for node in _by_neighbourhood(len(level), [(a, b) for _, a, b in ordered]):
        held[level[node]].append(node)
    size = len(level)
    for span, first, second in ordered:
        if span - 1 > budget:
            break
        budget -= span - 1
        previous = first
        for step in range(1, span):
            held[level[first] + step].append(size)
            links[level[first] + step - 1].append((previous, size))
            previous, size = size, size + 1
        links[level[second] - 1].append((previous, second))
    slot = np.empty(size, dtype=np.int64)
    for nodes in held:
        slot[nodes] = np.arange(len(nodes))
    return _Rows(
        [np.array(nodes, dtype=np.int64) for nodes in held],
        [(np.array([a for a, _ in p], dtype=np.int64), np.array([b for _, b in p], dtype=np.int64)) for p in links],
        slot,
        size,
        len(level),
    )


def _by_neighbourhood(size: int, pairs: list[Pair]) -> list[int]:
    """All nodes, neighbours near each other: a start from which the sweeps find better orders than from the names."""
    adjacent = _adjacent(size, [p for a, b in pairs for p in ((a, b), (b, a))])
    seen, order = [False] * size, []
    for start in range(size):
        ahead = [start]
        while ahead:
            node = ahead.pop()
            if not seen[node]:
                seen[node] = True
                order.append(node)
                ahead += [other for other in reversed(adjacent[node]) if not seen[other]]
    return order


def _uncross(rows: _Rows) -> None:
    """Reorder the layers by barycentre sweeps, there and back, keeping the order with the fewest crossings."""
    position = np.zeros(rows.size)
    for layer in rows.members:
        position[layer] = _centred(len(layer))
    best, kept, idle = _crossings(rows, position), [layer.copy() for layer in rows.members], 0
    for sweep in range(_SWEEPS):
        if best == 0 or idle >= _PATIENCE:
            break
        forward = sweep % 2 == 0
        steps = range(1, len(rows.members)) if forward else range(len(rows.members) - 2, -1, -1)
        for i in steps:
            near, far = rows.links[i - 1] if forward else rows.links[i][::-1]
            layer = rows.members[i]
            rows.members[i] = layer = layer[np.argsort(_means(rows, layer, far, near, position), kind="stable")]
            position[layer] = _centred(len(layer))
        crossings = _crossings(rows, position)
        idle += 1
        if crossings < best:
            best, kept, idle = crossings, [layer.copy() for layer in rows.members], 0
    rows.members[:] = kept


def _centred(count: int) -> Floats:
    return np.arange(count, dtype=np.float64) - (count - 1) / 2


def _means(rows: _Rows, layer: Ints, own: Ints, others: Ints, position: Floats) -> Floats:
    """For each node of *layer* the mean position of its neighbours; its own where it has none."""
    slot, size = rows.slot[own], len(layer)
    count = np.bincount(slot, minlength=size)
    total = np.bincount(slot, weights=position[others], minlength=size)
    at = rows.slot[layer]
    return np.where(count[at] > 0, total[at] / np.maximum(count[at], 1), position[layer])


def _crossings(rows: _Rows, position: Floats) -> int:
    """Of all layers at once: one above the other, none of them stands in the wrong order to another."""
    if not rows.links:
        return 0
    high = position.copy()
    for i, layer in enumerate(rows.members):
        high[layer] += 2.0 * i * rows.size
    near, far = (high[np.concatenate(ends)] for ends in zip(*rows.links, strict=True))
    _, ranks = np.unique(far[np.lexsort((far, near))], return_inverse=True)
    return _inversions(ranks.astype(np.int64))


def _inversions(values: Ints) -> int:
    """How many pairs stand in the wrong order, found bit by bit from the highest (a merge sort read the other way)."""
    total = 0
    for bit in reversed(range(int(values.max(initial=0)).bit_length())):
        group = values >> (bit + 1)
        one = (values >> bit) & 1
        ones = np.cumsum(one)
        first = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
        ahead = np.repeat(ones[first] - one[first], np.diff(np.append(first, len(values))))
        total += int((ones - ahead)[one == 0].sum())
        values = values[np.argsort(values >> bit, kind="stable")]
    return total


def _straighten(rows: _Rows, folds: list[int], limit: int) -> Floats:
    """Rows that put each node as near to the middle of its neighbours as the order of its layer allows."""
    row = np.zeros(rows.size)
    offsets = []
    for layer, fold in zip(rows.members, folds, strict=True):
        real = layer < rows.real
        if fold > 1:  # nodes of one column stay a whole row apart, whatever bends lie between
            offset = np.cumsum(np.where(real, 1.0 / fold, 0.0))
        else:
            height = np.where(real, 1.0, min(_BEND, _BEND * limit / max(1, int((~real).sum()))))
            offset = np.cumsum(height) - height / 2
        offsets.append(offset)
        row[layer] = offset - offset.mean()
    count = len(rows.members)
    none = np.zeros(0, dtype=np.int64)
    for sweep in range(_STRAIGHTENINGS):
        forward, both = sweep % 2 == 0, sweep >= _STRAIGHTENINGS - 2
        for i in range(count) if forward else range(count - 1, -1, -1):
            left = rows.links[i - 1] if i > 0 and (forward or both) else (none, none)
            right = rows.links[i] if i < count - 1 and (not forward or both) else (none, none)
            own = np.concatenate([left[1], right[0]])
            others = np.concatenate([left[0], right[1]])
            layer = rows.members[i]
            row[layer] = _ascending(_means(rows, layer, own, others, row) - offsets[i]) + offsets[i]
    return row


def _ascending(wanted: Floats) -> Floats:
    """The ascending numbers nearest to *wanted* in least squares, by pooling neighbours that stand in the wrong order.

    Pool adjacent violators: Ayer et al., "An Empirical Distribution Function for Sampling with Incomplete
    Information" (1955).
    """
    means: list[float] = []
    counts: list[int] = []
    for value in wanted.tolist():
        mean, count = value, 1
        while means and means[-1] > mean:
            last, n = means.pop(), counts.pop()
            mean = (mean * count + last * n) / (count + n)
            count += n
        means.append(mean)
        counts.append(count)
    return np.array(means, dtype=np.float64).repeat(counts)
