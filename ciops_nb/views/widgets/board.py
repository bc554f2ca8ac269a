"""``MetricBoard``: metrics of some CIs over time, with what happened drawn over every series.

What is asked and said is in ``board_asked``; here are the fields, and who may change them when.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets  # type: ignore[import-untyped,unused-ignore]
import traitlets

from ciops_nb import sync
from ciops_nb.errors import BadTimeRange
from ciops_nb.tools.scope import codes_of
from ciops_nb.views.svg import themed, visible
from ciops_nb.views.widgets.asking import Newest
from ciops_nb.views.widgets.board_asked import (
    KINDS,
    Asked,
    Seen,
    code_of,
    drawn,
    look,
    neighbours,
    notes_of,
    suggestions,
)
from ciops_nb.views.widgets.fields import Fields
from ciops_nb.views.widgets.markup import LIVE, style_sheet
from ciops_nb.views.widgets.twin import Twin, Twinned, explained

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["MetricBoard"]

_RANGES = ("last_1h", "last_6h", "last_24h", "last_7d", "last_14d", "all")
_BUCKETS = ("1m", "5m", "15m", "1h", "6h", "1d")
_AGGREGATES = ("mean", "max", "min", "p95", "p99", "sum", "count", "last", "rate", "increase")
_SEVERITIES = (("any severity", 1), ("2 or worse", 2), ("3 or worse", 3), ("4 or worse", 4), ("5 only", 5))
_MOST_ADDED = 40  # neighbours at one click
_ASKED = ("cis", "metrics", "time_range", "every", "agg", "kinds", "min_severity")


class MetricBoard(Twinned, ipywidgets.VBox):  # type: ignore[misc]
    """Pick CIs and metrics, and see their series with events, changes, maintenance and incidents drawn over them.

    Args:
        ops: A session.
        ci: A code, codes, a frame with ci_code, or a graph; None is none yet.
        metrics: Names of metrics; None is the first few that the CIs have.
        time_range: As for ``metric_series_table``.

    What is shown can be set and read from code too: ``cis``, ``metrics``, ``time_range``, ``every`` (the width of the
    buckets, empty for raw points), ``agg``, ``kinds`` and ``min_severity`` (records without one stay). ``wait`` comes
    back when nothing is being asked or drawn; ``series`` and ``history`` are then the frames that are shown, ``notes``
    what is said of them, ``code`` the Python that asks the same. ``close()`` ends its work.
    """

    cis = traitlets.List(traitlets.Unicode())
    metrics = traitlets.List(traitlets.Unicode())
    time_range = traitlets.Unicode("last_24h")
    every = traitlets.Unicode("")
    agg = traitlets.Unicode("mean")
    kinds = traitlets.List(traitlets.Unicode(), list(KINDS))
    min_severity = traitlets.Int(1)

    def __init__(
        self, ops: Ops, ci: Any = None, *, metrics: Sequence[str] | str | None = None, time_range: Any = "last_24h"
    ) -> None:
        self._ops = ops
        self._fields = Fields(self._not_seen)
        self._lock = self._fields.lock
        self._seen: Seen | None = None
        self._svg: str | None = None
        self._problem, self._asking = "", False
        self._looking = Newest("MetricBoard", self._lock, self._not_seen)
        self._searching = Newest("MetricBoard search", self._lock, self._not_found)
        self._adding = Newest("MetricBoard neighbours", self._lock, self._not_found)
        self._make_fields()
        super().__init__(self._laid_out())
        self.add_class("ciops-view")
        self.add_class("ciops-dense")
        with self._fields.quietly():
            self.cis = [] if ci is None else list(codes_of(ci))
            self.metrics = [metrics] if isinstance(metrics, str) else list(metrics or ())
            self.time_range = time_range if isinstance(time_range, str) else "/".join(map(str, time_range))
        self._watch()
        self._look()

    # ── from code ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def wait(self) -> sync.Twin[..., None]:
        """Wait until nothing is being asked or drawn: ``await board.wait()``, or ``board.wait.sync()``."""

        async def wait() -> None:
            for work in (self._searching, self._adding, self._looking):
                await work.idle()

        return sync.twin(wait)

    @property
    def series(self) -> Any:
        """The points that are shown, as ``metric_series_table`` returns them; None before there are any."""
        return None if self._seen is None else self._seen.series

    @property
    def history(self) -> Any:
        """The records that are drawn over them, as ``history_recent`` returns them; None where there are none."""
        return None if self._seen is None else self._seen.history

    @property
    def notes(self) -> list[str]:
        """What is said of the picture: what failed, what is absent, what was left out."""
        return [] if self._seen is None else [text for _, text in notes_of(self._seen)]

    @property
    def problem(self) -> str:
        """What went wrong with what was asked last; empty if nothing did."""
        return self._problem

    @property
    def code(self) -> str:
        """The Python that asks the same."""
        return "" if self._seen is None else code_of(self._seen, self._ops.frames)

    def add(self, *codes: str) -> None:
        """Show these CIs too."""
        self.cis = list(dict.fromkeys([*self.cis, *codes]))

    def remove(self, code: str) -> None:
        """Show a CI no more."""
        self.cis = [one for one in self.cis if one != code]

    def add_neighbours(self, view: str) -> None:
        """Show what the CIs need at once (``"dependency"``), or hurt when they fail (``"impact"``), too."""
        with self._lock:
            if not self.cis:
                return
            self._found.value = LIVE.said("p", "quiet", "Asking for neighbours …")
            ask = functools.partial(neighbours, self._ops, tuple(self.cis), view)
        self._adding.ask(ask, functools.partial(self._show_neighbours, view))

    def close(self) -> None:
        """End what is being asked, and the view."""
        for work in (self._looking, self._searching, self._adding):
            work.close()
        super().close()

    # ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _make_fields(self) -> None:
        auto, style = ipywidgets.Layout(width="auto"), {"description_width": "62px"}
        self._search = ipywidgets.Text(
            description="Add a CI", placeholder="code, name, type or tag", style=style,
            layout=ipywidgets.Layout(width="300px"),
        )  # fmt: skip
        self._needs = ipywidgets.Button(description="+ what they need", layout=auto, icon="arrow-up")
        self._hurts = ipywidgets.Button(description="+ what they hurt", layout=auto, icon="arrow-down")
        row = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        self._hits, self._chosen = ipywidgets.HBox(layout=row), ipywidgets.HBox(layout=row)
        self._found = ipywidgets.HTML()
        self._names = ipywidgets.SelectMultiple(
            description="Metrics", rows=5, style=style, layout=ipywidgets.Layout(width="300px")
        )
        self._time = ipywidgets.Text(
            description="Time", continuous_update=False, style=style, layout=ipywidgets.Layout(width="300px")
        )
        self._quick = self._fields.quick_times(_RANGES, lambda name: self.set_trait("time_range", name))
        self._time_said = ipywidgets.HTML()
        self._every = ipywidgets.Combobox(
            description="Buckets", options=_BUCKETS, placeholder="raw points", continuous_update=False, style=style,
            layout=ipywidgets.Layout(width="180px"),
        )  # fmt: skip
        self._agg = ipywidgets.Combobox(
            options=_AGGREGATES, continuous_update=False, layout=ipywidgets.Layout(width="110px"),
            placeholder="aggregate", tooltip="How a bucket is aggregated",
        )  # fmt: skip
        self._kinds = {
            kind: ipywidgets.Checkbox(
                description=f"{kind}s" if kind != "maintenance" else kind, indent=False, layout=auto
            )
            for kind in KINDS
        }
        self._severity = ipywidgets.Dropdown(
            options=_SEVERITIES, layout=ipywidgets.Layout(width="120px"), tooltip="Of events and incidents"
        )
        self._status, self._notes, self._code = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self._picture = ipywidgets.HTML(layout=ipywidgets.Layout(min_width="700px"))

    def _laid_out(self) -> list[ipywidgets.Widget]:
        row = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        told = ipywidgets.HTML(style_sheet(), layout=ipywidgets.Layout(display="none"))
        times = ipywidgets.VBox(
            [
                ipywidgets.HBox([self._time, self._quick], layout=row),
                self._time_said,
                ipywidgets.HBox([self._every, self._agg], layout=row),
                ipywidgets.HBox([*self._kinds.values(), self._severity], layout=row),
            ]
        )
        return [
            told,
            ipywidgets.HBox([self._search, self._needs, self._hurts], layout=row),
            self._hits,
            self._chosen,
            self._found,
            ipywidgets.HBox([self._names, times], layout=ipywidgets.Layout(flex_flow="row wrap")),
            self._status,
            ipywidgets.Box([self._picture], layout=ipywidgets.Layout(overflow="auto", display="block")),
            self._notes,
            self._code,
        ]

    def _watch(self) -> None:
        on = self._fields.watch
        on(self._search, self._search_for)
        on(self._names, lambda names: self.set_trait("metrics", list(names)))
        on(self._time, lambda text: self.set_trait("time_range", text))
        on(self._every, lambda text: self.set_trait("every", text.strip()))
        on(self._agg, lambda text: self.set_trait("agg", text.strip() or "mean"))
        on(self._severity, lambda number: self.set_trait("min_severity", number))
        for box in self._kinds.values():
            on(box, lambda _: self.set_trait("kinds", [kind for kind in KINDS if self._kinds[kind].value]))
        for name in _ASKED:
            on(self, lambda _: self._look(), name)
        self._needs.on_click(self._fields.guarded(lambda _: self.add_neighbours("dependency")))
        self._hurts.on_click(self._fields.guarded(lambda _: self.add_neighbours("impact")))

    def _mirror(self) -> None:
        """Put what the traits say into the fields."""
        with self._fields.quietly():
            self._time.value, self._every.value, self._agg.value = self.time_range, self.every, self.agg
            for kind, box in self._kinds.items():
                box.value = kind in self.kinds
            if self.min_severity in [value for _, value in _SEVERITIES]:
                self._severity.value = self.min_severity
            self._needs.disabled = self._hurts.disabled = not self.cis
            self._chosen.children = [self._chip(code) for code in self.cis]

    def _chip(self, code: str) -> ipywidgets.Button:
        shown = visible(code)
        made = ipywidgets.Button(
            description=f"{shown} ✕", tooltip=f"Leave out {shown}", layout=ipywidgets.Layout(width="auto")
        )
        made.on_click(self._fields.guarded(lambda _: self.remove(code)))
        return made

    # ── searching ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _search_for(self, words: str) -> None:
        if words.strip():
            self._searching.ask(functools.partial(suggestions, self._ops, words), self._show_hits)
        else:
            self._show_hits([])

    def _show_hits(self, hits: list[tuple[str, str]]) -> None:
        self._hits.children = [self._hit(code, name) for code, name in hits if code not in self.cis]
        lost = self._search.value.strip() and not hits
        self._found.value = LIVE.said("p", "quiet", "No CI is found by these words.") if lost else ""

    def _hit(self, code: str, name: str) -> ipywidgets.Button:
        told = f"{visible(code)} · {visible(name)}" if name else visible(code)
        made = ipywidgets.Button(description=f"+ {visible(code)}", tooltip=told, layout=ipywidgets.Layout(width="auto"))

        def add(_: Any) -> None:
            self.add(code)
            with self._fields.quietly():
                self._search.value = ""
            self._hits.children = []

        made.on_click(self._fields.guarded(add))
        return made

    def _show_neighbours(self, view: str, codes: list[str]) -> None:
        fresh = [code for code in codes if code not in self.cis]
        added = fresh[:_MOST_ADDED]
        what = "that they need" if view == "dependency" else "that they hurt"
        more = f" {len(fresh) - len(added)} more were not: search for them." if len(fresh) > len(added) else ""
        told = f"{len(added)} CIs {what} were added.{more}" if added else f"There is no CI {what} that is not shown."
        self._found.value = LIVE.said("p", "quiet", told)
        if added:
            self.add(*added)

    def _not_found(self, error: Exception) -> None:
        self._found.value = LIVE.said("p", "alarm", explained(error))

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _look(self) -> None:
        """Ask for what is to be shown; what was shown stays until then."""
        self._mirror()
        asked = Asked(
            tuple(self.cis), tuple(self.metrics), self.time_range, self.every, self.agg, tuple(self.kinds),
            self.min_severity,
        )  # fmt: skip
        self._asking = True
        self._picture.add_class("ciops-old")
        told = "Asking …" if self._svg is None else "Being renewed; this is of before."
        self._status.value = LIVE.said("p", "quiet", told)
        self._looking.ask(functools.partial(self._made, asked), self._show)

    async def _made(self, asked: Asked) -> tuple[Seen, str | None]:
        seen = await look(self._ops, asked)
        return seen, await sync.in_thread(drawn, seen)

    def _show(self, made: tuple[Seen, str | None]) -> None:
        self._seen, self._svg = made
        seen = self._seen
        self._asking, self._problem = False, ""
        self._picture.remove_class("ciops-old")
        self._time_said.value = self._status.value = ""
        empty = "Choose a CI: search for it above." if not seen.asked.cis else "There is nothing to draw."
        self._picture.value = LIVE.said("p", "quiet", empty) if self._svg is None else themed(self._svg)
        self._notes.value = "".join(LIVE.said("p", kind, text) for kind, text in notes_of(seen))
        code = code_of(seen, self._ops.frames)
        told = f"<details><summary>The same in Python</summary>{LIVE.said('pre', 'code', code)}</details>"
        self._code.value = told if code else ""
        with self._fields.quietly():
            names = {**seen.units, **{name: "" for name in seen.asked.metrics if name not in seen.units}}
            self._names.options = [
                (f"{visible(name)} ({visible(unit)})" if unit else visible(name), name) for name, unit in names.items()
            ]
            self._names.value = [name for name in names if name in (seen.asked.metrics or seen.metrics)]

    def _not_seen(self, error: Exception) -> None:
        self._asking, self._problem = False, explained(error)
        told = LIVE.said("p", "alarm", error if isinstance(error, BadTimeRange) else self._problem)
        self._time_said.value, self._status.value = (told, "") if isinstance(error, BadTimeRange) else ("", told)
        if self._svg is not None:
            self._status.value += LIVE.said("p", "quiet", "What is shown below is of before.")

    # ── twin ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def twin(self) -> Twin:
        """What is shown, in words, and the picture in the colours of the light theme."""
        with self._lock:
            seen, svg, asking, problem = self._seen, self._svg, self._asking, self._problem
        lines = [f"MetricBoard on {visible(self._ops.name)}"]
        if asking:
            lines.append("Being asked." if seen is None else "Being asked anew; this is of before.")
        if problem:
            lines.append(problem)
        if seen is None or not seen.asked.cis:
            return Twin("\n".join([*lines, *([] if asking or problem else ["No CI is chosen yet."])]))
        bucket = f", {visible(seen.asked.agg)} of {visible(seen.asked.every)}" if seen.asked.every else ", raw points"
        lines += [
            f"{', '.join(map(visible, seen.metrics)) or 'no metric'}{bucket}",
            f"of {', '.join(map(visible, seen.cis)) or 'no CI'}",
            f"in {seen.span}",
            *(visible(text) for _, text in notes_of(seen)),
        ]
        return Twin("\n".join(lines), svg=svg)
