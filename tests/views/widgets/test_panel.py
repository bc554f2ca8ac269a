"""The recipe panel without a browser: its buttons are clicked, and what it shows is read."""

from __future__ import annotations

import asyncio
import hashlib
import html
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ipywidgets
import pandas as pd
import pytest

import ciops_nb as ciops
from ciops_nb import sync
from ciops_nb.engines.polars import PolarsTables
from ciops_nb.errors import BadParameter, EngineUnavailable, UnknownTool
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.views.widgets import outcome
from ciops_nb.views.widgets.panel import RecipePanel, matching
from tests.views.test_report import HOSTILE, SHOWN, Page
from tests.worlds import hours, write_world

from .test_control import until

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "data" / "demo"
BASE = {"tenant_id": "a", "valid_from": hours(0)}
RULE = "id: slow-application\nwhen: {metric: response_time, op: '>', value: 500}\nfor: 10m\n"
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    codes = ("app-1", "db-1", "srv-1")
    rows = {
        "ci": [{**BASE, "ci_id": f"id-{code}", "ci_code": code, "criticality": 3} for code in codes],
        "relation": [{**BASE, "source_id": "id-app-1", "target_id": "id-db-1", "relation_type": "DEPENDS_ON"}],
    }
    return write_world(tmp_path / "estate", rows)  # type: ignore[arg-type]


@pytest.fixture
def ops(estate: Path) -> Iterator[ciops.Ops]:
    with ciops.connect(estate) as session:
        yield session


# ── recipes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def look(ops: Any, ci: str, *, depth: int = 1) -> Findings:
    """What is this, and what is around it?"""
    item, near = await asyncio.gather(ops.ci_get_by_code(ci), ops.graph_expand(ci, depth=depth))
    some = await ops.ci_list_preview(limit=2)
    ids = [ciops.provenance(answer).call_id for answer in (item, near, some)]
    return Findings(
        Statement(f"{ci} has {len(near) - 1} neighbours.", tuple(ids[:2])),
        (Statement("There are some CIs.", (ids[2],)),),
        (
            Section("It", item, (ids[0],)), Section("Around", near, (ids[1],), picture="topology"),
            Section("In words", "nothing else"),
        ),
    )  # fmt: skip


class Gate:
    """Lets a recipe wait until the test says so."""

    def __init__(self) -> None:
        self.event, self.reached, self.cancels = asyncio.Event(), 0, 0

    async def wait(self) -> None:
        self.reached += 1
        await self.event.wait()

    def open(self) -> None:
        async def tell() -> None:
            self.event.set()

        sync.run(tell())


def waiting(gate: Gate) -> Callable[..., Any]:
    async def waits(ops: Any, ci: str = "app-1") -> Findings:
        """Ask, wait, and ask again."""
        await ops.ci_search("app")
        await gate.wait()
        found = await ops.ci_get_by_code(ci)
        return Findings(Statement(f"{ci} is there.", (ciops.provenance(found).call_id,)))

    return waits


def stubborn(gate: Gate) -> Callable[..., Any]:
    async def cleans_up(ops: Any) -> Findings:
        """Wait, and take its time to stop."""
        try:
            await asyncio.Event().wait()
        finally:
            await gate.wait()
        raise AssertionError

    return cleans_up


def breaking(away: list[bool]) -> Callable[..., Any]:
    async def breaks(ops: Any) -> Findings:
        """Fail as long as something is away."""
        found = await ops.ci_search("app")
        if away:
            raise EngineUnavailable("cmdb", "<b>is away</b>\u202e", "Try again later")
        return Findings(Statement("It is back.", (ciops.provenance(found).call_id,)))

    return breaks


# ── what a person sees and does ─────────────────────────────────────────────────────────────────────────────────────


def widgets(panel: RecipePanel, kind: type) -> list[Any]:
    return [widget for widget in panel._owned() if isinstance(widget, kind)]


def button(panel: RecipePanel, name: str) -> Any:
    (found,) = [one for one in widgets(panel, ipywidgets.Button) if one.description == name]
    return found


def click(panel: RecipePanel, name: str) -> None:
    """Click a button that can be clicked."""
    assert not button(panel, name).disabled, f"{name} is disabled"
    button(panel, name).click()


def titles(panel: RecipePanel) -> list[str]:
    (tab,) = widgets(panel, ipywidgets.Tab)
    return list(tab.titles)


def page(panel: RecipePanel, title: str) -> str:
    """The HTML of the page of a tab."""
    (tab,) = widgets(panel, ipywidgets.Tab)
    return "".join(html_of(tab.children[titles(panel).index(title)]))


def html_of(widget: Any) -> Iterator[str]:
    if isinstance(widget, ipywidgets.HTML):
        yield widget.value
    for child in getattr(widget, "children", ()):
        yield from html_of(child)


def shown(panel: RecipePanel) -> str:
    """All the text outside of the tabs."""
    return words("".join(part for child in panel.children[1:-1] for part in html_of(child)))


def words(text: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", text)).split())


def pictured(panel: RecipePanel, title: str) -> bool:
    return "<svg" in page(panel, title)


def run_to_the_end(panel: RecipePanel) -> Any:
    click(panel, "Run")
    return panel.wait.sync()


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_gives_the_run_that_the_session_gives(ops: ciops.Ops) -> None:
    panel = RecipePanel(ops, look, ci="app-1")
    assert ("idle", None, "look") == (panel.status, panel.run, panel.recipe)
    assert "app-1" == panel.params["ci"]

    panel.start()
    run = panel.wait.sync()

    assert ("done", run) == (panel.status, panel.run)
    compared = ops.compare(run, ops.run.sync(look, ci="app-1"))
    assert {"same"} == set(compared["status"])
    assert 4 == len(compared)


def test_it_shows_findings_sections_trace_completeness_and_code(ops: ciops.Ops) -> None:
    panel = RecipePanel(ops, look, ci="app-1")

    run_to_the_end(panel)

    assert ["Findings", "It", "Around", "In words", "Trace", "Completeness", "Code"] == titles(panel)
    findings = words(page(panel, "Findings"))
    assert (
        "app-1 has 1 neighbours. [1 ci_get_by_code, 2 graph_expand] Found There are some CIs. [3* ci_list" in findings
    )
    assert "* an answer that is not complete" in findings
    assert "It · 1 row, all shown" in words(page(panel, "It"))
    assert "1 ci_get_by_code · polars · tenant a · data " in words(page(panel, "It"))
    assert "nothing else" in words(page(panel, "In words"))
    assert "graph_expand 1 0 0 2" in words(page(panel, "Trace"))
    whole = words(page(panel, "Completeness"))
    assert "1 of 3 calls is not complete. Call 3, ci_list_preview: truncated, 2 of 3. Left out: 1 " in whole
    assert "look: done, 3 calls, truncated" in shown(panel)
    until(lambda: pictured(panel, "Around"))


def test_a_run_that_ended_before_anybody_looked_is_shown_like_any_other(
    ops: ciops.Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = RecipePanel(ops, look, ci="app-1")
    monkeypatch.setattr(panel._control, "_told", lambda now: None)

    run_to_the_end(panel)

    assert ["Findings", "It", "Around", "In words", "Trace", "Completeness", "Code"] == titles(panel)
    assert "look: done" in shown(panel)


def test_a_whole_answer_is_said_to_be_complete(ops: ciops.Ops) -> None:
    gate = Gate()
    panel = RecipePanel(ops, waiting(gate))
    panel.start()
    gate.open()
    panel.wait.sync()

    assert "All 2 answers are complete: nothing is left out of them. There are no warn" in words(
        page(panel, "Completeness")
    )
    assert "waits: done, 2 calls, complete" in shown(panel)


def test_what_goes_on_is_shown_while_it_runs(ops: ciops.Ops) -> None:
    gate = Gate()
    panel = RecipePanel(ops, waiting(gate))

    click(panel, "Run")
    until(lambda: "1 of 1 calls answered" in shown(panel))

    assert ("running", True, False) == (panel.status, button(panel, "Run").disabled, button(panel, "Cancel").disabled)
    assert "waits: running" in shown(panel)
    assert "ci_search 1 of 1 answered" in words(page(panel, "Trace"))
    assert "waits is running" in page(panel, "Findings")
    assert "RecipePanel: waits" in repr(panel)
    gate.open()
    panel.wait.sync()
    assert ("done", False, True) == (panel.status, button(panel, "Run").disabled, button(panel, "Cancel").disabled)
    assert "calls answered" not in shown(panel)


def test_what_is_waited_for_is_shown(ops: ciops.Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, go_on, run = Gate(), threading.Event(), PolarsTables.run

    def slow(self: Any, *args: Any) -> Any:
        assert go_on.wait(10)
        return run(self, *args)

    panel = RecipePanel(ops, waiting(gate))
    click(panel, "Run")
    until(lambda: gate.reached == 1)
    monkeypatch.setattr(PolarsTables, "run", slow)
    gate.open()
    until(lambda: "1 of 2 calls answered, waiting for ci_get_by_code" in shown(panel))

    assert re.search(r"ci_get_by_code 0 of 1 answered waiting, \d\.\d s", words(page(panel, "Trace")))
    go_on.set()
    assert "done" == panel.wait.sync().status


def test_a_source_that_hangs_before_anything_has_begun_holds_up_no_callback(
    ops: ciops.Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(type(ops), "now", hang)
    panel = RecipePanel(ops, look, ci="app-1")
    click(panel, "Run")
    until(lambda: "The source is asked what time it is there." in shown(panel))

    click(panel, "Cancel")
    panel.wait.sync()

    assert ("cancelled", None) == (panel.status, panel.run)
    assert "It was cancelled before it had begun." in words(page(panel, "Findings"))


def test_the_button_cancels_and_what_was_answered_is_shown(ops: ciops.Ops) -> None:
    gate = Gate()
    panel = RecipePanel(ops, waiting(gate))
    click(panel, "Run")
    until(lambda: gate.reached == 1)

    click(panel, "Cancel")
    panel.wait.sync()

    assert "cancelled" == panel.status == panel.run.status
    findings = words(page(panel, "Findings"))
    assert (
        "The run was cancelled and has no findings. What had been answered before that call tool asked answer 1 ci_search keywords=app"
        in findings
    )
    assert "This run is not complete: it was cancelled." in page(panel, "Completeness")
    assert button(panel, "Write report").disabled
    gate.open()
    click(panel, "Resume")
    assert "done" == panel.wait.sync().status


def test_one_that_cleans_up_is_being_cancelled_and_a_start_is_refused_in_words(ops: ciops.Ops) -> None:
    gate = Gate()
    panel = RecipePanel(ops, stubborn(gate))
    click(panel, "Run")
    until(lambda: panel.run is not None)
    click(panel, "Cancel")
    until(lambda: gate.reached == 1)

    assert "cancelling" == panel.status
    until(lambda: "cleans_up: being cancelled" in shown(panel))
    assert button(panel, "Cancel").disabled
    button(panel, "Run").click()
    assert "cleans_up is still being cancelled. Wait for its end, or cancel it" in shown(panel)
    gate.open()
    panel.wait.sync()
    assert "cancelled" == panel.status


def test_of_clicks_from_many_threads_one_starts_and_the_others_are_told(ops: ciops.Ops) -> None:
    gate = Gate()
    panel = RecipePanel(ops, waiting(gate))
    together = threading.Barrier(8)

    def press() -> None:
        together.wait(10)
        button(panel, "Run").click()

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert "waits is still running" in shown(panel)
    gate.open()
    panel.wait.sync()
    assert 1 == len(ops.runs)
    assert "done" == panel.status


def test_a_failure_is_told_in_words_beside_what_was_answered_and_resumed(ops: ciops.Ops) -> None:
    away = [True]
    panel = RecipePanel(ops, breaking(away))

    run_to_the_end(panel)

    assert "failed" == panel.status
    findings = page(panel, "Findings")
    assert "EngineUnavailable: Engine cmdb: &lt;b&gt;is away&lt;/b&gt;⟨U+202E⟩. Try again later" in findings
    assert "What had been answered before that call tool asked answer 1 ci_search" in words(findings)
    ops.cache.clear()
    failed = panel.run
    away.clear()
    click(panel, "Resume")
    run = panel.wait.sync()
    assert ("done", "It is back.") == (panel.status, run.findings.headline.text)
    assert run.recorded[0].answer is failed.recorded[0].answer  # it was not asked again


def test_what_cannot_begin_says_why_and_the_next_start_works(ops: ciops.Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = RecipePanel(ops, look, ci="app-1")

    async def away(*_: Any, **__: Any) -> Any:
        raise EngineUnavailable("polars", "the disk is gone", "Mount it")

    with monkeypatch.context() as broken:
        broken.setattr(type(ops), "now", away)
        run_to_the_end(panel)
    assert ("failed", None) == (panel.status, panel.run)
    assert "It could not begin. Engine polars: the disk is gone. Mount it" in words(page(panel, "Findings"))
    assert "It could not begin" in repr(panel)

    assert "done" == run_to_the_end(panel).status


def test_a_second_run_keeps_the_first_for_its_ghost_bars(ops: ciops.Ops) -> None:
    panel = RecipePanel(ops, look, ci="app-1")
    first = run_to_the_end(panel)
    second = run_to_the_end(panel)

    assert (second, first) == (panel._waterfall.run, panel._waterfall.previous)


# ── choosing and typing ─────────────────────────────────────────────────────────────────────────────────────────────


def test_recipes_are_found_by_words_of_their_names_and_purposes(ops: ciops.Ops) -> None:
    panel = RecipePanel(ops)
    (search,) = [one for one in widgets(panel, ipywidgets.Text) if one.description == "Recipe"]
    (found,) = widgets(panel, ipywidgets.Select)

    assert {"blast_radius", "lookup", "triage"} < set(panel._recipes)
    assert button(panel, "Run").disabled
    assert ("triage – What is hurt, what changed, and what moved first around one CI at one moment?", "triage") in list(
        found.options
    )
    search.value = "moved first"
    assert ["triage"] == [name for _, name in found.options]
    assert "triage" == panel.recipe
    assert not button(panel, "Run").disabled
    search.value = "no such thing"
    assert ((), "triage") == (found.options, panel.recipe)
    assert "No recipe has these words." in shown(panel)
    search.value = ""
    found.value = "lookup"
    assert "lookup" == panel.recipe


def test_an_exact_name_comes_first() -> None:
    async def path(ops: Any) -> Findings:
        """How are two CIs connected?"""
        raise AssertionError

    async def a_path(ops: Any) -> Findings:
        """Another path."""
        raise AssertionError

    assert ["path", "a_path"] == matching({"a_path": a_path, "path": path}, " PATH ")


def test_the_list_of_recipes_opens_and_closes_with_a_button_that_stays(ops: ciops.Ops) -> None:
    panel = RecipePanel(ops, "lookup")
    toggle = button(panel, "Choose another recipe")
    toggle.click()
    assert "Hide the list" == toggle.description
    (found,) = widgets(panel, ipywidgets.Select)
    assert "lookup" == found.value


def test_what_was_typed_is_there_again_when_the_cell_is_run_again(ops: ciops.Ops, estate: Path) -> None:
    first = RecipePanel(ops, "lookup")
    first._form.fill({"text": "erp db"})

    assert "erp db" == RecipePanel(ops, "lookup").params["text"]
    assert "erp db" == RecipePanel(ops).params["text"]
    assert "other" == RecipePanel(ops, "lookup", text="other").params["text"]
    with ciops.connect(estate) as another:
        assert RecipePanel(another).recipe is None


def test_two_panels_of_one_session_are_independent(ops: ciops.Ops) -> None:
    gate = Gate()
    one, other = RecipePanel(ops, waiting(gate)), RecipePanel(ops, look, ci="app-1")
    click(one, "Run")
    until(lambda: gate.reached == 1)

    assert "done" == run_to_the_end(other).status
    assert ("running", "done") == (one.status, other.status)
    assert other.run is not one.run
    other.cancel()
    gate.open()
    assert "done" == one.wait.sync().status


@pytest.mark.parametrize(
    ("recipe", "params", "kind", "said"),
    [
        ("triag", {}, UnknownTool, "triage"),
        ("triage", {"cy": "app-1"}, BadParameter, "Use ci"),
        (None, {"ci": "app-1"}, BadParameter, "Name the recipe"),
    ],
)
def test_what_cannot_be_meant_is_refused(ops: ciops.Ops, recipe: Any, params: Any, kind: Any, said: str) -> None:
    with pytest.raises(kind, match=said):
        RecipePanel(ops, recipe, **params)


def test_a_form_that_is_not_filled_in_is_not_run(ops: ciops.Ops) -> None:
    panel = RecipePanel(ops, look)

    click(panel, "Run")

    assert "idle" == panel.status
    assert "ci='': Is needed. See the field" in shown(panel)
    with pytest.raises(BadParameter, match="ci='': Is needed"):
        panel.start()
    with pytest.raises(BadParameter, match="none is chosen"):
        RecipePanel(ciops.connect(DEMO)).start()
    with pytest.raises(BadParameter, match="nothing to resume"):
        panel.resume()


def test_whatever_goes_wrong_in_a_callback_is_shown(ops: ciops.Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = RecipePanel(ops, look, ci="app-1")
    monkeypatch.setattr(panel._form, "params", lambda: 1 / 0)

    click(panel, "Run")

    assert "ZeroDivisionError: division by zero" in shown(panel)
    assert 'role="alert"' in panel._message.value


def test_whatever_goes_wrong_at_home_is_shown(ops: ciops.Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = RecipePanel(ops, look, ci="app-1")
    monkeypatch.setattr(panel, "_look", lambda now: 1 / 0)

    run_to_the_end(panel)

    assert "ZeroDivisionError: division by zero" in shown(panel)


def test_a_closed_panel_shows_nothing_more_and_lets_the_run_go_on(ops: ciops.Ops) -> None:
    gate = Gate()
    panel = RecipePanel(ops, waiting(gate))
    panel.start()
    until(lambda: gate.reached == 1)
    status = panel._status.value

    panel.close()
    gate.open()

    assert "done" == panel.wait.sync().status
    assert status == panel._status.value


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_report_and_the_run_are_written_where_the_boxes_say(ops: ciops.Ops, tmp_path: Path) -> None:
    panel = RecipePanel(ops, look, ci="app-1")
    run = run_to_the_end(panel)
    to_report, to_run = (
        one for one in widgets(panel, ipywidgets.Text) if one.description in ("Report to", "Run to")
    )  # fmt: skip
    assert ("look-app-1.html", "look-app-1.ciops") == (to_report.value, to_run.value)

    to_report.value, to_run.value = str(tmp_path / "r.html"), str(tmp_path / "r.ciops")
    click(panel, "Write report")
    until(lambda: f"Written to {tmp_path / 'r.html'}" in page(panel, "Findings"))
    until(lambda: not button(panel, "Write report").disabled)
    click(panel, "Save run")
    until(lambda: f"Written to {tmp_path / 'r.ciops'}" in page(panel, "Findings"))

    assert "app-1 has 1 neighbours." in (tmp_path / "r.html").read_text()
    assert {"same"} == set(ops.compare(run, ciops.replay(tmp_path / "r.ciops"))["status"])


def test_a_path_that_cannot_be_written_is_told_beside_the_button(ops: ciops.Ops, tmp_path: Path) -> None:
    panel = RecipePanel(ops, look, ci="app-1")
    run_to_the_end(panel)
    (to_report,) = [one for one in widgets(panel, ipywidgets.Text) if one.description == "Report to"]

    to_report.value = str(tmp_path / "no" / "r.html")
    click(panel, "Write report")
    until(lambda: "its folder does not exist" in page(panel, "Findings"))
    to_report.value = " "
    until(lambda: not button(panel, "Write report").disabled)
    click(panel, "Write report")
    assert "names no file. Such as look-app-1.html" in shown(panel)


# ── code ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def executed(code: str) -> Any:
    """The run that some code gives."""
    body = "".join(f"    {line}\n" for line in code.splitlines())
    space: dict[str, Any] = {}
    exec(f"async def again():\n{body}    return ops, run\n", space)
    return sync.run(space["again"]())


def code_in(panel: RecipePanel) -> str:
    found = re.search("<pre[^>]*>(.*)</pre>", page(panel, "Code"), re.DOTALL)
    assert found
    return html.unescape(found[1])


@pytest.mark.parametrize(
    ("recipe", "params"),
    [
        ("triage", {"ci": "app-erp-01", "at": "2026-03-02T10:00Z"}),
        ("lookup", {"text": "erp 'db' \"x\" \\ \u202e"}),
        ("inventory", {}),
        ("blast_radius", {"ci": "sto-san-01", "at": "2026-03-02T10:00Z", "relations": ["DEPENDS_ON", "USES"]}),
        ("path", {"source": "app-erp-01", "target": "sto-san-01", "direction": "upstream", "k": 2}),
        ("what_changed", {"ci": "app-erp-01", "at": datetime(2026, 3, 2, 10, tzinfo=UTC), "window": "6h"}),
        ("rule_review", {"rule": RULE, "time_range": "all", "ci": ["app-erp-01", "db-erp-01"]}),
    ],
)
@pytest.mark.parametrize("how", [{}, {"tz": "Europe/Berlin", "frames": "polars", "now": "2026-03-03T00:00Z"}])
def test_the_code_gives_the_same_run(recipe: str, params: dict[str, Any], how: dict[str, Any]) -> None:
    with ciops.connect(f"duckdb:{DEMO}" if how else DEMO, **how) as ops:
        panel = RecipePanel(ops, recipe, **params)
        run = run_to_the_end(panel)
        code = code_in(panel)

        again_ops, again = executed(code)

        assert "done" == run.status
        assert {"same"} == set(ops.compare(run, again)["status"])
        assert (run.id, run.settings, ops.engine) == (again.id, again.settings, again_ops.engine)
        again_ops.close()


def test_the_code_leaves_out_what_is_taken_anyway() -> None:
    with ciops.connect(DEMO) as ops:
        panel = RecipePanel(ops, "triage", ci="app-erp-01", at="2026-03-02T10:00Z")
        run_to_the_end(panel)

        assert [
            "import ciops_nb as ciops",
            "",
            f'ops = ciops.connect("{DEMO}")',
            'run = await ops.run("triage", ci="app-erp-01", at="2026-03-02T10:00Z")',
        ] == code_in(panel).splitlines()


def test_the_code_of_a_live_estate_says_what_time_it_was(tmp_path: Path) -> None:
    folder = write_world(tmp_path / "live", {"ci": [{**BASE, "ci_id": "id-1", "ci_code": "app-1", "criticality": 3}]})
    manifest = (folder / "estate.toml").read_text()
    (folder / "estate.toml").write_text(manifest.replace('clock = "data"', 'clock = "wall"'))
    with ciops.connect(folder) as ops:
        assert ops.is_live()
        panel = RecipePanel(ops, look, ci="app-1")
        run = run_to_the_end(panel)

        now = run.now.isoformat().replace("+00:00", "Z")
        assert f'now="{now}")' in code_in(panel)
        assert "ops.run(look, " in code_in(panel)


# ── what is hostile, long and cut ───────────────────────────────────────────────────────────────────────────────────


async def hostile(ops: Any, ci: str = HOSTILE) -> Findings:
    """<script>alert('x')</script>\u202e"""
    found = await ops.ci_search("app")
    ids = (ciops.provenance(found).call_id, HOSTILE)
    frame = pd.DataFrame({HOSTILE: [HOSTILE] * 130})
    sections = (
        Section(HOSTILE, frame, ids, text=HOSTILE),
        Section("wide", pd.DataFrame([dict.fromkeys("abcdefgh", HOSTILE)])),
    )
    return Findings(Statement(HOSTILE, ids), (Statement(HOSTILE, ids),), sections, unknown=(Statement(HOSTILE, ids),))


def test_hostile_texts_are_texts_everywhere(ops: ciops.Ops) -> None:
    panel = RecipePanel(ops, hostile)
    run_to_the_end(panel)

    pages = [part for child in panel.children for part in html_of(child) if not part.startswith("<style>")]
    pages.append(panel.twin().html or "")
    for part in pages:
        read = Page(part)
        assert {"script", "style", "iframe", "img", "a"}.isdisjoint(tag for tag, _ in read.tags)
        assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)
        assert "\u202e" not in part
        assert "\x00" not in part
    everything = " ".join("".join(text for _, text in Page(part).raw) for part in pages)
    assert everything.count(SHOWN) > 100
    assert not any("\u202e" in title for title in titles(panel))
    assert "\u202e" not in panel.twin().text


def test_a_table_shows_its_first_hundred_rows_and_says_how_many_there_are(ops: ciops.Ops) -> None:
    panel = RecipePanel(ops, hostile)
    run_to_the_end(panel)

    (title,) = [title for title in titles(panel) if title.startswith("<script>")]
    assert "100 of 130 rows shown" in words(page(panel, title))
    assert 100 == page(panel, title).count("<td")
    assert "20 of 130 rows shown" in words(panel.twin().html or "")


# ── the twin ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def triage() -> Iterator[RecipePanel]:
    with ciops.connect(DEMO) as ops:
        panel = RecipePanel(ops, "triage", ci="app-erp-01", at="2026-03-02T10:00Z")
        panel.start()
        panel.wait.sync()
        yield panel


def test_the_text_of_the_twin_is_exact(ops: ciops.Ops) -> None:
    panel = RecipePanel(ops, look, ci="app-1")
    assert 'RecipePanel: look(ci="app-1"): not run' == panel._repr_mimebundle_()["text/plain"]

    run_to_the_end(panel)

    assert [
        'RecipePanel: look(ci="app-1"): done',
        "",
        "app-1 has 1 neighbours.",
        "",
        "Found:",
        "  - There are some CIs.",
        "",
        "3 calls, 1 of them not complete: truncated",
    ] == panel._repr_mimebundle_()["text/plain"].splitlines()


def test_the_twin_of_a_run_that_did_not_end_well_says_so(ops: ciops.Ops) -> None:
    panel = RecipePanel(ops, breaking([True]))
    run_to_the_end(panel)

    assert [
        "RecipePanel: breaks(): failed",
        "",
        "It failed: EngineUnavailable: Engine cmdb: <b>is away</b>⟨U+202E⟩. Try again later",
        "1 call before that: partial",
    ] == panel.twin().text.splitlines()
    assert "What had been answered before that" in (panel.twin().html or "")


def test_the_twin_shows_findings_tables_pictures_and_code_without_scripts_or_sheets(triage: RecipePanel) -> None:
    bundle = triage._repr_mimebundle_()
    assert {"text/plain", "text/html", VIEW} == set(bundle)
    read = Page(bundle["text/html"])

    assert 200_000 > len(bundle["text/html"].encode())
    assert {"script", "style", "link", "img", "details"}.isdisjoint(tag for tag, _ in read.tags)
    assert 5 == len(read.named("svg"))
    assert "var(--ink)" not in bundle["text/html"]
    assert "20 of 29 rows shown" in words(bundle["text/html"])
    assert "All 7 answers are complete" in words(bundle["text/html"])
    assert 'run = await ops.run("triage", ci="app-erp-01", at="2026-03-02T10:00Z")' in html.unescape(
        bundle["text/html"]
    )
    assert "cached" not in bundle["text/html"]
    assert "duration" not in bundle["text/html"]


def test_a_twin_that_would_be_too_large_says_what_is_left_out(
    triage: RecipePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "left out here: it would make this too large. The report of the run has it."
    counts = []
    for largest in (190_000, 100_000, 40_000, 15_000):
        monkeypatch.setattr(outcome, "LARGEST", largest)
        cut = triage.twin().html or ""
        assert largest > len(cut.encode())
        counts.append((cut.count("<svg"), cut.count(f"The picture is {why}"), cut.count(f"This section is {why}")))
        parts = re.split('<div [^>]*role="heading"[^>]*>', cut)
        for section in triage.run.findings.sections:
            (part,) = [one for one in parts if one.startswith(section.title)]
            told = ["<svg" in part, f"The picture is {why}" in part, f"This section is {why}" in part]
            assert (section.picture is not None or told[2]) == (sum(told) == 1)

    assert (5, 0, 0) == counts[0]
    assert [count[0] for count in counts] == sorted((count[0] for count in counts), reverse=True)
    assert counts[1][1]
    assert counts[3][2]


def test_the_twin_has_the_same_bytes_twice_and_under_two_hash_seeds(triage: RecipePanel) -> None:
    code = (
        "import hashlib, ciops_nb as ciops\n"
        f"ops = ciops.connect({str(DEMO)!r})\n"
        "panel = ciops.RecipePanel(ops, 'triage', ci='app-erp-01', at='2026-03-02T10:00Z')\n"
        "panel.start(); panel.wait.sync()\n"
        "twin = panel.twin()\n"
        "print(hashlib.sha256((twin.text + twin.html).encode()).hexdigest())\n"
    )
    twin = triage.twin()
    here = hashlib.sha256((twin.text + (twin.html or "")).encode()).hexdigest()

    assert [here, here] == [ran(code, PYTHONHASHSEED=seed).strip() for seed in ("1", "2")]


def test_a_panel_is_there_before_matplotlib_pandas_and_rules(estate: Path) -> None:
    code = (
        "import sys, ciops_nb as ciops\n"
        f"ops = ciops.connect({str(estate)!r})\n"
        "panel = ciops.RecipePanel(ops)\n"
        "panel._repr_mimebundle_()\n"
        "print(sorted({'matplotlib', 'pandas', 'jinja2', 'networkx', 'pydantic'} & set(sys.modules)))\n"
    )
    assert "[]\n" == ran(code)


def ran(code: str, **more: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout
