from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.errors import EstateInvalid
from ciops_nb.topology import expand, to_networkx

from .worlds import LAST, World, moment, worlds


@settings(deadline=None, derandomize=True, max_examples=200)
@given(worlds(same_code=False), st.integers(0, LAST), st.integers(1, 8))
def test_the_graph_holds_the_nodes_and_edges_in_order(world: World, when: int, most: int) -> None:
    snapshot, truth = world.topology().at(when), moment(world, when)
    found = expand(snapshot, snapshot.by_code[:2], depth=2, max_nodes=most)
    graph = to_networkx(
        snapshot, found.nodes, found.edges, {"ci_id": snapshot.ids(found.nodes), "hops": found.hops.tolist()}
    )

    ids = snapshot.ids(found.nodes)
    nodes: list[Any] = [
        (truth.codes[ci], {"ci_id": ci, "hops": hops}) for ci, hops in zip(ids, found.hops.tolist(), strict=True)
    ]
    assert nodes == list(graph.nodes(data=True))
    edges = []
    for here in ids:
        leaving = [key for key in truth.edges if key[0] == here and key[1] in ids]
        for source, target, kind in sorted(leaving, key=lambda key: (truth.key(key[1]), key[2])):
            row = world.relations[truth.edges[source, target, kind][0]]
            held = {"relation_type": kind, "redundancy_group": row[3], "min_healthy": row[4]}
            shown = {name: value for name, value in held.items() if value is not None}
            edges.append((truth.codes[source], truth.codes[target], kind, shown))
    assert edges == list(graph.edges(keys=True, data=True))


def test_a_graph_without_attributes_or_edges_has_its_nodes() -> None:
    snapshot = World((("i0", "b", None, None), ("i1", "a", None, None)), ()).topology().at(0)
    found = expand(snapshot, snapshot.by_code, depth=1)

    assert list(to_networkx(snapshot, found.nodes, found.edges, {})) == ["a", "b"]


def test_two_cis_with_one_code_are_not_merged_in_silence() -> None:
    snapshot = World((("i0", "a", None, None), ("i1", "a", None, None)), ()).topology().at(0)
    found = expand(snapshot, np.asarray(snapshot.by_code), depth=0)

    with pytest.raises(EstateInvalid, match="has several CIs with code 'a' at this moment"):
        to_networkx(snapshot, found.nodes, found.edges, {})
