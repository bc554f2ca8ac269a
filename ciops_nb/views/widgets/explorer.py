"""``TopologyExplorer``: walk through how configuration items hang together, by mouse, by keyboard or in a list.

The widget holds a state and sends rows; what is computed is in ``views.explored``. Work goes to the home loop, and what
comes back is taken under one lock, unless something newer was asked for meanwhile. Nodes and edges are in the widget's
state once, for views that open later; after that only what changed is sent.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Sized
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import anywidget
import networkx as nx
import traitlets

from ciops_nb import sync
from ciops_nb.errors import BadParameter, ItemNotFound
from ciops_nb.estate.names import nearest
from ciops_nb.estate.times import format_time, parse_time
from ciops_nb.parameters import check_count
from ciops_nb.recipes.blast_radius import ask_needs, blast_of
from ciops_nb.recipes.evidence import as_polars, counted, incomplete, listed
from ciops_nb.registry import BoundTool
from ciops_nb.session import Ops
from ciops_nb.tools.moments import graph_moments
from ciops_nb.tools.scope import codes_of
from ciops_nb.views import explored
from ciops_nb.views.explored import Diff, Edge, Marks, Place, Shown
from ciops_nb.views.layout import focus_of
from ciops_nb.views.svg import palette, visible
from ciops_nb.views.topology_plots import topology_svg
from ciops_nb.views.widgets.twin import Twin, Twinned, asset, explained

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["TopologyExplorer"]

_MOST = 5000  # nodes that a page draws in good time
_ASKED = 2000  # nodes that are asked for beyond those on screen, so that search and overlays know them
_ALL = 150  # nodes up to which the twin shows all
_DRAWN = (100, 50, 25, 10)  # beyond, or until it is small enough
_BYTES = 60_000
_HOPS = 10
_WAYS = {"upstream", "downstream", "impact", "path", ""}


@dataclass(frozen=True)
class _Scene:
    """What is known, and what of it is on screen; a click makes the next one."""

    graph: nx.MultiDiGraph[str]
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

    @property
    def focus(self) -> str | None:
        return self.roots[0] if len(self.roots) == 1 and self.roots[0] in self.graph else None

    def showing(self, shown: Shown, anchor: str | None = None) -> _Scene:
        """The same with other nodes on screen; those that stay, stay where they are."""
        part = self.graph.subgraph(shown)
        focus = self.focus if self.focus in shown else None
        return replace(self, shown=shown, places=explored.placed(part, focus, self.places, anchor))

    @cached_property
    def links(self) -> list[Edge]:
        """The edges among the nodes on screen."""
        return [edge for edge in self.graph.edges(keys=True) if edge[0] in self.shown and edge[1] in self.shown]

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


class TopologyExplorer(Twinned, anywidget.AnyWidget):  # type: ignore[misc]  # Twinned calls the other's
    """Explore a graph: expand, collapse, what is needed, what is hurt, ways between two, and how it was before.

    Args:
        source: A graph of ``graph_expand`` or ``graph_path``, or a session, which is asked as one goes.
        ci: Where to start. A session needs it; a graph has its roots.
        view: Of ``graph_expand``: what is followed.
        depth: Hops of the first answer; None is the view's own.
        as_of: The moment to look at; None is now.
        max_visible: At most so many nodes at first, the nearest first; 5,000 at most. Expanding goes on from there.
        highlight: Codes of the items that are hurt, or a mapping from code to a short reason.
        path: Two codes, to show the ways between them.
        compare_to: A moment, or a graph, to show what came, went and changed since.
        theme: ``"light"`` or ``"dark"``; None follows the page.

    Raises:
        ItemNotFound: there is no such CI.
        BadParameter: a value cannot be meant.
    """

    selected = traitlets.Unicode(None, allow_none=True, help="The code of the item that is selected.").tag(sync=True)
    selection = traitlets.List(traitlets.Unicode(), help="All that are selected, the latest last.").tag(sync=True)
    as_of = traitlets.Unicode(None, allow_none=True, help="The moment that is shown; None is now.").tag(sync=True)
    compare_to = traitlets.Unicode(None, allow_none=True, help="The moment it is compared with.").tag(sync=True)
    theme = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    busy = traitlets.Bool(False, help="Whether something that was asked for is on its way.").tag(sync=True)
    error = traitlets.Unicode("", help="What went wrong last, in words.").tag(sync=True)
    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    _world = traitlets.Any().tag(sync=True, to_json=lambda _, widget: widget._whole())

    def __init__(
        self,
        source: nx.MultiDiGraph[str] | Ops,
        ci: Any = None,
        *,
        view: str = "neighbors",
        depth: int | None = None,
        as_of: Any = None,
        max_visible: int = 300,
        highlight: Mapping[str, str] | Iterable[str] | None = None,
        path: Sequence[str] | None = None,
        compare_to: Any = None,
        theme: str | None = None,
    ) -> None:
        check_count("max_visible", max_visible, least=1)
        if max_visible > _MOST:
            raise BadParameter(
                "max_visible", max_visible, f"a page draws {_MOST:,} at most in good time", "Expand where it matters"
            )
        if theme is not None:
            palette(theme)
        self._lock = threading.RLock()
        self._turns: dict[str, int] = {}
        self._running: dict[str, Future[Any]] = {}
        self._numbers: dict[Any, int] = {}
        self._sent: dict[str, Any] = {}
        self._version = 0
        self._marks: Marks | None = None
        self._quiet = True  # until it stands, and where a trait follows what was done
        self._max = max_visible
        self._origin: _Given | _Asked
        if isinstance(source, Ops):
            if ci is None:
                raise BadParameter("ci", ci, "a session needs to know where to start", "Name a code, or several")
            self._origin = _Asked(source, codes_of(ci), view, depth, max_visible)
        elif isinstance(source, nx.Graph):
            if view != "neighbors" or depth is not None:
                name, value = ("depth", depth) if depth is not None else ("view", view)
                raise BadParameter(name, value, "a graph is as it was asked for", "Give a session to ask for another")
            self._origin = _Given(source, ci, as_of, max_visible)
        else:
            raise BadParameter("source", type(source).__name__, "is neither a graph nor a session", "Give one of them")
        at, since, self._other = self._moments_of(as_of, compare_to)
        self._scene = sync.run(self._origin.scene(at, since if self._other is None else self._other, ()))
        paths = self._scene.graph.graph.get("paths")
        if highlight is not None:
            self._marks = self._given_marks(highlight)
        elif paths and path is None:
            self._marks = explored.path_marks(self._scene.graph, paths, _ways_title(paths))
        elif path is not None:
            self._scene, self._marks = sync.run(self._origin.way(self._scene, *_two(path)))
        self._sent = self._parts()
        super().__init__(as_of=at, compare_to=since, theme=theme)
        self._quiet = False
        self.on_msg(self._hear)

    @traitlets.default("_esm")
    def _bundled(self) -> str:
        return asset("explorer.js")

    @traitlets.default("_css")
    def _styled(self) -> str:
        return asset("explorer.css")

    # What can be asked for

    def expand(self, code: str) -> None:
        """Show the neighbours of *code* that are hidden. Comes back at once, like a click."""
        self._begin("scene", lambda: self._origin.grown(self._known(code), code))

    def collapse(self, code: str) -> None:
        """Hide what came on screen through *code*."""

        async def work() -> _Scene:
            scene = self._known(code)
            gone = {*explored.collapsed(scene.shown, code)}
            if not gone:
                raise BadParameter("collapse", code, "nothing came on screen through it", "Collapse what was expanded")
            kept = {one: origin for one, origin in scene.shown.items() if one not in gone}
            asked = tuple(one for one in scene.asked if one not in {*gone, code})
            return replace(await sync.in_thread(scene.showing, kept), asked=asked)

        self._begin("scene", work)

    def tidy(self) -> None:
        """Lay out anew what is on screen."""

        async def work() -> _Scene:
            return await sync.in_thread(replace(self._scene, places={}).showing, self._scene.shown)

        self._begin("scene", work)

    def mark(self, what: str, *codes: str) -> None:
        """Lay over it what lies ``upstream`` or ``downstream`` of a code, the ``impact`` of its failure, or a ``path``.

        Without a name of what, clear that.
        """
        if what not in _WAYS:
            raise BadParameter("mark", what, "is no overlay", "Choose upstream, downstream, impact or path")
        if what == "path":
            self._begin("scene", lambda: self._origin.way(self._scene, *_two(codes)))
        elif what:
            code = codes[0] if codes else self.selected
            if code is None:
                raise BadParameter("mark", what, "of which item?", "Select one")
            self._begin("marks", lambda: self._origin.marks(self._known(code), what, code))
        else:
            self._overtake("marks")
            self._take(self._scene, None)

    def _known(self, code: str) -> _Scene:
        scene = self._scene
        if code not in scene.graph:
            raise ItemNotFound(code, nearest(code, scene.graph), when="in this explorer")
        return scene

    # What is asked by the page, and by setting a trait

    def _hear(self, _: Any, content: Mapping[str, Any], buffers: Any) -> None:
        self._guard(lambda: self._do(content))

    def _do(self, content: Mapping[str, Any]) -> None:
        kind, codes = content.get("kind"), [str(code) for code in content.get("codes") or ()]
        if kind in ("expand", "collapse"):
            (self.expand if kind == "expand" else self.collapse)(*codes)
        elif kind == "tidy":
            self.tidy()
        elif kind == "mark":
            self.mark(str(content.get("what") or ""), *codes)
        elif kind == "moments":
            self._begin("moments", lambda: self._origin.moments(self._scene))
        elif kind == "whole":
            with self._lock:
                self.send({"kind": "whole", "world": self._whole()})
        elif kind == "dismiss":
            self.error = ""

    @traitlets.validate("selected", "selection")
    def _are_known(self, proposal: Any) -> Any:
        for code in proposal["value"] if isinstance(proposal["value"], list) else [proposal["value"]]:
            if code is not None:
                self._known(code)
        return proposal["value"]

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """What the page says; it may still select what is gone meanwhile."""
        known = dict(sync_data)
        if known.get("selected") is not None and known["selected"] not in self._scene.graph:
            known["selected"] = None
        if "selection" in known:
            known["selection"] = [code for code in known["selection"] if code in self._scene.graph]
        super().set_state(known)
        behind = [name for name in known if known[name] != sync_data[name]]
        if behind:
            self.send_state(behind)

    @traitlets.observe("selected")
    def _on_selected(self, change: Any) -> None:
        code = change["new"]
        if self._quiet or code is None:
            return
        if code not in self._scene.shown:
            self._begin("scene", lambda: self._revealed([code], code))
        if isinstance(self._origin, _Asked):
            self._begin("details", lambda: self._details(code), quietly=True)

    @traitlets.observe("as_of", "compare_to")
    def _on_moment(self, change: Any) -> None:
        if self._quiet:
            return

        def go() -> None:
            at, since, _ = self._moments_of(self.as_of, self.compare_to)
            if change["name"] == "compare_to":
                self._other = None
            before = since if self._other is None else self._other
            self._begin("scene", lambda: self._origin.scene(at, before, self._scene.asked, self._scene))

        self._guard(go)

    def _moments_of(self, as_of: Any, compare_to: Any) -> tuple[str | None, str | None, Any]:
        """The moments as text, and the graph to compare with if it is one."""
        zone = self._origin.zone
        other = compare_to if isinstance(compare_to, nx.Graph) else None
        return (
            None if as_of is None else format_time(parse_time(as_of, tz=zone)),
            None
            if compare_to is None or other is not None
            else format_time(parse_time(compare_to, tz=zone, name="compare_to")),
            other,
        )

    async def _revealed(self, codes: Sequence[str], anchor: str | None = None) -> _Scene:
        return await sync.in_thread(_with, self._scene, codes, anchor)

    async def _details(self, code: str) -> dict[str, Any]:
        return {"kind": "details", "code": code, "fields": await self._origin.details(self._scene, code)}

    # Work on the home loop

    def _guard(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001  shown where the click was
            self.error = explained(error)

    def _overtake(self, channel: str) -> int:
        """What is on its way there is not wanted any more."""
        with self._lock:
            self._turns[channel] = turn = self._turns.get(channel, 0) + 1
            running = self._running.pop(channel, None)
        if running is not None:
            running.cancel()
        return turn

    def _begin(self, channel: str, make: Callable[[], Awaitable[Any]], *, quietly: bool = False) -> None:
        """Ask at home; the answer counts unless something newer was asked for on *channel*."""
        turn = self._overtake(channel)
        if channel == "scene":
            self._overtake("marks")

        async def work() -> None:
            answer = await make()
            await sync.in_thread(self._answered, channel, turn, answer)

        started: Callable[[], Coroutine[Any, Any, None]] = work
        future = sync.start(started, name=f"explorer {channel}")
        with self._lock:
            if self._turns[channel] == turn:
                self._running[channel] = future
        if not quietly:
            self.busy, self.error = True, ""
        future.add_done_callback(functools.partial(self._ended, channel, turn))

    def _answered(self, channel: str, turn: int, answer: Any) -> None:
        with self._lock:
            if self._turns[channel] != turn:
                return
            if isinstance(answer, dict):
                self.send(answer)
            elif isinstance(answer, Marks):
                self._take(self._scene, answer)
            elif isinstance(answer, tuple):
                self._take(*answer)
            else:
                moved = answer.at != self._scene.at or answer.compared != self._scene.compared
                self._take(answer, None if moved else self._marks)

    def _ended(self, channel: str, turn: int, future: Future[Any]) -> None:
        with self._lock:
            current = self._turns[channel] == turn
            if current:
                self._running.pop(channel, None)
            idle = not self._running.keys() - {"details"}
        error = None if future.cancelled() else future.exception()
        if current and error is not None:
            self.error = explained(error)
            self._back()
        if idle:
            self.busy = False

    def _back(self) -> None:
        """The moments are those that are shown, whatever was asked for."""
        self._quiet = True
        try:
            self.as_of, self.compare_to = self._scene.at, self._scene.since
        finally:
            self._quiet = False

    def _take(self, scene: _Scene, marks: Marks | None) -> None:
        """Show *scene*, and tell the page what is new in it."""
        with self._lock:
            self._scene, self._marks = scene, marks
            parts = self._parts()
            before, self._sent = self._sent, parts
            self._version += 1
            change: dict[str, Any] = {"kind": "change", "version": self._version}
            for name in ("nodes", "edges"):
                found = explored.changes(before[name], parts[name])
                if found["put"] or found["drop"]:
                    change[name] = found
            rest = {name: part for name, part in parts.items() if name not in ("nodes", "edges")}
            change["rest"] = {name: part for name, part in rest.items() if part != before[name]}
            self.send(change)
            lost = self.selected is not None and self.selected not in scene.shown
            kept = [code for code in self.selection if code in scene.shown]
        if lost:
            self.selected = None
        if kept != self.selection:
            self.selection = kept

    # Rows

    def _number(self, key: Any) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _parts(self) -> dict[str, Any]:
        """All that the page needs, by part."""
        scene = self._scene
        number = {code: self._number(code) for code in scene.shown}
        numbered = {edge: self._number(edge) for edge in scene.links}
        return {
            "nodes": explored.node_rows(
                scene.graph, scene.shown, scene.places, number, scene.hops, scene.hidden, scene.compared
            ),
            "edges": explored.edge_rows(scene.graph, number, numbered, scene.compared),
            "roots": [number[root] for root in scene.roots if root in number],
            "marks": self._marked(number, numbered),
            "look": explored.look(scene.graph),
            "told": self._told_of(),
            "time": self._time(),
            "asks": isinstance(self._origin, _Asked),
        }

    def _marked(self, number: Mapping[str, int], numbered: Mapping[Edge, int]) -> dict[str, Any] | None:
        marks = self._marks
        if marks is None:
            return None
        return {
            "kind": marks.kind,
            "title": marks.title,
            "nodes": [[number[code], *said] for code, said in marks.nodes.items() if code in number],
            "edges": sorted(numbered[edge] for edge in marks.edges if edge in numbered),
        }

    def _told_of(self) -> dict[str, Any]:
        scene = self._scene
        return {
            "name": f"{', '.join(visible(root) for root in scene.roots[:3]) or 'a graph'}",
            "view": self._origin.view,
            "shown": len(scene.shown),
            "total": f"{'at least ' * scene.at_least}{scene.total:,}",
            "whole": not scene.at_least and scene.total == len(scene.shown),
            "frontier": len(scene.hidden),
            "notes": list(scene.told),
            "compared": _diff_text(scene.compared),
        }

    def _time(self) -> dict[str, Any] | None:
        if not isinstance(self._origin, _Asked):
            return None
        told = self._origin.moment_text
        return {"at": told(self._scene.at), "since": told(self._scene.since), "zone": str(self._origin.zone)}

    def _whole(self) -> dict[str, Any]:
        with self._lock:
            parts = self._sent or self._parts()
            rows = {name: [[key, row] for key, row in parts[name].items()] for name in ("nodes", "edges")}
            return {**parts, **rows, "version": self._version}

    def _given_marks(self, highlight: Mapping[str, str] | Iterable[str]) -> Marks:
        pairs = highlight.items() if isinstance(highlight, Mapping) else ((code, "") for code in highlight)
        said = {str(code): ("hurt", visible(reason or "hurt")) for code, reason in pairs}
        unknown = [code for code in said if code not in self._scene.graph]
        title = f"{counted(len(said) - len(unknown), 'CI')} marked"
        if unknown:
            title += f"; not in this graph: {listed([visible(code) for code in unknown])}"
        return Marks("impact", title, {code: told for code, told in said.items() if code not in unknown})

    # The twin

    def twin(self) -> Twin:
        """As it stands: what is shown and hidden in words, and a picture of the nodes on screen."""
        with self._lock:
            scene, marks, chosen, view = self._scene, self._marks, self.selected, self._origin.view
        return Twin(_twin_text(scene, marks, chosen, view), _twin_svg(scene, marks, self.theme or "light"))


class _Given:
    """A graph at hand: nothing beyond it can be asked."""

    def __init__(self, graph: nx.MultiDiGraph[str], ci: Any, as_of: Any, most: int) -> None:
        if as_of is not None:
            raise BadParameter("as_of", as_of, "a graph is of one moment", "Give a session to ask for others")
        self.graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(graph)
        self.zone: Any = parse_time("2000-01-01T00:00Z").tzinfo
        self.view = str(graph.graph.get("view") or "graph")
        self._most = most
        asked = codes_of(ci) if ci is not None else []
        for code in asked:
            focus_of(self.graph, code)
        self.roots = tuple(asked or [root for root in graph.graph.get("roots") or () if root in graph])

    async def scene(self, at: str | None, since: Any, asked: tuple[str, ...], before: _Scene | None = None) -> _Scene:
        if at is not None or isinstance(since, str):
            raise BadParameter("as_of", at or since, "a graph is of one moment", "Give a session to ask for others")
        other: nx.MultiDiGraph[str] | None = None if since is None else nx.MultiDiGraph(since)
        graph = self.graph if other is None else explored.merged(other, self.graph)
        compared = None if other is None else explored.diff(other, self.graph)
        return await sync.in_thread(self._opened, graph, compared)

    def _opened(self, graph: nx.MultiDiGraph[str], compared: Diff | None) -> _Scene:
        made = _Scene(graph, self.roots, {}, {}, compared=compared, told=_words_of(self.graph), total=len(graph))
        total, more = _reach_of(self.graph)
        made = replace(made, total=max(total, len(graph)), at_least=more)
        return made.showing(explored.opened(made.near, made.roots or sorted(graph)[:1], self._most))

    async def grown(self, scene: _Scene, code: str) -> _Scene:
        fresh = explored.expanded(scene.near, scene.shown, code, self._most)
        if not fresh and code in scene.frontier:
            raise BadParameter(
                "expand", code, f"{counted(scene.frontier[code], 'neighbour')} are not in this graph",
                "Ask graph_expand for more, or give the session",
            )  # fmt: skip
        return await sync.in_thread(_more, scene, fresh, code)

    async def marks(self, scene: _Scene, what: str, code: str) -> Marks:
        return await sync.in_thread(self._marks_of, scene, what, code)

    def _marks_of(self, scene: _Scene, what: str, code: str) -> Marks:
        if what == "impact":
            found = explored.blast(scene.graph, code)
            open_ends = [one for one in found.hurt if one in scene.frontier]
            unseen = f"what hangs on {counted(len(open_ends), 'CI')} of them is not in this graph" if open_ends else ""
            return explored.hurt_marks(code, found, scene.graph.edges(keys=True), scene.shown, unseen)
        return _along(scene, what, code)

    async def way(self, scene: _Scene, one: str, other: str) -> tuple[_Scene, Marks]:
        for code in (one, other):
            focus_of(scene.graph, code)
        return await sync.in_thread(self._way_of, scene, one, other)

    def _way_of(self, scene: _Scene, one: str, other: str) -> tuple[_Scene, Marks]:
        reached = explored.hops_from(scene.near, [one])
        way = [other] if other in reached else []
        while way and way[-1] != one:
            way.append(str(reached[way[-1]]))
        paths = [way[::-1]] if way else []
        made = _with(scene, way, one) if way else scene
        return made, explored.path_marks(scene.graph, paths, _ways_title(paths, one, other))

    async def moments(self, scene: _Scene) -> dict[str, Any]:
        return {"kind": "moments", "moments": []}

    async def details(self, scene: _Scene, code: str) -> list[list[str]]:
        return []


class _Asked:
    """A session, which is asked for what lies beyond."""

    def __init__(self, ops: Ops, roots: list[str], view: str, depth: int | None, most: int) -> None:
        self._ops, self.roots, self.view, self._depth, self._most = ops, tuple(roots), view, depth, most
        self.zone = ops.tz

    async def scene(self, at: str | None, since: Any, asked: tuple[str, ...], before: _Scene | None = None) -> _Scene:
        graph, total, more, told = await self._at(at, asked)
        compared = None
        if since is not None:
            given = isinstance(since, nx.Graph)
            other: nx.MultiDiGraph[str] = nx.MultiDiGraph(since) if given else (await self._at(since, asked))[0]
            compared, graph = explored.diff(other, graph), explored.merged(other, graph)
        places, moment = before.places if before else {}, since if isinstance(since, str) else None
        total = max(total, len(graph))
        made = _Scene(graph, self.roots, {}, places, asked, at, moment, compared, told, total, more)
        return await sync.in_thread(self._seen, made, before)

    def _seen(self, made: _Scene, before: _Scene | None) -> _Scene:
        graph = made.graph
        order = explored.opened(made.near, [root for root in self.roots if root in graph], len(graph))
        shown = explored.settled(before.shown, graph) if before else {}
        known = before.graph if before else ()
        fresh = [code for code in order if code not in known][: self._most]
        shown.update((code, order[code]) for code in fresh)
        return made.showing(shown, self.roots[0])

    async def _at(
        self, at: str | None, asked: tuple[str, ...]
    ) -> tuple[nx.MultiDiGraph[str], int, bool, tuple[str, ...]]:
        """All that was asked for, as it was then: the graph, how many there are, whether more, and what is missing."""
        first = await self._ops.graph_expand(
            list(self.roots), view=self.view, depth=self._depth, max_nodes=max(_ASKED, self._most), as_of=at
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
        return await self._ops.graph_expand(code, view=self.view, depth=1, max_nodes=_MOST, as_of=at)

    async def _among(self, codes: Iterable[str], at: str | None) -> nx.MultiDiGraph[str]:
        """These, with all edges among them and what is beyond each."""
        many = sorted(codes)
        found = await self._ops.graph_expand(many, view=self.view, depth=0, max_nodes=len(many), as_of=at)
        found.graph["roots"] = list(self.roots)
        return found

    async def grown(self, scene: _Scene, code: str) -> _Scene:
        made = scene
        if code in scene.frontier:
            around = await self._around(code, scene.at)
            made = await self._knowing(scene, {*around}, _words_of(around))
            made = replace(made, asked=tuple(dict.fromkeys([*scene.asked, code])))
        elif code not in scene.asked:
            made = replace(scene, asked=(*scene.asked, code))
        fresh = explored.expanded(made.near, made.shown, code, self._most)
        return await sync.in_thread(_more, made, fresh, code)

    async def _knowing(self, scene: _Scene, codes: set[str], told: Sequence[str] = ()) -> _Scene:
        """*scene* with these known too, compared as it was."""
        if codes <= {*scene.graph}:
            return scene
        gone = scene.compared.removed if scene.compared else frozenset()
        graph = await self._among({*scene.graph, *codes} - gone, scene.at)
        if scene.compared:
            graph = explored.merged(scene.graph.subgraph([*gone, *scene.graph]), graph)
        words = tuple(dict.fromkeys([*scene.told, *told]))
        return replace(scene, graph=graph, told=words, total=max(scene.total, len(graph)))

    async def marks(self, scene: _Scene, what: str, code: str) -> Marks:
        if what != "impact":
            return await sync.in_thread(_along, scene, what, code)
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

    async def way(self, scene: _Scene, one: str, other: str) -> tuple[_Scene, Marks]:
        found = await self._ops.graph_path(one, other, as_of=scene.at, k=3)
        paths = found.graph["paths"]
        title = _ways_title(paths, one, other, _words_of(found))
        if not paths:
            return scene, explored.path_marks(found, paths, title)
        made = await self._knowing(scene, {*found})
        made = await sync.in_thread(_with, made, [code for path in paths for code in path], one)
        return made, explored.path_marks(found, paths, title)

    async def moments(self, scene: _Scene) -> dict[str, Any]:
        rows = as_polars(await BoundTool(graph_moments, self._ops)(sorted(scene.graph), since=list(scene.roots)))
        found = [
            {
                "at": format_time(row["ts"]),
                "text": self.moment_text(format_time(row["ts"])),
                "what": _changes_text(row["cis"], row["relations"]),
            }
            for row in rows.iter_rows(named=True)
        ]
        return {"kind": "moments", "moments": found}

    async def details(self, scene: _Scene, code: str) -> list[list[str]]:
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
        return self.moment_text(format_time(value)) if isinstance(value, datetime) else visible(value)

    def moment_text(self, at: str | None) -> str:
        """A moment as people of this session read it."""
        if at is None:
            return "now"
        return f"{parse_time(at).astimezone(self.zone):%Y-%m-%d %H:%M:%S} {self.zone}"


def _more(scene: _Scene, fresh: Shown, anchor: str) -> _Scene:
    room = _MOST - len(scene.shown)
    if len(fresh) > room:
        raise BadParameter(
            "expand", anchor, f"with its {counted(len(fresh), 'neighbour')} more than {_MOST:,} would be on screen",
            "Collapse something first",
        )  # fmt: skip
    return scene.showing({**scene.shown, **fresh}, anchor)


def _with(scene: _Scene, codes: Sequence[str], anchor: str | None) -> _Scene:
    """*scene* with these on screen too."""
    extra: Shown = {code: None for code in codes if code not in scene.shown}
    return scene.showing({**scene.shown, **extra}, anchor) if extra else scene


def _along(scene: _Scene, what: str, code: str) -> Marks:
    marks = explored.along(scene.graph, code, what)
    off = sum(one not in scene.shown for one in marks.nodes)
    ends = sum(one in scene.frontier for one in marks.nodes)
    told = [f"{off:,} of them not shown"] * bool(off) + [f"{counted(ends, 'CI')} not expanded"] * bool(ends)
    return replace(marks, title="; ".join([marks.title, *told]))


def _two(path: Sequence[str]) -> tuple[str, str]:
    if isinstance(path, str) or len(path) != 2 or not all(isinstance(code, str) for code in path):
        raise BadParameter("path", path, "is not a pair of codes", "Select two items, or give two codes")
    return path[0], path[1]


def _ways_title(paths: Sequence[Sequence[str]], one: str = "", other: str = "", told: Sequence[str] = ()) -> str:
    if not paths:
        return "; ".join([f"No way from {visible(one)} to {visible(other)}", *(text.rstrip(".") for text in told)])
    ends = f"from {visible(paths[0][0])} to {visible(paths[0][-1])}"
    return f"{counted(len(paths), 'way')} {ends}, the shortest of {counted(len(paths[0]) - 1, 'hop')}"


def _changes_text(cis: int, relations: int) -> str:
    told = [counted(count, noun) for count, noun in ((cis, "CI"), (relations, "relation")) if count]
    return f"{' and '.join(told)} changed"


def _diff_text(compared: Diff | None) -> str:
    if compared is None:
        return ""
    cis = (compared.added, compared.removed, compared.changed)
    relations = (compared.edges_added, compared.edges_removed, compared.edges_changed)
    return f"CIs: {_came_and_went(*cis)}; relations: {_came_and_went(*relations)}"


def _came_and_went(added: Sized, removed: Sized, changed: Sized) -> str:
    return f"{len(added):,} added, {len(removed):,} removed, {len(changed):,} changed"


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


# --- the twin -------------------------------------------------------------------------------------------------------


def _twin_text(scene: _Scene, marks: Marks | None, chosen: str | None, view: str) -> str:
    names = listed([visible(root) for root in scene.roots], most=3) or "a graph"
    kinds = ", ".join(
        f"{visible(kind)} {count:,}" for kind, count in explored.by_type(scene.graph, scene.shown).items()
    )
    total = f"{'at least ' * scene.at_least}{scene.total:,}"
    lines = [
        f"TopologyExplorer of {names}: view {view}, as of {scene.at or 'now'}",
        f"{len(scene.shown):,} of {total} CIs shown, {counted(len(scene.links), 'relation')}",
        f"by type: {kinds or 'none'}",
        f"hidden: {_hidden_text(scene.hidden)}",
    ]
    if chosen is not None:
        lines.append(f"selected: {visible(chosen)}")
    if marks is not None:
        lines.append(f"marked: {marks.title}")
    if scene.compared is not None:
        lines.append(f"compared: {_diff_text(scene.compared)}")
    return "\n".join([*lines, *scene.told])


def _hidden_text(hidden: Mapping[str, int]) -> str:
    if not hidden:
        return "no neighbours"
    first = sorted(hidden, key=lambda code: (-hidden[code], code))
    told = listed([f"{visible(code)} +{hidden[code]:,}" for code in first])
    return f"neighbours of {counted(len(hidden), 'CI')}: {told}"


def _twin_svg(scene: _Scene, marks: Marks | None, theme: str) -> str:
    title = f"Topology around {', '.join(visible(root) for root in scene.roots[:3]) or 'a graph'}"
    said = {} if marks is None else {code: word for code, (role, word) in marks.nodes.items() if role == "hurt"}
    size = len(scene.shown)
    svg = ""
    for most in [size] * (size <= _ALL) + [fewer for fewer in _DRAWN if fewer < size]:
        drawn = scene.nearest(most)
        left = size - len(drawn)
        note = f"Drawn are the nearest {len(drawn):,} of the {size:,} CIs on screen: {left:,} are not." if left else ""
        focus = scene.focus if scene.focus in drawn else None
        hurt = {code: word for code, word in said.items() if code in drawn}
        svg = topology_svg(drawn, title, focus=focus, highlight=hurt, note=note, theme=theme)
        if len(svg.encode()) <= _BYTES:
            break
    return svg
