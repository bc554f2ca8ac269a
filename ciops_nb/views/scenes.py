"""What an explorer knows, what of it is on screen, and the marks that are laid over it.

A click makes the next scene of the one before. Where scenes come from is in ``origins``; how a page is told of them in
``scene_rows``; what stands for them where no kernel runs in ``scene_twin``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import networkx as nx

from ciops_nb.errors import BadParameter
from ciops_nb.recipes.evidence import counted, listed
from ciops_nb.views import explored
from ciops_nb.views.explored import Diff, Edge, Marks, Place, Shown
from ciops_nb.views.svg import visible

__all__ = ["MOST", "Scene", "marks_along", "marks_at_first", "ways_title"]

MOST = 5000  # nodes that a page draws in good time


@dataclass(frozen=True)
class Scene:
    """A graph, and which of its nodes are on screen, and where."""

    graph: nx.MultiDiGraph[str]
    view: str  # of graph_expand
    roots: tuple[str, ...]
    shown: Shown
    places: dict[str, Place]
    asked: tuple[str, ...] = ()  # what was expanded beyond the first answer, in this order
    at: str | None = None
    since: str | None = None  # the moment it is compared with, if that is one
    compared: Diff | None = None
    told: tuple[str, ...] = ()
    total: int = 0
    at_least: bool = False

    @cached_property
    def near(self) -> dict[str, list[str]]:
        return explored.around(self.graph)

    @cached_property
    def hops(self) -> dict[str, int]:
        return explored.steps_of(explored.hops_from(self.near, self.roots))

    @cached_property
    def frontier(self) -> dict[str, int]:
        return explored.frontier_of(self.graph)

    @cached_property
    def hidden(self) -> dict[str, int]:
        return explored.hidden(self.near, self.shown, self.frontier)

    @cached_property
    def links(self) -> list[Edge]:
        """The edges among the nodes on screen."""
        return [edge for edge in self.graph.edges(keys=True) if edge[0] in self.shown and edge[1] in self.shown]

    @property
    def focus(self) -> str | None:
        return self.roots[0] if len(self.roots) == 1 and self.roots[0] in self.graph else None

    @property
    def name(self) -> str:
        return ", ".join(visible(root) for root in self.roots[:3]) or "a graph"

    @property
    def total_text(self) -> str:
        return f"{'at least ' * self.at_least}{self.total:,}"

    def nearest(self, most: int) -> nx.MultiDiGraph[str]:
        """A graph of so many of the nodes on screen, the nearest first, ties by code."""
        order = sorted(self.shown, key=lambda code: (self.hops.get(code, len(self.graph)), code))[:most]
        part: nx.MultiDiGraph[str] = nx.MultiDiGraph(self.graph.subgraph(order))
        unseen = explored.hidden(self.near, {*order}, self.frontier)
        part.graph = {
            "roots": [root for root in self.roots if root in part],
            "frontier": [{"ci_code": code, "count": count} for code, count in unseen.items()],
        }
        for code in part:
            part.nodes[code]["hops"] = self.hops.get(code)
        return part

    # The next one

    def showing(self, shown: Shown, anchor: str | None = None) -> Scene:
        """The same with other nodes on screen; those that stay, stay where they are."""
        part = self.graph.subgraph(shown)
        focus = self.focus if self.focus in shown else None
        return replace(self, shown=shown, places=explored.placed(part, focus, self.places, anchor))

    def revealing(self, codes: Sequence[str], anchor: str | None = None) -> Scene:
        """The same with these on screen too."""
        extra: Shown = {code: None for code in codes if code not in self.shown}
        return self.showing({**self.shown, **extra}, anchor) if extra else self

    def expanded(self, fresh: Shown, code: str) -> Scene:
        """The same with *fresh*, which were reached from *code*, on screen too.

        Raises:
            BadParameter: that is more than a page draws in good time.
        """
        if len(fresh) > MOST - len(self.shown):
            raise BadParameter(
                "expand", code, f"with its {counted(len(fresh), 'neighbour')} more than {MOST:,} would be on screen",
                "Collapse something first",
            )  # fmt: skip
        return self.showing({**self.shown, **fresh}, code)

    def collapsed(self, code: str) -> Scene:
        """The same without what came on screen through *code*.

        Raises:
            BadParameter: nothing did.
        """
        gone = {*explored.collapsed(self.shown, code)}
        if not gone:
            raise BadParameter("collapse", code, "nothing came on screen through it", "Collapse what was expanded")
        kept = {one: origin for one, origin in self.shown.items() if one not in gone}
        asked = tuple(one for one in self.asked if one not in {*gone, code})
        return replace(self.showing(kept), asked=asked)

    def tidied(self) -> Scene:
        """The same, laid out anew."""
        return replace(self, places={}).showing(self.shown)


# --- what is laid over it -------------------------------------------------------------------------------------------


def marks_at_first(scene: Scene, highlight: Mapping[str, str] | Iterable[str] | None = None) -> Marks | None:
    """What is marked when *scene* opens: what was asked for, or the ways of a graph of ways."""
    if highlight is not None:
        return _highlighted(scene, highlight)
    paths = scene.graph.graph.get("paths")
    return explored.path_marks(scene.graph, paths, ways_title(paths)) if paths else None


def _highlighted(scene: Scene, highlight: Mapping[str, str] | Iterable[str]) -> Marks:
    """Codes, or a mapping from code to a short reason, as marks; those that *scene* does not know are named."""
    pairs = highlight.items() if isinstance(highlight, Mapping) else ((code, "") for code in highlight)
    said = {str(code): ("hurt", visible(reason or "hurt")) for code, reason in pairs}
    unknown = [code for code in said if code not in scene.graph]
    title = f"{counted(len(said) - len(unknown), 'CI')} marked"
    if unknown:
        title += f"; not in this graph: {listed([visible(code) for code in unknown])}"
    return Marks("impact", title, {code: told for code, told in said.items() if code not in unknown})


def marks_along(scene: Scene, what: str, code: str) -> Marks:
    """What lies ``upstream`` or ``downstream`` of *code*, as far as *scene* knows."""
    marks = explored.along(scene.graph, code, what)
    off = sum(one not in scene.shown for one in marks.nodes)
    ends = sum(one in scene.frontier for one in marks.nodes)
    told = [f"{off:,} of them not shown"] * bool(off) + [f"{counted(ends, 'CI')} not expanded"] * bool(ends)
    return replace(marks, title="; ".join([marks.title, *told]))


def ways_title(paths: Sequence[Sequence[str]], one: str = "", other: str = "", told: Sequence[str] = ()) -> str:
    """How many ways there are and how long the shortest is; where there is none, what was *told* of it."""
    if not paths:
        return "; ".join([f"No way from {visible(one)} to {visible(other)}", *(text.rstrip(".") for text in told)])
    ends = f"from {visible(paths[0][0])} to {visible(paths[0][-1])}"
    return f"{counted(len(paths), 'way')} {ends}, the shortest of {counted(len(paths[0]) - 1, 'hop')}"
