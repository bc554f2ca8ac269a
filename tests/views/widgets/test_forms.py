"""Forms: what is typed, what is said to it, and what comes out."""

from __future__ import annotations

import ast
import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import ipywidgets
import pytest
from ipywidgets.widgets.widget import _instances

import ciops_nb as ciops
from ciops_nb import sync
from ciops_nb.errors import BadParameter
from ciops_nb.kinds import Between, CiCode, CiCodes, Metric, Metrics, Moment
from ciops_nb.recipes.run import all_recipes
from ciops_nb.views.widgets.forms import Form
from tests.worlds import write_world

RECIPES = all_recipes()


@pytest.fixture(scope="module")
def ops() -> Iterator[ciops.Ops]:
    with ciops.connect("data/demo", tz="Europe/Berlin") as made:
        yield made


@pytest.fixture
def form(ops: ciops.Ops) -> Iterator[Callable[..., Form]]:
    made: list[Form] = []

    def make(function: Any, on: Any = ops) -> Form:
        made.append(Form(on, RECIPES[function] if isinstance(function, str) else function))
        return made[-1]

    yield make
    for one in made:
        one.close()


def until(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if found := holds():
            return found
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to that")


def settled(form: Form) -> None:
    for asking in list(form._asked.values()):
        sync.run(asking.idle(), timeout=10)


def said(form: Form, name: str) -> str:
    return str(form._rows[name].note.value)


def box(form: Form, name: str) -> Any:
    return form._rows[name].controls[0]


async def every(
    ops: Any,
    ci: CiCode,
    *,
    share: Annotated[float, Between(0, 1)] = 0.5,
    n: int = 3,
    deep: bool = False,
    way: Literal["up", "down"] = "up",
    level: Literal[1, 2] | None = None,
    metric: Metric | None = None,
    metrics: Metrics | None = None,
    codes: list[str] | None = None,
    around: CiCodes | None = None,
    at: Moment | None = None,
    loose=None,
) -> None:
    """Ask for all kinds."""


# ── what comes out ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", RECIPES)
def test_an_untouched_form_tells_what_it_needs_in_no_red(form: Callable[..., Form], name: str) -> None:
    made = form(name)
    needed = {field.name for field in made.fields if field.needed}

    assert dict.fromkeys(needed, "Is needed.") == made.problems()
    assert "" == "".join(said(made, field) for field in made.raw())


def test_asking_for_what_is_not_there_marks_it(form: Callable[..., Form]) -> None:
    made = form("triage")

    with pytest.raises(BadParameter, match="Is needed"):
        made.params()

    assert "Is needed." in said(made, "ci")
    assert "alert" in said(made, "at")


def test_only_what_differs_from_a_default_is_given(form: Callable[..., Form]) -> None:
    made = form("triage")
    box(made, "ci").value = " app-erp-01 "
    box(made, "at").value = "2026-03-02T10:00"
    box(made, "window").value = "2h"
    box(made, "depth").value = "4"

    assert {"ci": "app-erp-01", "at": "2026-03-02T10:00", "depth": 4} == made.params()
    assert "ci='app-erp-01', at='2026-03-02T10:00', depth=4" == made.code()
    assert "2 hours" in said(made, "window")
    assert "that is 2026-03-02T09:00:00Z" in said(made, "at")


def test_what_a_form_gives_is_what_a_run_takes_and_gives_back(ops: ciops.Ops, form: Callable[..., Form]) -> None:
    given = {"source": "app-erp-01", "target": "srv-erp-01", "direction": "upstream", "k": 2}
    made = form("path")
    made.fill(given)
    run = ops.run.sync("path", **made.params())
    made.restore({})
    again = form("path")
    again.fill(run.params)

    assert given == made.params() == again.params()
    assert run.status == "done"


def test_all_kinds_of_fields_give_their_values(ops: ciops.Ops, form: Callable[..., Form]) -> None:
    one, other = list(ops.metric_list.sync()["metric"])[:2]
    given = {
        "ci": "app-erp-01", "share": 0.25, "n": -4, "deep": True, "way": "down", "level": 2, "metric": one,
        "metrics": [one, other], "codes": ['a"b\\\''], "around": ["db-erp-01"], "at": "2026-03-02T10:00Z",
        "loose": {'"\'\n\u202e': (1, None)},
    }  # fmt: skip
    made = form(every)
    made.fill(given)

    call = ast.parse(f"f({made.code()})", mode="eval").body
    assert isinstance(call, ast.Call)
    assert given == {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    again = form(every)
    again.restore(made.raw())
    assert made.raw() == again.raw()


def test_what_was_typed_is_kept_though_it_cannot_be_meant(form: Callable[..., Form]) -> None:
    made = form("what_changed")
    box(made, "window").value = "2 ours"
    again = form("what_changed")
    again.restore({**made.raw(), "gone": "x", "depth": 7})

    assert "2 ours" == again.raw()["window"]
    assert "" == again.raw()["depth"]
    assert "&#x27;2 ours&#x27; is not a length of time" in said(again, "window")
    assert {"ci", "window"} == set(again.problems())


def test_what_is_not_asked_for_is_refused_and_nothing_is_filled_in(form: Callable[..., Form]) -> None:
    made = form("what_changed")

    with pytest.raises(BadParameter, match="Use window"):
        made.fill({"ci": "app-erp-01", "windw": "2h"})
    with pytest.raises(BadParameter, match="cannot be shown"):
        made.fill({"ci": "app-erp-01", "window": object()})

    assert "" == made.raw()["ci"]


# ── the fields ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_box_and_slider_go_together_and_nothing_is_clamped(form: Callable[..., Form]) -> None:
    made = form("what_changed")
    slider = made._rows["depth"].slider
    assert (0, 6, 3) == (slider.min, slider.max, slider.value)

    slider.value = 5
    assert "5" == made.raw()["depth"]
    box(made, "depth").value = "9"
    assert (5, "9") == (slider.value, made.raw()["depth"])
    assert "9 is above 6. It may be 6 at most." == made.problems()["depth"]
    box(made, "depth").value = ""
    assert 3 == slider.value


def test_text_and_picker_are_in_step_and_the_text_wins(form: Callable[..., Form]) -> None:
    made = form("what_changed")
    picker = made._rows["at"].picker

    box(made, "at").value = "2026-03-02T10:00:30.5Z"
    assert "2026-03-02T11:00:30" == picker.value.isoformat()
    assert "2026-03-02T10:00:30.5Z" == made.raw()["at"]
    picker.value = picker.value.replace(hour=12, second=0)
    assert "2026-03-02T12:00" == made.raw()["at"]
    picker.value = picker.value.replace(month=10, day=25, hour=2, minute=30)
    assert "happened twice in Europe/Berlin" in said(made, "at")
    picker.value = None
    assert "" == made.raw()["at"]


def test_a_time_outside_of_the_estate_is_told(form: Callable[..., Form]) -> None:
    made = form("what_changed")
    settled(made)

    box(made, "at").value = "1999-01-01"

    assert "the estate has data from" in said(made, "at")
    assert "at" not in made.problems()


def test_a_click_gives_a_usual_range(form: Callable[..., Form]) -> None:
    made = form("rule_review")
    settled(made)
    quick = next(one for one in made._rows["time_range"].controls if getattr(one, "description", "") == "last_24h")

    quick.click()

    assert "last_24h" == made.raw()["time_range"]
    assert "2026-03-08T" in said(made, "time_range")


def test_a_choice_left_alone_is_the_default(form: Callable[..., Form]) -> None:
    made = form(every)

    assert ["up (default)", "down"] == [text for text, _ in box(made, "way").options]
    assert ["(default)", "1", "2"] == [text for text, _ in box(made, "level").options]
    box(made, "level").value = 0
    assert 1 == made.raw()["level"]


def test_a_rule_is_checked_while_it_is_written(form: Callable[..., Form]) -> None:
    made = form("rule_review")

    box(made, "rule").value = "when:\n  metric: cpu\n  op: '>'\n  vaule: 3"
    assert "line 4" in said(made, "rule")
    box(made, "rule").value = "when:\n  metric: cpu\n  op: '>'\n  value: 3"
    assert "1 rule; reads cpu" in said(made, "rule")
    assert {} == made.problems()


def test_what_is_less_used_folds_away_until_something_is_wrong_in_it(form: Callable[..., Form]) -> None:
    made = form("triage")
    assert "none" == made._folded.layout.display

    made.fill({"ci": "app-erp-01", "at": "2026-03-02"})
    made.restore({"baseline": "x"})
    made.check()

    assert "" == made._folded.layout.display
    assert form("what_changed")._more not in form("what_changed").children


# ── suggestions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_words_bring_suggestions_and_one_is_picked(form: Callable[..., Form]) -> None:
    made = form("triage")
    row = made._rows["ci"]

    box(made, "ci").value = "erp db"
    until(lambda: row.shown)
    assert "db-erp-01 – ERP database 1 · SW" == row.list.options[0][0]
    row.list.index = 1
    row.list.index = 2  # by the arrow keys
    assert "db-erp-03" == made.raw()["ci"]
    until(lambda: "ERP database 3" in said(made, "ci"))
    assert "" == row.list.layout.display
    box(made, "at").value = "2026-03-02T10:00"
    assert "none" == row.list.layout.display


def test_at_most_eight_are_shown(form: Callable[..., Form]) -> None:
    made = form("lookup")

    box(made, "text").value = "erp"

    assert 8 == len(until(lambda: made._rows["text"].shown))
    assert {} == made.problems()


def test_a_code_that_is_not_there_is_told_with_those_near_it(form: Callable[..., Form]) -> None:
    made = form("what_changed")

    box(made, "ci").value = "app-erp-1"

    told = until(lambda: made.problems().get("ci"))
    assert told.startswith("No configuration item has code 'app-erp-1'")
    assert "app-erp-01" in told
    box(made, "ci").value = "app-erp-01"
    assert {} == made.problems()


@pytest.mark.parametrize(
    ("recipe", "name", "words", "told"),
    [
        ("triage", "ci", "ERP application 1", "taken to mean app-erp-01"),
        ("triage", "ci", "erp db", "may mean"),
        ("triage", "ci", "erp nothing-like-it", "may mean"),
        ("lookup", "text", "erp db", "may mean"),
        ("lookup", "text", "qqq", "finds no CI"),
    ],
)
def test_it_is_told_which_ci_words_mean(
    form: Callable[..., Form], recipe: str, name: str, words: str, told: str
) -> None:
    made = form(recipe)

    box(made, name).value = words

    until(lambda: told in said(made, name))
    assert name not in made.problems()


def test_words_are_no_code_where_a_code_is_needed(form: Callable[..., Form]) -> None:
    made = form("blast_radius")

    box(made, "ci").value = "erp db"

    assert "No configuration item has code 'erp db'" in until(lambda: made.problems().get("ci"))


def test_a_ci_is_looked_up_at_the_moment_of_the_form(form: Callable[..., Form]) -> None:
    made = form("what_changed")

    made.fill({"ci": "app-erp-01", "at": "1999-01-01"})

    assert "at 1998-12-31T23:00:00Z" in until(lambda: made.problems().get("ci"))
    box(made, "at").value = ""
    until(lambda: "ERP application 1" in said(made, "ci"))


def test_several_are_picked_one_after_the_other(form: Callable[..., Form]) -> None:
    made = form("rule_review")
    row = made._rows["ci"]

    row.search.value = "erp db"
    until(lambda: row.shown)
    row.list.index = 0
    row.list.index = 3
    assert ["db-erp-01", "db-erp-04"] == made.raw()["ci"]
    row.tags.value = [*row.tags.value, "nothing"]
    assert "'nothing'" in until(lambda: made.problems().get("ci"))


def test_metrics_and_fields_are_suggested(form: Callable[..., Form]) -> None:
    made = form(every)
    box(made, "metric").value = "cpu"
    shown = until(lambda: made._rows["metric"].shown)
    box(made, "metric").value = shown[0]
    settled(made)
    assert "metric" not in made.problems()
    box(made, "metric").value = f"{shown[0]}x"
    assert shown[0] in until(lambda: made.problems().get("metric"))

    fields = form("inventory")
    fields._rows["by"].search.value = "type"
    assert ["ci_type", "ci_subtype"] == until(lambda: fields._rows["by"].shown)


class Slow:
    """A session whose search answers when it is told to, in whatever order."""

    def __init__(self, ops: ciops.Ops) -> None:
        self.ops, self.waiting = ops, dict[str, asyncio.Event]()
        self.loop: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ops, name)

    async def ci_search(self, words: str, **how: Any) -> Any:
        self.loop = asyncio.get_running_loop()
        self.waiting[words] = asyncio.Event()
        await asyncio.shield(self.waiting[words].wait())
        return await self.ops.ci_search(words, **how)

    def answer(self, words: str) -> None:
        self.loop.call_soon_threadsafe(self.waiting[words].set)


def test_the_newest_question_wins_and_nobody_waits(ops: ciops.Ops, form: Callable[..., Form]) -> None:
    slow = Slow(ops)
    made = form("lookup", slow)

    began = time.monotonic()
    box(made, "text").value = "erp"
    assert time.monotonic() - began < 1
    until(lambda: "erp" in slow.waiting)
    box(made, "text").value = "erp db"
    until(lambda: "erp db" in slow.waiting)
    slow.answer("erp db")
    until(lambda: made._rows["text"].shown)
    slow.answer("erp")
    sync.run(asyncio.sleep(0))

    assert ["db-erp-01"] == made._rows["text"].shown[:1]


def test_that_nothing_could_be_asked_is_no_fault_of_the_field(form: Callable[..., Form]) -> None:
    with ciops.connect("data/demo") as ops:
        made = form("lookup", ops)
        settled(made)
    box(made, "text").value = "erp"

    until(lambda: "not looked up: SessionClosed" in said(made, "text"))
    assert {} == made.problems()


# ── around it ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_listens_is_told_with_no_lock_held(form: Callable[..., Form]) -> None:
    made = form("what_changed")
    free: list[bool] = []

    def look() -> None:
        thread = threading.Thread(target=made.raw)
        thread.start()
        thread.join(1)
        free.append(not thread.is_alive())

    made.observe_change(look)
    box(made, "window").value = "3h"

    assert [True] == free


def test_an_error_in_a_callback_is_told_in_the_form(form: Callable[..., Form], monkeypatch: pytest.MonkeyPatch) -> None:
    made = form("what_changed")
    made.observe_change(lambda: 1 / 0)
    box(made, "window").value = "3h"
    assert "ZeroDivisionError: division by zero" in made._trouble.value

    monkeypatch.setattr(made, "settle", lambda but: [][1])
    box(made, "window").value = "4h"
    assert "IndexError" in made._trouble.value


def test_a_form_that_is_switched_off_takes_nothing(form: Callable[..., Form]) -> None:
    made = form("triage")
    made.disabled = True
    assert {True} == {widget.disabled for row in made._rows.values() for widget in row.controls}
    made.disabled = False
    assert {False} == {widget.disabled for row in made._rows.values() for widget in row.controls}


def test_closing_leaves_no_widget_behind(ops: ciops.Ops) -> None:
    before = set(_instances)
    made = Form(ops, RECIPES["triage"])
    box(made, "ci").value = "erp"
    assert len(_instances) > len(before) + 50

    made.close()
    made.close()

    assert set() == set(_instances) - before
    settled(made)


def test_many_threads_type_at_once(form: Callable[..., Form]) -> None:
    made = form("triage")
    told: list[int] = []
    made.observe_change(lambda: told.append(1))

    def type_away(name: str, values: list[str]) -> None:
        for value in values:
            box(made, name).value = value

    work = {
        "ci": [f"erp {n}" for n in range(20)], "window": [f"{n}h" for n in range(1, 21)],
        "depth": [str(n) for n in range(20)], "at": [f"2026-03-{n:02}" for n in range(1, 21)],
    }  # fmt: skip
    threads = [threading.Thread(target=type_away, args=one) for one in work.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settled(made)

    assert {"ci": "erp 19", "window": "20h", "depth": "19", "at": "2026-03-20"} == {
        name: made.raw()[name] for name in work
    }
    assert "" == made._trouble.value
    assert len(told) >= 80


HOSTILE = "<img src=x onerror=alert(1)>\u202e$x^2$ \"'&"


def test_hostile_names_and_docs_are_text(tmp_path: Path, form: Callable[..., Form]) -> None:
    code = "<b>x</b>-1"
    row = {"tenant_id": "a", "ci_id": "1", "ci_code": code, "ci_name": HOSTILE, "ci_type": "<i>SW</i>"}
    write_world(tmp_path / "e", {"ci": [row]})

    async def asks(ops: Any, ci: CiCode, x: str = HOSTILE) -> None:
        """Ask."""

    asks.__doc__ = f"Ask.\n\nArgs:\n    ci: Is {HOSTILE}\n    x: <script>``<b>``\n"
    with ciops.connect(tmp_path / "e") as ops:
        made = form(asks, ops)
        box(made, "ci").value = "x"
        until(lambda: made._rows["ci"].shown)
        assert f"{code} – {HOSTILE} · <i>SW</i>".replace("\u202e", "⟨U+202E⟩") == made._rows["ci"].list.options[0][0]
        made._rows["ci"].list.index = 0
        until(lambda: "onerror" in said(made, "ci"))
        shown = [one.value for one in widgets_in(made) if isinstance(one, ipywidgets.HTML)]

    assert [] == [text for text in shown for bad in ("<img", "<script", "<b>", "<i>", "\u202e") if bad in text]
    assert not any(getattr(one, "description_allow_html", False) for one in widgets_in(made))


def widgets_in(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from widgets_in(child)
