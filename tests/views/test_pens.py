"""The two pens draw the same, and what is written without matplotlib keeps the promises of ``to_svg``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import networkx as nx
import pytest
from matplotlib.markers import MarkerStyle

from ciops_nb.views import pens, plots, topology_plots
from ciops_nb.views.pens import Drawing, SvgPen, written
from ciops_nb.views.sheet import Legend, box_sample, on_sheet
from ciops_nb.views.svg import THEMES, palette, styled, themed, to_svg

from . import sample
from .test_plots import HOSTILE, SHOWN

LIGHT = palette("light")
NAME = re.compile(r"\{.*\}")


def many_types() -> nx.MultiDiGraph:
    """A chain in which each node and each relation is of a type of its own, without a focus."""
    graph = nx.MultiDiGraph()
    for i in range(14):
        sample.node(graph, f"n{i:02}", f"TYPE{i:02}", f"kind {i}")
        if i:
            sample.edge(graph, f"n{i:02}", f"n{i - 1:02}", f"RELATION{i % 9}")
    return graph


def hostile() -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph(roots=[HOSTILE], frontier=[{"ci_code": "b", "count": 2}])
    sample.node(graph, HOSTILE, HOSTILE, HOSTILE)
    sample.node(graph, "b", "SW", "x", 1)
    sample.edge(graph, HOSTILE, "b", HOSTILE)
    return graph


def later(size: int) -> nx.MultiDiGraph:
    """``sample.around(size, "app-000")`` without some items, with others changed, and with a new one."""
    graph = sample.around(size, "app-000")
    codes = sorted(code for code in graph if code.startswith("web"))
    graph.remove_nodes_from(codes[:3])
    for code in codes[4:7]:
        graph.nodes[code]["status"] = "retired"
    sample.node(graph, "new-1", "SW", "application", 1)
    sample.edge(graph, "new-1", "app-000", "DEPENDS_ON")
    return graph


def one(graph: nx.MultiDiGraph, hurt: dict[str, str] | None = None, note: str = "", theme: str = "light") -> Drawing:
    return topology_plots._drawing(graph, None, hurt, note, theme)


def two(size: int, theme: str = "light") -> Drawing:
    return topology_plots._compared(sample.around(size, "app-000"), later(size), None, theme)


PICTURES: dict[str, Callable[[], Drawing]] = {
    "three cards, one hurt": lambda: one(sample.three_nodes(), {"db-erp": "slow since 09:19"}),
    "cards around a focus": lambda: one(sample.around(60, "app-000"), {"sys-000": "", "app-000": "late"}),
    "cards in the dark": lambda: one(sample.around(60, "app-000"), theme="dark"),
    "cards without a focus": lambda: one(sample.estate(40), note="A note."),
    "dots without a focus": lambda: one(sample.estate(300)),
    "dots around a focus, two hurt": lambda: one(sample.around(300, "app-000"), {"web-003": "slow", "que-002": ""}),
    "all shapes and dashes": lambda: one(many_types()),
    "hostile names": lambda: one(hostile()),
    "what differs, cards": lambda: two(60),
    "what differs, dots": lambda: two(300),
    "nothing": lambda: one(nx.MultiDiGraph()),
}


@pytest.fixture(params=PICTURES)
def drawing(request) -> Drawing:
    return PICTURES[request.param]()


def elements(svg: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """Tag, attributes and text of what is drawn; a mark that is used is the path it stands for, and where."""
    root = ET.fromstring(svg)
    for node in root.iter():
        node.tag = NAME.sub("", node.tag)
    defined = {node.get("id"): node for node in root.iter() if node.get("id")}
    hidden = {node for definition in root.iter("defs") for node in definition.iter()}
    for node in root.iter():
        if node in hidden or node.tag in ("svg", "g", "title", "desc"):
            continue
        look = dict(node.attrib)
        if node.tag == "use":
            look["d"] = defined[look["href"][1:]].attrib["d"]
        yield node.tag, look, node.text or ""


def writing(svg: str) -> list[tuple]:
    """Every text in the order in which they lie, with its look and its place."""
    return [
        (
            text, look["fill"], look.get("font-weight", "") in ("700", "bold"), look.get("text-anchor", "start"),
            float(look["font-size"].removesuffix("px")), float(look["x"]), float(look["y"]),
        )
        for tag, look, text in elements(svg)
        if tag == "text"
    ]  # fmt: skip


def subpaths(tag: str, look: dict[str, str]) -> Iterator[list[float]]:
    """The corners of the box around the points of each part of a shape."""
    if tag == "line":
        look = {**look, "d": "M{x1} {y1} L{x2} {y2}".format(**look)}
    elif tag == "rect":
        x, y, width, height = (float(look.get(name, 0)) for name in ("x", "y", "width", "height"))
        yield [x, y, x + width, y + height]
    for part in look.get("d", "").split("M")[1:]:
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", part)]
        if "a" in part:  # a circle, from its left
            x, y, radius, *_, back, _ = numbers
            assert back == -2 * radius
            numbers = [x, y - radius, x + 2 * radius, y + radius]
        dx, dy = (float(look[name]) for name in ("x", "y")) if tag == "use" else (0.0, 0.0)
        xs, ys = numbers[::2], numbers[1::2]
        yield [min(xs) + dx, min(ys) + dy, max(xs) + dx, max(ys) + dy]


def is_ground(look: dict[str, str]) -> bool:
    """Whether a text stands on it."""
    return "0.8" in (look.get("opacity"), look.get("fill-opacity"))


def shapes(svg: str) -> list[tuple[tuple, list[float]]]:
    """Every curve, line, head, box and marker with its look and where it is, but what texts stand on."""
    found = []
    for tag, look, _ in elements(svg):
        if tag == "text" or is_ground(look):
            continue
        opacity = look.get("opacity") or look.get("fill-opacity") or "1"
        dashes = [round(float(number), 2) for number in re.split("[ ,]+", look.get("stroke-dasharray", "")) if number]
        stroke = look.get("stroke", "none")
        width = float(look.get("stroke-width", 1)) if stroke != "none" else 0.0
        fill = "none" if tag == "line" else look.get("fill", "#000000")
        kind = (fill, stroke, width, float(opacity), tuple(dashes))
        found += [(kind, box) for box in subpaths(tag, look)]
    return sorted(found, key=lambda pair: pair[0])  # of one look in the order in which they were drawn


def both(drawing: Drawing) -> tuple[str, str]:
    return to_svg(styled(on_sheet)(drawing), "A picture"), written(drawing, "A picture")


def test_both_pens_write_the_same_in_the_same_place(drawing):
    figure, direct = map(writing, both(drawing))

    assert [text[:-2] for text in figure] == [text[:-2] for text in direct]
    assert [text[-2] for text in figure] == pytest.approx([text[-2] for text in direct], abs=0.011)
    assert [text[-1] for text in figure] == pytest.approx([text[-1] for text in direct], abs=0.02)


def test_both_pens_draw_the_same_shapes_in_the_same_place(drawing):
    figure, direct = map(shapes, both(drawing))

    assert [kind for kind, _ in figure] == [kind for kind, _ in direct]
    assert sum(len(box) for _, box in figure)
    for (_, box), (_, other) in zip(figure, direct, strict=True):
        assert box == pytest.approx(other, abs=0.03)


def test_both_pens_put_as_many_texts_on_a_ground(drawing):
    figure, direct = both(drawing)

    counts = [sum(is_ground(look) for _, look, _ in elements(svg)) for svg in (figure, direct)]
    assert counts[0] == counts[1]
    assert bool(counts[0]) == ("items are named" in direct)


def test_both_pens_make_the_sheet_as_large(drawing):
    figure, direct = (ET.fromstring(svg).attrib for svg in both(drawing))

    assert figure == direct


@pytest.mark.parametrize("shape", pens._SHAPES)
def test_a_marker_has_the_points_that_matplotlib_gives_it(shape):
    style = MarkerStyle(shape)
    theirs = style.get_path().transformed(style.get_transform()).vertices

    assert {(round(x, 4) + 0, round(y, 4) + 0) for x, y in theirs} == {
        (round(x, 4) + 0, round(y, 4) + 0) for x, y in pens._SHAPES[shape]
    }


def test_every_type_of_an_item_has_a_shape_that_both_pens_know():
    looks = topology_plots.type_looks(f"TYPE{i:02}" for i in range(20)) | topology_plots._SHAPES

    assert {shape for shape, _ in looks.values()} <= {*pens._SHAPES, "o"}


@pytest.mark.parametrize(("hatch", "directions"), [("////", {-1}), ("\\\\\\", {1}), ("xxxx", {-1, 1})])
def test_a_hatch_fills_its_box_and_stays_within(hatch, directions):
    pen, legend = SvgPen(2, 1, LIGHT), Legend(2)
    legend.add("hatched", box_sample(LIGHT.panel, LIGHT.ink, hatch))
    legend.draw(pen, 0.1, 0.9, LIGHT)
    found = [(tag, look) for tag, look, _ in elements(pen.svg("x")) if tag != "text"]
    _, (_, box), (_, lines) = found
    left, top, right, bottom = next(subpaths("rect", box))
    ends = [[float(number) for number in re.findall(r"-?[\d.]+", part)] for part in lines["d"].split("M")[1:]]

    assert directions == {1 if y1 > y0 else -1 for _, y0, _, y1 in ends}
    assert all(x1 - x0 == pytest.approx(abs(y1 - y0), abs=0.02) for x0, y0, x1, y1 in ends)
    assert left - 0.02 <= min(x0 for x0, *_ in ends) < left + 6
    assert right + 0.02 >= max(x1 for _, _, x1, _ in ends) > right - 6
    assert {round(y) for _, y0, _, y1 in ends for y in (y0, y1)} <= set(range(round(top), round(bottom) + 1))


def test_the_pen_itself_hides_nothing_and_escapes():
    pen = SvgPen(2, 1, LIGHT)
    pen.text(0.1, 0.5, HOSTILE, LIGHT.ink)
    svg = pen.svg("x")

    assert [SHOWN] == [text for text, *_ in writing(svg)]
    assert not {"\u202e", "\x00"} & set(svg)


def test_hostile_names_are_text_without_matplotlib():
    svg = topology_plots.topology_svg(hostile(), HOSTILE, highlight={"b": HOSTILE}, note=HOSTILE)
    root = ET.fromstring(svg)
    texts = [text for text, *_ in writing(svg)]

    assert {"svg", "title", "rect", "line", "path", "text"} == {NAME.sub("", node.tag) for node in root.iter()}
    assert SHOWN == root[0].text
    assert 3 <= texts.count(SHOWN), "a type, a relation and a note"
    assert any("⟨U+202E⟩" in text for text in texts)
    assert not {"\u202e", "\x00"} & set(svg)


@pytest.mark.parametrize("theme", THEMES)
def test_it_is_accessible_rounded_and_refers_to_nothing(theme):
    graph = sample.around(300, "app-000")
    svg = topology_plots.topology_svg(graph, "The title", highlight=["web-003"], theme=theme, prefix="q")
    root = ET.fromstring(svg)
    ids = [node.get("id") for node in root.iter() if node.get("id")]

    assert ("img", "q-title") == (root.get("role"), root.get("aria-labelledby"))
    assert ["q-title"] == ids
    assert "The title" == root[0].text
    assert not {"style", "href", "class", "clip-path"} & {name for node in root.iter() for name in node.attrib}
    assert [] == re.findall(r"\d\.\d{3}|\de-", svg)
    assert not set(re.findall("#[0-9a-f]{6}", svg)) - set(vars(palette(theme)).values())


def test_each_of_its_colours_follows_the_theme_of_a_page():
    svg = themed(topology_plots.topology_svg(sample.three_nodes(), "x", highlight=["db-erp"]))

    assert "var(--alarm-tint)" in svg
    assert "#" not in svg


def test_it_takes_less_room_than_that_of_a_figure():
    graph = sample.around(300, "app-000")

    assert len(topology_plots.topology_svg(graph, "x")) < 0.7 * len(to_svg(plots.topology(graph), "x"))


DIRECT = """
import hashlib, sys
from ciops_nb.views.topology_plots import topology_svg
from tests.views import sample
for graph in (sample.around(60, "app-000"), sample.estate(300), sample.three_nodes()):
    svg = topology_svg(graph, "x", highlight=["sys-000", "db-erp"])
    assert svg == topology_svg(graph, "x", highlight=["sys-000", "db-erp"])
    print(hashlib.sha256(svg.encode()).hexdigest())
print([name for name in sys.modules if name.split(".")[0] == "matplotlib"])
"""


def test_its_bytes_do_not_hang_on_the_hash_seed_and_matplotlib_is_not_loaded():
    root = Path(__file__).parents[2]
    printed = {
        subprocess.run(
            [sys.executable, "-c", DIRECT], cwd=root, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip

    assert 1 == len(printed)
    assert 4 == len({*printed.pop().splitlines()} | {"[]"})
