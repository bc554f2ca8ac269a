"""The recipe panel as a person has it: filled in, run, watched, cancelled, by mouse and by keyboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.chromium import wait_until
from tests.browser.servers import KERNELS

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).parents[2]
AXE = ROOT / "ciops_nb/views/js/node_modules/axe-core/axe.min.js"
SETUP = f"""
import asyncio, time, ciops_nb as ciops
ops = ciops.connect({str(ROOT / "data/demo")!r})

async def slowly(ops, ci: str, *, rounds: int = 40) -> ciops.Findings:
    "Ask again and again, with a pause each time."
    ids = []
    for number in range(rounds):
        found = await ops.ci_search(f"{{ci}} {{number}}", limit=1)
        ids.append(ciops.provenance(found).call_id)
        await asyncio.sleep(0.15)
    return ciops.Findings(ciops.Statement(f"{{ci}} was asked for {{rounds}} times.", tuple(ids)))
"""
# Milliseconds from a click on the first element to the second being there.
CLICK_UNTIL = """([click, selector, timeout]) => new Promise((resolve, reject) => {
  const start = performance.now();
  click.click();
  const look = () => {
    if (document.querySelector(selector)) resolve(performance.now() - start);
    else if (performance.now() - start > timeout) reject(new Error("not within " + timeout + " ms: " + selector));
    else requestAnimationFrame(look);
  };
  look();
})"""


def button(place: Locator, name: str) -> Locator:
    return place.get_by_role("button", name=name, exact=True)


def state(place: Locator, name: str) -> Locator:
    return place.locator(f'[data-state="{name}"]')


def spans(place: Locator) -> int:
    return place.locator(".ciops-waterfall .row").count()


def progress(place: Locator) -> str:
    return place.locator("progress").locator("..").inner_text()


def serious(page: Page) -> list[str]:
    """What axe finds in panels that is serious and ours: the knobs of ipywidgets' sliders have no names."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({ include: ['.ciops-view'], exclude: ['.noUi-handle'] })")
    return [
        f"{one['id']} ({one['impact']}): {json.dumps([node['html'][:200] for node in one['nodes'][:3]])}"
        for one in found["violations"] if one["impact"] in ("serious", "critical")
    ]  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_is_filled_in_run_watched_and_cancelled(lab: Any, kernel: str) -> None:
    panels = [
        "panel = ciops.RecipePanel(ops, slowly)\npanel",
        "other = ciops.RecipePanel(ops, slowly, ci='db', rounds=3)\nother",
    ]
    notebook = lab.open([SETUP, *panels, "time.sleep(2.5)"], kernel=kernel)
    for cell in range(3):
        notebook.run(cell)
    page, first, second = notebook.page, notebook.output(1), notebook.output(2)

    # Without the CI that is needed it is refused beside the field; with it it runs.
    button(first, "Run").click()
    state(first, "idle").wait_for()
    first.get_by_text("Is needed. See the field").wait_for()
    first.get_by_role("textbox", name="ci").fill("erp")
    button(first, "Run").click()
    state(first, "running").wait_for()

    # The spans grow while it goes on.
    wait_until(lambda: spans(first) >= 2)
    before = spans(first)
    wait_until(lambda: spans(first) > before)

    # A click still hits what it is aimed at after the page was scrolled, and a second panel is another one.
    notebook.scroll(400)
    button(second, "Run").click()
    state(second, "done").wait_for()
    second.get_by_text("db was asked for 3 times.").wait_for()
    state(first, "running").wait_for()
    notebook.scroll(-2000)

    # Cancel ends it within half a second.
    took = page.evaluate(CLICK_UNTIL, [button(first, "Cancel").element_handle(), '[data-state="cancelled"]', 5000])
    assert took < 500
    first.get_by_text("What had been answered before that").wait_for()
    assert notebook.eval("[panel.status, other.status, len(panel.run.calls) > 2]") == ["cancelled", "done", True]

    # While a cell blocks the kernel, the run and what is shown of it go on.
    button(first, "Run").click()
    state(first, "running").wait_for()
    wait_until(lambda: spans(first) >= 2)
    notebook.run(3, wait=False)
    prompt = notebook.cell(3).locator(".jp-InputPrompt")
    wait_until(lambda: "*" in prompt.inner_text())
    shown = progress(first)
    wait_until(lambda: progress(first) != shown)
    assert "*" in prompt.inner_text()
    button(first, "Cancel").click()
    state(first, "cancelled").wait_for()
    # Where ipykernel hands clicks to a thread of their own, Cancel is heard at once; else when the cell has ended.
    assert ("*" in prompt.inner_text()) == (not kernel.startswith("6."))
    notebook.wait_idle()


def test_by_keyboard_alone_the_focus_is_never_lost(lab: Any) -> None:
    notebook = lab.open([SETUP, "panel = ciops.RecipePanel(ops, slowly, ci='erp', rounds=4)\npanel"])
    notebook.run(0)
    notebook.run(1)
    page, place = notebook.page, notebook.output(1)

    def press_until(key: str, what: Locator, most: int = 30) -> None:
        for _ in range(most):
            page.keyboard.press(key)
            if what.evaluate("one => one === document.activeElement"):
                return
        raise AssertionError(f"{key} does not reach {what}")

    place.get_by_role("textbox", name="ci").focus()
    press_until("Tab", button(place, "Run"))
    page.keyboard.press("Enter")
    state(place, "running").wait_for()
    press_until("Tab", button(place, "Cancel"), 1)
    state(place, "done").wait_for()
    tabs = place.get_by_role("tab")
    assert tabs.all_inner_texts() == ["Findings", "Trace", "Completeness", "Code"]
    press_until("Tab", tabs.nth(0), 5)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    place.get_by_text("By tool").wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    place.get_by_text("import ciops_nb as ciops").wait_for()
    press_until("Shift+Tab", button(place, "Run"), 12)
    page.keyboard.press("Space")
    state(place, "running").wait_for()


def test_axe_finds_nothing_serious_in_light_and_dark(lab: Any) -> None:
    cells = [
        SETUP,
        "panel = ciops.RecipePanel(ops, 'triage', ci='app-erp-01', at='2026-03-02T10:00Z')\npanel",
        "ciops.RecipePanel(ops)",
    ]
    notebook = lab.open(cells)
    for cell in range(3):
        notebook.run(cell)
    page, place = notebook.page, notebook.output(1)
    assert serious(page) == []

    button(place, "Run").click()
    state(place, "done").wait_for()
    for name in ("Findings", "Trace", "Code", "What it needs"):
        place.get_by_role("tab", name=name).click()
        assert serious(page) == []
    node = place.locator("svg text:visible", has_text="sto-san-01").first
    node.wait_for()
    light = node.evaluate("one => getComputedStyle(one).fill")
    notebook.theme("dark")
    wait_until(lambda: node.evaluate("one => getComputedStyle(one).fill") != light)
    assert serious(page) == []


def test_on_a_page_of_voila(voila: Any) -> None:
    page = voila.open([SETUP, "panel = ciops.RecipePanel(ops, slowly, ci='erp', rounds=5)\npanel"])
    place = page.locator(".ciops-view")
    button(place, "Run").click()
    state(place, "running").wait_for()
    wait_until(lambda: spans(place) >= 2)
    state(place, "done").wait_for()
    place.get_by_text("erp was asked for 5 times.").wait_for()
    assert serious(page) == []


def test_it_is_on_screen_within_a_second(lab: Any) -> None:
    notebook = lab.open([SETUP, *["ciops.RecipePanel(ops, 'triage')"] * 3])
    notebook.run(0)
    took = []
    for cell in (1, 2, 3):
        took.append(notebook.seconds_until(cell, f'[data-windowed-list-index="{cell}"] .ciops-view button'))
        notebook.wait_idle()

    assert min(took) < 1.0  # the first of them imports what it is made of; other tests may keep the machine busy
