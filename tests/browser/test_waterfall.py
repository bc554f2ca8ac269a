"""The waterfall in a real browser: what is seen, clicked and heard, on a page with a model and without a kernel."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ciops_nb.execution.trace import Span
from ciops_nb.views.widgets.waterfall import TraceWaterfall
from tests.browser.mounted import Mounted
from tests.views.test_waterfall import HOSTILE, every_mark, span

LAB = (
    "dt { float: left; width: 20%; display: inline-block; } dd { width: 80%; margin-bottom: 0.5em; }"  # of its outputs
)


@pytest.fixture
def mount(visits: Callable[..., Any]) -> Iterator[Callable[..., Mounted]]:
    made: list[Mounted] = []

    def mount(spans: list[Span], previous: list[Span] | None = None, width: int = 900, ground: str = "#fff") -> Mounted:
        page = visits(viewport={"width": width, "height": 800}).page()
        host = f"<html lang=en><title>t</title><style>{LAB}</style><body style='margin:8px;background:{ground}'><main id=at>"
        made.append(Mounted(page, TraceWaterfall(spans, previous=previous), host=host))
        page.wait_for_selector(".row" if spans else ".title strong")
        return made[-1]

    yield mount
    for one in made:
        one.widget.close()


def marks() -> list[Span]:
    return [*every_mark(), span("b1", "b", 10, 90, kind="query"), span("b2", "b", 20, 190, kind="query")]


def slower(spans: list[Span]) -> list[Span]:
    return [replace(one, duration_ns=one.duration_ns * 2) for one in spans]


def many(calls: int) -> list[Span]:
    dice = random.Random(3)
    spans = [span("run", None, 0, 1_000, "triage", kind="run")]
    for number in range(calls):
        start = dice.uniform(0, 900)
        spans.append(span(f"{number:05}", "run", start, start + dice.uniform(0, 100)))
        spans.append(span(f"q{number:05}", f"{number:05}", start, start, kind="query"))
    return spans


def selected(mounted: Mounted) -> list[str | None]:
    """What the page has told Python to be selected, one after the other."""
    return [message["state"]["selected"] for message in mounted.heard]


def focused(page: Any) -> str | None:
    found: str | None = page.evaluate("document.activeElement.dataset.id ?? null")
    return found


def test_the_rows_are_a_tree_and_say_what_they_are(mount: Callable[..., Mounted]) -> None:
    page = mount(marks(), slower(marks())).page
    row = page.locator('.row[data-id="b"]')

    assert "8" == page.locator('[role="treegrid"]').get_attribute("aria-rowcount")
    assert "false" == row.get_attribute("aria-expanded")
    assert ("2", "2", "6") == tuple(row.get_attribute(f"aria-{name}") for name in ("level", "posinset", "setsize"))
    assert "tool graph_expand, 200 ms, 200 ms shorter, truncated, 2 retries" in row.get_attribute("aria-label")
    assert "2 spans folded" == page.locator(".told").inner_text()
    page.get_by_role("button", name="Unfold all").click()
    assert "true" == row.get_attribute("aria-expanded")
    assert 9 == page.locator(".row").count()
    page.get_by_role("button", name="Fold queries").click()
    assert 7 == page.locator(".row").count()


def test_hostile_text_is_text(mount: Callable[..., Mounted]) -> None:
    mounted = mount(marks())
    page = mounted.page
    mounted.widget.selected = "d"
    mounted.until(page.locator(".details dl dd.error").is_visible)

    assert "⟨U+202E⟩" in page.locator('.row[data-id="run"] .label').inner_text()
    assert "<script>alert('x')</script>⟨U+202E⟩" in page.locator("dd.error").inner_text()
    assert HOSTILE not in page.content()
    assert page.locator("dt", has_text="parameters").bounding_box()["height"] < 25
    assert 0 == page.locator("#at script, #at b, #at i").count()


@pytest.mark.parametrize("width", [400, 620, 1400])
def test_no_words_lie_over_a_bar_and_nothing_sticks_out(mount: Callable[..., Mounted], width: int) -> None:
    page = mount(marks(), slower(marks()), width).page
    page.get_by_role("button", name="Unfold all").click()
    page.wait_for_function("document.querySelectorAll('.row').length === 9")
    places = page.evaluate("""() => {
      const place = (node) => { const box = node.getBoundingClientRect(); return [box.left, box.top, box.right, box.bottom]; };
      const all = (names) => [...document.querySelectorAll(names)].filter((node) => node.offsetParent).map(place);
      return { words: all(".row .words, .row .chip, .row .label"), bars: all(".row .bar, .row .ghost"),
               grid: place(document.querySelector(".grid")), wide: document.documentElement.scrollWidth };
    }""")

    for left, top, right, bottom in places["words"]:
        assert places["grid"][0] <= left < right <= places["grid"][2] + 1
        for a, b, c, d in places["bars"]:
            assert right <= a or c <= left or bottom <= b or d <= top
    assert places["wide"] <= width


def test_the_keys_walk_fold_and_select(mount: Callable[..., Mounted]) -> None:
    mounted = mount(marks())
    page = mounted.page
    page.keyboard.press("Tab")  # past the button
    page.keyboard.press("Tab")
    assert "run" == focused(page)

    found = []
    for key in (
        "ArrowDown",
        "ArrowDown",
        "ArrowRight",
        "ArrowRight",
        "ArrowLeft",
        "ArrowLeft",
        "ArrowLeft",
        "End",
        "Home",
    ):
        page.keyboard.press(key)
        found.append(focused(page))
    assert ["a", "b", "b", "b1", "b", "b", "run", "f", "run"] == found
    assert ["run"] == page.evaluate(
        "[...document.querySelectorAll('.row[tabindex=\"0\"]')].map((row) => row.dataset.id)"
    )
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector('.row[data-id="a"][aria-selected="true"]')
    page.keyboard.press("Escape")
    page.wait_for_selector('.row[data-id="a"][aria-selected="false"]')
    mounted.until(lambda: ["a", None] == selected(mounted))
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert "solid" == outline


def test_a_click_selects_and_only_the_selected_is_announced(mount: Callable[..., Mounted]) -> None:
    mounted = mount(marks())
    page = mounted.page
    page.locator('.row[data-id="c"] .words').click()
    page.wait_for_selector(".details")

    assert "Asking the kernel" in page.locator(".details").inner_text()
    mounted.until(lambda: ["c"] == selected(mounted))
    mounted.until(page.locator(".details dl").is_visible)
    assert page.locator('[role="status"]').inner_text().startswith("Selected: tool graph_expand, 300 ms")
    mounted.tell(_head={**mounted.widget._head, "words": ["more"]})
    page.wait_for_function("document.querySelector('.title').textContent.includes('more')")
    assert 1 == page.locator("[role=status], [aria-live]").count()
    page.get_by_role("button", name="Close").click()
    page.wait_for_selector(".details", state="hidden")
    mounted.until(lambda: ["c", None] == selected(mounted))
    assert "c" == focused(page)


def test_a_row_that_grows_keeps_the_focus_and_its_neighbours(mount: Callable[..., Mounted]) -> None:
    mounted = mount(marks())
    page, sent = mounted.page, mounted.widget._rows
    page.locator('.row[data-id="f"]').focus()
    before = page.locator('.row[data-id="f"] .bar').bounding_box()["width"]
    grown = {**next(row for row in sent["rows"] if row["id"] == "f"), "took": 1_000_000_000, "time": "1.00 s"}
    added = {**grown, "id": "g", "name": "added", "start": 1_200_000_000, "took": 1_000, "up": "run"}
    mounted.tell(_head={**mounted.widget._head, "total": 1_900_000_000})
    mounted.tell(_changed={"number": sent["number"], "rows": [grown, added]})
    page.wait_for_selector('.row[data-id="g"]')

    assert "f" == focused(page)
    assert page.locator('.row[data-id="f"] .bar').bounding_box()["width"] > 2 * before
    assert "added" == page.locator(".row .label").last.inner_text()
    mounted.tell(_changed={"number": 0, "rows": []})  # of an older whole: what is there stays as sent
    page.wait_for_function("document.querySelectorAll('.row').length === 7")


def test_thousands_of_spans_are_walked_and_only_those_in_view_are_drawn(mount: Callable[..., Mounted]) -> None:
    page = mount(many(3_000)).page
    assert page.locator(".row").count() < 100
    page.get_by_role("button", name="Unfold all").click()
    page.locator('.row[data-id="run"]').focus()
    page.keyboard.press("End")
    page.wait_for_function("document.activeElement.getAttribute('aria-rowindex') === '6002'")

    assert page.locator(".row").count() < 100
    page.evaluate("document.querySelector('.grid').scrollTop = 0")
    page.wait_for_selector('.row[data-id="run"]')
    page.keyboard.press("ArrowUp")  # the focus went to the grid with the row that was scrolled away
    page.wait_for_function("document.activeElement.getAttribute('aria-rowindex') === '6001'")
    took = page.evaluate("""async () => {
      const began = performance.now();
      model.set("_head", { ...model.get("_head"), total: 2_000_000_000 });
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      return performance.now() - began;
    }""")
    assert took < 1_000


def test_the_theme_follows_the_page(mount: Callable[..., Mounted]) -> None:
    page = mount(marks()).page
    colour = "getComputedStyle(document.querySelector('.ciops-waterfall')).color"
    light = page.evaluate(colour)
    page.evaluate("document.body.style.background = '#111'")
    page.wait_for_selector(".ciops-waterfall.dark")

    assert ("rgb(27, 31, 36)", "rgb(230, 232, 235)") == (light, page.evaluate(colour))
    mount(marks(), ground="#111").page.wait_for_selector(".ciops-waterfall.dark")


@pytest.mark.parametrize("ground", ["#fff", "#111"])
@pytest.mark.parametrize("width", [400, 900])
def test_axe_finds_nothing_serious(
    mount: Callable[..., Mounted], axe: Callable[..., Any], ground: str, width: int
) -> None:
    mounted = mount(marks(), slower(marks()), width, ground)
    mounted.widget.selected = "d"
    mounted.until(mounted.page.locator(".details dl").is_visible)

    axe(mounted.page.locator("#at"))


def test_nothing_to_show_has_words_and_what_was_mounted_goes_away(mount: Callable[..., Mounted]) -> None:
    page = mount([]).page
    assert "trace 0 calls" in " ".join(page.locator(".title").inner_text().split())
    assert page.locator(".grid").is_hidden()

    page.evaluate("end()")
    assert 0 == page.evaluate("listening() + document.querySelectorAll('.ciops-waterfall').length")
