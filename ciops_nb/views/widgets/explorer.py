"""``TopologyExplorer``: walk through how configuration items hang together, by mouse, by keyboard or in a list.

The widget holds a scene and sends rows: scenes are made in ``views.origins``, rows in ``views.scene_rows``. Work goes
to the home loop, and what comes back is taken under one lock, unless something newer was asked for meanwhile. Nodes and
edges are in the widget's state once, for views that open later; after that only what changed is sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import anywidget
import networkx as nx
import traitlets

from ciops_nb import sync
from ciops_nb.errors import BadParameter, ItemNotFound
from ciops_nb.estate.names import nearest
from ciops_nb.estate.times import format_time, parse_time
from ciops_nb.parameters import check_count
from ciops_nb.session import Ops
from ciops_nb.views import scene_rows
from ciops_nb.views.explored import Marks
from ciops_nb.views.origins import SessionAsked, origin_of
from ciops_nb.views.scene_twin import twin_svg, twin_text
from ciops_nb.views.scenes import MOST, Scene, marks_at_first
from ciops_nb.views.svg import palette
from ciops_nb.views.widgets.asking import Newest
from ciops_nb.views.widgets.twin import Twin, Twinned, asset, explained

__all__ = ["TopologyExplorer"]

R = TypeVar("R")

_WAYS = {"upstream", "downstream", "impact", "path", ""}


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
        if max_visible > MOST:
            raise BadParameter(
                "max_visible", max_visible, f"a page draws {MOST:,} at most in good time", "Expand where it matters"
            )
        if theme is not None:
            palette(theme)
        self._lock = threading.RLock()
        self._moving, self._marking, self._timing = (
            Newest(f"TopologyExplorer {what}", self._lock, self._failed, self._tell_busy)
            for what in ("scene", "marks", "moments")
        )
        self._describing = Newest("TopologyExplorer details", self._lock, self._failed)
        self._numbers = scene_rows.numbering()
        self._version = 0
        self._marks: Marks | None
        self._quiet = True  # until it stands, and where a trait follows what was done
        self._origin = origin_of(source, ci, view, depth, as_of, max_visible)
        at, since, self._other = self._moments_of(as_of, compare_to)
        self._scene = sync.run(self._origin.scene(at, since if self._other is None else self._other, ()))
        if path is not None and highlight is None:
            self._scene, self._marks = sync.run(self._origin.way(self._scene, *_two(path)))
        else:
            self._marks = marks_at_first(self._scene, highlight)
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
        self._ask(self._moving, lambda: self._origin.grown(self._known(code), code), self._show)

    def collapse(self, code: str) -> None:
        """Hide what came on screen through *code*."""
        self._ask(self._moving, lambda: sync.in_thread(self._known(code).collapsed, code), self._show)

    def tidy(self) -> None:
        """Lay out anew what is on screen."""
        self._ask(self._moving, lambda: sync.in_thread(self._scene.tidied), self._show)

    def mark(self, what: str, *codes: str) -> None:
        """Lay over it what lies ``upstream`` or ``downstream`` of a code, the ``impact`` of its failure, or a ``path``.

        Without a name of what, clear that.
        """
        if what not in _WAYS:
            raise BadParameter("mark", what, "is no overlay", "Choose upstream, downstream, impact or path")
        if what == "path":
            self._ask(self._moving, lambda: self._origin.way(self._scene, *_two(codes)), lambda made: self._take(*made))
        elif what:
            code = codes[0] if codes else self.selected
            if code is None:
                raise BadParameter("mark", what, "of which item?", "Select one")
            self._ask(
                self._marking,
                lambda: self._origin.marks(self._known(code), what, code),
                lambda marks: self._take(self._scene, marks),
            )
        else:
            self._marking.drop()
            self._take(self._scene, None)

    def _known(self, code: str) -> Scene:
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
            self._ask(
                self._timing,
                lambda: self._origin.moments(self._scene),
                lambda moments: self.send({"kind": "moments", "moments": moments}),
            )
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
            self._ask(self._moving, lambda: sync.in_thread(self._scene.revealing, [code], code), self._show)
        origin = self._origin
        if isinstance(origin, SessionAsked):
            self._describing.ask(
                lambda: origin.details(self._scene, code),
                lambda fields: self.send({"kind": "details", "code": code, "fields": fields}),
            )

    @traitlets.observe("as_of", "compare_to")
    def _on_moment(self, change: Any) -> None:
        if self._quiet:
            return

        def go() -> None:
            at, since, _ = self._moments_of(self.as_of, self.compare_to)
            if change["name"] == "compare_to":
                self._other = None
            before = since if self._other is None else self._other
            self._ask(self._moving, lambda: self._origin.scene(at, before, self._scene.asked, self._scene), self._show)

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

    # Work on the home loop

    def _guard(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001  shown where the click was
            self.error = explained(error)

    def _ask(self, work: Newest, make: Callable[[], Coroutine[Any, Any, R]], show: Callable[[R], None]) -> None:
        self.error = ""
        work.ask(make, show)
        if work is self._moving:
            self._marking.drop()  # they are of what is on screen now
        self._tell_busy()

    def _tell_busy(self) -> None:
        # Without the lock, as the home loop comes here, on which those may wait who hold it. Threads may thus meet:
        # whoever sets it looks again, so that the last is right.
        while self.busy != (busy := any(work.is_going for work in (self._moving, self._marking, self._timing))):
            self.busy = busy

    def _failed(self, error: Exception) -> None:
        self.error = explained(error)
        self._back()

    def _back(self) -> None:
        """The moments are those that are shown, whatever was asked for."""
        self._quiet = True
        try:
            self.as_of, self.compare_to = self._scene.at, self._scene.since
        finally:
            self._quiet = False

    def _show(self, scene: Scene) -> None:
        moved = scene.at != self._scene.at or scene.compared != self._scene.compared
        self._take(scene, None if moved else self._marks)

    def _take(self, scene: Scene, marks: Marks | None) -> None:
        """Show *scene*, and tell the page what is new in it."""
        with self._lock:
            self._scene, self._marks = scene, marks
            parts = self._parts()
            before, self._sent = self._sent, parts
            self._version += 1
            self.send(scene_rows.change(before, parts, self._version))
            lost = self.selected is not None and self.selected not in scene.shown
            kept = [code for code in self.selection if code in scene.shown]
        if lost:
            self.selected = None
        if kept != self.selection:
            self.selection = kept

    def _parts(self) -> dict[str, Any]:
        return scene_rows.parts_of(self._scene, self._marks, self._numbers, self._origin.time(self._scene))

    def _whole(self) -> dict[str, Any]:
        with self._lock:
            return scene_rows.whole(self._sent, self._version)

    # The twin

    def twin(self) -> Twin:
        """As it stands: what is shown and hidden in words, and a picture of the nodes on screen."""
        with self._lock:
            scene, marks, chosen = self._scene, self._marks, self.selected
        return Twin(twin_text(scene, marks, chosen), twin_svg(scene, marks, self.theme or "light"))


def _two(path: Sequence[str]) -> tuple[str, str]:
    if isinstance(path, str) or len(path) != 2 or not all(isinstance(code, str) for code in path):
        raise BadParameter("path", path, "is not a pair of codes", "Select two items, or give two codes")
    return path[0], path[1]
