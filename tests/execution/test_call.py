"""What is handed out of an answer."""

from __future__ import annotations

import random

import networkx as nx
import pytest

from tests.execution.calls import answer


def graph(seed: int, kind: type[nx.Graph]) -> nx.Graph:
    """Parallel edges, loops, both directions between two, nodes alone, attributes."""
    chance = random.Random(seed)
    made = kind()
    made.add_nodes_from((f"n{place}", {"hops": place}) for place in range(12))
    for _ in range(40):
        one, other = (f"n{chance.randrange(9)}" for _ in range(2))
        key = {"key": chance.choice("AB")} if made.is_multigraph() else {}
        made.add_edge(one, other, **key, relation_type=chance.choice("AB"), weight=chance.random())
    made.graph.update(
        roots=["n1"], frontier=[{"ci_code": "n1", "count": 2}], impact={"A": "both"}, depth=1, pair=(1, [2])
    )
    return made


@pytest.mark.parametrize("kind", [nx.MultiDiGraph, nx.MultiGraph, nx.DiGraph, nx.Graph])
@pytest.mark.parametrize("seed", range(3))
def test_a_graph_that_is_handed_out_is_what_networkx_would_copy(seed: int, kind: type[nx.Graph]) -> None:
    kept = graph(seed, kind)
    made, copied = answer(kept).handed_out("pandas"), kept.copy()

    assert type(made) is kind
    assert list(copied.nodes(data=True)) == list(made.nodes(data=True))
    assert list(copied.edges(data=True)) == list(made.edges(data=True))
    assert kept.graph == made.graph
    if kept.is_directed():
        assert list(copied.in_edges(data=True)) == list(made.in_edges(data=True))


@pytest.mark.parametrize("kind", [nx.MultiDiGraph, nx.DiGraph])
def test_changing_it_changes_nothing_that_is_kept(kind: type[nx.Graph]) -> None:
    kept = graph(1, kind)
    made = answer(kept).handed_out("pandas")
    made.graph["frontier"][0]["count"] = made.graph["impact"]["A"] = made.graph["pair"][1][0] = None
    for _, data in made.nodes(data=True):
        data.clear()
    for *_, data in made.edges(data=True):
        data.clear()
    made.remove_node("n1")
    made.add_edge("n2", "new")

    assert nx.utils.graphs_equal(graph(1, kind), kept)
    assert graph(1, kind).graph == kept.graph
    assert ("n2", "new") in made.edges()
    assert "n2" in made.pred["new"]
