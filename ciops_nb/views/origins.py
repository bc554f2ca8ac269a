"""Where the scenes of an explorer come from: a graph at hand, or a session, which is asked for what lies beyond."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeAlias

import networkx as nx

from ciops_nb import sync
from ciops_nb.errors import BadParameter, ItemNotFound
from ciops_nb.estate.times import format_time, parse_time
from ciops_nb.recipes.blast_radius import ask_needs, blast_of
from ciops_nb.recipes.evidence import as_polars, counted, incomplete
from ciops_nb.registry import BoundTool
from ciops_nb.session import Ops
from ciops_nb.tools.moments import graph_moments
from ciops_nb.tools.scope import codes_of
from ciops_nb.views import explored
from ciops_nb.views.explored import Marks
from ciops_nb.views.layout import focus_of
from ciops_nb.views.scenes import MOST, Scene, marks_along, ways_title
from ciops_nb.views.svg import visible

__all__ = ["GraphAtHand", "Origin", "SessionAsked", "origin_of"]

_ASKED = 2000  # nodes that are asked for beyond those on screen, so that search and overlays know them
_HOPS = 10


def origin_of(
    source: nx.MultiDiGraph[str] | Ops, ci: Any, view: str, depth: int | None, as_of: Any, most: int
) -> Origin:
    """*source* as an origin of scenes, of at most so many nodes at first.

    Raises:
        ItemNotFound: a graph does not hold *ci*.
        BadParameter: a value cannot be meant for such a source.
    """
    if isinstance(source, Ops):
        if ci is None:
            raise BadParameter("ci", ci, "a session needs to know where to start", "Name a code, or several")
        return SessionAsked(source, codes_of(ci), view, depth, most)
    if not isinstance(source, nx.Graph):
        raise BadParameter("source", type(source).__name__, "is neither a graph nor a session", "Give one of them")
    if view != "neighbors" or depth is not None:
        name, value = ("depth", depth) if depth is not None else ("view", view)
        raise BadParameter(name, value, "a graph is as it was asked for", "Give a session to ask for another")
    if as_of is not None:
        raise _of_one_moment(as_of)
    return GraphAtHand(source, ci, most)


def _of_one_moment(other: Any) -> BadParameter:
    return BadParameter("as_of", other, "a graph is of one moment", "Give a session to ask for others")


class GraphAtHand:
    """A graph: nothing beyond it can be asked.

    Args:
        graph: As ``graph_expand`` or ``graph_path`` returns it.
        ci: Where to start; None is its roots.
        most: At most so many nodes at first, and with each click.

    Raises:
        ItemNotFound: the graph does not hold *ci*.
    """

    zone: tzinfo = UTC

    def __init__(self, graph: nx.MultiDiGraph[str], ci: Any, most: int) -> None:
        self._graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(graph)
        self._view = str(graph.graph.get("view") or "graph")
        self._most = most
        asked = codes_of(ci) if ci is not None else []
        for code in asked:
            focus_of(self._graph, code)
        self._roots = tuple(asked or [root for root in graph.graph.get("roots") or () if root in graph])

    def opened(self, other: nx.MultiDiGraph[str] | None = None) -> Scene:
        """The first scene, compared with an *other* graph if there is one."""
        graph, compared = self._graph, None
        if other is not None:
            other = nx.MultiDiGraph(other)
            graph, compared = explored.merged(other, graph), explored.diff(other, graph)
        total, more = _reach_of(self._graph)
        made = Scene(
            graph, self._view, self._roots, {}, {}, compared=compared, told=_words_of(self._graph),
            total=max(total, len(graph)), at_least=more,
        )  # fmt: skip
        return made.showing(explored.opened(made.near, made.roots or sorted(graph)[:1], self._most))

    async def scene(self, at: str | None, since: Any, asked: tuple[str, ...], before: Scene | None = None) -> Scene:
        if at is not None or isinstance(since, str):
            raise _of_one_moment(at or since)
        return await sync.in_thread(self.opened, since)

    async def grown(self, scene: Scene, code: str) -> Scene:
        fresh = explored.expanded(scene.near, scene.shown, code, self._most)
        if not fresh and code in scene.frontier:
            raise BadParameter(
                "expand", code, f"{counted(scene.frontier[code], 'neighbour')} are not in this graph",
                "Ask graph_expand for more, or give the session",
            )  # fmt: skip
        return await sync.in_thread(scene.expanded, fresh, code)

    async def marks(self, scene: Scene, what: str, code: str) -> Marks:
        return await sync.in_thread(self._marks_of, scene, what, code)

    def _marks_of(self, scene: Scene, what: str, code: str) -> Marks:
        if what != "impact":
            return marks_along(scene, what, code)
        found = explored.blast(scene.graph, code)
        open_ends = [one for one in found.hurt if one in scene.frontier]
        unseen = f"what hangs on {counted(len(open_ends), 'CI')} of them is not in this graph" if open_ends else ""
        return explored.hurt_marks(code, found, scene.graph.edges(keys=True), scene.shown, unseen)

    async def way(self, scene: Scene, one: str, other: str) -> tuple[Scene, Marks]:
        for code in (one, other):
            focus_of(scene.graph, code)
        return await sync.in_thread(self._way_of, scene, one, other)

    def _way_of(self, scene: Scene, one: str, other: str) -> tuple[Scene, Marks]:
        reached = explored.hops_from(scene.near, [one])
        way = [other] if other in reached else []
        while way and way[-1] != one:
            way.append(str(reached[way[-1]]))
        paths = [way[::-1]] if way else []
        return scene.revealing(way, one), explored.path_marks(scene.graph, paths, ways_title(paths, one, other))

    async def moments(self, scene: Scene) -> list[dict[str, str]]:
        return []

    def time(self, scene: Scene) -> None:
        """It has one moment, and does not know which."""


class SessionAsked:
    """A session, which is asked for what lies beyond."""

    def __init__(self, ops: Ops, roots: list[str], view: str, depth: int | None, most: int) -> None:
        self._ops, self._roots, self._view, self._depth, self._most = ops, tuple(roots), view, depth, most
        self.zone = ops.tz

    async def scene(self, at: str | None, since: Any, asked: tuple[str, ...], before: Scene | None = None) -> Scene:
        """What was *asked* for as it was at a moment, compared with *since*, a moment or a graph.

        What was on screen *before* stays where it was.
        """
        graph, total, more, told = await self._at(at, asked)
        compared = None
        if since is not None:
            given = isinstance(since, nx.Graph)
            other: nx.MultiDiGraph[str] = nx.MultiDiGraph(since) if given else (await self._at(since, asked))[0]
            compared, graph = explored.diff(other, graph), explored.merged(other, graph)
        made = Scene(
            graph, self._view, self._roots, {}, before.places if before else {}, asked, at,
            since if isinstance(since, str) else None, compared, told, max(total, len(graph)), more,
        )  # fmt: skip
        return await sync.in_thread(self._seen, made, before)

    def _seen(self, made: Scene, before: Scene | None) -> Scene:
        graph = made.graph
        order = explored.opened(made.near, [root for root in made.roots if root in graph], len(graph))
        shown = explored.settled(before.shown, graph) if before else {}
        known = before.graph if before else ()
        fresh = [code for code in order if code not in known][: self._most]
        shown.update((code, order[code]) for code in fresh)
        return made.showing(shown, made.roots[0])

    async def _at(
        self, at: str | None, asked: tuple[str, ...]
    ) -> tuple[nx.MultiDiGraph[str], int, bool, tuple[str, ...]]:
        """All that was asked for, as it was then: the graph, how many there are, whether more, and what is missing."""
        first = await self._ops.graph_expand(
            list(self._roots), view=self._view, depth=self._depth, max_nodes=max(_ASKED, self._most), as_of=at
        )
        total, more = _reach_of(first)
        codes, told = {*first}, [*_words_of(first)]
        for code in asked:
            try:
                grown = await self._around(code, at)
            except ItemNotFound:  # it was not there then
                continue
            codes |= {*grown}
            told += _words_of(grown)
        if codes == {*first}:
            return first, total, more, tuple(dict.fromkeys(told))
        whole = await self._among(codes, at)
        return whole, max(total, len(whole)), more, tuple(dict.fromkeys(told))

    async def _around(self, code: str, at: str | None) -> nx.MultiDiGraph[str]:
        return await self._ops.graph_expand(code, view=self._view, depth=1, max_nodes=MOST, as_of=at)

    async def _among(self, codes: Iterable[str], at: str | None) -> nx.MultiDiGraph[str]:
        """These, with all edges among them and what is beyond each."""
        many = sorted(codes)
        found = await self._ops.graph_expand(many, view=self._view, depth=0, max_nodes=len(many), as_of=at)
        found.graph["roots"] = list(self._roots)
        return found

    async def grown(self, scene: Scene, code: str) -> Scene:
        made = scene
        if code in scene.frontier:
            around = await self._around(code, scene.at)
            made = await self._knowing(scene, {*around}, _words_of(around))
            made = replace(made, asked=tuple(dict.fromkeys([*scene.asked, code])))
        elif code not in scene.asked:
            made = replace(scene, asked=(*scene.asked, code))
        fresh = explored.expanded(made.near, made.shown, code, self._most)
        return await sync.in_thread(made.expanded, fresh, code)

    async def _knowing(self, scene: Scene, codes: set[str], told: Sequence[str] = ()) -> Scene:
        """*scene* with these known too, compared as it was."""
        if codes <= {*scene.graph}:
            return scene
        gone = scene.compared.removed if scene.compared else frozenset()
        graph = await self._among({*scene.graph, *codes} - gone, scene.at)
        if scene.compared:
            graph = explored.merged(scene.graph.subgraph([*gone, *scene.graph]), graph)
        words = tuple(dict.fromkeys([*scene.told, *told]))
        return replace(scene, graph=graph, told=words, total=max(scene.total, len(graph)))

    async def marks(self, scene: Scene, what: str, code: str) -> Marks:
        if what != "impact":
            return await sync.in_thread(marks_along, scene, what, code)
        reached = await self._ops.graph_expand(code, view="impact", depth=_HOPS, as_of=scene.at)
        moment = parse_time(reached.graph["ciops"]["as_of"])
        needs = await ask_needs(self._ops, reached, moment=moment)
        found = await sync.in_thread(functools.partial(blast_of, needs, code, within=list(reached)))
        words = [*_words_of(reached), *_words_of(needs)]
        if reached.graph["frontier"]:
            words.append(f"what hangs on {counted(len(reached.graph['frontier']), 'CI')} beyond was not looked at")
        return explored.hurt_marks(
            code, found, needs.edges(keys=True), scene.shown, "; ".join(word.rstrip(".") for word in words)
        )

    async def way(self, scene: Scene, one: str, other: str) -> tuple[Scene, Marks]:
        found = await self._ops.graph_path(one, other, as_of=scene.at, k=3)
        paths = found.graph["paths"]
        title = ways_title(paths, one, other, _words_of(found))
        if not paths:
            return scene, explored.path_marks(found, paths, title)
        made = await self._knowing(scene, {*found})
        made = await sync.in_thread(made.revealing, [code for path in paths for code in path], one)
        return made, explored.path_marks(found, paths, title)

    async def moments(self, scene: Scene) -> list[dict[str, str]]:
        """When something of *scene* changed, and how much."""
        rows = as_polars(await BoundTool(graph_moments, self._ops)(sorted(scene.graph), since=list(scene.roots)))
        return [
            {
                "at": format_time(row["ts"]),
                "text": self._moment_text(format_time(row["ts"])),
                "what": _changes_text(row["cis"], row["relations"]),
            }
            for row in rows.iter_rows(named=True)
        ]

    async def details(self, scene: Scene, code: str) -> list[list[str]]:
        """What is known of one CI at the moment of *scene*: names and values, without empty ones."""
        frame: Any = await self._ops.ci_get_by_code(code, as_of=scene.at)
        row = frame.row(0, named=True) if hasattr(frame, "row") else frame.iloc[0].to_dict()
        names = ("ci_category", "location", "owner", "created_at", "updated_at")
        told = [[name.removeprefix("ci_").replace("_at", ""), self._text(row.get(name))] for name in names]
        for kind in ("tags", "attributes"):
            told += [
                [f"{kind}.{visible(name)}", visible(value)] for name, value in sorted((row.get(kind) or {}).items())
            ]
        return [pair for pair in told if pair[1]]

    def _text(self, value: Any) -> str:
        if value is None or value != value:  # a gap of pandas is not equal to itself
            return ""
        return self._moment_text(format_time(value)) if isinstance(value, datetime) else visible(value)

    def time(self, scene: Scene) -> dict[str, str]:
        """The moments of *scene* as people of this session read them."""
        return {"at": self._moment_text(scene.at), "since": self._moment_text(scene.since), "zone": str(self.zone)}

    def _moment_text(self, at: str | None) -> str:
        return "now" if at is None else f"{parse_time(at).astimezone(self.zone):%Y-%m-%d %H:%M:%S} {self.zone}"


Origin: TypeAlias = GraphAtHand | SessionAsked


def _changes_text(cis: int, relations: int) -> str:
    told = [counted(count, noun) for count, noun in ((cis, "CI"), (relations, "relation")) if count]
    return f"{' and '.join(told)} changed"


def _reach_of(graph: nx.MultiDiGraph[str]) -> tuple[int, bool]:
    """How many there are, of which *graph* holds those within reach, and whether that is not even known."""
    told = graph.graph.get("ciops") or {}
    total = (told.get("completeness") or {}).get("total")
    return (len(graph), bool(told) and told.get("tool") == "graph_expand") if total is None else (int(total), False)


def _words_of(graph: nx.MultiDiGraph[str]) -> tuple[str, ...]:
    """What the tool said is missing in its answer."""
    if "ciops" not in graph.graph:
        return ()
    return tuple(visible(statement.text) for statement in incomplete([graph]))
