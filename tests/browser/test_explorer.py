"""The explorer as a person has it: in a page of its own with the Python half beside, and in JupyterLab."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("playwright.sync_api", reason="NO BROWSER TESTS: playwright is not installed")

from playwright.sync_api import expect

import ciops_nb as ciops
from tests.browser.mounted import Mounted
from tests.views import sample

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
AXE = ROOT / "ciops_nb/views/js/node_modules/axe-core/axe.min.js"
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'\u202e\x07"
PLACE = """code => {
  const bed = document.querySelector(".ciops-x-bed"), cy = bed._cyreg.cy, frame = bed.getBoundingClientRect();
  const [key] = window.model.get("_world").nodes.find(([, row]) => row.code === code) ?? [null];
  const { x, y } = cy.$id(`n${key}`).renderedPosition();
  return [frame.left + x, frame.top + y];
}"""


@pytest.fixture(scope="module")
def ops() -> Iterator[Any]:
    with ciops.connect(ROOT / "data/demo") as ops:
        yield ops


@pytest.fixture
def mount(visit: Any) -> Callable[..., Mounted]:
    def mounted(source: Any, *args: Any, **options: Any) -> Mounted:
        made = Mounted(visit.page(), ciops.TopologyExplorer(source, *args, **options))
        made.page.wait_for_function("document.querySelector('.ciops-x-bed')._cyreg?.cy.nodes().nonempty()")
        return made

    return mounted


def place(page: Page, code: str) -> tuple[float, float]:
    x, y = page.evaluate(PLACE, code)
    return x, y


def shown(mounted: Mounted) -> int:
    return int(mounted.page.evaluate("document.querySelector('.ciops-x-bed')._cyreg.cy.nodes().length"))


def serious(page: Page) -> list[str]:
    """What axe holds against the widget."""
    if not AXE.is_file():
        pytest.skip("NO CHECK BY AXE: run python hatch_build.py --check, which installs it")
    page.add_script_tag(path=AXE)
    found = page.evaluate("() => axe.run('.ciops-x', { resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {node['html']} {node['failureSummary']}" for one in found["violations"] for node in one["nodes"]
    ]


# --- by mouse


def test_a_click_selects_shows_details_and_reaches_python(mount: Callable[..., Mounted]) -> None:
    mounted, heard = mount(sample.three_nodes()), []
    mounted.widget.observe(lambda change: heard.append(change["new"]), "selected")

    mounted.page.mouse.click(*place(mounted.page, "db-erp"))
    mounted.until(lambda: heard)

    assert ["db-erp"] == heard
    expect(mounted.page.get_by_role("application")).to_be_focused()
    side = mounted.page.get_by_label("Details")
    expect(side.get_by_role("heading", name="db-erp")).to_be_visible()
    expect(side).to_contain_text("database")
    expect(side.get_by_role("button", name="app-erp-01")).to_be_visible()
    expect(mounted.page.locator("[aria-live]")).to_have_text("db-erp, database, needed by 1, needs 0, 4 hidden")
    side.get_by_role("button", name="app-erp-01").click()
    mounted.until(lambda: mounted.widget.selected == "app-erp-01")


def test_shift_and_click_select_two_and_the_way_between_them_is_shown(mount: Callable[..., Mounted]) -> None:
    mounted = mount(sample.three_nodes())

    mounted.page.mouse.click(*place(mounted.page, "db-erp"))
    mounted.page.keyboard.down("Shift")
    mounted.page.mouse.click(*place(mounted.page, "sys-erp"))
    mounted.page.keyboard.up("Shift")
    mounted.until(lambda: mounted.widget.selection == ["db-erp", "sys-erp"])
    mounted.page.get_by_role("button", name="Path").click()

    banner = mounted.page.locator(".ciops-x-banner")
    mounted.until(banner.is_visible)
    expect(banner).to_have_text("1 way from db-erp to sys-erp, the shortest of 2 hops")


def test_expand_reaches_python_by_button_and_by_double_click(mount: Callable[..., Mounted]) -> None:
    graph = sample.estate(120)
    mounted = mount(graph, "sys-000", max_visible=8)
    first = mounted.widget.twin().text.splitlines()[1]
    assert first.startswith("8 of 120")
    code = next(row["code"] for _, row in mounted.widget._whole()["nodes"] if row.get("hidden") and row["hops"])

    mounted.page.mouse.dblclick(*place(mounted.page, code))
    mounted.until(lambda: shown(mounted) > 8)

    near = {*graph.successors(code), *graph.predecessors(code)}
    assert near <= {row["code"] for _, row in mounted.widget._whole()["nodes"]}
    before = shown(mounted)
    mounted.page.get_by_role("button", name="Collapse").click()
    mounted.until(lambda: shown(mounted) == 8)
    mounted.page.get_by_role("button", name="Expand", exact=True).click()
    mounted.until(lambda: shown(mounted) == before)


def test_a_click_still_hits_after_the_page_scrolled(mount: Callable[..., Mounted]) -> None:
    mounted = mount(sample.three_nodes())
    mounted.page.evaluate(
        "() => { const box = document.createElement('div'); box.style.cssText = 'height: 3000px';"
        "document.body.prepend(box); const end = document.createElement('div'); end.style.cssText = 'height: 900px'; document.body.append(end);"
        "document.querySelector('#at').scrollIntoView(); window.scrollBy(0, -37); }"
    )

    mounted.page.mouse.click(*place(mounted.page, "sys-erp"))

    mounted.until(lambda: mounted.widget.selected == "sys-erp")


def test_the_wheel_scrolls_the_page_and_zooms_only_with_control(mount: Callable[..., Mounted]) -> None:
    mounted = mount(sample.three_nodes())
    zoom = "document.querySelector('.ciops-x-bed')._cyreg.cy.zoom()"
    before = mounted.page.evaluate(zoom)

    mounted.page.mouse.move(*place(mounted.page, "db-erp"))
    mounted.page.mouse.wheel(0, -200)
    mounted.page.keyboard.down("Control")
    assert before == mounted.page.evaluate(zoom)
    mounted.page.mouse.wheel(0, -200)
    mounted.page.keyboard.up("Control")

    mounted.page.wait_for_function(f"{zoom} > {before * 1.2}")


# --- by keyboard


def test_everything_goes_by_keyboard(mount: Callable[..., Mounted]) -> None:
    mounted = mount(sample.three_nodes())
    page, widget = mounted.page, mounted.widget
    graph = page.get_by_role("application")
    for _ in range(30):
        page.keyboard.press("Tab")
        if graph.evaluate("one => one === document.activeElement"):
            break
    expect(graph).to_be_focused()

    for key, code in (
        ("ArrowRight", "app-erp-01"),
        ("ArrowLeft", "db-erp"),
        ("ArrowRight", "app-erp-01"),
        ("ArrowRight", "sys-erp"),
    ):
        page.keyboard.press(key)
        mounted.until(lambda code=code: widget.selected == code)
    page.keyboard.press("ArrowUp")
    expect(page.locator("[aria-live]")).to_contain_text("No neighbour that way")
    page.keyboard.press("u")
    mounted.until(page.locator(".ciops-x-banner").is_visible)
    expect(page.locator(".ciops-x-banner")).to_have_text("2 CIs that sys-erp needs; 1 CI not expanded")
    expect(page.get_by_role("button", name="Needs")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("x")
    mounted.until(lambda: not page.locator(".ciops-x-banner").is_visible())
    page.keyboard.press("?")
    expect(page.get_by_text("these keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("these keys")).to_be_hidden()
    page.keyboard.press("Escape")
    mounted.until(lambda: widget.selected is None)


def test_search_marks_matches_and_enter_walks_them(mount: Callable[..., Mounted]) -> None:
    mounted = mount(sample.estate(60), "sys-000", max_visible=60)
    page = mounted.page

    page.get_by_role("application").focus()
    page.keyboard.press("/")
    page.keyboard.type("que sw")
    expect(page.get_by_text("of 60 shown").first).to_be_visible()
    found = []
    for _ in range(3):
        before = mounted.widget.selected
        page.keyboard.press("Enter")
        mounted.until(lambda before=before: mounted.widget.selected != before)
        found.append(mounted.widget.selected)

    assert all(code.startswith("que-") for code in found)
    assert 3 == len(set(found))


def test_the_list_holds_the_same_and_works_alone(mount: Callable[..., Mounted]) -> None:
    mounted = mount(sample.estate(260), "sys-000", max_visible=250)
    page, widget = mounted.page, mounted.widget
    page.get_by_role("application").focus()

    page.keyboard.press("l")
    rows = page.get_by_role("table").locator("tbody tr")
    expect(rows).to_have_count(200)
    expect(page.get_by_text("1 to 200 of 250")).to_be_visible()
    expect(page.get_by_role("button", name="sys-000", exact=True).first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    second = widget._whole()["nodes"][1][1]["code"]
    mounted.until(lambda: widget.selected == second)
    expect(page.locator("tr[aria-current]")).to_contain_text(second)
    expect(page.locator("tr[aria-current] button")).to_be_focused()
    hidden = sum(bool(row.get("hidden")) for _, row in widget._whole()["nodes"])
    page.get_by_role("button", name="hidden neighbours").click()
    page.get_by_role("button", name="hidden neighbours").click()
    expect(page.get_by_role("columnheader", name="hidden neighbours")).to_have_attribute("aria-sort", "descending")
    assert hidden
    assert "0" != rows.first.locator("td").last.inner_text()
    page.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(50)


def test_another_moment_by_keyboard(mount: Callable[..., Mounted], ops: Any) -> None:
    mounted = mount(ops, "app-erp-01", depth=2)
    page, widget = mounted.page, mounted.widget

    page.get_by_role("application").focus()
    page.keyboard.press("t")
    slider = page.get_by_role("slider")
    mounted.until(slider.is_visible)
    slider.focus()
    page.keyboard.press("ArrowLeft")
    mounted.until(lambda: widget.as_of is not None and not widget.busy)

    assert slider.get_attribute("aria-valuetext").startswith(widget.as_of[:10])
    expect(page.locator(".ciops-x-status")).to_contain_text(f"as of {widget.as_of[:10]}")
    page.get_by_role("button", name="Compare from here").click()
    mounted.until(lambda: widget.compare_to == widget.as_of and not widget.busy)
    page.get_by_role("button", name="Now").click()
    mounted.until(lambda: widget.as_of is None and not widget.busy)
    expect(page.locator(".ciops-x-status")).to_contain_text("CIs:")


# --- what is seen


def test_the_colours_follow_the_theme_of_the_page(mount: Callable[..., Mounted]) -> None:
    mounted = mount(sample.three_nodes())
    page = mounted.page
    look = "() => { const cy = document.querySelector('.ciops-x-bed')._cyreg.cy; return [cy.nodes()[0].style('border-color'), cy.edges()[0].style('line-color')]; }"
    light = page.evaluate(look)

    page.evaluate("document.body.setAttribute('data-jp-theme-light', 'false')")

    page.wait_for_function("document.querySelector('.ciops-x').dataset.theme === 'dark'")
    dark = page.evaluate(look)
    assert "rgb(255,255,255)" == dark[0]
    assert light[0] != dark[0]


def test_what_is_marked_from_the_start_stands_out_at_once(mount: Callable[..., Mounted]) -> None:
    mounted = mount(sample.three_nodes(), highlight=["db-erp"])

    dim = "document.querySelector('.ciops-x-bed')._cyreg.cy.nodes('.dim').length"
    mounted.until(lambda: 2 == mounted.page.evaluate(dim))


def test_an_error_is_told_and_can_be_dismissed(mount: Callable[..., Mounted]) -> None:
    mounted = mount(sample.three_nodes())

    mounted.page.mouse.dblclick(*place(mounted.page, "db-erp"))

    alert = mounted.page.get_by_role("alert")
    mounted.until(alert.is_visible)
    expect(alert).to_contain_text("4 neighbours are not in this graph")
    mounted.page.get_by_role("button", name="Dismiss").click()
    mounted.until(lambda: not alert.is_visible())


def test_names_of_others_are_text_everywhere(mount: Callable[..., Mounted]) -> None:
    graph = sample.three_nodes()
    sample.node(graph, HOSTILE, HOSTILE, HOSTILE)
    graph.add_edge(HOSTILE, "app-erp-01", key="k", relation_type=HOSTILE, redundancy_group=HOSTILE)
    mounted = mount(graph, HOSTILE, highlight={HOSTILE: HOSTILE})
    page = mounted.page

    page.mouse.click(*place(page, HOSTILE))
    mounted.until(lambda: mounted.widget.selected == HOSTILE)
    page.get_by_role("button", name="List").click()

    said = page.locator(".ciops-x").inner_text()
    assert "<img src=x onerror=alert(1)><script>alert(2)</script>\"'⟨U+202E⟩⟨U+0007⟩" in said
    assert "\u202e" not in said
    assert 0 == page.locator(".ciops-x img, .ciops-x script").count()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(mount: Callable[..., Mounted], ops: Any, theme: str) -> None:
    mounted = mount(ops, "app-erp-01", depth=2)
    page = mounted.page
    page.evaluate("theme => document.body.setAttribute('data-jp-theme-light', String(theme === 'light'))", theme)
    page.wait_for_function("theme => document.querySelector('.ciops-x').dataset.theme === theme", arg=theme)

    assert [] == serious(page)
    page.mouse.click(*place(page, "db-erp-01"))
    mounted.until(lambda: mounted.widget.selected == "db-erp-01")
    for name in ("Impact", "Time", "Keys", "List"):
        page.get_by_role("button", name=name, exact=True).click()
    mounted.until(lambda: not mounted.widget.busy)
    mounted.widget.error = "Something went wrong"
    mounted.carry()
    assert [] == serious(page)


def test_five_thousand_are_drawn_without_elements_of_their_own(mount: Callable[..., Mounted]) -> None:
    mounted = mount(sample.estate(5000), "sys-000", max_visible=5000)
    page = mounted.page

    assert 5000 == shown(mounted)
    assert 300 > page.locator(".ciops-x *").count()
    assert 1000 > page.evaluate("document.querySelector('.ciops-x-bed')._cyreg.cy.width()")


# --- in JupyterLab

CELLS = (
    "import ciops_nb as ciops\nheard = []\n"
    f"ops = ciops.connect({str(ROOT / 'data/demo')!r})\n"
    "explorer = ciops.TopologyExplorer(ops, 'app-erp-01')\n"
    "explorer.observe(lambda change: heard.append(change['new']), 'selected')\n"
    "explorer",
    "1 + 1",
)
LAB_PLACE = """([cell, text]) => {
  const bed = document.querySelector(".ciops-x-bed"), cy = bed._cyreg.cy, frame = bed.getBoundingClientRect();
  const { x, y } = cy.nodes()[Number(text)].renderedPosition();
  return [frame.left + x, frame.top + y];
}"""


def test_in_jupyterlab_a_click_and_an_expansion_reach_the_kernel(lab: Any) -> None:
    notebook = lab.open(CELLS)
    notebook.run(0)
    page = notebook.page
    page.locator(".ciops-x-bed canvas").first.wait_for()
    page.wait_for_function("document.querySelector('.ciops-x-bed')._cyreg.cy.nodes().length === 5")

    page.mouse.click(*page.evaluate(LAB_PLACE, [0, "1"]))
    page.get_by_label("Details").get_by_text("owner").wait_for()
    assert ["db-erp-01"] == notebook.eval("heard")
    page.keyboard.press("e")
    page.wait_for_function("document.querySelector('.ciops-x-bed')._cyreg.cy.nodes().length === 8")

    assert 8 == notebook.eval("len(explorer._scene.shown)")


def test_in_jupyterlab_keys_belong_to_the_explorer_and_the_theme_is_followed(lab: Any) -> None:
    notebook = lab.open(CELLS)
    notebook.run(0)
    page = notebook.page
    page.get_by_role("application").focus()

    page.keyboard.press("ArrowRight")
    for key in "ddxx":  # d, d would delete the cell, x cut it
        page.keyboard.press(key)
    page.wait_for_function("document.querySelector('.ciops-x [aria-live]').textContent.startsWith('app-erp-01')")
    assert ["app-erp-01"] == notebook.eval("heard")
    assert 2 == page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length")

    notebook.theme("dark")
    page.wait_for_function("document.querySelector('.ciops-x').dataset.theme === 'dark'")


def test_the_saved_notebook_holds_the_twin_and_no_state_of_the_widget(lab: Any) -> None:
    notebook = lab.open(CELLS)
    notebook.run(0)
    notebook.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    name = notebook.page.evaluate("window.jupyterapp.shell.currentWidget.context.path")

    saved = json.loads((lab.ground.notebooks / name).read_text(encoding="utf-8"))

    [output] = saved["cells"][0]["outputs"]
    assert "".join(output["data"]["text/plain"]).startswith("TopologyExplorer of app-erp-01: view neighbors")
    assert "db-erp-01" in "".join(output["data"]["image/svg+xml"])
    assert "widgets" not in saved["metadata"]
