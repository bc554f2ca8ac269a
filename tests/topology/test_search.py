from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.errors import BadParameter
from ciops_nb.topology import DIRECTIONS, Expansion, Snapshot, expand

from .worlds import LAST, USED_TYPES, Moment, World, moment, nodes_of, type_numbers, types_asked, worlds


def _shown(snapshot: Snapshot, found: Expansion) -> dict[str, Any]:
    edges, topology = found.edges, snapshot.topology
    kinds = [topology.types[number] for number in edges.kind.tolist()]
    frontier = found.frontier
    assert [code for code, _, _ in frontier.records(snapshot)] == snapshot.codes(frontier.nodes)
    return {
        "hops": list(zip(snapshot.ids(found.nodes), found.hops.tolist(), strict=True)),
        "total": found.total,
        "frontier": [
            (ci, count, why)
            for ci, (_, count, why) in zip(snapshot.ids(frontier.nodes), frontier.records(snapshot), strict=True)
        ],
        "edges": list(
            zip(snapshot.ids(edges.source), snapshot.ids(edges.target), kinds, edges.row.tolist(), strict=True)
        ),
        "collapsed": edges.collapsed,
    }


def _truth(truth: Moment, roots: set[str], depth: int, steps: Any, most: int | None) -> dict[str, Any]:
    """Breadth first, one node at a time, as the words of the contract have it."""
    hops: dict[str, int] = {}
    level = truth.order(roots)
    for hop in range(depth + 1):
        for ci in level:
            if most is None or len(hops) < most:
                hops[ci] = hop
        if most is not None and len(hops) == most:
            break
        level = truth.order({there for here in level for there in steps[here]} - set(hops))
    outside = {ci: set(steps[ci]) - set(hops) for ci in hops}
    edges = [key for key in truth.edges if key[0] in hops and key[1] in hops]
    edges.sort(key=lambda key: (truth.key(key[0]), truth.key(key[1]), key[2]))
    return {
        "hops": list(hops.items()),
        "total": None if most is None else _truth(truth, roots, depth, steps, None)["hops"].__len__(),
        "frontier": [
            (ci, len(left), "depth" if hops[ci] == depth else "max_nodes") for ci, left in outside.items() if left
        ],
        "edges": [(*key, truth.edges[key][0]) for key in edges],
        "collapsed": sum(truth.edges[key][1] - 1 for key in edges),
    }


@settings(deadline=None, derandomize=True, max_examples=200)
@given(worlds(), st.integers(0, LAST), st.integers(0, 4), st.sampled_from(DIRECTIONS), types_asked, st.data())
def test_expand_is_what_a_slow_search_finds_for_every_limit_on_nodes(
    world: World, when: int, depth: int, direction: Any, types: frozenset[str] | None, data: st.DataObject
) -> None:
    topology, truth = world.topology(), moment(world, when)
    snapshot = topology.at(when)
    roots = data.draw(st.sets(st.sampled_from(sorted(truth.codes)), max_size=3)) if truth.codes else set()
    steps = truth.steps(direction, USED_TYPES if types is None else types)
    nodes = np.array(nodes_of(snapshot, roots), dtype=np.int64)

    for most in range(1, len(truth.codes) + 2):
        found = expand(
            snapshot, nodes, depth=depth, direction=direction, types=type_numbers(topology, types), max_nodes=most
        )
        assert _truth(truth, roots, depth, steps, most) == _shown(snapshot, found)


STAR = World(
    tuple((f"i{n}", code, None, None) for n, code in enumerate("hcab")),
    (
        ("i0", "i1", "DEPENDS_ON", None, None, None, None),
        ("i0", "i2", "FEEDS", None, None, None, None),
        ("i0", "i3", "MENTIONS", None, None, None, None),
        ("i0", "i0", "CONNECTED_TO", None, None, None, None),
        ("i3", "i2", "CONNECTED_TO", None, None, None, None),
    ),
)


@pytest.mark.parametrize(
    ("start", "direction", "expected"),
    [
        ("h", "upstream", ["h", "c"]),
        ("h", "downstream", ["h", "a"]),
        ("h", "either", ["h", "a", "b", "c"]),
        ("c", "downstream", ["c", "h"]),
        ("c", "upstream", ["c"]),
        ("a", "upstream", ["a", "b", "h"]),
        ("b", "downstream", ["b", "a"]),
    ],
)
def test_each_direction_follows_the_impact_of_the_types(start: str, direction: Any, expected: list[str]) -> None:
    snapshot = STAR.topology().at(0)
    found = expand(snapshot, snapshot.find([start]), depth=1, direction=direction)

    assert expected == snapshot.codes(found.nodes)


def test_edges_come_in_order_of_the_codes_of_source_and_target_then_of_type() -> None:
    snapshot = STAR.topology().at(0)
    found = expand(snapshot, snapshot.find(["h"]), depth=1)

    ends = zip(snapshot.codes(found.edges.source), snapshot.codes(found.edges.target), strict=True)
    assert [("b", "a"), ("h", "a"), ("h", "b"), ("h", "c"), ("h", "h")] == list(ends)


def test_a_limit_cuts_a_level_in_order_of_code_and_says_so() -> None:
    snapshot = STAR.topology().at(0)
    found = expand(snapshot, snapshot.find(["h"]), depth=2, max_nodes=3)

    assert (snapshot.codes(found.nodes), found.total) == (["h", "a", "b"], 4)
    assert found.frontier.records(snapshot) == [("h", 1, "max_nodes")]


def test_of_more_roots_than_nodes_allowed_the_first_by_code_stay() -> None:
    snapshot = STAR.topology().at(0)
    found = expand(snapshot, snapshot.find(["h", "c", "b"]), depth=0, max_nodes=2)

    assert (snapshot.codes(found.nodes), found.hops.tolist(), found.total) == (["b", "c"], [0, 0], 3)
    assert found.frontier.records(snapshot) == [("b", 2, "depth"), ("c", 1, "depth")]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"depth": -1}, "depth=-1: is below 0"),
        ({"max_nodes": 0}, "max_nodes=0: is below 1"),
        ({"direction": "up"}, "direction='up': is not a direction"),
        ({"roots": np.array([99])}, "roots=99: is not a node that exists"),
        ({"roots": np.array([-1])}, "roots=-1: is not a node that exists"),
    ],
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any], says: str) -> None:
    snapshot = STAR.topology().at(0)

    with pytest.raises(BadParameter, match=says):
        expand(snapshot, **{"roots": snapshot.find(["h"]), "depth": 1, **wrong})


def test_a_root_that_has_ended_is_refused() -> None:
    world = World((("i0", "a", 0, 1), ("i1", "b", None, None)), ())
    topology = world.topology()
    ended = topology.at(0).find(["a"])

    with pytest.raises(BadParameter, match="roots=0: is not a node that exists"):
        expand(topology.at(1), ended, depth=1)
