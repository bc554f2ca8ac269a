"""``RecipePanel``: choose a recipe, fill in its form, run it, watch it, read what it found.

It is a view: the states are in ``control``, what is shown in ``outcome``, and ``ops.run`` gives the same run. Widgets
are changed in one place, on the home loop, where nothing else runs between two changes; callbacks only say what is
wanted and come back at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets  # type: ignore[import-untyped]

from ciops_nb import sync
from ciops_nb.errors import BadParameter, CannotWait, CiopsError
from ciops_nb.estate.names import nearest
from ciops_nb.recipes.evidence import counted
from ciops_nb.recipes.run import Run, all_recipes, begin, find_recipe
from ciops_nb.views.svg import shorten, visible
from ciops_nb.views.widgets.control import Control, Now, State
from ciops_nb.views.widgets.forms import Form
from ciops_nb.views.widgets.markup import LIVE, style_sheet, text
from ciops_nb.views.widgets.outcome import Outcome, code_of, said_of, steps, twin_of
from ciops_nb.views.widgets.twin import Twin, Twinned

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["RecipePanel"]

ROWS = 100
_TICK = 0.2  # seconds between two looks at what runs
_LABEL = 26  # columns of a tab
_STATES: dict[State, str] = {
    "idle": "ready", "running": "running", "cancelling": "being cancelled, it may clean up first", "done": "done",
    "failed": "failed", "cancelled": "cancelled",
}  # fmt: skip
_MARKS: dict[State, str] = {
    "idle": "○", "running": "▶", "cancelling": "◼", "done": "✔", "failed": "✖", "cancelled": "◼",
}  # fmt: skip


class _Typed:
    """What was typed into the panels of one session, so that a cell that is run again shows it again."""

    def __init__(self) -> None:
        self.recipe: str | None = None
        self.raw: dict[str, Any] = {}


_typed: weakref.WeakKeyDictionary[Ops, _Typed] = weakref.WeakKeyDictionary()
_typed_lock = threading.Lock()


def _typed_on(ops: Ops) -> _Typed:
    with _typed_lock:
        return _typed.setdefault(ops, _Typed())


def _shown(method: Callable[..., object]) -> Callable[..., None]:
    """A callback whose error is told in the panel: a kernel would only put it into its log."""

    @functools.wraps(method)
    def call(self: RecipePanel, *args: Any) -> None:
        try:
            method(self, *args)
        except Exception as error:  # noqa: BLE001  whatever it is, who clicked wants to know
            self._complain(error)

    return call


def _at_home(method: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """The same for what is done on the home loop."""

    @functools.wraps(method)
    async def work(self: RecipePanel, *args: Any) -> None:
        try:
            await method(self, *args)
        except Exception as error:  # noqa: BLE001  nobody waits for this task
            self._complain(error)

    return work


def matching(recipes: Mapping[str, Any], words: str) -> list[str]:
    """The names of the *recipes* that have each of the *words* in their name or purpose; that name itself first."""
    wanted = words.casefold().split()
    found = [
        name for name, function in recipes.items()
        if all(word in f"{name} {purpose(function)}".casefold() for word in wanted)
    ]  # fmt: skip
    return sorted(found, key=lambda name: (name.casefold() != words.strip().casefold(), name))


def purpose(function: Callable[..., Any]) -> str:
    """What a recipe is for, in one line."""
    return visible((inspect.getdoc(function) or "").partition("\n")[0])


class RecipePanel(Twinned, ipywidgets.VBox):  # type: ignore[misc]
    """Run recipes by hand: a form made from the signature, Run and Cancel, what goes on, and the results in tabs.

    Args:
        ops: The session.
        recipe: The name of a recipe, or the function itself; None lets one be chosen.
        params: What to put into its form. Without any, the form is as it was left in this session.

    Raises:
        UnknownTool: no recipe has that name.
        BadParameter: it has no such parameter, or one cannot be shown in a form.

    Example::

        panel = RecipePanel(ops, "triage", ci="app-erp-01", at="2026-03-02T10:00Z")
        panel.start()
        panel.wait.sync()
        panel.run.findings
    """

    def __init__(self, ops: Ops, recipe: Any = None, **params: Any) -> None:
        self._forms: dict[str, Form] = {}
        self._control = Control(self._begin, told=self._heard)
        self._ops, self._memory = ops, _typed_on(ops)
        self._recipes = all_recipes()
        name = self._meant(recipe, params)
        self._form: Form | None = None
        self._recipe: str | None = None
        self._shut = False
        # Only touched on the home loop.
        self._change, self._turn = -1, 0
        self._finishing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._outcome: Outcome | None = None
        self._waterfall: Any = None
        self._pages: list[ipywidgets.Widget] = []
        super().__init__(children=self._build(open_list=name is None))
        self.add_class("ciops-view")
        if name is not None:
            self._choose(name, params)

    def _meant(self, recipe: Any, params: Mapping[str, Any]) -> str | None:
        """The name of the recipe that is meant: the one given, or that of the last panel of this session."""
        if recipe is None:
            if params:
                raise BadParameter("recipe", None, "is not named, and parameters are given", "Name the recipe")
            return self._memory.recipe if self._memory.recipe in self._recipes else None
        function = find_recipe(recipe) if isinstance(recipe, str) else recipe
        name = function.__name__
        self._recipes[name] = function
        known = list(inspect.signature(function).parameters)[1:]
        for key in params:
            if key not in known:
                near = nearest(key, known) or known
                raise BadParameter(key, params[key], f"recipe {name} has no such parameter", f"Use {' or '.join(near)}")
        return str(name)

    # ── for code ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def recipe(self) -> str | None:
        """The name of the recipe that is chosen."""
        return self._recipe

    @property
    def params(self) -> dict[str, Any]:
        """What the form says, as ``ops.run`` takes it.

        Raises:
            BadParameter: no recipe is chosen, or a field is wrong.
        """
        return dict(self._chosen().params())

    @property
    def status(self) -> State:
        """idle, running, cancelling, done, failed or cancelled."""
        return self._control.now.state

    @property
    def run(self) -> Run | None:
        """The run of the latest start; None before there is one, or if it could not begin."""
        return self._control.now.run

    @property
    def wait(self) -> sync.Twin[..., Run | None]:
        """Wait until nothing runs: ``await panel.wait()``, or ``panel.wait.sync()``. Gives the run."""

        async def wait() -> Run | None:
            now = await self._control.wait()
            await self._show()
            if self._finishing is not None:
                await asyncio.wait([self._finishing])
            return now.run

        return sync.twin(wait)

    def start(self) -> None:
        """Run what the form says, and come back at once.

        Raises:
            BadParameter: something runs already, no recipe is chosen, or a field is wrong.
        """
        params = self.params
        assert self._recipe is not None
        self._control.start(self._recipes[self._recipe], params)

    def resume(self) -> None:
        """Run again what failed or was cancelled, asking only what was not answered, and come back at once.

        Raises:
            BadParameter: something runs already, or there is nothing to resume.
        """
        now = self._control.now
        if now.run is None or now.state not in ("failed", "cancelled"):
            raise BadParameter("resume", now.recipe, f"is {now.state}: there is nothing to resume", "Start it")
        self._control.start(self._recipes[now.recipe], now.params, resume=now.run)

    def cancel(self) -> bool:
        """Ask what runs to stop, and come back at once; False if nothing runs. What was answered is kept and shown."""
        return self._control.cancel()

    def close(self) -> None:
        """Take the panel away. What runs goes on."""
        self._shut = True
        for widget in [*self._owned(), *self._forms.values()]:
            widget.close()
        super().close()

    def twin(self) -> Twin:
        """The findings, tables, pictures and code, as they stand."""
        now = self._control.now
        if now.state == "idle":
            form = self._form
            params = form.params() if form is not None and not form.problems() else {}
            return twin_of(self._recipe, params, "idle", None, None, "")
        outcome, error = None, now.error
        if not now.going and now.run is not None:
            outcome = self._outcome
            if outcome is None or outcome.run is not now.run:
                outcome = Outcome(now.run)
        return twin_of(now.recipe, now.params, now.state, outcome, error, self._code(now))

    async def _begin(self, recipe: Any, params: Mapping[str, Any], resume: Run | None) -> Run:
        return await begin(self._ops, recipe, params, resume=resume)

    def _chosen(self) -> Form:
        if self._form is None:
            raise BadParameter("recipe", None, "none is chosen", f"Choose one of {', '.join(self._recipes)}")
        return self._form

    def _code(self, now: Now) -> str:
        params = now.params if now.run is None else now.run.params
        return code_of(self._ops, now.recipe, self._recipes[now.recipe], params, run=now.run)

    # ── widgets ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _build(self, *, open_list: bool) -> list[ipywidgets.Widget]:
        wide, full = {"width": "auto"}, ipywidgets.Layout(width="auto")
        self._title = ipywidgets.HTML(layout=ipywidgets.Layout(flex="1 1 260px", min_width="0"))
        self._toggle = ipywidgets.Button(layout=ipywidgets.Layout(**wide), tooltip="Show or hide the list of recipes")
        # Made when they are first shown: each widget takes the page a moment.
        self._chooser, self._results_place = ipywidgets.VBox(), ipywidgets.VBox()
        self._list: Any = None
        self._results: Any = None
        self._fields = ipywidgets.VBox(layout=full)
        self._run_button = ipywidgets.Button(
            description="Run", button_style="primary", tooltip="Run the recipe with these parameters",
            disabled=True,
        )  # fmt: skip
        self._cancel_button = ipywidgets.Button(
            description="Cancel", tooltip="Stop what runs; what was answered is kept", disabled=True
        )
        self._resume_button = ipywidgets.Button(
            description="Resume", disabled=True,
            tooltip="Run it again with the same parameters, asking only what was not answered",
        )  # fmt: skip
        for button in (self._run_button, self._cancel_button, self._resume_button):
            button.layout = ipywidgets.Layout(width="auto", min_width="88px")
        self._status = ipywidgets.HTML(layout=ipywidgets.Layout(flex="1 1 200px", min_width="0"))
        self._progress = ipywidgets.HTML(layout=full)
        self._message = ipywidgets.HTML(layout=full)
        buttons = [self._run_button, self._cancel_button, self._resume_button, self._status]
        actions = ipywidgets.Box(buttons, layout=ipywidgets.Layout(flex_flow="row wrap", align_items="center"))

        self._run_button.on_click(lambda _: self._on_run())
        self._cancel_button.on_click(lambda _: self._on_cancel())
        self._resume_button.on_click(lambda _: self._on_resume())
        self._toggle.on_click(lambda _: self._on_toggle())
        self._open_list(open_list)
        self._say_state(self._control.now)
        head = ipywidgets.Box([self._title, self._toggle], layout=ipywidgets.Layout(flex_flow="row wrap"))
        style = ipywidgets.HTML(style_sheet(), layout=ipywidgets.Layout(display="none"))
        return [
            style, head, self._chooser, self._fields, actions, self._progress, self._message, self._results_place,
        ]  # fmt: skip

    def _build_chooser(self) -> None:
        auto = ipywidgets.Layout(width="auto")
        self._search = ipywidgets.Text(description="Recipe", placeholder="Words of its name or purpose", layout=auto)
        self._list = ipywidgets.Select(description="Found", layout=ipywidgets.Layout(width="auto", height="auto"))
        self._none = ipywidgets.HTML()
        self._search.observe(lambda _: self._on_search(), "value")
        self._list.observe(lambda _: self._on_choice(), "value")
        self._chooser.children = (self._search, self._list, self._none)

    def _build_results(self) -> None:
        self._findings = ipywidgets.HTML()
        self._paths: dict[str, ipywidgets.Text] = {}
        self._savers: dict[str, ipywidgets.Button] = {}
        rows = []
        for kind, label in (("report", "Write report"), ("save", "Save run")):
            path = ipywidgets.Text(
                description="Report to" if kind == "report" else "Run to", layout=ipywidgets.Layout(flex="1 1 260px")
            )
            button = ipywidgets.Button(
                description=label, disabled=True, layout=ipywidgets.Layout(width="auto", min_width="112px"),
                tooltip="Write this file; one that is there is replaced",
            )  # fmt: skip
            button.on_click(lambda _, kind=kind: self._on_save(kind))
            self._paths[kind], self._savers[kind] = path, button
            rows.append(
                ipywidgets.Box([path, button], layout=ipywidgets.Layout(flex_flow="row wrap", max_width="720px"))
            )
        self._saved = ipywidgets.HTML()
        self._steps, self._waterfall_place = ipywidgets.HTML(), ipywidgets.VBox()
        self._by_tool, self._whole, self._code_page = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self._first = ipywidgets.VBox([self._findings, *rows, self._saved])
        self._trace = ipywidgets.VBox([self._steps, self._waterfall_place, self._by_tool])
        self._results = ipywidgets.Tab(layout=ipywidgets.Layout(width="auto"))
        self._results_place.children = (self._results,)

    def _owned(self) -> list[ipywidgets.Widget]:
        """Every widget in here but the forms, which close their own."""
        found: list[ipywidgets.Widget] = []

        def walk(widget: ipywidgets.Widget) -> None:
            for child in getattr(widget, "children", ()):
                if not isinstance(child, Form):
                    walk(child)
                    found.append(child)

        walk(self)
        return found

    def _show_pages(self, pages: Sequence[ipywidgets.Widget], titles: Sequence[str]) -> None:
        """Put the pages of the sections between those that are always there."""
        children = (self._first, *pages, self._trace, self._whole, self._code_page)
        labels = ("Findings", *titles, "Trace", "Completeness", "Code")
        selected = self._results.selected_index
        here = self._results.children[selected] if selected is not None and self._results.children else self._first
        self._results.children = children
        self._results.titles = labels
        self._results.selected_index = children.index(here) if here in children else 0
        old, self._pages = self._pages, list(pages)
        for page in old:
            for child in page.children:
                child.close()
            page.close()

    # ── callbacks: they say what is wanted, and come back ───────────────────────────────────────────────────────────

    @_shown
    def _on_run(self) -> None:
        self._message.value = ""
        self.start()

    @_shown
    def _on_cancel(self) -> None:
        self.cancel()

    @_shown
    def _on_resume(self) -> None:
        self._message.value = ""
        self.resume()

    @_shown
    def _on_toggle(self) -> None:
        self._open_list(self._chooser.layout.display == "none")

    @_shown
    def _on_search(self) -> None:
        self._offer()
        if len(self._list.options) == 1 or self._search.value.strip() in self._recipes:
            self._list.index = 0

    @_shown
    def _on_choice(self) -> None:
        if self._list.value is not None and self._list.value != self._recipe:
            self._choose(self._list.value, {})

    @_shown
    def _on_save(self, kind: str) -> None:
        run, path = self._control.now.run, self._paths[kind].value.strip()
        if run is None or self._control.now.going:
            raise BadParameter(kind, path, "there is no run to write", "Run the recipe first")
        if not path:
            raise BadParameter("path", path, "names no file", "Such as " + self._default_path(kind, run))
        self._savers[kind].disabled = True
        self._start(self._save, kind, path, run)

    @_shown
    def _on_typing(self, name: str, form: Form) -> None:
        self._memory.raw[name] = form.raw()
        self._message.value = ""

    def _open_list(self, is_open: bool) -> None:
        if is_open and self._list is None:
            self._build_chooser()
            self._offer()
        self._chooser.layout.display = "" if is_open else "none"
        self._toggle.description = "Hide the list" if is_open else "Choose another recipe"

    def _offer(self) -> None:
        """List the recipes that have the words that were typed."""
        found = matching(self._recipes, self._search.value)
        options = [(f"{name} – {purpose(self._recipes[name])}", name) for name in found]
        if tuple(options) != tuple(self._list.options):
            self._list.options = options
            self._list.rows = max(2, min(8, len(options)))
        chosen = self._recipe if self._recipe in found else None
        if self._list.value != chosen:
            self._list.value = chosen
        self._none.value = "" if found else LIVE.said("div", "notice", "No recipe has these words.")

    def _choose(self, name: str, params: Mapping[str, Any]) -> None:
        """Show the form of the recipe *name*, with *params* in it, or as it was left."""
        form = self._forms.get(name)
        if form is None:
            made = self._filled(name, params)
            form = self._forms.setdefault(name, made)
            if form is not made:  # two clicks at once
                made.close()
        self._recipe, self._form = name, form
        self._memory.recipe, self._memory.raw[name] = name, form.raw()
        self._title.value = (
            f"{LIVE.said('div', 'headline', name)}{LIVE.said('div', 'quiet', purpose(self._recipes[name]))}"
        )
        self._fields.children = (form,)
        self._run_button.disabled = self._control.now.going
        self._start(self._say_again)  # something may have been started in between
        if self._list is not None:
            self._offer()

    def _filled(self, name: str, params: Mapping[str, Any]) -> Form:
        """A form with *params* in it, or as it was left in this session."""
        form = Form(self._ops, self._recipes[name])
        if params:
            form.fill(params)
        elif name in self._memory.raw:
            form.restore(self._memory.raw[name])
        form.observe_change(lambda: self._on_typing(name, form))
        return form

    def _complain(self, error: BaseException) -> None:
        self._message.value = LIVE.of("div", "alarm", text(said_of(error)), ' role="alert"')

    # ── on the home loop: the one place where widgets follow the state ──────────────────────────────────────────────

    def _heard(self, now: Now) -> None:
        self._start(self._show)

    def _start(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        with contextlib.suppress(CannotWait):  # the interpreter exits: nobody looks any more
            sync.start(functools.partial(work, *args), name=f"panel: {work.__name__}")

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @_at_home
    async def _show(self) -> None:
        now = self._control.now
        if self._shut or now.change <= self._change:
            return
        self._change = now.change
        self._say_state(now)
        if now.turn and self._turn != now.turn:  # it may have ended before anybody looked
            self._turn = now.turn
            self._show_start(now)
            self._task(self._tick(now.turn))
        if now.going and now.run is not None:
            self._show_waterfall(now)
        elif now.turn and not now.going:
            self._finishing = self._task(self._finish(now))

    @_at_home
    async def _say_again(self) -> None:
        if not self._shut:
            self._say_state(self._control.now)

    def _say_state(self, now: Now) -> None:
        self._run_button.disabled = now.going or self._form is None
        self._cancel_button.disabled = now.state != "running"
        self._resume_button.disabled = now.run is None or now.state not in ("failed", "cancelled")
        told = _STATES[now.state]
        if now.state == "done" and now.run is not None:
            told += f", {counted(len(now.run.recorded), 'call', none='no')}, {now.run.completeness}"
        which = f"{text(now.recipe)}: " if now.recipe else ""
        said = f'<span aria-hidden="true">{_MARKS[now.state]}</span> {which}{text(told)}'
        self._status.value = LIVE.of("div", "state", said, f' role="status" data-state="{now.state}"')

    def _show_start(self, now: Now) -> None:
        if self._results is None:
            self._build_results()
        self._findings.value = LIVE.said(
            "p", "line", f"{now.recipe} is running. What it finds is told here at its end."
        )
        self._whole.value = LIVE.said("p", "line", "What is complete is known at the end of the run.")
        self._steps.value = self._by_tool.value = self._saved.value = ""
        self._code_page.value = self._code_html(now)
        for button in self._savers.values():
            button.disabled = True
        self._show_pages([], [])
        self._results.selected_index = self._results.children.index(self._trace)

    def _code_html(self, now: Now) -> str:
        code = LIVE.of("pre", "code", text(self._code(now)), ' tabindex="0" aria-label="Code that runs it again"')
        return LIVE.said("p", "line", "This gives the same run, in a notebook or any async code:") + code

    def _show_waterfall(self, now: Now) -> None:
        from ciops_nb.views.widgets.waterfall import TraceWaterfall

        try:
            if self._waterfall is None:
                self._waterfall = TraceWaterfall(now.run, previous=now.before)
                self._waterfall_place.children = (self._waterfall,)
            elif self._waterfall.run is not now.run:
                self._waterfall.previous = now.before
                self._waterfall.run = now.run
        except CiopsError as error:  # a checkout without bundles: all else works there
            self._waterfall_place.children = (ipywidgets.HTML(LIVE.said("div", "notice", said_of(error))),)

    @_at_home
    async def _tick(self, turn: int) -> None:
        """Show what goes on, until it does not."""
        while not self._shut:
            now = self._control.now
            if now.turn != turn or not now.going:
                return
            self._show_progress(now)
            await asyncio.sleep(_TICK)

    def _show_progress(self, now: Now) -> None:
        if now.run is None:
            self._progress.value = LIVE.said("p", "line", "The source is asked what time it is there.")
            return
        progress = now.run.progress
        share = f' max="{progress.asked}" value="{progress.answered}"' if progress.asked else ""
        bar = LIVE.of("progress", "bar", "", f' aria-label="Calls answered"{share}')
        self._progress.value = f"{bar} {text(progress)}"
        self._steps.value = steps(now.run.spans, LIVE)

    @_at_home
    async def _finish(self, now: Now) -> None:
        """Show what it came to: tables first, then the pictures as they are drawn."""
        self._progress.value = ""
        if now.run is None:
            error = now.error
            said = "It was cancelled before it had begun." if error is None else f"It could not begin. {said_of(error)}"
            self._findings.value = LIVE.of("div", "alarm" if error else "notice", text(said), ' role="alert"')
            self._whole.value = LIVE.said("p", "line", "Nothing was asked.")
            self._results.selected_index = 0
            return
        outcome, shown = await sync.in_thread(self._look, now)
        if self._shut or self._control.now.turn != now.turn:
            return
        self._outcome = outcome
        self._show_waterfall(now)
        self._findings.value, self._whole.value, self._by_tool.value, self._code_page.value = shown[:4]
        self._steps.value = ""
        pictures, pages, titles = [], [], []
        for section, html in zip(outcome.sections, shown[4:], strict=True):
            pictures.append(ipywidgets.HTML())
            pages.append(ipywidgets.VBox([pictures[-1], ipywidgets.HTML(html)]))
            titles.append(shorten(visible(section.title), _LABEL))
        was_watched = self._results.children[self._results.selected_index or 0] is self._trace
        self._show_pages(pages, titles)
        if was_watched:
            self._results.selected_index = 0
        for kind, path in self._paths.items():
            path.value = self._default_path(kind, now.run)
        self._savers["report"].disabled = now.state != "done"
        self._savers["save"].disabled = False
        self._task(self._draw(outcome, pictures, now.turn))

    def _look(self, now: Now) -> tuple[Outcome, list[str]]:
        """In a thread: what is shown of the run, as HTML."""
        assert now.run is not None
        outcome = Outcome(now.run)
        asked = LIVE.said("p", "quiet", outcome.asked(now.params))
        shown = [
            asked + outcome.findings(LIVE),
            outcome.completeness(LIVE),
            outcome.trace(LIVE),
            self._code_html(now),
        ]
        shown += [outcome.section(LIVE, number, ROWS) for number in range(1, len(outcome.sections) + 1)]
        return outcome, shown

    @_at_home
    async def _draw(self, outcome: Outcome, pictures: Sequence[ipywidgets.HTML], turn: int) -> None:
        prefix = f"w{self.model_id[:8]}-"  # another panel may show the same picture
        for number, place in enumerate(pictures, start=1):
            html = await sync.in_thread(outcome.picture, LIVE, number, prefix)
            if self._shut or self._control.now.turn != turn:
                return
            place.value = html

    def _default_path(self, kind: str, run: Run) -> str:
        about = run.params.get("ci")
        name = f"{run.recipe}-{about}" if isinstance(about, str) and about.replace("-", "").isalnum() else run.recipe
        return f"{name}.{'html' if kind == 'report' else 'ciops'}"

    @_at_home
    async def _save(self, kind: str, path: str, run: Run) -> None:
        try:
            written = await sync.in_thread(run.report if kind == "report" else run.save, path)
            self._saved.value = LIVE.of("div", "line", text(f"Written to {written}"), ' role="status"')
        except Exception as error:  # noqa: BLE001  told beside the button that was pressed
            self._saved.value = LIVE.of("div", "alarm", text(said_of(error)), ' role="alert"')
        finally:
            self._savers[kind].disabled = False
