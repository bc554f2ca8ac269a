from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.errors import BadParameter
from ciops_nb.topology import DIRECTIONS, PathsResult, Snapshot, shortest_paths

from .worlds import (
    LAST,
    TYPES,
    USED_TYPES,
    Moment,
    World,
    moment,
    nodes_of,
    type_numbers,
    types_asked,
    worlds,
)


def _in_order(truth: Moment, steps: Any, source: str, target: str, max_hops: int) -> list[list[str]]:
    """All simple paths, as networkx lists them, by length and then by the codes on the way."""
    if source == target:
        return [[source]]
    paths = nx.all_simple_paths(steps, source, target, cutoff=max_hops) if max_hops else []
    return sorted(paths, key=lambda path: (len(path), [truth.key(ci) for ci in path]))


def _shown(snapshot: Snapshot, result: PathsResult) -> list[list[str]]:
    return [snapshot.ids(np.array(path)) for path in result.paths]


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    worlds(), st.integers(0, LAST), st.integers(0, 7), st.sampled_from((1, 2, 3, 5, 400)),
    st.sampled_from(DIRECTIONS), types_asked, st.data(),
)  # fmt: skip
def test_paths_are_the_first_of_all_simple_paths(
    world: World, when: int, max_hops: int, k: int, direction: Any, types: frozenset[str] | None, data: st.DataObject
) -> None:
    topology, truth = world.topology(), moment(world, when)
    if not truth.codes:
        return
    snapshot = topology.at(when)
    source, target = (data.draw(st.sampled_from(sorted(truth.codes))) for _ in range(2))
    steps = truth.steps(direction, USED_TYPES if types is None else types)
    every = _in_order(truth, steps, source, target, max_hops)

    result = shortest_paths(
        snapshot, *nodes_of(snapshot, [source, target]), direction=direction, types=type_numbers(topology, types),
        max_hops=max_hops, k=k,
    )  # fmt: skip
    assert every[:k] == _shown(snapshot, result)
    assert (len(every) > k) is result.more
    linked = nx.has_path(steps, source, target)
    assert (nx.shortest_path_length(steps, source, target) if linked else None) == result.shortest_hops


@settings(deadline=None, derandomize=True, max_examples=200)
@given(worlds(), st.integers(0, LAST), st.sampled_from((1, 3)), st.sampled_from(DIRECTIONS), types_asked, st.data())
def test_a_path_comes_with_the_relations_that_carry_its_steps(
    world: World, when: int, k: int, direction: Any, types: frozenset[str] | None, data: st.DataObject
) -> None:
    topology, truth = world.topology(), moment(world, when)
    if not truth.codes:
        return
    snapshot = topology.at(when)
    source, target = (data.draw(st.sampled_from(sorted(truth.codes))) for _ in range(2))
    followed = {
        key: truth_of.steps(direction, USED_TYPES if types is None else types)
        for key in truth.edges
        for truth_of in [Moment(truth.codes, truth.rows, {key: truth.edges[key]}, {})]
    }

    result = shortest_paths(
        snapshot, *nodes_of(snapshot, [source, target]), direction=direction, types=type_numbers(topology, types), k=k
    )
    edges = result.edges
    kinds = [topology.types[number] for number in edges.kind.tolist()]
    ends = list(zip(snapshot.ids(edges.source), snapshot.ids(edges.target), kinds, strict=True))
    pairs = {pair for path in _shown(snapshot, result) for pair in pairwise(path)}
    between = {
        tuple(snapshot.ids(np.array(pair))): sorted(ends[place] for place in places)
        for pair, places in result.between.items()
    }
    assert {pair: sorted(key for key, graph in followed.items() if graph.has_edge(*pair)) for pair in pairs} == between
    used = {key for found in between.values() for key in found}
    assert sorted(used, key=lambda key: (truth.key(key[0]), truth.key(key[1]), key[2])) == ends
    assert [truth.edges[key][0] for key in ends] == edges.row.tolist()


@pytest.mark.parametrize("seed", range(12))
def test_many_paths_through_larger_graphs_come_in_order(seed: int) -> None:
    draw = random.Random(seed)
    size, most = (40, 60) if seed % 2 else (14, 500)
    ids = [f"i{n:02d}" for n in range(size)]
    codes = draw.sample(ids, size)
    hubs = ids[:3]
    relations = [
        (draw.choice(hubs) if draw.random() < 0.2 else draw.choice(ids), draw.choice(ids), draw.choice(list(TYPES)))
        for _ in range(size * 2 + size // 2)
    ]
    world = World(
        tuple((ci, code, None, None) for ci, code in zip(ids, codes, strict=True)),
        tuple((*relation, None, None, None, None) for relation in relations),
    )
    snapshot, truth = world.topology().at(0), moment(world, 0)
    for direction in DIRECTIONS:
        steps = truth.steps(direction, USED_TYPES)
        for max_hops in (4, 6):
            source, target = draw.sample(ids, 2)
            every = _in_order(truth, steps, source, target, max_hops)
            result = shortest_paths(
                snapshot, *nodes_of(snapshot, [source, target]), direction=direction, max_hops=max_hops, k=most
            )
            assert every[:most] == _shown(snapshot, result)
            assert (len(every) > most) is result.more


def _chain(*codes: str) -> World:
    ids = [f"i{n}" for n in range(len(codes))]
    return World(
        tuple((ci, code, None, None) for ci, code in zip(ids, codes, strict=True)),
        tuple((here, there, "DEPENDS_ON", None, None, None, None) for here, there in pairwise(ids)),
    )


def test_a_path_beyond_max_hops_is_not_returned_but_its_length_is_known() -> None:
    snapshot = _chain("a", "b", "c", "d").topology().at(0)
    result = shortest_paths(snapshot, *snapshot.find(["a", "d"]), direction="upstream", max_hops=2)

    assert (result.paths, result.shortest_hops, result.more) == ([], 3, False)
    assert 0 == len(result.nodes) == len(result.edges)


def test_there_is_no_way_against_the_direction() -> None:
    snapshot = _chain("a", "b").topology().at(0)
    result = shortest_paths(snapshot, *snapshot.find(["a", "b"]), direction="downstream")

    assert (result.paths, result.shortest_hops) == ([], None)


def test_nodes_of_the_paths_come_in_order_of_hops_and_code() -> None:
    world = World(
        tuple((f"i{n}", code, None, None) for n, code in enumerate("zcab")),
        tuple((f"i{a}", f"i{b}", "DEPENDS_ON", None, None, None, None) for a, b in ((0, 1), (0, 3), (1, 2), (3, 2))),
    )
    snapshot = world.topology().at(0)
    result = shortest_paths(snapshot, *snapshot.find(["z", "a"]), direction="upstream", k=5)

    assert [snapshot.codes(np.array(path)) for path in result.paths] == [["z", "b", "a"], ["z", "c", "a"]]
    assert (snapshot.codes(result.nodes), result.hops.tolist()) == (["z", "b", "c", "a"], [0, 1, 1, 2])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"max_hops": -1}, "max_hops=-1: is below 0"),
        ({"k": 0}, "k=0: is below 1"),
        ({"source": 7}, "source=7: is not a node that exists"),
        ({"target": -1}, "target=-1: is not a node that exists"),
    ],
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any], says: str) -> None:
    snapshot = _chain("a", "b").topology().at(0)

    with pytest.raises(BadParameter, match=says):
        shortest_paths(snapshot, **{"source": 0, "target": 1, **wrong})
