"""``graph_expand`` and ``graph_path`` against networkx."""

from __future__ import annotations

import itertools
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ciops_nb as ciops
from ciops_nb.estate.schema import DEFAULT_RELATION_TYPES
from ciops_nb.tools.graph import VIEWS
from tests.oracle import SETTINGS, ask, cis_at, every_way, is_valid, of_a, opened, seeds, world
from tests.worlds import Rows, hours

TYPES = [*DEFAULT_RELATION_TYPES, "UNDECLARED"]
NODE = ("ci_id", "ci_name", "ci_type", "ci_subtype", "status", "criticality")


def whole(rows: Rows, hour: int) -> nx.MultiDiGraph[str]:
    """All CIs and relations of a moment."""
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    codes = {ci["ci_id"]: ci["ci_code"] for ci in cis_at(rows, hours(hour))}
    graph.add_nodes_from(codes.values())
    for row in of_a(rows, "relation"):
        if is_valid(row, hours(hour)) and row["source_id"] in codes and row["target_id"] in codes:
            graph.add_edge(codes[row["source_id"]], codes[row["target_id"]], row["relation_type"])
    return graph


def steps(graph: nx.MultiDiGraph[str], direction: str, relations: list[str] | None) -> nx.DiGraph[str]:
    """The steps that may be taken: upstream to what is needed, downstream to what is hurt, or both."""
    way: nx.DiGraph[str] = nx.DiGraph()
    way.add_nodes_from(graph)
    for source, target, kind in graph.edges(keys=True):
        impact = DEFAULT_RELATION_TYPES.get(kind, "none")
        if relations is not None and kind not in relations:
            continue
        if direction == "either" or impact == "both":
            way.add_edges_from([(source, target), (target, source)])
        elif impact == "target_to_source":
            way.add_edge(*((source, target) if direction == "upstream" else (target, source)))
    return way


@every_way
@SETTINGS
@given(
    seed=seeds,
    hour=st.integers(0, 30),
    view=st.sampled_from([*VIEWS]),
    depth=st.none() | st.integers(0, 3),
    direction=st.sampled_from([None, "upstream", "downstream", "either"]),
    relations=st.none() | st.lists(st.sampled_from(sorted(DEFAULT_RELATION_TYPES)), max_size=3, unique=True),
    roots=st.lists(st.sampled_from(["ci-0", "ci-1", "ci-2", "ci-1-new"]), min_size=1, max_size=3),
    budget=st.integers(1, 9),
)
def test_expand_equals_a_walk_of_networkx(
    engine: str, frames: str, way: str, seed: int, hour: int, view: str, depth: int | None, direction: str | None,
    relations: list[str] | None, roots: list[str], budget: int,
) -> None:  # fmt: skip
    rows, ops, shape = world(seed), opened(seed, engine, frames), VIEWS[view]
    graph = whole(rows, hour)
    steps_most = shape.depth if depth is None else depth
    asked: Any = {"view": view, "depth": depth, "direction": direction, "relations": relations, "as_of": hours(hour)}
    if not set(roots) <= set(graph) or steps_most > shape.deepest:
        error = ciops.errors.BadParameter if steps_most > shape.deepest else ciops.errors.ItemNotFound
        with pytest.raises(error):
            ask(ops, way, "graph_expand", roots, **asked)
        return
    followed = list(shape.relations) if relations is None and shape.relations else relations
    walk = steps(graph, direction or shape.direction, followed)
    hops = {
        code: min(nx.single_source_shortest_path_length(walk, root).get(code, 99) for root in roots) for code in graph
    }
    order = sorted((code for code in graph if hops[code] <= steps_most), key=lambda code: (hops[code], code))
    kept = order[:budget]
    frontier = [
        (code, len(set(walk[code]) - set(kept)), "depth" if hops[code] == steps_most else "max_nodes") for code in kept
    ]

    found = ask(ops, way, "graph_expand", roots, max_nodes=budget, **asked)
    assert kept == list(found)
    assert sorted(graph.subgraph(kept).edges(keys=True)) == sorted(found.edges(keys=True))
    assert [entry for entry in frontier if entry[1]] == [tuple(entry.values()) for entry in found.graph["frontier"]]
    cis = {ci["ci_code"]: ci for ci in cis_at(rows, hours(hour))}
    assert {code: {**{name: cis[code][name] for name in NODE}, "hops": hops[code]} for code in kept} == dict(
        found.nodes(data=True)
    )
    told = ciops.provenance(found).completeness
    cut = len(order) - len(kept)
    assert (len(kept), len(order), "truncated" if cut else "complete") == (told.returned, told.total, told.status)
    assert ([{"what": "nodes", "count": cut, "why": f"max_nodes={budget}"}] if cut else []) == told.left_out
    assert (view, steps_most, direction or shape.direction) == tuple(
        found.graph[name] for name in ("view", "depth", "direction")
    )
    assert list(dict.fromkeys(roots)) == found.graph["roots"]


@every_way
@SETTINGS
@given(
    seed=seeds,
    hour=st.integers(0, 30),
    ends=st.tuples(*[st.sampled_from(["ci-0", "ci-1", "ci-2", "ci-3"])] * 2),
    direction=st.sampled_from(["upstream", "downstream", "either"]),
    relations=st.none() | st.lists(st.sampled_from(sorted(DEFAULT_RELATION_TYPES)), max_size=3, unique=True),
    hops=st.integers(0, 6),
    k=st.integers(1, 5),
)
def test_paths_equal_all_simple_paths_of_networkx(
    engine: str, frames: str, way: str, seed: int, hour: int, ends: tuple[str, str], direction: str,
    relations: list[str] | None, hops: int, k: int,
) -> None:  # fmt: skip
    graph, ops = whole(world(seed), hour), opened(seed, engine, frames)
    if not set(ends) <= set(graph):
        return
    walk = steps(graph, direction, relations)
    some = [[ends[0]]] if ends[0] == ends[1] else nx.all_simple_paths(walk, *ends, cutoff=hops) if hops else []
    paths = sorted(some, key=lambda path: (len(path), path))[:k]
    found = ask(
        ops, way, "graph_path", *ends, relations=relations, direction=direction, max_hops=hops, k=k, as_of=hours(hour)
    )
    assert paths == found.graph["paths"]
    assert {code for path in paths for code in path} == set(found)
    pairs = {pair for path in paths for pair in itertools.pairwise(path)}
    taken = {
        edge for edge in graph.edges(keys=True)
        if any(step in pairs and steps(graph.edge_subgraph([edge]), direction, relations).has_edge(*step) for step in (edge[:2], edge[1::-1]))
    }  # fmt: skip
    assert taken == set(found.edges(keys=True))
    away = nx.shortest_path_length(walk, *ends) if nx.has_path(walk, *ends) else None
    told = [
        "there is no path of any length"
        if away is None
        else f"the shortest path has {away} hops, beyond max_hops={hops}"
    ]
    assert ([] if paths else told) == [text for text in ciops.provenance(found).warnings if "path" in text]


@pytest.mark.parametrize("direction", ["", 0, False, "up"])
def test_what_is_no_direction_is_refused(direction: Any) -> None:
    with pytest.raises(ciops.errors.BadParameter, match="upstream, downstream, either"):
        opened(3).graph_expand.sync("ci-0", direction=direction)
