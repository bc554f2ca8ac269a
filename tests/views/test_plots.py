from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import networkx as nx
import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ciops_nb.errors import BadParameter, BadTimeRange, ItemNotFound
from ciops_nb.views import plots

from . import sample

HOSTILE = "<script>alert('x')</script>\"&\u202e$a_b$\x00"
SHOWN = "<script>alert('x')</script>\"&⟨U+202E⟩$a_b$⟨U+0000⟩"


def texts(figure) -> list[str]:
    """Every text of the SVG, in order, as a reader of XML finds it."""
    root = ElementTree.fromstring(plots.to_svg(figure, "A picture"))
    return ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("}text")]


def tags(svg: str) -> list[str]:
    return [node.tag.rpartition("}")[2] for node in ElementTree.fromstring(svg).iter()]


# --- topology


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_small_graph_names_every_item_with_its_kind_and_hops(theme):
    found = texts(plots.topology(sample.three_nodes(), theme=theme))

    assert {"app-erp-01", "db-erp", "sys-erp", "database · 1 hop", "+4", "1 hop upstream", "focus"} <= set(found)


def test_relation_types_and_ci_types_stand_in_the_legend():
    found = texts(plots.topology(sample.three_nodes()))

    assert {"SYSTEM", "SW", "DEPENDS_ON", "COMPOSED_OF", "focus"} <= set(found)
    assert "hurt" not in found


def test_a_hurt_item_carries_a_sign_and_its_reason():
    found = texts(plots.topology(sample.three_nodes(), highlight={"db-erp": "slow since 09:19"}))

    assert {"!", "slow since 09:19", "hurt"} <= set(found)


def test_a_column_says_when_not_all_in_it_are_upstream():
    graph = sample.three_nodes()
    sample.node(graph, "app-other", "SW", "application", 2)
    sample.edge(graph, "app-other", "db-erp", "DEPENDS_ON")

    assert {"focus, and others beside", "1 hop upstream", "1 hop downstream"} <= set(texts(plots.topology(graph)))


def test_codes_to_highlight_that_are_not_in_the_graph_are_left_out():
    assert "hurt" not in texts(plots.topology(sample.three_nodes(), highlight=["elsewhere"]))


def test_sixty_items_are_all_named():
    graph = sample.around(60, "app-000")

    assert set(graph) <= set(texts(plots.topology(graph)))


def test_of_three_hundred_items_the_picture_says_how_many_it_names():
    graph = sample.around(300, "app-000")
    found = texts(plots.topology(graph, highlight=["web-003"]))
    named = [text for text in found if text.removeprefix("! ").split(" +")[0] in graph]

    assert f"{len(named)} of 300 items are named: the most important that found room." in found
    assert {"! web-003", "app-000"} <= set(named)
    assert 30 < len(named) < 300


def test_labels_of_dots_do_not_lie_on_each_other():
    figure = plots.topology(sample.around(300, "app-000"))
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.canvas.draw()
    named = [text for text in figure.axes[0].texts if text.get_bbox_patch()]
    boxes = [text.get_window_extent(renderer) for text in named]
    slack = 1.0  # pixels: widths are estimated

    overlapping = [
        (named[i].get_text(), named[j].get_text())
        for i, a in enumerate(boxes)
        for j, b in enumerate(boxes[:i])
        if min(a.x1, b.x1) - max(a.x0, b.x0) > slack and min(a.y1, b.y1) - max(a.y0, b.y0) > slack
    ]
    assert [] == overlapping


def test_an_unknown_type_and_relation_still_get_a_shape_and_a_line():
    graph = nx.MultiDiGraph()
    sample.node(graph, "a", "ROBOT", "arm")
    sample.node(graph, "b", "", "")
    sample.edge(graph, "a", "b", "FEEDS")

    assert {"ROBOT", "?", "FEEDS"} <= set(texts(plots.topology(graph)))


def test_an_unknown_focus_is_refused():
    with pytest.raises(ItemNotFound):
        plots.topology(sample.three_nodes(), focus="nowhere")


# --- timeline


def test_the_timeline_has_a_lane_for_each_kind_that_is_there():
    found = texts(plots.timeline(sample.history(), at=sample.AT))
    lanes = ["incident (1)", "change (2)", "maintenance (1)", "event (24)"]

    assert lanes == [text for text in found if text in lanes]
    assert "at 10:00:00" in found
    assert "db-erp · Lower shared_buffers on db-erp" in found


def test_the_timeline_says_how_many_titles_it_left_out():
    assert "11 of 28 records are drawn without their title, for want of room." in texts(
        plots.timeline(sample.history())
    )


def test_an_incident_that_is_not_resolved_is_said_to_be_so():
    history = sample.history()

    assert "A dashed bar: not resolved by the end of the picture." in texts(plots.timeline(history))
    assert "A dashed bar: not resolved by the end of the picture." not in texts(
        plots.timeline(history.filter(pl.col("kind") != "incident"))
    )


def test_one_record_is_enough_for_a_timeline():
    assert "change (1)" in texts(plots.timeline(sample.history().filter(pl.col("record_id") == "change-0")))


def test_a_moment_that_is_no_time_is_refused():
    with pytest.raises(BadTimeRange):
        plots.timeline(sample.history(), at="yesterdayish")


# --- series


def test_each_item_and_metric_has_a_panel():
    found = texts(plots.series(sample.series(), history=sample.history(), at=sample.AT))

    titles = [f"{code} · {metric}" for code in ("app-erp-01", "db-erp") for metric in ("cpu_usage", "response_time_ms")]
    assert titles == [text for text in found if " · " in text]


def test_gaps_stay_gaps():
    figure = plots.series(sample.series(codes=("db-erp",)))
    cpu, response = (axes.lines[0].get_ydata() for axes in figure.axes[1:])

    assert 1 == np.isnan(cpu).sum()
    assert 0 == np.isnan(response).sum()


def test_nulls_are_gaps_and_a_point_between_two_is_a_dot():
    points = sample.series(codes=("db-erp",)).filter(pl.col("metric") == "response_time_ms").head(5)
    points = points.with_columns(value=pl.Series([1.0, None, 3.0, None, 5.0]))
    axes = plots.series(points).axes[1]

    assert 3 == len(axes.collections[-1].get_offsets())


def test_history_is_drawn_over_every_series():
    history = sample.history().filter(pl.col("kind") == "change")
    figure = plots.series(sample.series(), history=history)

    assert [2, 2, 2, 2] == [sum(len(line.get_xdata()) == 2 for line in axes.lines) for axes in figure.axes[1:]]


def test_the_window_is_within_the_axis_even_without_points():
    start = sample.AT - timedelta(days=2)
    axes = plots.series(sample.series(), window=(start, sample.AT)).axes[1]

    assert axes.get_xlim()[0] <= start.timestamp() / 86400


def test_a_long_series_keeps_its_extremes():
    n = 20_000
    value = np.sin(np.arange(n) / 300)
    value[12_345] = 99.0
    ts = pl.datetime_range(sample.AT, sample.AT + timedelta(minutes=n - 1), "1m", time_unit="us", eager=True)
    line = plots.series(pl.DataFrame({"ts": ts, "ci_code": "a", "metric": "m", "value": value})).axes[1].lines[0]

    assert 99.0 == line.get_ydata().max()
    assert len(line.get_ydata()) < 2000


def test_more_panels_than_a_page_holds_are_counted():
    many = sample.series(codes=tuple(f"srv-{i:02}" for i in range(15)), hours=1)

    assert "24 of 30 series are drawn." in texts(plots.series(many))


def test_several_series_of_one_metric_share_a_panel_and_are_named():
    disks = sample.series(codes=("srv-1",), gap=False).filter(pl.col("metric") == "cpu_usage")
    both = pl.concat([disks.with_columns(series=pl.lit(name)) for name in ("/", "/var")])
    figure = plots.series(both)

    assert 2 == len(figure.axes)  # the sheet and one panel
    assert {"/", "/var"} <= set(texts(figure))


def test_a_window_that_is_no_pair_is_refused():
    with pytest.raises(BadParameter, match="pair of times"):
        plots.series(sample.series(), window=("2026-03-02",))


# --- movers


def test_movers_stand_in_order_of_score_with_the_time_they_moved():
    found = texts(plots.movers(sample.movers().sample(fraction=1.0, shuffle=True, seed=1)))
    names = [text for text in found if " · " in text]

    assert "db-erp · response_time_ms" == names[0]
    assert "que-014 · depth" == names[-1]
    assert "09:19:00 first" in found


# --- all of them


ALL = {
    "topology": lambda **kw: plots.topology(sample.around(60, "app-000"), highlight=["sys-000"], **kw),
    "timeline": lambda **kw: plots.timeline(sample.history(), at=sample.AT, **kw),
    "series": lambda **kw: plots.series(sample.series(), history=sample.history(), at=sample.AT, **kw),
    "movers": lambda **kw: plots.movers(sample.movers(), **kw),
}
EMPTY = {
    "topology": (lambda: plots.topology(nx.MultiDiGraph()), "No configuration items to draw."),
    "timeline": (
        lambda: plots.timeline(sample.history().head(0)),
        "No events, changes, maintenance or incidents in this range.",
    ),
    "series": (lambda: plots.series(sample.series().head(0)), "No points of these metrics in this range."),
    "movers": (lambda: plots.movers(sample.movers().head(0)), "No metric moved."),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_answer_gives_a_picture_that_says_so(name):
    draw, said = EMPTY[name]

    assert [said] == texts(draw())


@pytest.mark.parametrize("name", ["timeline", "series", "movers"])
def test_pandas_and_polars_give_the_same_picture(name):
    frame = {"timeline": sample.history, "series": sample.series, "movers": sample.movers}[name]()
    draw = getattr(plots, name)

    assert plots.to_svg(draw(frame), "x") == plots.to_svg(draw(frame.to_pandas()), "x")
    assert plots.to_svg(draw(frame.head(0)), "x") == plots.to_svg(draw(frame.head(0).to_pandas()), "x")


@pytest.mark.parametrize("name", ["timeline", "series", "movers"])
def test_a_missing_column_is_named(name):
    frame = {"timeline": sample.history, "series": sample.series, "movers": sample.movers}[name]()
    column = {"timeline": "start_at", "series": "value", "movers": "score"}[name]

    with pytest.raises(BadParameter, match=column):
        getattr(plots, name)(frame.drop(column))


def test_hostile_names_are_text_in_every_picture():
    graph = nx.MultiDiGraph(roots=[HOSTILE])
    sample.node(graph, HOSTILE, HOSTILE, HOSTILE)
    sample.node(graph, "b", "SW", "x")
    sample.edge(graph, HOSTILE, "b", HOSTILE)
    history = sample.history().with_columns(ci_code=pl.lit(HOSTILE), title=pl.lit(HOSTILE), kind=pl.lit(HOSTILE))
    series = sample.series().with_columns(
        ci_code=pl.lit(HOSTILE), metric=pl.lit(HOSTILE), series=pl.Series([HOSTILE, "_"] * 137)
    )
    movers = sample.movers().with_columns(ci_code=pl.lit(HOSTILE), metric=pl.lit(HOSTILE))

    for figure in (plots.topology(graph), plots.timeline(history), plots.series(series), plots.movers(movers)):
        svg = plots.to_svg(figure, HOSTILE, description=HOSTILE)
        assert "script" not in tags(svg)
        assert any("<script>" in text or "⟨U+202E⟩" in text for text in texts(figure))
        assert SHOWN == ElementTree.fromstring(svg)[0].text
        assert not {"\u202e", "\x00"} & set(svg)


@pytest.mark.parametrize("name", ALL)
def test_an_svg_is_accessible_and_loads_nothing(name):
    svg = plots.to_svg(ALL[name](), "The title", description="More words", prefix="q")
    root = ElementTree.fromstring(svg)
    namespace = "{http://www.w3.org/2000/svg}"

    assert ("img", "q-title q-desc") == (root.get("role"), root.get("aria-labelledby"))
    assert ["The title", "More words"] == [root.findtext(f"{namespace}{tag}") for tag in ("title", "desc")]
    assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "", 1)
    assert {"style", "script", "image", "foreignObject", "metadata"}.isdisjoint(tags(svg))
    assert [] == [node for node in root.iter() if "style" in node.attrib]


@pytest.mark.parametrize("name", ALL)
def test_every_reference_of_an_svg_has_its_one_target(name):
    root = ElementTree.fromstring(plots.to_svg(ALL[name](), "x", prefix="q"))
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    used = {node.get("href")[1:] for node in root.iter() if node.get("href")}

    assert len(ids) == len(set(ids))
    assert used <= set(ids)
    assert all(key.startswith("q") for key in ids)


@pytest.mark.parametrize("name", ALL)
def test_the_style_of_the_session_neither_shows_nor_changes(name):
    plain = plots.to_svg(ALL[name](), "x")
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30, "text.usetex": False, "svg.fonttype": "path"}):
        before = dict(mpl.rcParams)
        assert plain == plots.to_svg(ALL[name](), "x")
        assert before == dict(mpl.rcParams)


def test_pyplot_is_never_loaded_and_the_bytes_do_not_hang_on_the_hash_seed():
    script = (
        "import hashlib, sys; from tests.views.test_plots import ALL; from ciops_nb.views import plots;"
        "print({name: hashlib.sha256(plots.to_svg(draw(), 'x').encode()).hexdigest() for name, draw in ALL.items()});"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    printed = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment, cwd=root
        )
        printed.add(done.stdout)

    assert 1 == len(printed)
    assert printed.pop().endswith("False\n")
