"""What an explorer shows, held against walks and sets that are as plain as can be."""

from __future__ import annotations

import random
from typing import Any

import networkx as nx
import pytest

from ciops_nb.views import explored
from ciops_nb.views.layout import impact_of

from . import sample

HOSTILE = "<img src=x onerror=alert(1)>\"'\u202e\x07"


def some_graph(seed: int, size: int = 40) -> nx.MultiDiGraph:
    """Nodes with edges of all impacts between them, at random, with loops and parallel edges."""
    dice = random.Random(seed)
    graph = nx.MultiDiGraph(roots=["n00"], frontier=[])
    for i in range(size):
        sample.node(graph, f"n{i:02}", dice.choice(["SW", "HW", "SYSTEM"]), "kind", criticality=dice.randint(1, 5))
    for _ in range(size + size // 3):
        one, other = dice.choices(sorted(graph), k=2)
        sample.edge(graph, one, other, dice.choice(["DEPENDS_ON", "CONNECTED_TO", "USES"]))
    return graph


@pytest.mark.parametrize("seed", range(20))
def test_the_nearest_come_first_and_each_names_the_node_it_was_reached_from(seed: int) -> None:
    graph = some_graph(seed)
    lengths = nx.single_source_shortest_path_length(graph.to_undirected(), "n00")
    expected = [*sorted(lengths, key=lambda code: (lengths[code], code)), *sorted({*graph} - {*lengths})]

    for most in (1, 7, 40):
        shown = explored.opened(explored.around(graph), ["n00"], most)

        assert expected[:most] == list(shown)
        for code, origin in shown.items():
            assert origin is None or lengths[origin] == lengths[code] - 1
    assert lengths == explored.steps_of(explored.hops_from(explored.around(graph), ["n00"]))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_hidden_is_what_a_walk_finds_off_screen(seed: int) -> None:
    graph = some_graph(seed)
    frontier = {"n03": 5, "n07": 2}
    shown = [code for code in sorted(graph) if random.Random(f"{seed} {code}").random() < 0.5]

    expected = {}
    for code in shown:
        others = {*graph.successors(code), *graph.predecessors(code)} - {code}
        count = len(others - {*shown}) + frontier.get(code, 0)
        if count:
            expected[code] = count
    assert expected == explored.hidden(explored.around(graph), shown, frontier)


@pytest.mark.parametrize("seed", range(10))
def test_collapsing_takes_back_what_expanding_brought(seed: int) -> None:
    graph = some_graph(seed)
    near = explored.around(graph)
    before = explored.opened(near, ["n00"], 6)

    for code in before:
        fresh = explored.expanded(near, before, code, 100)
        assert set(near[code]) - {*before} == {*fresh}
        after = {**before, **fresh}
        for other in fresh:
            after = {**after, **explored.expanded(near, after, other, 100)}
        gone = explored.collapsed(after, code)
        assert {*after} - {*before} <= {*gone}
        assert {*gone}.isdisjoint({"n00", code})


def test_expanding_shows_at_most_so_many_by_code() -> None:
    graph = sample.estate(60)
    near = explored.around(graph)

    fresh = explored.expanded(near, ["sys-000"], "sys-000", 5)

    assert dict.fromkeys(near["sys-000"][:5], "sys-000") == fresh


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("way", ["upstream", "downstream"])
def test_up_and_downstream_follow_who_is_hurt_when_whom_fails(seed: int, way: str) -> None:
    graph = some_graph(seed)
    needs: Any = nx.DiGraph()
    needs.add_nodes_from(graph)
    for source, target, data in graph.edges(data=True):
        if impact_of(data["relation_type"], data) == "target_to_source":
            needs.add_edge(source, target)
    walked = needs if way == "upstream" else needs.reverse()
    lengths = nx.single_source_shortest_path_length(walked, "n05")

    marks = explored.along(graph, "n05", way)

    assert lengths.keys() == marks.nodes.keys()
    assert {"n05": ("on", "")} == {code: told for code, told in marks.nodes.items() if not lengths[code]}
    assert all(told[1].startswith(f"{lengths[code]} hop") for code, told in marks.nodes.items() if lengths[code])
    assert all({a, b} <= lengths.keys() for a, b, _ in marks.edges)


def test_a_group_that_has_enough_left_spares_who_needs_it() -> None:
    graph = nx.MultiDiGraph(roots=["app"])
    for code in ("app", "db-1", "db-2", "net"):
        sample.node(graph, code, "SW", "kind")
    for code in ("db-1", "db-2"):
        graph.add_edge("app", code, key="USES", relation_type="USES", redundancy_group="db", min_healthy=1)
    sample.edge(graph, "db-1", "net", "DEPENDS_ON")

    spared = explored.blast(graph, "db-1")
    sample.edge(graph, "db-2", "net", "DEPENDS_ON")
    hurt = explored.blast(graph, "net")

    assert ({"db-1": 0}, ["app"]) == (spared.hurt, list(spared.spared))
    assert {"net": 0, "db-1": 1, "db-2": 1, "app": 2} == hurt.hurt
    told = explored.hurt_marks("net", hurt, graph.edges(keys=True), ["net", "app"])
    assert ("hurt", "hurt after 2 steps") == told.nodes["app"]
    assert "3 CIs hurt if net fails; 2 of them not shown" == told.title


def test_a_graph_without_relation_types_can_be_asked_what_is_hurt() -> None:
    graph = nx.MultiDiGraph()
    graph.add_edge("app", "db")

    assert {"db": 0, "app": 1} == explored.blast(graph, "db").hurt


@pytest.mark.parametrize("seed", range(20))
def test_a_difference_is_what_sets_say(seed: int) -> None:
    before, after = some_graph(seed), some_graph(seed)
    dice = random.Random(seed)
    gone = dice.sample(sorted(after), 4)
    after.remove_nodes_from(gone)
    sample.node(after, "new", "SW", "kind")
    sample.edge(after, "new", sorted({*after} - {"new"})[0], "USES")
    changed = dice.choice(sorted({*after} - {"new"}))
    after.nodes[changed]["status"] = "degraded"

    found = explored.diff(before, after)

    assert ({"new"}, {*gone}, {changed: ("status",)}) == ({*found.added}, {*found.removed}, found.changed)
    assert {*after.edges(keys=True)} - {*before.edges(keys=True)} == found.edges_added
    assert {*before.edges(keys=True)} - {*after.edges(keys=True)} == found.edges_removed
    both = explored.merged(before, after)
    assert {*before} | {*after} == {*both}
    assert {*before.edges(keys=True)} | {*after.edges(keys=True)} == {*both.edges(keys=True)}
    assert "degraded" == both.nodes[changed]["status"]
    assert ["added", "removed", "changed", ""] == [
        found.of_node(code) for code in ("new", gone[0], changed, next(c for c in after if c not in {changed, "new"}))
    ]


# --- where nodes stand


def touching(places: dict[str, tuple[float, float]]) -> list[tuple[str, str]]:
    found = sorted(places.items())
    return [
        (one, other)
        for i, (one, (x, y)) in enumerate(found)
        for other, (u, v) in found[:i]
        if abs(x - u) < 0.8 and abs(y - v) < 0.9
    ]


@pytest.mark.parametrize("size", [12, 80, 300])
def test_what_is_on_screen_stays_where_it_was_and_nothing_new_lies_on_it(size: int) -> None:
    graph = sample.estate(size)
    near = explored.around(graph)
    shown = explored.opened(near, ["sys-000"], size // 2)
    before = explored.placed(graph.subgraph(shown), "sys-000")
    code = next(code for code in shown if explored.expanded(near, shown, code, 9))
    after = {**shown, **explored.expanded(near, shown, code, 9)}

    places = explored.placed(graph.subgraph(after), "sys-000", before, code)

    assert {*after} == {*places}
    assert before == {code: places[code] for code in shown}
    assert [] == touching(places)


def test_where_more_is_new_than_was_there_all_are_laid_out_anew_around_what_was_asked() -> None:
    graph = sample.estate(60)
    shown = explored.opened(explored.around(graph), ["sys-000"], 50)

    places = explored.placed(graph.subgraph(shown), "sys-000", {"sys-000": (3.0, -7.0)}, "sys-000")

    assert (3.0, -7.0) == places["sys-000"]
    assert [] == touching(places)


def test_what_needs_stands_right_of_what_it_needs_when_it_comes_later_too() -> None:
    graph = sample.three_nodes()
    before = explored.placed(graph.subgraph(["app-erp-01", "db-erp"]), "app-erp-01")

    places = explored.placed(graph, "app-erp-01", before, "app-erp-01")

    assert places["db-erp"][0] < places["app-erp-01"][0] < places["sys-erp"][0]


# --- rows


def test_rows_hold_no_empty_fields_and_no_text_that_hides_something() -> None:
    graph = sample.three_nodes()
    sample.node(graph, HOSTILE, "<b>", HOSTILE)
    graph.add_edge(HOSTILE, "db-erp", key="K", relation_type="<i>\u202e")
    shown = dict.fromkeys(graph)
    number = {code: i for i, code in enumerate(shown)}
    places = dict.fromkeys(graph, (0.0, 1.0))

    rows = explored.node_rows(graph, shown, places, number, {}, {"db-erp": 4})
    edges = explored.edge_rows(graph, number, {edge: i for i, edge in enumerate(graph.edges(keys=True))})

    assert "<img src=x onerror=alert(1)>\"'⟨U+202E⟩⟨U+0007⟩" == rows[number[HOSTILE]]["label"]
    assert HOSTILE == rows[number[HOSTILE]]["code"]
    assert {"<i>⟨U+202E⟩", "COMPOSED_OF", "DEPENDS_ON"} == {row["type"] for row in edges.values()}
    database = rows[number["db-erp"]]
    assert (4, 2, None, -1.0) == (database["hidden"], database["needed"], database.get("needs"), database["y"])
    assert not [value for row in rows.values() for value in row.values() if value in (None, "")]
    assert "<b>" in explored.look(graph)["types"]


def test_only_what_changed_is_sent() -> None:
    assert {"put": [[3, "c"], [2, "B"]], "drop": [1]} == explored.changes(
        {1: "a", 2: "b", 4: "d"}, {3: "c", 2: "B", 4: "d"}
    )
