"""The explorer that a report carries for those who allow scripts: without Python and a network, under its own policy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx
import pytest
from playwright.sync_api import expect

import ciops_nb as ciops
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.views import explored, report
from tests.browser.chromium import wait_until
from tests.views import sample

if TYPE_CHECKING:
    from playwright.sync_api import Page

DEMO = Path(__file__).parents[2] / "data/demo"
HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\u202e\u2028&amp;"
# What is laid over the graph, by code: the word of each node in the list, and the edges that are drawn as marked.
MARKED = """() => {
  const cy = document.querySelector(".ciops-x-bed")._cyreg.cy;
  const label = Object.fromEntries(JSON.parse(document.querySelector("script[id]").textContent).nodes
    .map(([key, row]) => [`n${key}`, row.code]));
  return {
    nodes: cy.nodes().filter(one => !one.hasClass("dim")).map(one => label[one.id()]).sort(),
    edges: cy.edges(".on").map(one => `${label[one.source().id()]} ${label[one.target().id()]}`).sort(),
  };
}"""


@pytest.fixture
def explore(visits: Callable[..., Any], tmp_path: Path) -> Callable[..., Page]:
    """Writes a report with the graphs as its sections, opens it where the network is cut, and its first explorer."""

    def opened(*graphs: Any, **options: Any) -> Page:
        said = Statement("Said.", ("c1",))
        sections = tuple(Section(f"Graph {n}", graph, ("c1",), picture="topology", options=options) for n, graph in enumerate(graphs))  # fmt: skip
        run = sample.Run(Findings(said, (said,), sections), [sample.call("c1", "graph_expand")])
        report.write(run, tmp_path / "report.html", explorer=True)
        page: Page = visits(offline=True, color_scheme="dark").page()
        page.goto((tmp_path / "report.html").as_uri())
        page.get_by_role("button", name="Explore this graph").first.click()
        # Asked from here: what the page itself asks again and again, its policy forbids.
        drawn = "document.querySelector('.ciops-x-bed')?._cyreg?.cy.nodes().nonempty()"
        wait_until(lambda: page.evaluate(drawn), why="the explorer drew nothing")
        return page

    return opened


def choose(page: Page, *codes: str) -> None:
    """Select by the list, the second with Shift."""
    page.get_by_role("button", name="List").click()
    for code, keys in zip(codes, itertools.chain([[]], itertools.repeat(["Shift"])), strict=False):
        page.locator(".ciops-x-list").get_by_role("button", name=code, exact=True).click(modifiers=keys)
    page.get_by_role("button", name="List").click()


def demo(view: str, depth: int) -> nx.MultiDiGraph[str]:
    with ciops.connect(DEMO) as ops:
        graph: nx.MultiDiGraph[str] = ops.graph_expand.sync("app-erp-01", view=view, depth=depth)
    return graph


def test_what_is_needed_and_hurt_is_what_python_says(explore: Callable[..., Page]) -> None:
    graph = demo("neighbors", 2)
    page = explore(graph)

    for code in sorted(graph)[::7]:
        choose(page, code)
        for way, button in (("upstream", "Needs"), ("downstream", "Hurts")):
            page.get_by_role("button", name=button, exact=True).click()
            marks, found = explored.along(graph, code, way), page.evaluate(MARKED)
            assert sorted(marks.nodes) == found["nodes"]
            assert sorted(f"{a} {b}" for a, b, _ in marks.edges) == found["edges"]
            banner = page.locator(".ciops-x-banner").inner_text()
            assert banner.partition(";")[0] == marks.title
            ends = sum(one in explored.frontier_of(graph) for one in marks.nodes)
            assert ("are not in this picture" in banner) == bool(ends)


def test_a_way_between_two_is_a_shortest_one(explore: Callable[..., Page]) -> None:
    graph = sample.estate(120)
    page, near = explore(graph), nx.Graph(graph)

    for one, other in (("app-000", "dat-017"), ("sw-core-000", "sys-002"), ("srv-003", "srv-003")):
        choose(page, *dict.fromkeys((one, other)))
        path = page.get_by_role("button", name="Path", exact=True)
        if one == other:
            expect(path).to_be_disabled()
            continue
        path.click()
        hops, found = nx.shortest_path_length(near, one, other), page.evaluate(MARKED)
        assert {one, other} <= {*found["nodes"]}
        assert hops + 1 == len(found["nodes"])
        assert nx.is_connected(near.subgraph(found["nodes"]))
        assert f"1 way from {one} to {other}, the shortest of {hops} hops" == page.locator(".ciops-x-banner").inner_text()  # fmt: skip


def test_what_the_report_marks_is_marked_at_once_and_comes_back(explore: Callable[..., Page]) -> None:
    page = explore(sample.three_nodes(), highlight={"db-erp": "disk is slow"})

    banner, clear = page.locator(".ciops-x-banner"), page.get_by_role("button", name="Clear")
    expect(banner).to_have_text("1 CI marked")
    choose(page, "app-erp-01")
    page.get_by_role("button", name="Needs").click()
    expect(banner).to_have_text("1 CI that app-erp-01 needs; neighbours of 1 CI are not in this picture")
    clear.click()
    expect(banner).to_have_text("1 CI marked")
    clear.click()
    expect(banner).to_be_hidden()


def test_it_offers_only_what_works_there(explore: Callable[..., Page], axe: Callable[..., None]) -> None:
    page = explore(sample.three_nodes())

    names = page.get_by_role("toolbar").get_by_role("button").all_inner_texts()
    assert ["Needs", "Hurts", "Path", "Clear", "List", "Fit", "+", "−", "?"] == names
    page.get_by_role("application").focus()
    for key in ("ArrowRight", "ArrowLeft", "e", "c", "i", "t", "[", "Enter", "?"):
        page.keyboard.press(key)
    expect(page.locator(".ciops-x-banner")).to_be_hidden()
    expect(page.locator(".ciops-x-keys")).not_to_contain_text("expand")
    choose(page, "db-erp")
    expect(page.get_by_label("Details")).to_contain_text("4 more neighbours are not in this picture.")
    axe(page.locator(".explore"))


def test_each_picture_has_its_own_and_closes(explore: Callable[..., Page]) -> None:
    page = explore(sample.three_nodes(), sample.estate(40))

    close = page.get_by_role("button", name="Close the explorer")
    expect(close).to_have_attribute("aria-expanded", "true")
    page.get_by_role("button", name="Explore this graph").click()
    assert 2 == page.get_by_role("application").count()
    choose_in = page.locator(".explore").nth(1)
    expect(choose_in.get_by_label("Details").get_by_role("definition").first).to_have_text("40")
    close.first.click()
    assert 1 == page.get_by_role("application").count()
    page.get_by_role("button", name="Explore this graph").click()
    assert 2 == page.get_by_role("application").count()


def test_names_of_others_are_text(explore: Callable[..., Page]) -> None:
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(roots=[HOSTILE])
    sample.node(graph, HOSTILE, HOSTILE, HOSTILE)
    sample.node(graph, "app-1", "SW", "application")
    sample.edge(graph, "app-1", HOSTILE, HOSTILE)

    page = explore(graph, highlight={HOSTILE: HOSTILE})

    page.get_by_role("application").focus()
    page.keyboard.press("ArrowRight")
    heading = page.get_by_label("Details").get_by_role("heading").first
    expect(heading).to_have_text(HOSTILE.replace("\u202e", "⟨U+202E⟩").replace("\u2028", "⟨U+2028⟩"))
    assert 0 == page.locator("img").count()


def test_a_thousand_are_shown_and_the_rest_is_counted(explore: Callable[..., Page]) -> None:
    page = explore(sample.estate(1500))

    assert 1000 == page.evaluate("document.querySelector('.ciops-x-bed')._cyreg.cy.nodes().length")
    expect(page.locator(".ciops-x-status")).to_contain_text("1,000 of 1,500 shown")


def test_on_paper_there_is_the_picture_alone(explore: Callable[..., Page]) -> None:
    page = explore(sample.three_nodes())

    page.emulate_media(media="print")

    expect(page.locator(".explore")).to_be_hidden()
    expect(page.locator("figure svg")).to_be_visible()


def test_without_scripts_there_is_no_trace_of_it(static: Callable[[Path], Page], tmp_path: Path) -> None:
    run = sample.triage()
    plain, more = (report.write(run, tmp_path / f"{name}.html", explorer=name == "more") for name in ("plain", "more"))

    assert static(plain).locator("body").inner_text() == static(more).locator("body").inner_text()
