"""What an explorer shows of a graph: which nodes, where, with what hidden behind them, and what is laid over them.

Plain functions from graphs to rows. ``scenes`` keeps what they give from click to click.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from statistics import median_low
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ciops_nb.recipes.blast_radius import Blast, blast_of
from ciops_nb.recipes.evidence import counted
from ciops_nb.views.layout import impact_of, layered, layers
from ciops_nb.views.marks import DASHES
from ciops_nb.views.svg import THEMES, visible
from ciops_nb.views.topology_plots import relation_looks, type_looks

if TYPE_CHECKING:
    import networkx as nx

__all__ = [
    "Diff", "Edge", "Marks", "Place", "Shown", "along", "around", "blast", "by_type", "changes", "collapsed", "diff",
    "diff_text", "edge_rows", "expanded", "frontier_of", "hidden", "hops_from", "hurt_marks", "look", "merged",
    "node_rows", "opened", "path_marks", "placed", "settled", "steps_of",
]  # fmt: skip

Edge: TypeAlias = tuple[str, str, str]
Place: TypeAlias = tuple[float, float]
Shown: TypeAlias = dict[str, str | None]
"""The nodes on screen, in the order in which they came, each with the node from which it was reached."""

_TOLD = ("ci_id", "ci_name", "ci_type", "ci_subtype", "status", "criticality")
_NOT_COMPARED = ("hops", "diff", "changed")
_APART = (0.85, 0.95)  # columns and rows closer than which two nodes touch


# --- what is shown --------------------------------------------------------------------------------------------------


def around(graph: nx.MultiDiGraph[str]) -> dict[str, list[str]]:
    """The neighbours of each node, in either direction, by code."""
    near: dict[str, set[str]] = {code: set() for code in graph}
    for source, target in graph.edges():
        if source != target:
            near[source].add(target)
            near[target].add(source)
    return {code: sorted(others) for code, others in near.items()}


def hops_from(near: Mapping[str, Sequence[str]], roots: Iterable[str]) -> Shown:
    """All that is reached from *roots*, nearest first, ties by code, each with the node it was reached from."""
    reached: Shown = dict.fromkeys((root for root in roots if root in near), None)
    ahead = list(reached)
    while ahead:
        found: dict[str, str] = {}
        for code in ahead:
            for other in near[code]:
                if other not in reached:
                    found.setdefault(other, code)
        ahead = sorted(found)
        reached.update((code, found[code]) for code in ahead)
    return reached


def steps_of(reached: Shown) -> dict[str, int]:
    """How many hops each lies from where the walk began."""
    steps: dict[str, int] = {}
    for code, origin in reached.items():
        steps[code] = 0 if origin is None else steps[origin] + 1
    return steps


def opened(near: Mapping[str, Sequence[str]], roots: Sequence[str], most: int) -> Shown:
    """The *most* nodes nearest to *roots*, ties by code; what they do not reach comes last."""
    reached = hops_from(near, roots)
    order = [*reached, *sorted(code for code in near if code not in reached)]
    return {code: reached.get(code) for code in order[:most]}


def expanded(near: Mapping[str, Sequence[str]], shown: Collection[str], code: str, most: int) -> Shown:
    """The neighbours of *code* that are not shown yet, at most so many, by code."""
    return dict.fromkeys([other for other in near[code] if other not in shown][:most], code)


def collapsed(shown: Shown, code: str) -> list[str]:
    """What came on screen through *code*, and through that in turn."""
    gone = {code}
    for other, origin in shown.items():
        if origin in gone:
            gone.add(other)
    return [other for other in shown if other in gone and other != code]


def settled(shown: Shown, graph: Collection[str]) -> Shown:
    """*shown* without what is not in *graph*; what was reached from there stands for itself."""
    return {
        code: origin if origin is None or origin in graph else None for code, origin in shown.items() if code in graph
    }


def frontier_of(graph: nx.MultiDiGraph[str]) -> dict[str, int]:
    """How many neighbours of each node are not in *graph*, as its tool told."""
    return {entry["ci_code"]: int(entry["count"]) for entry in graph.graph.get("frontier") or ()}


def hidden(near: Mapping[str, Sequence[str]], shown: Collection[str], frontier: Mapping[str, int]) -> dict[str, int]:
    """How many neighbours of each node on screen are not: known ones, and those that were not asked for."""
    counts = {
        code: sum(other not in shown for other in near[code]) + frontier.get(code, 0) for code in shown if code in near
    }
    return {code: count for code, count in counts.items() if count}


def by_type(graph: nx.MultiDiGraph[str], codes: Iterable[str]) -> dict[str, int]:
    """How many of *codes* there are of each ci_type, by name."""
    counts: dict[str, int] = defaultdict(int)
    for code in codes:
        counts[str(graph.nodes[code].get("ci_type") or "?")] += 1
    return dict(sorted(counts.items()))


# --- what is laid over it -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Marks:
    """Nodes and edges that stand out: of each node its role (on, hurt, spared) and what to say beside it."""

    kind: str
    title: str
    nodes: dict[str, tuple[str, str]] = field(default_factory=dict)
    edges: frozenset[Edge] = frozenset()


def needs_of(graph: nx.MultiDiGraph[str]) -> dict[str, list[tuple[str, Edge]]]:
    """What each node needs, and by which edge: what hurts it when it fails. Ties in both ways count as none."""
    needs: dict[str, list[tuple[str, Edge]]] = {code: [] for code in graph}
    for source, target, key, data in graph.edges(keys=True, data=True):
        impact = impact_of(data.get("relation_type"), data)
        if source == target:
            continue
        if impact == "target_to_source":
            needs[source].append((target, (source, target, key)))
        elif impact == "source_to_target":
            needs[target].append((source, (source, target, key)))
    return needs


def along(graph: nx.MultiDiGraph[str], code: str, way: str) -> Marks:
    """What lies upstream of *code* (what it needs) or downstream (what is hurt when it fails), with hops."""
    needs = needs_of(graph)
    step: Mapping[str, list[tuple[str, Edge]]] = needs
    if way == "downstream":
        step = turned(needs)
    near = {node: sorted({other for other, _ in others}) for node, others in step.items()}
    hops = steps_of(hops_from(near, [code]))
    edges = frozenset(edge for node in hops for _, edge in step[node])
    what = "needs" if way == "upstream" else "hurts when it fails"
    said = {node: ("on", "" if node == code else counted(count, "hop")) for node, count in hops.items()}
    return Marks(way, f"{counted(len(hops) - 1, 'CI')} that {visible(code)} {what}", said, edges)


def turned(needs: Mapping[str, list[tuple[str, Edge]]]) -> dict[str, list[tuple[str, Edge]]]:
    """The same the other way round: who needs each node."""
    needed: dict[str, list[tuple[str, Edge]]] = {code: [] for code in needs}
    for code, others in needs.items():
        for other, edge in others:
            needed[other].append((code, edge))
    return needed


def blast(graph: nx.MultiDiGraph[str], code: str) -> Blast:
    """Who is hurt when *code* fails, as far as *graph* tells; redundant groups spare those that have enough left."""
    told = graph.graph.get("impact") or {}
    judged = graph.copy()
    for *_, data in judged.edges(data=True):
        data["relation_type"] = str(data.get("relation_type"))
    kinds = sorted({data["relation_type"] for *_, data in judged.edges(data=True)})
    judged.graph["impact"] = {kind: told.get(kind) or impact_of(kind, {}) for kind in kinds}
    return blast_of(judged, code, within=sorted(graph))


def hurt_marks(code: str, found: Blast, edges: Iterable[Edge], shown: Collection[str], unseen: str = "") -> Marks:
    """*found* as marks: after how many steps each is hurt, and who goes on."""
    said = {
        node: ("hurt", "fails" if node == code else f"hurt after {counted(step, 'step')}")
        for node, step in found.hurt.items()
    }
    said.update((node, ("spared", "goes on")) for node in found.spared)
    count, off = len(found.hurt) - 1, sum(node not in shown for node in found.hurt)
    rest = [f"{off:,} of them not shown"] * bool(off) + [f"{len(found.spared):,} spared by redundancy"] * bool(
        found.spared
    )
    title = "; ".join([f"{counted(count, 'CI')} hurt if {visible(code)} fails", *rest, *([unseen] if unseen else [])])
    between = frozenset(edge for edge in edges if edge[0] in found.hurt and edge[1] in found.hurt)
    return Marks("impact", title, said, between)


def path_marks(graph: nx.MultiDiGraph[str], paths: Sequence[Sequence[str]], title: str = "") -> Marks:
    """Ways through the graph: each node with its place on the first that it is on."""
    said: dict[str, tuple[str, str]] = {}
    steps: set[frozenset[str]] = set()
    for path in paths:
        for place, code in enumerate(path):
            word = "start" if place == 0 else "end" if place == len(path) - 1 else f"step {place}"
            said.setdefault(code, ("on", word))
        steps |= {frozenset(pair) for pair in itertools.pairwise(path)}
    edges = frozenset(edge for edge in graph.edges(keys=True) if frozenset(edge[:2]) in steps)
    return Marks("path", title, said, edges)


# --- two moments ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Diff:
    """What one graph has that another has not: codes and edges, and which fields of a node or edge differ."""

    added: frozenset[str]
    removed: frozenset[str]
    changed: dict[str, tuple[str, ...]]
    edges_added: frozenset[Edge]
    edges_removed: frozenset[Edge]
    edges_changed: dict[Edge, tuple[str, ...]]

    def of_node(self, code: str) -> str:
        """``added``, ``removed``, ``changed`` or nothing."""
        return _word(code, self.added, self.removed, self.changed)

    def of_edge(self, edge: Edge) -> str:
        """``added``, ``removed``, ``changed`` or nothing."""
        return _word(edge, self.edges_added, self.edges_removed, self.edges_changed)


def _word(key: Any, added: Collection[Any], removed: Collection[Any], changed: Collection[Any]) -> str:
    return "added" if key in added else "removed" if key in removed else "changed" if key in changed else ""


def diff(before: nx.MultiDiGraph[str], after: nx.MultiDiGraph[str]) -> Diff:
    """What came, went and changed from *before* to *after*."""
    old, new = set(before.edges(keys=True)), set(after.edges(keys=True))
    nodes = {code: _differing(before.nodes[code], after.nodes[code]) for code in sorted({*before} & {*after})}
    edges = {edge: _differing(before.edges[edge], after.edges[edge]) for edge in sorted(old & new)}
    return Diff(
        frozenset({*after} - {*before}),
        frozenset({*before} - {*after}),
        {code: fields for code, fields in nodes.items() if fields},
        frozenset(new - old),
        frozenset(old - new),
        {edge: fields for edge, fields in edges.items() if fields},
    )


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    names = sorted({*before, *after} - {*_NOT_COMPARED})
    return tuple(name for name in names if before.get(name) != after.get(name))


def diff_text(compared: Diff | None) -> str:
    """How much came, went and changed, in words; nothing where nothing is compared."""
    if compared is None:
        return ""
    cis = (compared.added, compared.removed, compared.changed)
    relations = (compared.edges_added, compared.edges_removed, compared.edges_changed)
    return f"CIs: {_came_and_went(*cis)}; relations: {_came_and_went(*relations)}"


def _came_and_went(added: Sized, removed: Sized, changed: Sized) -> str:
    return f"{len(added):,} added, {len(removed):,} removed, {len(changed):,} changed"


def merged(before: nx.MultiDiGraph[str], after: nx.MultiDiGraph[str]) -> nx.MultiDiGraph[str]:
    """Both graphs in one, as *after* has it where both have it."""
    import networkx as nx

    both: Any = nx.compose(before, after)
    both.graph = {**after.graph}
    return cast("nx.MultiDiGraph[str]", both)


# --- where nodes stand ----------------------------------------------------------------------------------------------


def placed(
    graph: nx.MultiDiGraph[str],
    focus: str | None,
    before: Mapping[str, Place] | None = None,
    anchor: str | None = None,
) -> dict[str, Place]:
    """A place for each node: where it stood *before*, or for the new ones a free one beside *anchor*.

    Where more is new than was there, all are laid out anew and *anchor* stays where it is.
    """
    kept = {code: place for code, place in (before or {}).items() if code in graph}
    fresh = sorted(code for code in graph if code not in kept)
    if len(fresh) > len(kept):
        return _held(layered(graph, focus=focus), kept, anchor if anchor in kept else focus)
    if fresh:
        _Beside(graph, focus, kept, anchor).put(fresh)
    return dict(sorted(kept.items()))


def _held(places: dict[str, Place], kept: Mapping[str, Place], anchor: str | None) -> dict[str, Place]:
    """*places*, moved so that *anchor* stands where it stood."""
    if anchor is None or anchor not in kept:
        return places
    dx, dy = (old - new for old, new in zip(kept[anchor], places[anchor], strict=True))
    return {code: (round(x + dx, 4), round(y + dy, 4)) for code, (x, y) in places.items()}


class _Beside:
    """Free places near those that stand: in the column of a node's layer, in the row nearest to where it belongs."""

    def __init__(
        self, graph: nx.MultiDiGraph[str], focus: str | None, kept: dict[str, Place], anchor: str | None
    ) -> None:
        self._kept, self._level, self._near = kept, layers(graph, focus=focus), around(graph)
        self._anchor = anchor
        self._columns: dict[int, list[float]] = defaultdict(list)
        self._taken: dict[tuple[int, int], list[Place]] = defaultdict(list)
        for code, place in kept.items():
            self._columns[self._level[code]].append(place[0])
            self._take(place)

    def put(self, fresh: list[str]) -> None:
        order = sorted(fresh, key=lambda code: (self._origin(code) is None, abs(self._level[code]), code))
        for code in order:
            x, y = self._column(self._level[code]), self._row(code)
            place = self._free(x, y)
            self._kept[code] = place
            self._columns[self._level[code]].append(place[0])
            self._take(place)

    def _origin(self, code: str) -> str | None:
        if self._anchor in self._near[code]:
            return self._anchor
        return next((other for other in self._near[code] if other in self._kept), None)

    def _row(self, code: str) -> float:
        origin = self._origin(code)
        return self._kept[origin][1] if origin in self._kept else min((y for _, y in self._kept.values()), default=0.0)

    def _column(self, level: int) -> float:
        if self._columns[level]:
            return median_low(self._columns[level])
        known = sorted(other for other, xs in self._columns.items() if xs)
        if not known:
            return 0.0
        nearest = min(known, key=lambda other: (abs(other - level), other))
        xs = self._columns[nearest]
        return max(xs) + (level - nearest) if level > nearest else min(xs) - (nearest - level)

    def _free(self, x: float, y: float) -> Place:
        for step in range(2 * len(self._kept) + 3):
            place = (round(x, 4), round(y + (step + 1) // 2 * (1 if step % 2 else -1), 4))
            if not self._is_taken(place):
                return place
        raise AssertionError("a column has more rows than there are nodes")

    def _take(self, place: Place) -> None:
        self._taken[round(place[0]), round(place[1])].append(place)

    def _is_taken(self, place: Place) -> bool:
        cells = [(round(place[0]) + dx, round(place[1]) + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
        return any(
            abs(x - place[0]) < _APART[0] and abs(y - place[1]) < _APART[1]
            for cell in cells
            for x, y in self._taken.get(cell, ())
        )


# --- rows for the page ----------------------------------------------------------------------------------------------


def node_rows(
    graph: nx.MultiDiGraph[str],
    shown: Shown,
    places: Mapping[str, Place],
    number: Mapping[str, int],
    hops: Mapping[str, int],
    unseen: Mapping[str, int],
    compared: Diff | None = None,
) -> dict[int, dict[str, Any]]:
    """Each node on screen as the page is told of it: texts in which nothing is hidden, and no empty fields."""
    needs = needs_of(graph)
    needed = turned(needs)
    opened_by = {origin for origin in shown.values() if origin is not None}
    rows = {}
    for code in shown:
        data = graph.nodes[code]
        x, y = places[code]
        row = {
            "code": code,
            "label": visible(code),
            **{name: visible(data[name]) for name in _TOLD if data.get(name) not in (None, "")},
            "hops": hops.get(code),
            "hidden": unseen.get(code),
            "needs": len({other for other, _ in needs[code]}) or None,
            "needed": len({other for other, _ in needed[code]}) or None,
            "diff": compared.of_node(code) if compared else None,
            "changed": ", ".join(compared.changed.get(code, ())) if compared else None,
            "opened": code in opened_by or None,
            "x": x,
            "y": -y,
        }
        rows[number[code]] = {name: value for name, value in row.items() if value not in (None, "")}
    return rows


def edge_rows(
    graph: nx.MultiDiGraph[str],
    number: Mapping[str, int],
    numbered: Mapping[Edge, int],
    compared: Diff | None = None,
) -> dict[int, dict[str, Any]]:
    """Each edge of *numbered*, as it is stored; one from a node to itself is not drawn."""
    rows = {}
    for edge, key in numbered.items():
        if edge[0] == edge[1]:
            continue
        data = graph.edges[edge]
        row = {
            "from": number[edge[0]],
            "to": number[edge[1]],
            "type": visible(data.get("relation_type") or "related"),
            "group": visible(data["redundancy_group"]) if data.get("redundancy_group") else None,
            "least": data.get("min_healthy"),
            "diff": compared.of_edge(edge) if compared else None,
        }
        rows[key] = {name: value for name, value in row.items() if value not in (None, "")}
    return rows


def changes(before: Mapping[int, Any], after: Mapping[int, Any]) -> dict[str, Any]:
    """What to put and what to drop to make *before* into *after*."""
    return {
        "put": [[key, row] for key, row in after.items() if before.get(key) != row],
        "drop": [key for key in before if key not in after],
    }


def look(graph: nx.MultiDiGraph[str]) -> dict[str, Any]:
    """How types and relations look, by the names that the rows carry, and the colours of both themes by role."""
    types = {visible(data.get("ci_type") or "?") for _, data in graph.nodes(data=True)}
    impacts = {
        visible(data.get("relation_type") or "related"): impact_of(data.get("relation_type"), data)
        for *_, data in graph.edges(data=True)
    }
    return {
        "types": type_looks(types),
        "relations": relation_looks(impacts),
        "impacts": dict(sorted(impacts.items())),
        "dashes": [[] if dash == "-" else list(dash[1]) for dash in DASHES],
        "themes": {theme: vars(colours) for theme, colours in THEMES.items()},
    }
