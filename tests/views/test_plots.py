from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import networkx as nx
import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Path_
from matplotlib.text import Text

from ciops_nb.errors import BadParameter, BadTimeRange, ItemNotFound
from ciops_nb.views import plots, sheet

from . import sample

HOSTILE = "<script>alert('x')</script>\"&\u202e$a_b$\x00"
SHOWN = "<script>alert('x')</script>\"&⟨U+202E⟩$a_b$⟨U+0000⟩"


def texts(figure) -> list[str]:
    """Every text of the SVG, in order, as a reader of XML finds it."""
    root = ElementTree.fromstring(plots.to_svg(figure, "A picture"))
    return ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("}text")]


def outside(figure) -> list[str]:
    """The texts that stick out of the sheet; three points of it are taken for what the estimate of a width is off."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.canvas.draw()
    width, height = figure.bbox.size
    found = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible() and artist.get_text())
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in found]
    return [text for text, b in boxes if b.x0 < -3 or b.y0 < -3 or b.x1 > width + 3 or b.y1 > height + 3]


def overlapping(figure, texts_of: set[str]) -> list[tuple[str, str]]:
    """Which of these texts lie on each other."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.canvas.draw()
    found = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text() in texts_of)
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in found]
    return [(a[0], b[0]) for i, a in enumerate(boxes) for b in boxes[:i] if a[1].overlaps(b[1])]


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


def most_of_it_changed():
    before, after = sample.estate(300), sample.estate(300)
    nx.set_node_attributes(after, dict.fromkeys(sorted(after)[::2] + sorted(after)[::3], "retired"), "status")
    return plots.topology_diff(before, after)


@pytest.mark.parametrize("draw", [lambda: plots.topology(sample.around(300, "app-000")), most_of_it_changed])
def test_labels_of_dots_do_not_lie_on_each_other(draw):
    figure = draw()
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


def test_codes_that_differ_in_their_middle_are_told_apart():
    graph = nx.MultiDiGraph(roots=["site"])
    sample.node(graph, "site", "SW", "service")
    for part in ("priceGreaterThan55", "priceLessThan55", "readDDB"):
        sample.node(graph, f"lambda_step_{part}_AWS::Lambda::Function", "SW", "AWS::Lambda::Function", 1)
        sample.edge(graph, "site", f"lambda_step_{part}_AWS::Lambda::Function", "DEPENDS_ON")
    found = texts(plots.topology(graph))
    cards = [first + second for first, second in pairwise(found) if first.startswith("lambda_step")]

    assert 3 == len(set(cards))
    assert all("…" not in card or "Than55" in card for card in cards)


def test_the_edges_of_a_hub_stand_back_but_those_to_the_hurt():
    graph = nx.MultiDiGraph(roots=["hub"])
    sample.node(graph, "hub", "HW", "switch")
    for i in range(300):
        sample.node(graph, f"srv-{i:03}", "HW", "server", 1)
        sample.edge(graph, f"srv-{i:03}", "hub", "DEPENDS_ON")
    figure = plots.topology(graph, highlight=["srv-007", "srv-008"])
    curves = {
        patch.get_alpha(): int((patch.get_path().codes == Path_.MOVETO).sum())
        for patch in figure.axes[0].patches
        if isinstance(patch, PathPatch)
    }

    assert {0.9: 2, 0.35: 298} == curves


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


def incident(code: str = "PetSite", hours: float = -4, title: str = "") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "start_at": [sample.AT + timedelta(hours=hours)], "end_at": [None], "kind": ["incident"], "ci_code": [code],
            "severity": [None], "title": [title], "record_id": ["I-7"],
        }
    )  # fmt: skip


def test_a_record_without_a_title_goes_by_its_id():
    assert "PetSite · I-7" in texts(plots.timeline(incident()))


@pytest.mark.parametrize("hours", [-4, -2, -0.01])
def test_the_title_of_what_lasts_to_the_end_is_whole_wherever_it_starts(hours):
    title = "Orders of the shop are answered late"
    figure = plots.timeline(incident("app-shop-03", hours, title), at=sample.AT)

    assert f"app-shop-03 · {title}" in texts(figure)
    assert [] == outside(figure)


def test_a_kind_with_a_long_name_stays_within_its_margin():
    history = sample.history().with_columns(kind=pl.lit("a kind with quite a long name"))

    assert [] == outside(plots.timeline(history))


def test_the_timeline_is_as_long_as_what_was_looked_into():
    start = sample.AT - timedelta(days=1)
    axes = plots.timeline(incident(), window=(start, sample.AT)).axes[1]

    assert axes.get_xlim()[0] <= start.timestamp() / 86400 < axes.get_xlim()[0] + 0.05


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


@pytest.mark.parametrize("days", [-120, -1, 120])
def test_what_is_usual_has_its_own_axis_where_it_is_long_or_far(days):
    now = sample.series(codes=("db-erp",), gap=False).filter(pl.col("metric") == "cpu_usage")
    usual = now.with_columns(ts=pl.col("ts") + timedelta(days=days), value=pl.col("value") * 3)
    window = (now["ts"].min(), now["ts"].max())
    figure = plots.series(pl.concat([now, usual]).sort("ts"), window=window, at=sample.AT)
    sheet, right, left = figure.axes

    def drawn(axes) -> list[float]:
        return axes.lines[0].get_ydata().tolist()

    assert now.sort("ts")["value"].to_list() == drawn(right)
    assert usual.sort("ts")["value"].to_list() == drawn(left)
    assert right.get_ylim() == left.get_ylim()
    assert left.get_ylim()[1] > usual["value"].max() > usual["value"].min() > left.get_ylim()[0]
    assert any(text.startswith("The narrow part on the left: what is usual, ") for text in texts(figure))
    assert [] == outside(figure)
    assert sheet.get_position().width == 1


def test_a_window_that_is_much_of_the_axis_shares_it():
    figure = plots.series(sample.series(codes=("db-erp",)), window=(sample.AT - timedelta(hours=2), sample.AT))

    assert 3 == len(figure.axes)  # the sheet and two panels


def crowd(size: int) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "start_at": sample.AT - timedelta(minutes=i % 240), "end_at": sample.AT, "kind": "change",
                "ci_code": "db-erp" if i == 0 else f"srv-{i:03}", "title": "x", "record_id": f"C-{i}",
            }
            for i in range(size)
        ]
    )  # fmt: skip


def test_many_records_of_others_are_ticks_and_do_not_hide_the_series():
    figure = plots.series(sample.series(), history=crowd(500))
    own = [sum(len(line.get_xdata()) == 2 for line in axes.lines) for axes in figure.axes[1:]]
    ticks = [[len(line.get_xdata()) // 3 for line in axes.lines if line.get_alpha() == 0.5] for axes in figure.axes[1:]]

    assert [0, 0, 1, 1] == own
    assert [[500], [500], [499], [499]] == ticks
    assert any("ticks at the top: the many of others" in text for text in texts(figure))
    assert len(plots.to_svg(figure, "x")) < 150_000


def test_few_records_of_others_are_drawn_one_by_one():
    figure = plots.series(sample.series(), history=crowd(12))

    assert [12] * 4 == [sum(len(line.get_xdata()) == 2 for line in axes.lines) for axes in figure.axes[1:]]


def test_units_stand_with_the_metric_and_large_numbers_are_short():
    big = sample.series(codes=("db-erp",)).with_columns(value=pl.col("value") * 1e8)
    found = texts(plots.series(big, units={"cpu_usage": "B/s"}))

    assert {"db-erp · cpu_usage (B/s)", "db-erp · response_time_ms"} <= set(found)
    assert ["4 G", "6 G", "8 G", "16 G", "24 G", "32 G", "40 G"] == [text for text in found if text.endswith(" G")]
    assert not {"1e9", "1e10"} & set(found)


@pytest.mark.parametrize(
    ("value", "largest", "shown"),
    [
        (0.003637, None, "0.003637"), (46.78, None, "46.78"), (1352.41, None, "1352"), (-12_345.0, None, "-12.3 k"),
        (0.0, 3.2e9, "0"), (8e8, 3.2e9, "0.8 G"), (2000.0, 8000.0, "2000"), (2000.0, 12000.0, "2 k"), (1e30, None, "1e+30"),
        (9999.6, None, "10000"), (999.6, None, "999.6"), (999_600.0, None, "1000 k"),
    ],
)  # fmt: skip
def test_numbers_are_as_short_as_they_are_read(value, largest, shown):
    assert shown == sheet.amount(value, largest)


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


def of_one_item(*names: str) -> pl.DataFrame:
    disks = sample.series(codes=("srv-1",), gap=False).filter(pl.col("metric") == "cpu_usage")
    return pl.concat([disks.with_columns(series=pl.lit(name)) for name in names])


def test_long_names_of_series_stay_within_the_panel():
    figure = plots.series(of_one_item("a-long-name-" * 20 + "1", "a-long-name-" * 20 + "2"))

    assert [] == outside(figure)
    assert {"1", "2"} == {text[-1] for text in texts(figure) if text.startswith("a-long")}


def test_more_series_than_can_be_named_in_a_panel_are_counted():
    found = texts(plots.series(of_one_item(*(f"disk-{i}" for i in range(30)))))

    assert "30 series, too many to be named here" in found
    assert [] == [text for text in found if text.startswith("disk-")]


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


def test_movers_tell_what_was_usual_and_what_it_came_to():
    frame = sample.movers().with_columns(before=pl.lit(8.595), worst=pl.lit(77.93), series=pl.lit("/var"))
    figure = plots.movers(frame, units={"response_time_ms": "ms"})
    found = texts(figure)

    assert {"8.595 → 77.93 ms", "8.595 → 77.93", "db-erp · response_time_ms [/var]"} <= set(found)
    heads = {"deviations from the usual", "usual → furthest", "moved at, 2026-03-02 UTC"}
    assert heads <= set(found)
    assert [] == overlapping(figure, heads) + outside(figure)


def bars(figure) -> list[float]:
    return [patch.get_width() for patch in figure.axes[0].patches]


def test_a_score_beyond_measure_does_not_hide_the_others():
    frame = sample.movers().with_columns(score=pl.Series([1e11, 1000.0, 100.0, 10.0, 5.0]))
    figure = plots.movers(frame)
    longest, *others = bars(figure)

    assert "deviations from the usual (logarithmic)" in texts(figure)
    assert {"100 G", "1000", "5"} <= set(texts(figure))
    assert others == sorted(others, reverse=True)
    assert min(others) > longest / 50


def test_scores_of_a_kind_have_bars_in_proportion():
    figure = plots.movers(sample.movers())

    assert "deviations from the usual" in texts(figure)
    assert [14.2, 9.1, 6.4, 4.4, 2.1] == [round(14.2 * bar / bars(figure)[0], 6) for bar in bars(figure)]


def test_movers_of_several_days_have_room_for_their_times():
    frame = sample.movers().with_columns(
        moved_at=pl.col("moved_at").dt.offset_by("-1d") + pl.Series([timedelta(days=i) for i in range(5)]),
        before=pl.lit(8595e6),
        worst=pl.lit(77.93e9),
    )
    figure = plots.movers(frame, units=dict.fromkeys(frame["metric"], "bytes/second"))

    assert [] == overlapping(figure, set(texts(figure)) - {""})
    assert [] == outside(figure)


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


def printed_under_seeds(module: str) -> str:
    """The hashes of all pictures of a test *module*, the same under two hash seeds, and whether pyplot was loaded."""
    script = (
        f"import hashlib, sys; from tests.views.{module} import ALL; from ciops_nb.views import plots;"
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
    return printed.pop()


def test_pyplot_is_never_loaded_and_the_bytes_do_not_hang_on_the_hash_seed():
    assert printed_under_seeds("test_plots").endswith("False\n")
