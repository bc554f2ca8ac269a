from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.errors import ItemNotFound
from ciops_nb.views.layout import _crossings, _inversions, _rows, layered, layers

from . import sample


def chain(*codes: str) -> nx.MultiDiGraph:
    """Each depends on the next."""
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(codes)
    for source, target in itertools.pairwise(codes):
        sample.edge(graph, source, target, "DEPENDS_ON")
    return graph


def test_what_is_needed_stands_left_of_what_is_hurt():
    assert {"sys-erp": (1.0, 0.0), "app-erp-01": (0.0, 0.0), "db-erp": (-1.0, 0.0)} == layered(sample.three_nodes())


def test_with_a_focus_the_layer_is_the_signed_hops():
    graph = chain("top", "upper", "middle", "lower")

    assert {"top": 2, "upper": 1, "middle": 0, "lower": -1} == layers(graph, focus="middle")


def test_without_a_focus_the_layers_count_from_what_needs_nothing():
    graph = chain("a", "b", "c")
    sample.edge(graph, "a", "c", "USES")

    assert {"c": 0, "b": 1, "a": 2} == layers(graph)


def test_what_shares_a_need_with_the_focus_stands_beside_it():
    graph = chain("app-1", "db")
    sample.edge(graph, "app-2", "db", "DEPENDS_ON")

    assert {"app-1": 0, "app-2": 0, "db": -1} == layers(graph, focus="app-1")


def test_a_relation_without_impact_does_not_move_a_node_to_another_layer():
    graph = chain("srv", "power")
    sample.edge(graph, "srv", "switch", "CONNECTED_TO")

    assert {"power": 0, "srv": 1, "switch": 1} == layers(graph)


def test_in_a_cycle_the_shorter_way_counts():
    graph = chain("a", "b", "c", "d", "a")

    assert {"a": 0, "b": -1, "c": -2, "d": 1} == layers(graph, focus="a")


def test_a_cycle_without_a_focus_loses_one_edge_and_keeps_its_order():
    assert [0, 1, 2] == sorted(layers(chain("a", "b", "c", "a")).values())


def test_an_unknown_focus_names_the_near_ones():
    with pytest.raises(ItemNotFound, match="db-erp"):
        layered(sample.three_nodes(), focus="db-erq")


def test_no_graph_gives_no_places():
    assert {} == layered(nx.MultiDiGraph())


def test_two_crossing_edges_are_uncrossed():
    graph = nx.MultiDiGraph()
    for source, target in (("up-1", "low-2"), ("up-2", "low-1"), ("up-1", "mid"), ("mid", "low-2")):
        sample.edge(graph, source, target, "DEPENDS_ON")
    sample.edge(graph, "top", "up-1", "DEPENDS_ON")
    sample.edge(graph, "top", "up-2", "DEPENDS_ON")
    at = layered(graph)

    assert (at["up-1"][1] - at["up-2"][1]) * (at["low-2"][1] - at["low-1"][1]) > 0


@pytest.mark.parametrize(("size", "focus"), [(60, None), (60, "app-000"), (300, None), (300, "app-000")])
def test_no_two_nodes_share_a_place_and_those_of_a_column_keep_their_distance(size, focus):
    at = layered(sample.estate(size), focus=focus)
    columns: dict[float, list[float]] = {}
    for x, y in at.values():
        columns.setdefault(x, []).append(y)

    assert len(at) == len(set(at.values()))
    assert all(b - a >= 0.999 for ys in columns.values() for a, b in itertools.pairwise(sorted(ys)))
    assert all(b - a >= 0.999 for a, b in itertools.pairwise(sorted(columns)))


def test_a_star_of_a_thousand_is_folded_to_a_page():
    graph = nx.MultiDiGraph()
    for i in range(1000):
        sample.edge(graph, f"app-{i}", "db", "DEPENDS_ON")
    xs, ys = np.array(list(layered(graph, focus="db").values())).T

    assert xs.max() - xs.min() < 20
    assert ys.max() - ys.min() < 80


def test_nodes_without_edges_are_laid_in_a_grid_below():
    graph = chain("a", "b")
    graph.add_nodes_from(f"alone-{i}" for i in range(40))
    at = layered(graph)

    assert len(set(at.values())) == 42
    assert max(y for code, (_, y) in at.items() if code.startswith("alone")) < at["a"][1]


edges = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 11), st.sampled_from(["DEPENDS_ON", "CONNECTED_TO", "OWNS"])),
    max_size=40,
)


@given(edges=edges, focused=st.booleans())
@settings(derandomize=True, deadline=None, max_examples=150)
def test_any_graph_gives_each_node_its_own_place_whatever_the_order_of_its_edges(edges, focused):
    graphs = [nx.MultiDiGraph(), nx.MultiDiGraph()]
    for graph, ordered in zip(graphs, (edges, edges[::-1]), strict=True):
        graph.add_node("n0")
        for source, target, relation_type in ordered:
            sample.edge(graph, f"n{source}", f"n{target}", relation_type)
    first, second = (layered(graph, focus="n0" if focused else None) for graph in graphs)

    assert first == second
    assert len(first) == len(set(first.values())) == len(graphs[0])


@given(st.lists(st.integers(0, 20)))
@settings(derandomize=True, deadline=None)
def test_inversions_are_counted_as_by_looking_at_every_pair(values):
    slow = sum(a > b for a, b in itertools.combinations(values, 2))

    assert slow == _inversions(np.array(values, dtype=np.int64))


def test_crossings_are_counted_as_by_looking_at_every_pair_of_edges():
    rows = _rows([0, 0, 0, 1, 1, 1], [(0, 5), (1, 4), (2, 3), (0, 3)])
    position = np.array([0.0, 1, 2, 0, 1, 2])

    assert 4 - 1 == _crossings(rows, position)


def test_crossings_between_several_layers_are_those_between_each_two():
    rows = _rows([0, 0, 1, 1, 2, 2], [(0, 3), (1, 2), (2, 5), (3, 4)])

    assert 2 == _crossings(rows, np.array([0.0, 1, 0, 1, 0, 1]))
    assert 0 == _crossings(rows, np.array([0.0, 1, 1, 0, 0, 1]))


def test_parts_of_one_shape_look_the_same_and_stand_below_each_other():
    graph = nx.MultiDiGraph(roots=["app-1"])
    for i in range(4):
        for db in ("a", "b"):
            sample.edge(graph, f"app-{i}", f"db-{i}{db}", "DEPENDS_ON")
    at = layered(graph)
    bottoms = [at[f"db-{i}a"][1] for i in (1, 0, 2, 3)]

    for i in range(4):
        (x, y), (first, low), (second, high) = (at[code] for code in (f"app-{i}", f"db-{i}a", f"db-{i}b"))
        assert (1.0, 1.0, 1.0) == (x - first, x - second, abs(high - low))
        assert y == (low + high) / 2
    assert at["app-1"][0] == 0.0
    assert bottoms == sorted(bottoms, reverse=True)
    assert all(a - b > 1 for a, b in itertools.pairwise(bottoms))


def test_the_same_graph_gives_the_same_places_under_another_hash_seed():
    script = (
        "from tests.views import sample; from ciops_nb.views.layout import layered;"
        "print(layered(sample.estate(300), focus='app-000'))"
    )
    printed = {_printed(script, seed) for seed in ("1", "2")}

    assert 1 == len(printed)


def _printed(script: str, seed: str) -> str:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment, cwd=root
    )
    return done.stdout
