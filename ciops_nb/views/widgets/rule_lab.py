"""``RuleLab``: a rule on the past of an estate, with its threshold and its duration under your hand.

What the rule reads is read once; each movement replays it on that, in the core, and draws only what moves. What is
reckoned and said is in ``rule_words``, what is drawn in ``rule_picture``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import ipywidgets  # type: ignore[import-untyped,unused-ignore]
import polars as pl
import traitlets

from ciops_nb import sync
from ciops_nb.cep.editing import as_text
from ciops_nb.cep.fields import spelled
from ciops_nb.errors import BadParameter, BadRule, BadTimeRange, CiopsError, UnknownMetric
from ciops_nb.estate.times import parse_duration
from ciops_nb.tools.rule_ground import Ground, ground_of
from ciops_nb.views.rule_plots import replay_timeline
from ciops_nb.views.svg import themed, to_svg, visible
from ciops_nb.views.widgets.asking import Following, Newest
from ciops_nb.views.widgets.fields import Fields
from ciops_nb.views.widgets.markup import LIVE, style_sheet
from ciops_nb.views.widgets.rule_picture import PAGE, STRETCHES, RulePicture
from ciops_nb.views.widgets.rule_words import (
    NEAR_HEADS,
    Judged,
    Text,
    alert_lines,
    at_most,
    code_of,
    judge,
    kept_text,
    near_misses,
    numbers_of,
    prometheus_of,
    ranked,
    read_text,
    reading_of,
    slider_of,
    words_of,
)
from ciops_nb.views.widgets.twin import Twin, Twinned, explained

if TYPE_CHECKING:
    from ciops_nb.cep.sweep import Levels
    from ciops_nb.session import Ops

__all__ = ["RuleLab"]

_HOLDS = ("0s", "1m", "2m", "5m", "10m", "15m", "20m", "30m", "45m", "1h", "2h", "4h")
_RANGES = ("last_24h", "last_7d", "last_14d", "last_30d", "all")
_FARTHEST = 6


@dataclass(frozen=True)
class _Seen:
    """What was read, and what can be drawn of it; pictures are kept, since what stays in them takes the longest."""

    text: Text
    ground: Ground
    levels: Levels | None = None
    order: tuple[str | None, ...] = ()
    pictures: dict[int, RulePicture] = field(default_factory=dict)

    def page(self, number: int) -> tuple[str | None, ...]:
        """The CIs of a page."""
        return self.order[number * PAGE : (number + 1) * PAGE]

    @property
    def last(self) -> int:
        """The number of the last page."""
        return max(0, (len(self.order) - 1) // PAGE)

    def picture(self, page: int) -> RulePicture:
        assert self.levels is not None
        assert self.text.threshold is not None
        if page not in self.pictures:
            self.pictures[page] = RulePicture(
                self.levels,
                self.page(page),
                incidents=self.ground.incidents,
                maintenance=self.ground.maintenance,
                threshold=self.text.threshold,
                name=f"When {self.text.name} would have fired",
            )
        return self.pictures[page]


@dataclass(frozen=True)
class _Wanted:
    seen: _Seen
    threshold: float | None
    hold: timedelta
    page: int
    anew: bool  # the layer below too


@dataclass(frozen=True)
class _Drawn:
    wanted: _Wanted
    judged: Judged
    base: str | None  # None: as it was
    over: str
    whole: Callable[[], str]  # both in the colours of the light theme, for the twin


class RuleLab(Twinned, ipywidgets.VBox):  # type: ignore[misc]
    """Replay a rule on the past, move its threshold and its duration, and see at once when it would have fired.

    Args:
        ops: A session.
        rule: A rule as ``cep_simulate`` takes it (YAML text, the path of a YAML file, a dict, a Rule), or a list of
            such to pick from; None is an empty field to write one in.
        time_range: As for ``cep_simulate``.

    What is shown can be set and read from code too: ``rule_text``, ``time_range``, ``threshold``, ``hold`` (such as
    ``"10m"``), ``hops`` (how many relations from its CI an incident counts as caught) and ``page``. ``wait`` comes back
    when nothing is being asked or drawn; ``alerts`` is then the frame that is shown, ``words`` what is said of it,
    ``text`` the rule with the numbers shown, ``code`` the Python that asks the same. ``close()`` ends its work.
    """

    rule_text = traitlets.Unicode("")
    time_range = traitlets.Unicode("last_7d")
    threshold = traitlets.Float(None, allow_none=True)
    hold = traitlets.Unicode("0s")
    hops = traitlets.Int(0)
    page = traitlets.Int(0)

    def __init__(self, ops: Ops, rule: Any = None, *, time_range: Any = "last_7d") -> None:
        given = rule if isinstance(rule, (list, tuple)) else [] if rule is None else [rule]
        picks = [as_text(one) for one in given]
        self._ops = ops
        self._fields = Fields(self._not_turned)
        self._lock = self._fields.lock
        self._seen: _Seen | None = None
        self._drawn: _Drawn | None = None
        self._ground: tuple[tuple[Any, ...], Ground] | None = None
        self._reading = Newest("RuleLab", self._lock, self._not_read)
        self._turning = Following("RuleLab", self._lock, _turned, self._show_turned, self._not_turned)
        self._nearing = Newest("RuleLab near misses", self._lock, self._not_near)
        self._problem = ""
        self._asking = False
        self._make_fields(picks)
        super().__init__(self._laid_out())
        self.add_class("ciops-view")
        self.add_class("ciops-dense")
        with self._fields.quietly():
            self.time_range = time_range if isinstance(time_range, str) else "/".join(map(str, time_range))
            self.rule_text = picks[0] if picks else ""
        self._watch()
        self._mirror()
        if self.rule_text:
            self._read()
        else:
            self._rule_said.value = LIVE.said("p", "quiet", "Write a rule here: YAML, with 'when' and a condition.")

    # ── from code ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def wait(self) -> sync.Twin[..., None]:
        """Wait until nothing is being asked or drawn: ``await lab.wait()``, or ``lab.wait.sync()``."""

        async def wait() -> None:
            for work in (self._reading, self._turning, self._nearing, self._reading, self._turning):
                await work.idle()

        return sync.twin(wait)

    @property
    def alerts(self) -> pl.DataFrame | None:
        """The alerts that are shown, as ``cep_simulate`` returns them, in polars; None before there are any."""
        return None if self._drawn is None else self._drawn.judged.alerts

    @property
    def worth(self) -> dict[str, Any] | None:
        """The row of ``cep_sweep`` for the numbers that are shown; None where it cannot be told."""
        return None if self._drawn is None else self._drawn.judged.worth

    @property
    def words(self) -> list[str]:
        """What is said of the alerts."""
        return [] if self._drawn is None else words_of(self._drawn.judged)

    @property
    def picture(self) -> ipywidgets.HTML:
        """What is drawn anew at each movement: whoever wants to know when that is observes its ``value``."""
        return self._above

    @property
    def problem(self) -> str:
        """What went wrong with what was asked last; empty if nothing did."""
        return self._problem

    @property
    def text(self) -> str:
        """The rule with the numbers that are shown, its text else as it was written.

        Raises:
            BadRule: the numbers stand where other rules read them too.
        """
        with self._lock:
            seen = self._seen
            return self.rule_text if seen is None else kept_text(seen.text, self.threshold, parse_hold(self.hold))

    @property
    def code(self) -> str:
        """The Python that asks the same."""
        return code_of(self.text, self.time_range if self._seen is None else self._seen.ground.span)

    @property
    def prometheus(self) -> str:
        """The rule for Prometheus, or a comment that says why there is none."""
        return prometheus_of(self.text)

    def near_misses(self) -> None:
        """Ask how near to firing the others came with these numbers, and show it."""
        with self._lock:
            seen = self._seen
            if seen is None:
                return
            hold = parse_hold(self.hold)
            rules, numbers = seen.text.turned(self.threshold, hold), numbers_of(self.threshold, hold)
            ask = functools.partial(self._ops.cep_explain, rules, time_range=str(seen.ground.span))
            self._near_box.value = LIVE.said("p", "quiet", "Asking how near the others came …")

        async def explain() -> Any:
            return await ask()

        self._nearing.ask(explain, functools.partial(self._show_near, numbers))

    def keep(self) -> None:
        """Show the rule with these numbers, the code that asks the same, and the rule for Prometheus."""
        with self._lock:
            if self._seen is None:
                return
            try:
                text, numbers = self.text, numbers_of(self.threshold, parse_hold(self.hold))
                code, prometheus = self.code, self.prometheus
            except CiopsError as error:
                self._kept_box.value = LIVE.said("p", "alarm", error)
                return
            parts = [
                LIVE.of("p", "line", LIVE.said("b", "state", numbers)),
                LIVE.said("pre", "code", text),
                LIVE.said("p", "quiet", "The same in Python:"),
                LIVE.said("pre", "code", code),
                LIVE.said("p", "quiet", "For Prometheus:"),
                LIVE.said("pre", "code", prometheus),
            ]
            self._kept_box.value = "".join(parts)

    def close(self) -> None:
        """End what is being asked, and the view."""
        for work in (self._reading, self._turning, self._nearing):
            work.close()
        super().close()

    # ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _make_fields(self, picks: list[str]) -> None:
        wide, style = ipywidgets.Layout(width="auto"), {"description_width": "78px"}
        names = [(f"{number}. {_name(text)}", number - 1) for number, text in enumerate(picks, start=1)]
        self._picks = picks
        self._pick = ipywidgets.Dropdown(options=[("–", None), *names], description="Pick", layout=wide, style=style)
        self._rule = ipywidgets.Textarea(
            description="Rule", rows=9, layout=ipywidgets.Layout(width="auto"), style=style,
            placeholder="when: {metric: cpu_usage, op: '>', value: 80}\nfor: 10m",
        )  # fmt: skip
        self._rule_said = ipywidgets.HTML()
        self._time = ipywidgets.Text(description="Time", continuous_update=False, style=style, layout=wide)
        self._quick = self._fields.quick_times(_RANGES, lambda name: self.set_trait("time_range", name))
        self._time_said = ipywidgets.HTML()
        self._slider = self._make_slider(disabled=True)
        self._box = ipywidgets.FloatText(layout=ipywidgets.Layout(width="110px"), disabled=True, tooltip="Threshold")
        self._lengths = self._make_lengths("0s", disabled=True)
        self._length = ipywidgets.Text(
            layout=ipywidgets.Layout(width="110px"), disabled=True, continuous_update=False, tooltip="For how long"
        )
        self._near_hops = ipywidgets.BoundedIntText(
            description="Caught within", min=0, max=_FARTHEST, layout=ipywidgets.Layout(width="170px"),
            style={"description_width": "100px"},
            tooltip="An incident counts as caught by an alert so many relations from its CI",
        )  # fmt: skip
        self._numbers_said, self._status, self._said = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        whole = {"grid_area": "1 / 1 / 2 / 2"}
        self._below, self._above = ipywidgets.HTML(layout=whole), ipywidgets.HTML(layout=whole)
        self._picture = ipywidgets.GridBox(
            [self._below, self._above],
            layout=ipywidgets.Layout(grid_template_columns="minmax(700px, 1fr)", overflow="auto"),
        )
        button = ipywidgets.Layout(width="auto")
        self._back = ipywidgets.Button(description="◀", tooltip="The CIs before", layout=button, disabled=True)
        self._next = ipywidgets.Button(description="▶", tooltip="The next CIs", layout=button, disabled=True)
        self._pages = ipywidgets.HTML(layout={"margin": "0 8px"})
        self._near_button = ipywidgets.Button(description="Near misses", layout=button, disabled=True)
        self._keep_button = ipywidgets.Button(description="Keep", layout=button, disabled=True, button_style="primary")
        self._near_box, self._kept_box = ipywidgets.HTML(), ipywidgets.HTML()

    def _make_slider(self, **values: Any) -> ipywidgets.FloatSlider:
        return ipywidgets.FloatSlider(
            description="Threshold", readout=False, layout=ipywidgets.Layout(flex="1 1 240px"),
            style={"description_width": "78px"}, **values,
        )  # fmt: skip

    def _make_lengths(self, own: str, **values: Any) -> ipywidgets.SelectionSlider:
        return ipywidgets.SelectionSlider(
            options=sorted({*_HOLDS, own}, key=parse_hold), value=own, description="For", readout=False,
            layout=ipywidgets.Layout(flex="1 1 240px"), style={"description_width": "78px"}, **values,
        )  # fmt: skip

    def _laid_out(self) -> list[ipywidgets.Widget]:
        row = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        told = ipywidgets.HTML(style_sheet(), layout=ipywidgets.Layout(display="none"))
        self._rows = {
            "threshold": ipywidgets.HBox([self._slider, self._box], layout=row),
            "hold": ipywidgets.HBox([self._lengths, self._length], layout=row),
        }
        hops = ipywidgets.HBox([self._near_hops, ipywidgets.Label("relations")], layout=row)
        return [
            told,
            *([self._pick] if len(self._picks) > 1 else []),
            self._rule,
            self._rule_said,
            ipywidgets.HBox([self._time, self._quick, hops], layout=row),
            self._time_said,
            *self._rows.values(),
            self._numbers_said,
            self._said,
            self._status,
            self._picture,
            ipywidgets.HBox(
                [self._back, self._pages, self._next, self._near_button, self._keep_button], layout=row
            ),
            self._near_box,
            self._kept_box,
        ]  # fmt: skip

    def _watch(self) -> None:
        on = self._fields.watch
        on(self._pick, self._picked)
        on(self._rule, lambda text: self.set_trait("rule_text", text))
        on(self._time, lambda text: self.set_trait("time_range", text))
        self._watch_slider(self._slider, "threshold")
        self._watch_slider(self._lengths, "hold")
        on(self._box, lambda value: self.set_trait("threshold", value))
        on(self._length, lambda text: self.set_trait("hold", text))
        on(self._near_hops, lambda number: self.set_trait("hops", number))
        for name in ("rule_text", "time_range", "hops"):
            on(self, lambda _: self._read(), name)
        for name in ("threshold", "hold"):
            on(self, lambda _: self._turn(), name)
        on(self, lambda _: self._turn(anew=True), "page")
        self._back.on_click(self._fields.guarded(lambda _: self.set_trait("page", self.page - 1)))
        self._next.on_click(self._fields.guarded(lambda _: self.set_trait("page", self.page + 1)))
        self._near_button.on_click(self._fields.guarded(lambda _: self.near_misses()))
        self._keep_button.on_click(self._fields.guarded(lambda _: self.keep()))

    def _mirror(self) -> None:
        """Put what the traits say into the fields."""
        with self._fields.quietly():
            self._rule.value, self._time.value, self._near_hops.value = self.rule_text, self.time_range, self.hops
            self._pick.value = next((place for place, text in enumerate(self._picks) if text == self.rule_text), None)
            if self.threshold is not None:
                low, high = self._slider.min, self._slider.max
                self._box.value = self.threshold
                self._set_slider(min(low, self.threshold), max(high, self.threshold), self._slider.step)
            self._length.value = self.hold
            if self.hold in self._lengths.options:
                self._lengths.value = self.hold

    def _set_slider(self, low: float, high: float, step: float) -> None:
        """Give the slider the threshold, and these ends.

        A browser that hears of a value before it hears of the ends brings it to an end, and tells us that it moved. So
        other ends are another slider.
        """
        value = self.threshold
        if (low, high, step) == (self._slider.min, self._slider.max, self._slider.step):
            self._slider.value = value
        else:
            made = self._make_slider(min=low, max=high, step=step, value=value, disabled=self._box.disabled)
            self._slider = self._replaced(self._slider, made, "threshold")

    def _replaced(self, old: Any, new: Any, name: str) -> Any:
        """*new* in the place of *old*, which moves the trait *name*."""
        row = self._rows[name]
        row.children = [new, *row.children[1:]]
        old.close()
        self._watch_slider(new, name)
        return new

    def _watch_slider(self, slider: Any, name: str) -> None:
        do = self._slid if name == "threshold" else lambda text: self.set_trait("hold", text)
        self._fields.watch(slider, do)

    def _slid(self, value: float) -> None:
        """The slider moved; a browser that only brings a value to its steps has moved nothing."""
        if self.threshold is None or abs(value - self.threshold) > self._slider.step * 0.501:
            self.threshold = value

    def _picked(self, place: int | None) -> None:
        if place is not None:
            self.rule_text = self._picks[place]

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self) -> None:
        """Ask for all of it: the rule or the time is another."""
        self._mirror()
        self._asking = True
        told = "Asking … what is shown below is of before." if self._drawn else "Asking …"
        self._status.value = LIVE.said("p", "quiet", told)
        self._stale(True)
        self._turning.drop()
        self._reading.ask(functools.partial(self._look, self.rule_text, self.time_range, self.hops), self._show_read)

    async def _look(self, text: str, time_range: str, hops: int) -> tuple[_Seen, _Drawn]:
        if not 0 <= hops <= _FARTHEST:
            raise BadParameter("hops", hops, f"is not from 0 to {_FARTHEST}", "Nearly all is near then")
        said = await sync.in_thread(read_text, text)
        self._valid(text, said)
        key = (await sync.in_thread(reading_of, said), time_range, hops, self._ops.data_version())
        if self._ground is not None and self._ground[0] == key:
            ground = self._ground[1]
        else:
            read = functools.partial(ground_of, rules=list(said.rules), time_range=time_range, hops=hops)
            ground = await self._ops.look("RuleLab", read)
            self._ground = (key, ground)
        return await sync.in_thread(_seen, said, ground)

    def _valid(self, text: str, said: Text) -> None:
        """The rule can be read: said at once, before the estate is asked."""
        with self._lock:
            if text == self.rule_text:
                told = f"Valid: {said.name}." + (f" Its threshold cannot be turned: {said.why}" if said.why else "")
                self._rule_said.value = LIVE.said("p", "quiet", told)

    def _show_read(self, made: tuple[_Seen, _Drawn]) -> None:
        seen, drawn = made
        self._asking, self._problem, self._seen = False, "", seen
        self._time_said.value = ""
        free = seen.text.place is not None
        with self._fields.quietly():
            for field in (self._slider, self._box, self._lengths, self._length):
                field.disabled = not free
            if free and seen.levels is not None and seen.text.threshold is not None:
                self.threshold = seen.text.threshold
                self._set_slider(*slider_of(seen.levels, seen.text.threshold))
            own = spelled(seen.text.hold)
            if own not in self._lengths.options:
                self._lengths = self._replaced(self._lengths, self._make_lengths(own), "hold")
            self.threshold, self.hold, self.page = seen.text.threshold, own, 0
        self._mirror()
        self._near_button.disabled = self._keep_button.disabled = False
        self._near_box.value = self._kept_box.value = ""
        self._show_turned(drawn)

    def _not_read(self, error: Exception) -> None:
        self._asking, self._problem = False, explained(error)
        at = {BadRule: self._rule_said, UnknownMetric: self._rule_said, BadTimeRange: self._time_said}
        place = at.get(type(error), self._status)
        for one in (self._status, self._time_said):
            one.value = ""
        place.value = LIVE.said("p", "alarm", error if place is not self._status else self._problem)
        if self._drawn is not None and place is not self._status:
            self._status.value = LIVE.said("p", "quiet", "What is shown below is of before.")

    # ── turning ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self, *, anew: bool = False) -> None:
        """Replay with other numbers, or draw other CIs."""
        seen = self._seen
        self._mirror()
        if seen is None or self._asking:
            return
        hold = parse_hold(self.hold)
        page = min(max(self.page, 0), seen.last)
        if page != self.page:
            with self._fields.quietly():
                self.page = page
        anew = anew or self._drawn is None or self._drawn.wanted.seen is not seen or self._drawn.wanted.page != page
        self._turning.want(_Wanted(seen, self.threshold, hold, page, anew))

    def _show_turned(self, drawn: _Drawn) -> None:
        if drawn.wanted.seen is not self._seen:
            return  # another rule came meanwhile
        self._drawn, self._problem = drawn, ""
        self._stale(False)
        self._numbers_said.value = ""
        if drawn.base is not None:
            self._below.value = themed(drawn.base)
        self._above.value = themed(drawn.over)
        told = [*words_of(drawn.judged), _beyond(drawn)]
        self._said.value = "".join(LIVE.said("p", "line", line) for line in told if line)
        warned = drawn.judged.ground.warnings
        self._status.value = "".join(LIVE.said("p", "quiet", f"Note: {text}") for text in warned)
        self._show_pages(drawn)

    def _show_pages(self, drawn: _Drawn) -> None:
        seen, page = drawn.wanted.seen, drawn.wanted.page
        self._back.disabled, self._next.disabled = page == 0, page >= seen.last
        first, shown = page * PAGE, len(seen.page(page))
        told = f"CIs {first + 1} to {first + shown} of {len(seen.order)}"
        self._pages.value = LIVE.said("p", "quiet", told) if seen.order else ""
        for one in (self._back, self._next):
            one.layout.display = "" if seen.last else "none"

    def _not_turned(self, error: Exception) -> None:
        self._problem = explained(error)
        self._numbers_said.value = LIVE.said("p", "alarm", self._problem)

    def _stale(self, old: bool) -> None:
        for one in (self._below, self._above):
            (one.add_class if old else one.remove_class)("ciops-old")

    # ── near misses ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _show_near(self, numbers: str, made: Any) -> None:
        rows, many = near_misses(made)
        told = (
            LIVE.rows(f"Of what did not fire, the nearest to {numbers}:", NEAR_HEADS, rows)
            if rows
            else LIVE.said("p", "line", "All that the rule looks at fired.")
        )
        more = LIVE.said("p", "quiet", f"and {many - len(rows)} more") if many > len(rows) else ""
        self._near_box.value = told + more

    def _not_near(self, error: Exception) -> None:
        self._near_box.value = LIVE.said("p", "alarm", explained(error))

    # ── twin ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def twin(self) -> Twin:
        """The rule, what it does, and the picture of it, in the colours of the light theme."""
        with self._lock:
            drawn, asking, problem = self._drawn, self._asking, self._problem
        lines = [f"RuleLab on {visible(self._ops.name)}, {visible(self.time_range)}"]
        if asking:
            lines.append(
                "Being asked; nothing is shown yet." if drawn is None else "Being asked anew; this is of before."
            )
        if problem:
            lines.append(problem)
        if drawn is None:
            return Twin("\n".join([*lines, *([] if asking or problem else ["No rule yet."])]))
        judged = drawn.judged
        lines += [
            f"{visible(judged.text.name)}: {numbers_of(judged.threshold, judged.hold)}, {judged.ground.span}",
            *words_of(judged),
            *(f"Note: {visible(text)}" for text in judged.ground.warnings),
            *alert_lines(judged.alerts),
        ]
        return Twin("\n".join(lines), svg=drawn.whole())


def parse_hold(text: str) -> timedelta:
    """A duration, none among them."""
    if text.strip() in ("0", "0s", "0m", ""):
        return timedelta(0)
    return parse_duration(text.strip(), name="for")


def _name(text: str) -> str:
    try:
        return visible(read_text(text).name)
    except BadRule as error:
        return f"cannot be read: {visible(error)}"[:80]


def _seen(text: Text, ground: Ground) -> tuple[_Seen, _Drawn]:
    judged = judge(text, ground, text.threshold, text.hold)
    seen = _Seen(text, ground)
    if text.place is not None and text.threshold is not None:
        levels = ground.levels(list(text.rules), STRETCHES)
        seen = _Seen(text, ground, levels, tuple(ranked(levels, judged.alerts, _op(text), text.threshold)))
    return seen, _draw(_Wanted(seen, text.threshold, text.hold, 0, True), judged)


def _op(text: Text) -> str:
    assert text.place is not None
    when: Any = text.rules[text.place].when
    return str(getattr(when, "op", None) or next(one.op for one in when.all if hasattr(one, "op")))


def _turned(wanted: _Wanted) -> _Drawn:
    seen = wanted.seen
    return _draw(wanted, judge(seen.text, seen.ground, wanted.threshold, wanted.hold))


def _draw(wanted: _Wanted, judged: Judged) -> _Drawn:
    seen = wanted.seen
    if seen.levels is None or judged.threshold is None:
        svg = _timeline(judged)
        return _Drawn(wanted, judged, svg, "", lambda: svg)
    picture, threshold = seen.picture(wanted.page), judged.threshold
    whole = functools.partial(picture.whole, judged.alerts, threshold)
    return _Drawn(
        wanted, judged, picture.base() if wanted.anew else None, picture.over(judged.alerts, threshold), whole
    )


def _timeline(judged: Judged) -> str:
    """The picture of a rule without a threshold, by ``plots``."""
    incidents = judged.ground.incidents.select(
        start_at="opened_at", end_at="resolved_at", kind=pl.lit("incident"), ci_code="ci", record_id="incident"
    )
    figure = replay_timeline(judged.alerts, history=incidents)
    return to_svg(figure, f"When {judged.text.name} would have fired", prefix="lab")


def _beyond(drawn: _Drawn) -> str:
    """What fired on CIs that are not on this page."""
    seen, page = drawn.wanted.seen, drawn.wanted.page
    if seen.levels is None:
        return ""
    shown = set(seen.page(page))
    fired = drawn.judged.alerts.filter(pl.col("status") == "fired")["ci_code"].to_list()
    others = sorted({visible(code or "no CI") for code in fired if code not in shown})
    return f"Fired on CIs of other pages: {', '.join(at_most(others, 6))}." if others else ""
