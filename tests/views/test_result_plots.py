from __future__ import annotations

from xml.etree import ElementTree

import networkx as nx
import polars as pl
import pytest
from matplotlib.patches import FancyBboxPatch

import ciops_nb as ciops
from ciops_nb.errors import BadParameter
from ciops_nb.views import plots, topology_plots

from . import result_sample as results
from . import sample
from .test_plots import HOSTILE, SHOWN, outside, overlapping, printed_under_seeds, tags, texts

ALL = {
    "ci_groups": lambda **kw: plots.ci_groups(results.ci_groups(), **kw),
    "metric_groups": lambda **kw: plots.metric_groups(results.metric_groups(), **kw),
    "buckets": lambda **kw: plots.metric_groups(results.buckets(), **kw),
    "paths": lambda **kw: plots.paths(results.ways(), **kw),
    "near_misses": lambda **kw: plots.near_misses(results.explained(), **kw),
    "injected": lambda **kw: plots.injected(results.injected(), **kw),
    "call_times": lambda **kw: plots.call_times(results.summary(), **kw),
    "topology_diff": lambda **kw: plots.topology_diff(sample.three_nodes(), later(), **kw),
}
MANY = {
    "ci_groups": lambda: plots.ci_groups(results.ci_groups(300)),
    "metric_groups": lambda: plots.metric_groups(results.metric_groups(300, 3)),
    "buckets": lambda: plots.metric_groups(results.buckets(300, 4)),
    "paths": lambda: plots.paths(results.ways(300, 9)),
    "near_misses": lambda: plots.near_misses(results.explained(300)),
    "injected": lambda: plots.injected(results.injected(300)),
    "call_times": lambda: plots.call_times(results.summary(300)),
}
FRAMES = {
    "ci_groups": results.ci_groups, "metric_groups": results.metric_groups, "near_misses": results.explained,
    "injected": results.injected, "call_times": results.summary,
}  # fmt: skip


def bars(figure) -> list[float]:
    return [round(patch.get_width(), 6) for patch in figure.axes[0].patches if patch.get_height() < 0.2]


# --- groups


def test_the_biggest_group_comes_first_and_each_bar_has_its_number():
    frame = pl.DataFrame({"ci_type": ["HW", "SW"], "count": [20, 80]})
    figure = plots.ci_groups(frame)
    longest, shortest = bars(figure)

    assert ["ci_type", "count", "SW", "80", "HW", "20"] == texts(figure)
    assert 4 == round(longest / shortest, 4)


def test_null_is_a_group_and_is_hatched():
    frame = pl.DataFrame({"location": ["Oslo", None], "count": [3, 2]})
    figure = plots.ci_groups(frame)

    assert {"not set", "hatched: a field of the group is not set"} <= set(texts(figure))
    assert [None, "////"] == [patch.get_hatch() for patch in figure.axes[0].patches if patch.get_height() > 0.12]


def test_another_measure_may_lead_and_what_has_no_value_comes_last():
    found = texts(plots.ci_groups(results.ci_groups(3), measure="mean:criticality"))
    names = [text for text in found if "site" in text]

    assert found.index("mean:criticality") < found.index("count")
    assert "HW · site-001" == names[-1]
    assert "no value" in found
    with pytest.raises(BadParameter, match="count, mean:criticality"):
        plots.ci_groups(results.ci_groups(3), measure="mean:age")


def test_a_count_without_keys_is_one_bar():
    assert ["all", "count", "all", "280"] == texts(plots.ci_groups(pl.DataFrame({"count": [280]})))


def test_a_frame_without_measures_is_refused():
    with pytest.raises(BadParameter, match="no measure"):
        plots.ci_groups(results.ci_groups().select("ci_type"))


def test_values_that_are_no_numbers_are_said_and_have_no_bar():
    frame = pl.DataFrame({"ci_type": ["SW"], "count": [1], "max:created_at": [sample.AT]})
    figure = plots.ci_groups(frame)

    assert any(text.startswith("2026-03-02 10:00") for text in texts(figure))
    assert 0 == bars(figure)[-1]


def test_each_metric_has_its_own_scale_and_its_unit():
    figure = plots.metric_groups(results.metric_groups(3, 3))

    assert {"cpu_usage (percent)", "response_time (ms)", "temperature", "90", "6 M", "-30"} <= set(texts(figure))
    assert min(bars(figure)) < 0
    assert [] == outside(figure)


def test_buckets_are_lines_with_a_panel_for_each_aggregate():
    figure = plots.metric_groups(results.buckets())
    found = texts(figure)

    assert {"mean · cpu_usage (percent)", "max · cpu_usage (percent)", "srv-000", "srv-002"} <= set(found)
    assert [24] * 3 == [len(line.get_xdata()) for line in figure.axes[1].lines]


def test_of_too_many_lines_those_that_reach_highest_are_drawn():
    found = texts(plots.metric_groups(results.buckets(300, 4)))

    assert "mean, the 8 highest of 300 · cpu_usage (percent)" in found
    assert [f"srv-{i}" for i in range(292, 300)] == sorted({text for text in found if text.startswith("srv-")})


# --- paths


def test_paths_stand_below_each_other_step_by_step():
    graph = results.ways(3)
    found = texts(plots.paths(graph))
    codes = [text for text in found if text in graph]

    assert [code for way in graph.graph["paths"] for code in way] == codes
    assert ["2 hops", "3 hops", "3 hops"] == [text for text in found if text.endswith("hops")]
    assert {"DEPENDS_ON", "DEPLOYED_ON", "RUNS_ON", "COMPOSED_OF"} <= set(found)


def test_what_lies_on_every_path_has_a_thick_frame():
    figure = plots.paths(results.ways(3))
    frames = [p.get_linewidth() for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]

    assert 3 == frames.count(1.8)
    assert "thick frame: on every path" in texts(figure)
    assert "thick frame: on every path" not in texts(plots.paths(results.ways(1)))


def test_an_arrow_points_from_source_to_target():
    graph = nx.MultiDiGraph(paths=[["a", "b"]])
    sample.node(graph, "a", "SW", "x")
    sample.node(graph, "b", "SW", "x")
    sample.edge(graph, "b", "a", "USES")
    (arrow,) = plots.paths(graph).axes[0].collections
    along = graph.reverse()
    along.graph.update(paths=[["a", "b"]])
    (other,) = plots.paths(along).axes[0].collections

    assert arrow.get_offsets()[0][0] < other.get_offsets()[0][0]


def test_no_path_says_so_and_a_graph_of_another_tool_is_refused():
    graph = results.ways()
    graph.graph["paths"] = []

    assert ["No path between them within so many hops."] == texts(plots.paths(graph))
    with pytest.raises(BadParameter, match="graph_path"):
        plots.paths(sample.three_nodes())


# --- near misses


def test_the_nearest_miss_comes_first():
    found = texts(plots.near_misses(results.explained(8)))
    names = [text.removeprefix("slow · ").split(" ")[0] for text in found if text.startswith("slow")]

    assert ["app-004", "app-000", "app-001", "app-005", "app-002", "app-006", "app-003", "app-007"] == names
    assert {"not for long enough (2)", "never held (2)", "fired (2)", "no data (2)"} <= set(found)


def test_a_case_says_how_long_it_held_and_how_close_it_came():
    found = texts(plots.near_misses(results.explained(4)))

    assert {"1m, of 10m", "210 of 200, 10 beyond", "20m, of 10m", "not at all, of 10m", "no data"} <= set(found)
    assert "all[1]: 182.2 of 200, 17.8 short" in found
    assert "slow · app-000 {team=pay}" in found


def test_the_longest_name_is_not_cut_where_it_fits():
    frame = results.explained(1).with_columns(labels=pl.lit("{}"))
    for code in ("srv-mail-02", "srv-mail-01", "srv-mwm-10"):
        assert f"slow · {code}" in texts(plots.near_misses(frame.with_columns(ci_code=pl.lit(code))))


def test_the_bar_is_as_long_as_the_part_of_the_time_that_it_held():
    figure = plots.near_misses(results.explained(5).filter(pl.col("ci_code").is_in(["app-000", "app-004"])))
    whole, first, again, second = bars(figure)

    assert whole == again
    assert [5, 1] == [round(10 * part / whole) for part in (first, second)]


def test_where_there_are_parts_only_what_stood_in_the_way_is_told_and_nothing_is_said_to_have_fired():
    parts = results.explained(2).filter(pl.col("part") != "")
    found = texts(plots.near_misses(parts))
    held = texts(plots.near_misses(parts.filter(pl.col("state") == "held")))

    assert ["slow · app-001 {team=pay}"] == [text for text in found if text.startswith("slow")]
    assert {"never held (1)", "all[1]: 182.2 of 200, 17.8 short"} <= set(found)
    assert "a part held, not the whole (1)" in held
    assert not [text for text in found + held if text.startswith("fired")]


# --- injected


def test_what_would_have_been_seen_stands_in_order_of_time_and_says_where():
    found = texts(plots.injected(results.injected(5)))
    frame = results.injected(5).filter("injected").sort("delay_s")

    assert [f"slow · {code}" for code in frame["ci_code"]] == [text for text in found if text.startswith("slow")]
    assert {"where it began", "1 hop away", "2 hops away", "was not struck", "fired (3)", "pending only (1)"} <= set(
        found
    )
    assert "1 more alert of that time would have been there without it." in found


def test_alerts_that_were_there_anyway_are_not_told_as_seen():
    frame = results.injected().filter(~pl.col("injected"))

    assert ["No rule would have seen it. 1 more alert of that time would have been there without it."] == texts(
        plots.injected(frame)
    )


# --- times of calls


def test_tools_stand_in_order_of_slowness_with_their_errors():
    frame = pl.DataFrame(
        {
            "tool": ["fast", "slow"], "count": [10, 4], "errors": [0, 3], "hit_rate": [0.5, 0.0], "p50_ms": [1.0, 800.0],
            "p95_ms": [2.0, 1500.0], "p99_ms": [3.0, 2000.0],
        }
    )  # fmt: skip
    found = texts(plots.call_times(frame))

    assert found.index("slow") < found.index("fast")
    assert {"800 ms / 1.5 s / 2 s", "1 ms / 2 ms / 3 ms", "50%", "3", "1 ms", "10 s"} <= set(found)


def test_the_summary_of_a_session_is_drawn(tmp_path):
    with ciops.connect("data/demo") as ops:
        ops.ci_search.sync("erp")

        assert "ci_search" in texts(plots.call_times(ops.trace.summary()))


# --- two topologies


def later() -> nx.MultiDiGraph:
    """Three nodes of which one is gone, one came, and one was retired and depends on the new one."""
    graph = sample.three_nodes()
    graph.remove_node("sys-erp")
    sample.node(graph, "que-erp", "SW", "queue", 1)
    sample.edge(graph, "db-erp", "que-erp", "USES")
    graph.nodes["db-erp"].update(status="retired", hops=3)
    return graph


def test_what_came_went_and_changed_is_said_in_words():
    found = texts(plots.topology_diff(sample.three_nodes(), later()))

    assert {"new", "gone", "changed", "new (1)", "gone (1)", "changed (1)", "status active → retired"} <= set(found)
    assert {"relation unchanged", "relation added", "relation removed", "que-erp", "sys-erp"} <= set(found)


def test_backwards_what_came_is_gone():
    states = {code: state for code, (state, _) in topology_plots._united(later(), sample.three_nodes())[1].items()}

    assert {"sys-erp": "new", "que-erp": "gone", "db-erp": "changed"} == states


def test_a_relation_of_another_type_between_the_same_items_is_added():
    graph = sample.three_nodes()
    sample.edge(graph, "app-erp-01", "db-erp", "USES")
    both, states = topology_plots._united(sample.three_nodes(), graph)
    found = sorted(data["relation_type"] for data in both.get_edge_data("app-erp-01", "db-erp").values())

    assert {} == states
    assert ["relation added", "relation unchanged"] == found


def test_what_does_not_differ_is_said_and_the_graphs_are_left_alone():
    before, after = sample.three_nodes(), sample.three_nodes()
    found = texts(plots.topology_diff(before, after))

    assert "Nothing differs." in found
    assert not {"new", "gone", "changed", "relation added"} & set(found)
    assert nx.utils.graphs_equal(before, sample.three_nodes())
    assert "Nothing differs." not in texts(plots.topology_diff(before, later()))


def test_of_three_hundred_items_those_that_differ_are_named():
    before = sample.around(300, "app-000")
    after = before.copy()
    after.remove_node("web-003")
    after.nodes["srv-001"]["status"] = "retired"
    figure = plots.topology_diff(before, after)

    assert {"gone web-003", "changed srv-001"} <= set(texts(figure))
    assert [] == outside(figure)


def test_two_empty_graphs_have_nothing_to_draw():
    empty = nx.MultiDiGraph()

    assert [plots.EMPTY["topology"]] == texts(plots.topology_diff(empty, empty))
    assert {"new (3)"} <= set(texts(plots.topology_diff(empty, sample.three_nodes())))


# --- all of them


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ALL)
def test_every_text_is_on_the_sheet_and_none_lies_on_another(name, theme):
    figure = ALL[name](theme=theme)
    words = {text.get_text() for text in figure.axes[0].texts} - {""}

    assert [] == outside(figure)
    assert [] == overlapping(figure, words)


@pytest.mark.parametrize("name", MANY)
def test_of_three_hundred_the_picture_says_how_many_it_shows(name):
    figure = MANY[name]()

    assert any(" of 300" in text for text in texts(figure))
    assert [] == outside(figure)
    assert len(plots.to_svg(figure, "x")) < 250_000


@pytest.mark.parametrize("name", FRAMES)
def test_an_empty_answer_gives_a_picture_that_says_so(name):
    assert [plots.EMPTY[name]] == texts(getattr(plots, name)(FRAMES[name]().head(0)))


@pytest.mark.parametrize("name", FRAMES)
def test_pandas_and_polars_give_the_same_picture(name):
    frame = FRAMES[name]()

    assert plots.to_svg(getattr(plots, name)(frame), "x") == plots.to_svg(getattr(plots, name)(frame.to_pandas()), "x")


@pytest.mark.parametrize(
    ("name", "column"),
    [("metric_groups", "n"), ("near_misses", "margin"), ("injected", "delay_s"), ("call_times", "p95_ms")],
)
def test_a_missing_column_is_named(name, column):
    with pytest.raises(BadParameter, match=column):
        getattr(plots, name)(FRAMES[name]().drop(column))


@pytest.mark.parametrize("name", [HOSTILE, "very-long-" * 30])
def test_hostile_and_long_names_are_visible_and_stay_on_the_sheet(name):
    graph = nx.relabel_nodes(results.ways(2), {"db-erp": name})
    graph.graph["paths"] = [
        [name if code == "db-erp" else code for code in way] for way in results.ways(2).graph["paths"]
    ]
    graph.nodes[name]["ci_subtype"] = name
    changed = graph.copy()
    changed.nodes[name]["status"] = name
    for figure in (
        plots.ci_groups(results.ci_groups().with_columns(ci_type=pl.lit(name)).rename({"location": name})),
        plots.metric_groups(results.metric_groups().with_columns(ci_code=pl.lit(name), unit=pl.lit(name))),
        plots.metric_groups(results.buckets().with_columns(ci_code=pl.lit(name), unit=pl.lit(name))),
        plots.paths(graph),
        plots.topology_diff(graph, changed),
        plots.topology_diff(graph, nx.MultiDiGraph()),
        plots.near_misses(
            results.explained().with_columns(ci_code=pl.lit(name), labels=pl.lit(name), rule=pl.lit(name))
        ),
        plots.injected(results.injected().with_columns(ci_code=pl.lit(name), rule=pl.lit(name))),
        plots.call_times(results.summary().with_columns(tool=pl.lit(name))),
    ):
        svg = plots.to_svg(figure, name)
        assert "script" not in tags(svg)
        assert not {"\u202e", "\x00"} & set(svg)
        assert any(name[:9] in text or "⟨U+202E⟩" in text for text in texts(figure))
        assert [] == outside(figure)
        if name == HOSTILE:
            assert SHOWN == ElementTree.fromstring(svg)[0].text


def test_pyplot_is_never_loaded_and_the_bytes_do_not_hang_on_the_hash_seed():
    assert printed_under_seeds("test_result_plots").endswith("False\n")


# --- draw


def test_draw_chooses_by_the_tool_that_returned_it():
    with ciops.connect("data/demo") as ops:
        counted = ops.ci_aggregate.sync("ci_type")
        ways = ops.graph_path.sync("app-erp-01", "srv-erp-01", k=2)
        around = ops.graph_expand.sync("app-erp-01", depth=1)
        listed = ops.ci_list_preview.sync()

    assert plots.to_svg(plots.ci_groups(counted), "x") == plots.to_svg(plots.draw(counted), "x")
    assert plots.to_svg(plots.paths(ways, theme="dark"), "x") == plots.to_svg(plots.draw(ways, theme="dark"), "x")
    assert plots.to_svg(plots.topology(around), "x") == plots.to_svg(plots.draw(around), "x")
    for result, options, said in (
        (listed, {}, "ci_list_preview"), (counted, {"focus": "a"}, "focus"), (sample.movers(), {}, "movers"),
    ):  # fmt: skip
        with pytest.raises(BadParameter, match=said):
            plots.draw(result, **options)


def test_an_answer_that_was_cut_says_so_in_its_picture():
    with ciops.connect("data/demo") as ops:
        counted = ops.ci_aggregate.sync("location", top=1)

    assert any(text.startswith("This answer is truncated: ") for text in texts(plots.draw(counted)))
