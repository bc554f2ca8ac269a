"""Forms made from signatures: a field for each parameter, checked while one types, its errors beside it in words.

What a signature asks for, and what a text in a field means, is in ``views.asked``; here are the widgets alone. All that
comes from data is put into inputs and options, which take text, or is escaped: ``ipywidgets.Label`` would read
formulas in it, and a description HTML where that is allowed.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

import ipywidgets  # type: ignore[import-untyped]
import polars as pl
import traitlets

from ciops_nb.errors import BadParameter, ItemNotFound, UnknownMetric
from ciops_nb.estate.names import nearest
from ciops_nb.estate.schema import CI_COLUMNS
from ciops_nb.estate.times import parse_time
from ciops_nb.recipes.evidence import as_polars
from ciops_nb.recipes.lookup import candidates_of
from ciops_nb.views.asked import (
    Field,
    Given,
    Times,
    arguments,
    differs,
    fields_of,
    is_empty,
    raw_of,
    read,
    why,
)
from ciops_nb.views.svg import visible
from ciops_nb.views.widgets.asking import Newest
from ciops_nb.views.widgets.host import dark
from ciops_nb.views.widgets.markup import text
from ciops_nb.views.widgets.twin import explained

__all__ = ["Form"]

_MOST_SHOWN = 8  # suggestions at a time
_PAUSE = 0.12  # seconds without a key before anything is asked
_OPEN = 5  # parameters that are all shown; of more, those after the fourth that are not needed fold away
_QUICK = ("last_1h", "last_24h", "last_7d", "all")
_UNSET = "(choose)"
_STYLE = (
    f"<style>{dark('.ciops-form .ciops-picker input', 'color-scheme: dark')}"
    + """
.ciops-form { container-type: inline-size; width: 100%; max-width: 46rem; overflow: visible }
.ciops-form .widget-html, .ciops-form .widget-html-content { min-width: 0; height: auto; margin: 0 }
.ciops-form .widget-html > .widget-html-content { line-height: 1.35 }
.ciops-form .jupyter-widgets { margin-left: 0; margin-right: 0; max-width: 100% }
.ciops-form .ciops-field { overflow: visible; margin: 0 0 10px }
.ciops-form .ciops-line { margin: 4px 0; overflow: visible; flex-flow: row wrap; align-items: flex-start; gap: 0 8px }
.ciops-form .widget-inline-hbox > .widget-label { width: 8rem; flex: 0 0 8rem; text-align: left; font-weight: 600;
  overflow: hidden; text-overflow: ellipsis; margin-right: 8px }
.ciops-form .ciops-name { width: 8rem; line-height: 28px; font-weight: 600; font-size: 13px }
.ciops-form .ciops-needed > .ciops-line > :first-child > .widget-label::after { content: " *" }
.ciops-form .ciops-wide { flex: 1 1 16rem; width: auto; min-width: 0 }
.ciops-form .ciops-wide > input, .ciops-form .ciops-wide > textarea, .ciops-form .ciops-wide > select { min-width: 0 }
.ciops-form textarea { font-family: var(--jp-code-font-family, monospace) }
.ciops-form .ciops-number { flex: 0 0 15rem; width: 15rem }
.ciops-form .ciops-slider { flex: 1 1 10rem; width: auto; min-width: 8rem }
.ciops-form .ciops-slider > .widget-label, .ciops-form .ciops-picker > .widget-label,
.ciops-form .ciops-list > .widget-label, .ciops-form .ciops-tags > .widget-label {
  position: absolute; width: 1px; height: 1px; flex: none; margin: 0; overflow: hidden; clip-path: inset(50%) }
.ciops-form .ciops-picker { flex: 0 0 13.5rem; width: 13.5rem }
.ciops-form .ciops-picker input { box-sizing: border-box; width: 100%; height: 28px; padding: 0 8px;
  font: 13px var(--jp-ui-font-family, sans-serif); color: var(--jp-ui-font-color1, #1b1f24); color-scheme: inherit;
  background: var(--jp-layout-color1, #fff); border: 1px solid var(--jp-border-color1, #bdbdbd) }
.ciops-form .ciops-under { margin-left: calc(8rem + 8px) }
.ciops-form .ciops-field > .ciops-wide { flex: none; margin-top: 2px }
.ciops-form .jupyter-widget-tagsinput { min-height: 28px; padding: 0; gap: 2px; overflow: visible }
.ciops-form .ciops-list { margin-top: 0; margin-bottom: 0; width: auto; min-width: 0 }
.ciops-form .ciops-list > select { width: 100%; padding: 2px }
.ciops-form .ciops-quick { gap: 4px; flex-flow: row wrap; overflow: visible; margin-top: 2px }
.ciops-form .ciops-quick button { width: auto; height: 24px; line-height: 24px; padding: 0 8px; font-size: 12px }
.ciops-form .ciops-help { color: var(--jp-ui-font-color2, #57606a); font-size: 12px }
.ciops-form .ciops-said { margin: 2px 0; color: var(--jp-ui-font-color1, #1b1f24); font-size: 12px;
  overflow-wrap: anywhere }
.ciops-form .ciops-wrong { color: var(--jp-error-color1, #a83f00); font-size: 12px; font-weight: 600;
  overflow-wrap: anywhere; white-space: pre-wrap }
.ciops-form code { font-size: 12px; background: var(--jp-layout-color2, #8882); padding: 0 3px; border-radius: 2px }
.ciops-form .ciops-bad input, .ciops-form .ciops-bad textarea, .ciops-form .ciops-bad select,
.ciops-form .ciops-bad .jupyter-widget-tagsinput { border-color: var(--jp-error-color1, #a83f00); border-width: 2px }
.ciops-form .ciops-more { width: auto; align-self: flex-start; text-align: left; margin: 0 0 8px; padding: 0;
  background: none; color: var(--jp-content-link-color, #0969da); box-shadow: none !important }
@container (max-width: 30rem) {
  .ciops-form .widget-inline-hbox { flex-wrap: wrap; height: auto }
  .ciops-form .ciops-wide > input, .ciops-form .ciops-wide > select { height: 28px }
  .ciops-form .widget-inline-hbox > .widget-label { width: 100%; flex: 1 0 100% }
  .ciops-form .ciops-under { margin-left: 0 }
  .ciops-form .ciops-number { flex: 0 0 8rem; width: 8rem }
  .ciops-form .ciops-slider { flex: 1 1 6rem; min-width: 6rem; height: 28px; align-self: flex-end }
  .ciops-form .ciops-picker { flex: 0 1 13.5rem }
}
</style>"""
)


class _Lock:
    """The lock of a form; when the outermost lets go of it after a change, those who listen are told."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self.listeners: list[Callable[[], Any]] = []
        self.changed = False
        self._lock, self._depth, self._failed = threading.RLock(), 0, failed

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        told = list(self.listeners) if self.changed and not self._depth else []
        self.changed = self.changed and bool(self._depth)
        self._lock.release()
        for listener in told:
            try:
                listener()
            except Exception as error:  # noqa: BLE001  as all that goes wrong in a form
                self._failed(error)


class Form(ipywidgets.VBox):  # type: ignore[misc]
    """A field for each parameter of a function of a session.

    Args:
        ops: The session, which is asked for suggestions and for what it has.
        function: A recipe, or any function whose first parameter is the session.
    """

    disabled = traitlets.Bool(False, help="Whether nothing can be typed.")

    def __init__(self, ops: Any, function: Callable[..., Any]) -> None:
        self.ops, self.fields = ops, fields_of(function)
        self.lock = _Lock(self._fail)
        self.times = Times(ops.tz)
        self._closed = False
        self._asked = defaultdict[object, Newest](lambda: Newest("form", self.lock, self._fail))
        self._rows = {field.name: _KINDS.get(field.kind, _Text)(self, field) for field in self.fields}
        self._trouble = ipywidgets.HTML()
        folded = [field.name for field in self.fields[4:] if not field.needed] if len(self.fields) > _OPEN else []
        shown = [row.box for name, row in self._rows.items() if name not in folded]
        self._folded = ipywidgets.VBox([self._rows[name].box for name in folded])
        self._more = ipywidgets.ToggleButton(description=f"More: {', '.join(folded)}", icon="caret-right")
        self._more.add_class("ciops-more")
        self._more.observe(self.guarded(lambda change: self._unfold()), "value")
        self._unfold()
        parts = [*shown, *([self._more, self._folded] if folded else []), self._trouble]
        super().__init__([ipywidgets.HTML(_STYLE), *parts])
        self.add_class("ciops-form")
        if any(row.timely for row in self._rows.values()):
            self.ask(self, self._learn_times, pause=0.0)

    # ── what it says ────────────────────────────────────────────────────────────────────────────────────────────────

    def problems(self) -> dict[str, str]:
        """What keeps it from being run, by field: what cannot be meant, and what is needed and empty."""
        with self.lock:
            return {name: problem for name, row in self._rows.items() if (problem := row.problem())}

    def check(self) -> dict[str, str]:
        """The ``problems``, each shown beside its field."""
        with self.lock:
            found = self.problems()
            for name, row in self._rows.items():
                row.told = True
                row.show()
                if name in found and row.box in self._folded.children:
                    self._more.value = True
            return found

    def params(self) -> dict[str, Any]:
        """The parameters, as ``ops.run`` takes them: those that are needed, and those that differ from their default.

        Raises:
            BadParameter: a field has a problem; all are then shown.
        """
        with self.lock:
            found = self.check()
            if found:
                name = next(iter(found))
                raise BadParameter(name, self._rows[name].raw(), found[name].rstrip("."), "See the field")
            given = {name: row.value() for name, row in self._rows.items() if not is_empty(row.raw())}
            return {name: value for name, value in given.items() if differs(self._rows[name].field, value)}

    def code(self) -> str:
        """The Python arguments that say the same; raises as ``params``."""
        return arguments(self.params())

    def raw(self) -> dict[str, Any]:
        """What was typed, whether or not it can be meant: for ``restore``."""
        with self.lock:
            return {name: row.raw() for name, row in self._rows.items()}

    # ── what it is told ─────────────────────────────────────────────────────────────────────────────────────────────

    def restore(self, raw: Mapping[str, Any]) -> None:
        """Put in what was typed before; of fields that there are no more nothing is kept."""
        with self.lock:
            for name, value in raw.items():
                if name in self._rows:
                    self._rows[name].put(value)

    def fill(self, params: Mapping[str, Any]) -> None:
        """Put in *params*, such as those of a run; fields that they do not name stay as they are.

        Raises:
            BadParameter: there is no such parameter, or a form cannot show its value; nothing is then filled in.
        """
        for name, value in params.items():
            if name not in self._rows:
                near = nearest(name, self._rows) or tuple(self._rows)
                raise BadParameter(name, value, "is not asked for here", f"Use {' or '.join(near)}")
        self.restore({name: raw_of(self._rows[name].field, value) for name, value in params.items()})

    def observe_change(self, callback: Callable[[], Any]) -> None:
        """Call *callback* after anything that was typed, chosen or put in, with no lock held."""
        with self.lock:
            self.lock.listeners.append(callback)

    @traitlets.observe("disabled")
    def _switch(self, change: Any) -> None:
        with self.lock:
            for row in self._rows.values():
                for widget in row.controls:
                    widget.disabled = self.disabled

    def close(self) -> None:
        """Let go of all widgets in it, and of what is still asked."""
        with self.lock:
            if self._closed:
                return
            self._closed = True
            for asking in self._asked.values():
                asking.close()
            self.lock.listeners.clear()
            for widget in list(_inside(self)):
                ipywidgets.Widget.close(widget)

    # ── what goes on in it ──────────────────────────────────────────────────────────────────────────────────────────

    def guarded(self, callback: Callable[..., Any]) -> Callable[..., None]:
        """*callback* under the lock; what it raises is shown in the form."""

        def call(*args: Any) -> None:
            if self._closed:
                return
            try:
                with self.lock:
                    callback(*args)
            except Exception as error:  # noqa: BLE001  shown where one looks: nobody reads the log of a kernel
                self._fail(error)

        return call

    def change(self) -> None:
        """Note that something was typed; to be called under the lock."""
        self.lock.changed = True

    def _fail(self, error: BaseException) -> None:
        self._trouble.value = _line("wrong", f"The form stumbled: {explained(error)}", role="alert")

    def _unfold(self) -> None:
        self._folded.layout.display = "" if self._more.value else "none"
        self._more.icon = "caret-down" if self._more.value else "caret-right"

    def ask(self, who: object, make: Callable[[], Coroutine[Any, Any, Callable[[], None]]], *, pause: float) -> None:
        """Ask something at home for *who*; of several questions of one only the newest is answered.

        *make* asks and returns what to do with the answer, which is done under the lock.
        """

        async def ask() -> Callable[[], None]:
            await asyncio.sleep(pause)
            return await make()

        with self.lock:
            if not self._closed:
                self._asked[who].ask(ask, lambda then: then())

    async def _learn_times(self) -> Callable[[], None]:
        """What time it is, and from when to when there are data."""
        now = await self.ops.now()
        rows = as_polars(await self.ops.estate())
        rows = rows.filter(pl.col("table").is_in(["metric", "event", "change", "maintenance", "incident"]))
        first, last = rows["first_at"].min(), rows["last_at"].max()

        def then() -> None:
            self.times = Times(self.ops.tz, now, cast("datetime | None", first), cast("datetime | None", last))
            for row in self._rows.values():
                if row.timely:
                    row.show()

        return then

    def moment(self) -> datetime | None:
        """The moment at which CIs are looked up: that of the form's own field, where it says one."""
        for row in self._rows.values():
            if row.field.name in ("at", "as_of") and not is_empty(row.raw()):
                try:
                    return parse_time(row.raw(), tz=self.ops.tz)
                except ValueError:
                    return None
        return None

    def settle(self, but: object) -> None:
        """Fold the suggestions of all fields but one, and look again where a moment was changed."""
        timed = isinstance(but, _Row) and but.field.name in ("at", "as_of")
        for row in self._rows.values():
            if row is not but and isinstance(row, _Suggesting):
                row.fold()
                if timed:
                    row.look(0.4)


# ── the fields ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Row:
    """A field: its control, its help, and what it means or what is wrong with it."""

    timely = False  # whether what is known of time changes what it says

    def __init__(self, form: Form, field: Field) -> None:
        self.form, self.field = form, field
        self.told = False  # whether an empty field that is needed says so
        self.quiet = False
        self.wrong, self.said = "", ""  # by what was asked elsewhere
        self._known: tuple[str, Times, Given | Exception] | None = None
        self.controls: list[Any] = []
        self.note = ipywidgets.HTML()
        self.note.add_class("ciops-under")
        self.help = ipywidgets.HTML(_line("help", self._help()))
        self.help.add_class("ciops-under")
        self.line = ipywidgets.HBox(self.make())
        self.line.add_class("ciops-line")
        self.box = ipywidgets.VBox([self.line, *self.below(), self.note, self.help])
        self.box.add_class("ciops-field")
        if field.needed:
            self.box.add_class("ciops-needed")
        self.show()

    def _help(self) -> str:
        first, dot, _ = self.field.help.partition(". ")
        told = (first + dot.rstrip()).replace("None is ", "empty is ")
        return " ".join(filter(None, ("Needed." if self.field.needed else "", told)))

    def make(self) -> list[ipywidgets.Widget]:
        """The widgets of its line."""
        raise NotImplementedError

    def below(self) -> list[ipywidgets.Widget]:
        return []

    def raw(self) -> Any:
        raise NotImplementedError

    def set(self, raw: Any) -> None:
        """Put *raw* into the control; what is no such thing empties it."""
        raise NotImplementedError

    def put(self, raw: Any) -> None:
        with self.silent():
            self.set(raw)
        self.typed(None)

    def typed(self, change: Any) -> None:
        """Something was typed, chosen or put in; under the lock."""
        if self.quiet:
            return
        self.told = True
        self.wrong = self.said = ""
        if change is not None:
            self.form.settle(self)
        self.show()
        self.form.change()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """What is put into widgets meanwhile was not typed."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before

    def reading(self) -> Given:
        """What is in it, read; a long text is read once."""
        raw, times = self.raw(), self.form.times
        if not isinstance(raw, str) or "\n" not in raw:
            return read(self.field, raw, times)
        if self._known is None or self._known[:2] != (raw, times):
            try:
                self._known = raw, times, read(self.field, raw, times)
            except Exception as error:  # noqa: BLE001  raised again, each time that it is asked
                self._known = raw, times, error
        if isinstance(self._known[2], Exception):
            raise self._known[2]
        return self._known[2]

    def value(self) -> Any:
        return self.reading().value

    def problem(self) -> str:
        """What is wrong with it, or nothing."""
        if is_empty(self.raw()):
            return "Is needed." if self.field.needed else ""
        try:
            self.reading()
        except Exception as error:  # noqa: BLE001  whatever it is, it stands beside the field
            return why(self.field, error)
        return self.wrong

    def meaning(self) -> str:
        if is_empty(self.raw()):
            return ""
        return self.said or self.reading().said

    def show(self) -> None:
        problem = self.problem()
        shown = problem if self.told or not is_empty(self.raw()) else ""
        if shown:
            self.line.add_class("ciops-bad")
            self.note.value = _line("wrong", f"✗ {shown}", role="alert")
        else:
            self.line.remove_class("ciops-bad")
            meaning = "" if problem else self.meaning()
            self.note.value = _line("said", meaning, role="status") if meaning else ""
        self.note.layout.display = "" if self.note.value else "none"
        tooltip = visible(" ".join(filter(None, (shown, self.field.help.replace("``", "")))))
        for widget in self.controls[:1]:
            widget.tooltip = tooltip

    def listen(self, widget: Any) -> Any:
        self.controls.append(widget)
        widget.observe(self.form.guarded(self.typed), "value")
        return widget


class _Text(_Row):
    """A line of text; all that is written, whatever it means."""

    css = "ciops-wide"

    def make(self) -> list[ipywidgets.Widget]:
        self.box_of_text = self.listen(
            ipywidgets.Text(description=self.field.name, placeholder=self.hint(), continuous_update=True)
        )
        self.box_of_text.add_class(self.css)
        return [self.box_of_text]

    def hint(self) -> str:
        """What an empty field says."""
        if self.field.needed or self.field.default is None or self.field.default == "":
            return ""
        try:
            bare = Field(self.field.name, self.field.kind, needed=True)
            return visible(f"{raw_of(bare, self.field.default)} (default)")
        except Exception:  # noqa: BLE001  a default that no text can say
            return "(default)"

    def raw(self) -> Any:
        return self.box_of_text.value

    def set(self, raw: Any) -> None:
        self.box_of_text.value = raw if isinstance(raw, str) else ""


class _LongText(_Text):
    rows = 8

    def make(self) -> list[ipywidgets.Widget]:
        rows = 2 if self.field.kind == "where" else 8
        such = {"where": '{"ci_type": "HW", "criticality": (">=", 4)}', "rule": "when:\n  metric: ...\n  op: '>'"}
        self.box_of_text = self.listen(
            ipywidgets.Textarea(
                description=self.field.name,
                placeholder=self.hint() or such.get(self.field.kind, ""),
                rows=rows,
                continuous_update=True,
            )
        )
        self.box_of_text.add_class("ciops-wide")
        return [self.box_of_text]


class _Number(_Text):
    """A box for a number, and a slider where it has two bounds. The box also takes what is wrong, to say so."""

    css = "ciops-number"

    def make(self) -> list[ipywidgets.Widget]:
        made = super().make()
        low, high, self.slider = self.field.low, self.field.high, None
        if low is None or high is None:
            return made
        whole = self.field.kind == "whole number"
        shared: dict[str, Any] = {"description": f"{self.field.name}, slider", "readout": False}
        at = self.field.default if isinstance(self.field.default, (int, float)) else low
        if whole:
            self.slider = ipywidgets.IntSlider(value=int(at), min=int(low), max=int(high), **shared)
        else:
            step = (high - low) / 100 or 1.0
            self.slider = ipywidgets.FloatSlider(value=float(at), min=low, max=high, step=step, **shared)
        self.controls.append(self.slider)
        self.slider.add_class("ciops-slider")
        self.slider.observe(self.form.guarded(self._slid), "value")
        return [*made, self.slider]

    def _slid(self, change: Any) -> None:
        if not self.quiet:
            self.box_of_text.value = f"{change['new']:g}" if isinstance(change["new"], float) else str(change["new"])

    def show(self) -> None:
        super().show()
        if self.slider is not None and not self.problem():
            with self.silent():
                empty = is_empty(self.raw())
                value = self.field.default if empty else self.value()
                if isinstance(value, (int, float)):
                    self.slider.value = value


class _Choice(_Row):
    def make(self) -> list[ipywidgets.Widget]:
        yes_no = {True: "yes", False: "no"}
        names = [yes_no[one] if isinstance(one, bool) else visible(one) for one in self.field.choices]
        options: list[tuple[str, Any]] = []
        for number, (name, choice) in enumerate(zip(names, self.field.choices, strict=True)):
            default = not self.field.needed and choice == self.field.default and self.field.default is not None
            options.append((f"{name} (default)" if default else name, number))
        free = self.field.needed or self.field.default is None or self.field.default not in self.field.choices
        if free:
            options.insert(0, (_UNSET if self.field.needed else "(default)", None))
        self.default = None if free else self.field.choices.index(self.field.default)
        made = ipywidgets.Dropdown(options=options, value=self.default, description=self.field.name)
        self.menu = self.listen(made)
        self.menu.add_class("ciops-wide")
        return [self.menu]

    def raw(self) -> Any:
        return None if self.menu.value in (None, self.default) else self.field.choices[self.menu.value]

    def set(self, raw: Any) -> None:
        same = (n for n, one in enumerate(self.field.choices) if one == raw and type(one) is type(raw))
        self.menu.value = next(same, self.default)


class _Flag(_Row):
    def make(self) -> list[ipywidgets.Widget]:
        self.tick = self.listen(
            ipywidgets.Checkbox(value=self.field.default, description=self.field.name, indent=False)
        )
        self.tick.add_class("ciops-wide")
        return [self.tick]

    def raw(self) -> Any:
        return self.tick.value

    def set(self, raw: Any) -> None:
        self.tick.value = raw if isinstance(raw, bool) else self.field.default


class _Moment(_Text):
    """A text, which takes whatever can be read as a time and wins, and a picker in the zone of the session."""

    timely = True

    def make(self) -> list[ipywidgets.Widget]:
        made = super().make()
        self.picker = ipywidgets.NaiveDatetimePicker(description=f"{self.field.name}, date and time in {self.zone()}")
        self.picker.add_class("ciops-picker")
        self.picker.tooltip = f"Date and time in {self.zone()}"
        self.picker.observe(self.form.guarded(self._picked), "value")
        self.controls.append(self.picker)
        return [*made, self.picker]

    def zone(self) -> str:
        return visible(self.form.ops.tz)

    def hint(self) -> str:
        return super().hint() or "such as 2026-03-02T10:00"

    def _help(self) -> str:
        return f"{super()._help()} Without an offset it is read in {self.zone()}."

    def _picked(self, change: Any) -> None:
        if not self.quiet:
            picked = change["new"]
            self.box_of_text.value = "" if picked is None else picked.isoformat(timespec="auto").removesuffix(":00")

    def show(self) -> None:
        super().show()
        if not hasattr(self, "picker"):
            return
        with self.silent():
            if is_empty(self.raw()):
                self.picker.value = None
            elif not self.problem():
                moment = parse_time(self.raw().strip(), tz=self.form.ops.tz)
                self.picker.value = moment.astimezone(self.form.ops.tz).replace(tzinfo=None, microsecond=0)


class _Range(_Text):
    timely = True

    def below(self) -> list[ipywidgets.Widget]:
        buttons = []
        for name in _QUICK:
            button = ipywidgets.Button(description=name, tooltip=f"{self.field.name}: {name}")
            button.on_click(self.form.guarded(lambda _, name=name: setattr(self.box_of_text, "value", name)))
            buttons.append(button)
        self.controls += buttons
        quick = ipywidgets.HBox(buttons)
        quick.add_class("ciops-quick")
        quick.add_class("ciops-under")
        return [quick]


class _Tags(_Row):
    """Several texts, written one after the other."""

    def make(self) -> list[ipywidgets.Widget]:
        self.tags = self.listen(
            ipywidgets.TagsInput(allow_duplicates=False, placeholder=f"{self.field.name}: write one, then Enter")
        )
        self.tags.add_class("ciops-wide")
        name = ipywidgets.HTML(_line("name", self.field.name))  # tags have no label of their own
        return [name, self.tags]

    def raw(self) -> Any:
        return list(self.tags.value)

    def set(self, raw: Any) -> None:
        items = raw if isinstance(raw, (list, tuple)) else []
        self.tags.value = [one for one in items if isinstance(one, str) and one]


class _Suggesting(_Row):
    """Suggestions under a text: those that fit what is written, asked at home and never waited for."""

    def below(self) -> list[ipywidgets.Widget]:
        self.shown: list[str] = []
        self.list = ipywidgets.Select(options=[], rows=2, description=f"{self.field.name}, suggestions")
        self.list.add_class("ciops-list")
        self.list.add_class("ciops-under")
        self.list.layout.display = "none"
        self.list.observe(self.form.guarded(self._picked), "index")
        self.controls.append(self.list)
        return [self.list]

    def words(self) -> str:
        """What is being written."""
        raise NotImplementedError

    def pick(self, value: str) -> None:
        raise NotImplementedError

    async def suggestions(self, words: str) -> tuple[list[tuple[str, str]], str, str]:
        """What to suggest, as what is shown and what is meant; what is wrong with the text, and what it means."""
        raise NotImplementedError

    def typed(self, change: Any) -> None:
        super().typed(change)
        if not self.quiet:
            self.look(_PAUSE, offer=change is not None)

    def look(self, pause: float, *, offer: bool = False) -> None:
        """Ask whether there is what is written, and, if *offer*, what else could be."""
        words = self.words()
        if not words:
            self.form.ask(self, _nothing(self.fold), pause=0.0)
            return

        async def ask() -> Callable[[], None]:
            try:
                found, wrong, said = await self.suggestions(words)
            except Exception as error:  # noqa: BLE001  that it could not be asked is no fault of the field
                return self._unasked(error)
            return lambda: self._answer(found, wrong, said, offer=offer)

        self.form.ask(self, ask, pause=pause)

    def _unasked(self, error: BaseException) -> Callable[[], None]:
        said = f"not looked up: {explained(error)}"
        return lambda: self._answer([], "", said, offer=False)

    def _answer(self, found: list[tuple[str, str]], wrong: str, said: str, *, offer: bool) -> None:
        self.wrong, self.said = wrong, said
        if offer:
            self.offer(found)
        self.show()
        self.form.change()

    def offer(self, found: list[tuple[str, str]]) -> None:
        if [value for _, value in found] == [self.words()]:
            found = []
        with self.silent():
            self.list.options = [(visible(text), number) for number, (text, _) in enumerate(found)]
            self.list.index = None
        self.shown = [value for _, value in found]
        self.list.rows = max(2, len(found))
        self.list.layout.display = "" if found else "none"

    def fold(self) -> None:
        if self.shown:
            self.offer([])

    def _picked(self, change: Any) -> None:
        place = change["new"]
        if not self.quiet and place is not None and place < len(self.shown):
            self.pick(self.shown[place])


class _Ci(_Suggesting, _Text):
    """The code of a CI, or words where they are allowed."""

    def hint(self) -> str:
        return super().hint() or ("a code" if self.field.kind == "ci" else "a code, or words such as erp db")

    def words(self) -> str:
        return str(self.box_of_text.value).strip()

    def pick(self, value: str) -> None:
        with self.silent():
            self.box_of_text.value = value
        self.told, self.wrong, self.said = True, "", ""
        self.show()
        self.form.change()
        self.look(_PAUSE)

    async def suggestions(self, words: str) -> tuple[list[tuple[str, str]], str, str]:
        ops, as_of = self.form.ops, self.form.moment()
        if self.field.kind == "ci":
            rows, meant = as_polars(await ops.ci_search(words, limit=_MOST_SHOWN, as_of=as_of)), None
        else:
            meant = await candidates_of(ops, words, as_of=as_of, limit=_MOST_SHOWN, name=self.field.name)
            rows = meant.rows
        found = [(_told(row), row["ci_code"]) for row in rows.iter_rows(named=True)]
        exact = next((row for row in rows.iter_rows(named=True) if row["ci_code"] == words), None)
        if exact is not None:
            return found, "", " · ".join(filter(None, (exact["ci_name"], exact["ci_type"], exact["status"])))
        # As triage does: what looks like a code is not guessed at.
        guess = meant is not None and (words.isalpha() or len(words.split()) > 1 or meant.exact)
        if meant is not None and rows.height and (guess or self.field.kind == "search words"):
            return found, "", meant.doubt() if meant.best is None else f"taken to mean {meant.best}"
        if self.field.kind == "search words":
            return found, "", "finds no CI"
        try:
            await ops.ci_get_by_code(words, as_of=as_of)
        except ItemNotFound as error:
            return found, str(error), ""
        return found, "", ""


class _Several(_Suggesting, _Tags):
    """Several that are looked for by words, or written as they are."""

    def make(self) -> list[ipywidgets.Widget]:
        _, tags = super().make()
        self.search = ipywidgets.Text(
            description=self.field.name, placeholder="search, then choose below", continuous_update=True
        )
        self.search.add_class("ciops-wide")
        self.search.observe(self.form.guarded(self._searched), "value")
        self.controls.append(self.search)
        tags.placeholder = "or write one, then Enter"
        return [self.search]

    def below(self) -> list[ipywidgets.Widget]:
        made = super().below()
        self.tags.add_class("ciops-under")
        return [*made, self.tags]

    def words(self) -> str:
        return str(self.search.value).strip()

    def _searched(self, change: Any) -> None:
        if not self.quiet:
            self.form.settle(self)
            self.look(_PAUSE, offer=True)

    def typed(self, change: Any) -> None:
        _Row.typed(self, change)
        if not self.quiet:
            self.look(_PAUSE)

    def look(self, pause: float, *, offer: bool = False) -> None:
        words, chosen = self.words(), self.raw()

        async def ask() -> Callable[[], None]:
            try:
                found = await self.find(words) if words and offer else []
                wrong = await self.missing(chosen)
            except Exception as error:  # noqa: BLE001  as above
                return self._unasked(error)
            return lambda: self._answer(found, wrong, "", offer=offer)

        self.form.ask(self, ask, pause=pause)

    def pick(self, value: str) -> None:
        if value not in self.tags.value:
            self.tags.value = [*self.tags.value, value]

    async def find(self, words: str) -> list[tuple[str, str]]:
        raise NotImplementedError

    async def missing(self, chosen: list[str]) -> str:
        return ""


class _Cis(_Several):
    async def find(self, words: str) -> list[tuple[str, str]]:
        rows = as_polars(await self.form.ops.ci_search(words, limit=_MOST_SHOWN, as_of=self.form.moment()))
        return [(_told(row), row["ci_code"]) for row in rows.iter_rows(named=True)]

    async def missing(self, chosen: list[str]) -> str:
        if not chosen:
            return ""
        try:
            await self.form.ops.ci_get_by_code(chosen, as_of=self.form.moment())
        except ItemNotFound as error:
            return str(error)
        return ""


class _Metrics(_Several):
    async def find(self, words: str) -> list[tuple[str, str]]:
        return _fitting(words, await _metrics(self.form.ops))

    async def missing(self, chosen: list[str]) -> str:
        known = [name for _, name in await _metrics(self.form.ops)]
        wrong = [name for name in chosen if name not in known]
        return str(UnknownMetric(wrong[0], nearest(wrong[0], known))) if wrong else ""


class _Metric(_Ci):
    def hint(self) -> str:
        return _Text.hint(self)

    async def suggestions(self, words: str) -> tuple[list[tuple[str, str]], str, str]:
        every = await _metrics(self.form.ops)
        known = {name: text for text, name in every}
        if words in known:
            return _fitting(words, every), "", known[words]
        return _fitting(words, every), str(UnknownMetric(words, nearest(words, known))), ""


class _Fields(_Several):
    async def find(self, words: str) -> list[tuple[str, str]]:
        return _fitting(words, [(name, name) for name in CI_COLUMNS])


_KINDS: dict[str, type[_Row]] = {
    "choice": _Choice, "flag": _Flag, "whole number": _Number, "number": _Number, "moment": _Moment,
    "datetime": _Moment, "range": _Range, "rule": _LongText, "where": _LongText, "texts": _Tags, "ci": _Ci,
    "ci words": _Ci, "search words": _Ci, "cis": _Cis, "metric": _Metric, "metrics": _Metrics, "fields": _Fields,
}  # fmt: skip


def _told(row: Mapping[str, Any]) -> str:
    return f"{row['ci_code']} – {row['ci_name'] or 'no name'} · {row['ci_type'] or 'no type'}"


async def _metrics(ops: Any) -> list[tuple[str, str]]:
    rows = as_polars(await ops.metric_list()).unique("metric", keep="first").sort("metric")
    return [
        (" · ".join(filter(None, (row["metric"], row["unit"]))), row["metric"]) for row in rows.iter_rows(named=True)
    ]


def _fitting(words: str, known: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that have each of the words in them."""
    asked = words.casefold().split()
    return [(text, name) for text, name in known if all(word in text.casefold() for word in asked)][:_MOST_SHOWN]


def _nothing(then: Callable[[], None]) -> Callable[[], Coroutine[Any, Any, Callable[[], None]]]:
    async def make() -> Callable[[], None]:
        return then

    return make


def _line(kind: str, value: str, role: str = "") -> str:
    """A line of text as HTML: escaped, what stands between pairs of backticks as code."""
    parts = [text(part) for part in value.split("``")]
    inside = "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
    return f'<div class="ciops-{kind}"{f" role={role}" if role else ""}>{inside}</div>'


def _inside(widget: Any) -> Iterator[Any]:
    """Every widget in *widget*, what is innermost first, and itself."""
    for child in getattr(widget, "children", ()):
        yield from _inside(child)
    for name in ("layout", "style"):
        if isinstance(part := getattr(widget, name, None), ipywidgets.Widget):
            yield part
    yield widget
