from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.recipes.leads import Illness, Lead, needs_of, rank_leads

T0 = datetime(2026, 3, 1, tzinfo=UTC)
CODES = "abcdefg"


def minute(number: int | None) -> datetime | None:
    return None if number is None else T0 + timedelta(minutes=number)


def ill(code: str, at: int | None = 0, score: float = 9.0, *, step: int = 0, reported: bool = False) -> Illness:
    return Illness(code, minute(at), score, timedelta(minutes=step), reported)


def chain(text: str) -> dict[str, set[str]]:
    """``a>b b>c``: a needs b, b needs c."""
    needs: dict[str, set[str]] = {code: set() for code in CODES}
    for pair in text.split():
        needs[pair[0]].add(pair[2])
    return needs


def lead(needs: str, signs: list[Illness], *, measured: str = CODES, changed: str = "") -> list[tuple[str, str]]:
    graph = nx.DiGraph([pair.split(">") for pair in needs.split()])
    graph.add_node("a")
    hops = dict(nx.single_source_shortest_path_length(graph, "a"))
    found = rank_leads("a", chain(needs), hops=hops, ill=signs, measured=set(measured), changed=set(changed))
    return [(each.ci_code, each.standing) for each in found]


def test_the_end_of_a_path_of_ill_cis_leads() -> None:
    found = lead("a>b b>c c>d", [ill("a"), ill("b"), ill("c")])

    assert [("c", "source"), ("b", "explained"), ("a", "explained")] == found


def test_an_ill_ci_behind_a_well_one_stands_apart() -> None:
    assert [("a", "itself"), ("c", "apart")] == lead("a>b b>c", [ill("a"), ill("c")])


def test_a_path_may_lead_through_a_ci_that_nothing_measures() -> None:
    assert [("c", "source"), ("a", "explained")] == lead("a>b b>c", [ill("a"), ill("c")], measured="ac")


def test_a_severe_event_counts_where_the_cis_between_are_well() -> None:
    signs = [ill("a", 10), ill("c", 0, reported=True)]

    assert [("c", "reported"), ("a", "itself")] == lead("a>b b>c", signs)
    assert [("a", "itself"), ("c", "apart")] == lead("a>b b>c", [ill("a", 10), ill("c", 30, reported=True)])


def test_what_was_clearly_later_does_not_explain_and_one_reading_is_not_clearly() -> None:
    assert [("a", "itself"), ("b", "apart")] == lead("a>b", [ill("a", 0, step=5), ill("b", 10, step=5)])
    assert [("b", "source"), ("a", "explained")] == lead("a>b", [ill("a", 0, step=5), ill("b", 5, step=5)])


def test_what_stood_all_the_time_does_not_explain_what_began() -> None:
    assert [("a", "itself"), ("b", "apart")] == lead("a>b", [ill("a", 0), ill("b", None)])
    assert [("b", "source"), ("a", "explained")] == lead("a>b", [ill("a", None), ill("b", None)])


def test_of_two_that_need_each_other_the_earlier_leads_and_without_order_both() -> None:
    ring = "a>b b>c c>b"

    ordered = lead(ring, [ill("a", 9), ill("b", 3), ill("c", 0)])
    assert [("c", "source"), ("b", "explained"), ("a", "explained")] == ordered
    assert [("c", "source"), ("b", "source")] == lead(ring, [ill("b", 0), ill("c", 0)])


def test_a_change_on_a_ci_that_nothing_measures_is_a_lead_and_on_a_well_one_is_not() -> None:
    assert [("a", "itself"), ("c", "changed")] == lead("a>b a>c", [ill("a")], measured="ab", changed="bc")


def test_equal_leads_come_by_time_then_distance_then_size() -> None:
    signs = [ill("a", 9), ill("b", 1, 90.0), ill("c", 0, 1.0), ill("d", 1, 50.0)]

    assert ["c", "b", "d", "a"] == [code for code, _ in lead("a>b a>c a>d", signs)]


def test_leads_that_only_size_tells_apart_are_alike() -> None:
    one, two = (Lead(code, "source", 1, minute(at), step=timedelta(minutes=5)) for code, at in (("b", 0), ("c", 5)))

    assert one.like(two)
    assert not one.like(Lead("c", "source", 1, minute(6), step=timedelta(minutes=5)))
    assert not one.like(Lead("c", "apart", 1, minute(0)))
    assert not one.like(Lead("c", "source", 1, None))


def test_what_a_ci_needs_follows_from_the_impact_of_its_relations() -> None:
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(
        impact={"N": "target_to_source", "F": "source_to_target", "B": "both", "O": "none"}
    )
    for source, target, kind in (("a", "b", "N"), ("a", "c", "F"), ("a", "d", "B"), ("a", "e", "O")):
        graph.add_edge(source, target, kind, relation_type=kind)

    assert {"a": {"b", "d"}, "b": set(), "c": {"a"}, "d": {"a"}, "e": set()} == needs_of(graph)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, set[str]], list[Illness], set[str]]:
    pairs = draw(st.sets(st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)), max_size=14))
    needs = {code: {target for source, target in pairs if source == code} for code in CODES}
    moments = st.sampled_from([None, 0, 5, 10])
    signs = [
        ill(code, draw(moments), step=draw(st.sampled_from([0, 5]))) for code in draw(st.sets(st.sampled_from(CODES)))
    ]
    return needs, signs, draw(st.sets(st.sampled_from(CODES)))


@settings(deadline=None, max_examples=500, derandomize=True)
@given(worlds())
def test_the_explained_are_those_that_pairs_of_paths_find(
    world: tuple[dict[str, set[str]], list[Illness], set[str]],
) -> None:
    needs, signs, measured = world
    graph = nx.DiGraph((source, target) for source, targets in needs.items() for target in targets)
    graph.add_node("a")
    hops = dict(nx.single_source_shortest_path_length(graph, "a"))
    held = {sign.ci_code: sign for sign in signs if sign.ci_code in hops}
    open_ones = graph.subgraph([code for code in hops if code == "a" or code in held or code not in measured])

    def later(one: Illness, other: Illness) -> bool:
        assert one.moved_at is not None
        assert other.moved_at is not None
        return one.moved_at - other.moved_at > max(one.step, other.step)

    def explains(cause: Illness, effect: Illness) -> bool:
        if cause is effect or not nx.has_path(open_ones, effect.ci_code, cause.ci_code):
            return False
        if cause.moved_at is None or effect.moved_at is None:
            mutual = nx.has_path(open_ones, cause.ci_code, effect.ci_code)
            return cause.moved_at is effect.moved_at is None and not mutual
        if nx.has_path(open_ones, cause.ci_code, effect.ci_code):
            return later(effect, cause)
        return not later(cause, effect)

    found = rank_leads("a", needs, hops=hops, ill=signs, measured=measured)

    assert {
        code: tuple(sorted(other.ci_code for other in held.values() if explains(other, sign)))
        for code, sign in held.items()
    } == {each.ci_code: each.explained_by for each in found}
    assert {each.ci_code for each in found if each.linked} == {
        code for code in held if code in open_ones and nx.has_path(open_ones, "a", code)
    }
    assert not found or "explained" != found[0].standing


@pytest.mark.parametrize("seed", range(20))
def test_in_a_random_estate_the_planted_cause_leads(seed: int) -> None:
    """Illness runs from the cause to all that need it, a reading later with each hop; some CIs have no metrics."""
    rng = random.Random(seed)
    codes = [f"ci-{place:03d}" for place in range(60)]
    graph = nx.DiGraph(
        (code, other)
        for place, code in enumerate(codes)
        for other in rng.sample(codes[place + 1 :], min(2, 59 - place))
    )
    cause = rng.choice([code for code in codes[20:] if graph.in_degree(code)])
    victims = nx.single_source_shortest_path_length(graph.reverse(), cause)
    symptom = max(sorted(victims), key=lambda code: victims[code])
    hops = dict(nx.single_source_shortest_path_length(graph, symptom))
    dark = {code for code in rng.sample(codes, 10) if code not in (cause, symptom)}
    signs = [ill(code, away * 5, rng.uniform(5, 50), step=5) for code, away in victims.items() if code not in dark]

    found = rank_leads(
        symptom, {code: set(graph[code]) for code in codes}, hops=hops, ill=signs, measured=set(codes) - dark
    )

    assert (cause, "source") == (found[0].ci_code, found[0].standing)
    assert ["source"] == [each.standing for each in found if each.standing == "source"]
