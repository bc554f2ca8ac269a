from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.errors import BadParameter, EstateInvalid
from ciops_nb.topology import Snapshot, Topology

from .worlds import CODES, LAST, TYPES, World, moment, nodes_of, type_numbers, types_asked, worlds

PLAIN = World((("i1", "b", None, None), ("i2", "a", 2, 4)), (("i1", "i2", "DEPENDS_ON", None, None, None, None),))


def _edges(snapshot: Snapshot) -> dict[tuple[str, str, str], tuple[int, int]]:
    kinds = [snapshot.topology.types[number] for number in snapshot.forward.kind]
    ends = zip(snapshot.ids(snapshot.source), snapshot.ids(snapshot.forward.node), kinds, strict=True)
    return dict(zip(ends, zip(snapshot.row.tolist(), snapshot.copies.tolist(), strict=True), strict=True))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(worlds(), st.integers(-1, LAST + 1))
def test_a_snapshot_shows_what_is_valid_at_its_moment(world: World, when: int) -> None:
    snapshot, truth = world.topology().at(when), moment(world, when)

    assert truth.order(truth.codes) == snapshot.ids(snapshot.by_code)
    assert [truth.codes[ci] for ci in truth.order(truth.codes)] == snapshot.codes(snapshot.by_code)
    assert [truth.rows[ci] for ci in truth.order(truth.codes)] == snapshot.version[snapshot.by_code].tolist()
    assert truth.edges == _edges(snapshot)
    assert list(range(len(snapshot))) == snapshot.rank[snapshot.by_code].tolist()
    assert len(snapshot) == int((snapshot.rank >= 0).sum()) == int((snapshot.version >= 0).sum())


@settings(deadline=None, derandomize=True, max_examples=200)
@given(worlds(), st.integers(-1, LAST + 1))
def test_both_directions_hold_the_same_edges(world: World, when: int) -> None:
    snapshot = world.topology().at(when)
    backward, nodes = snapshot.backward, np.arange(len(snapshot.rank))
    target = np.repeat(nodes, np.diff(backward.start))

    forth = zip(snapshot.source.tolist(), snapshot.forward.node.tolist(), snapshot.forward.kind.tolist(), strict=True)
    back = zip(backward.node.tolist(), target.tolist(), backward.kind.tolist(), strict=True)
    assert list(forth) == sorted(back)
    assert snapshot.source.tolist() == np.repeat(nodes, np.diff(snapshot.forward.start)).tolist()


@settings(deadline=None, derandomize=True, max_examples=200)
@given(worlds(), st.integers(0, LAST), st.data())
def test_dangling_relations_of_nodes_are_told(world: World, when: int, data: st.DataObject) -> None:
    topology, truth = world.topology(), moment(world, when)
    snapshot = topology.at(when)
    asked = data.draw(st.frozensets(st.sampled_from(sorted(truth.codes)))) if truth.codes else frozenset()
    types = data.draw(types_asked)

    expected = sorted(
        row
        for (source, target, kind), row in truth.loose.items()
        if (source in asked or target in asked) and (types is None or kind in types)
    )
    nodes = np.array(nodes_of(snapshot, asked), dtype=np.int64)
    assert expected == snapshot.dangling(nodes, type_numbers(topology, types)).tolist()


@settings(deadline=None, derandomize=True, max_examples=200)
@given(worlds(), st.integers(0, LAST))
def test_find_gives_the_node_that_has_a_code_at_the_moment(world: World, when: int) -> None:
    snapshot, truth = world.topology().at(when), moment(world, when)
    asked = [*CODES, "", "zz"]

    holders = [[ci for ci in truth.order(truth.codes) if truth.codes[ci] == code] for code in asked]
    expected = [nodes_of(snapshot, held[:1])[0] if held else -1 for held in holders]
    assert expected == snapshot.find(asked).tolist()


def test_moments_between_changes_share_a_snapshot() -> None:
    topology = PLAIN.topology()

    assert topology.at(2) is topology.at(3)
    assert topology.at(2) is not topology.at(1)
    assert [len(topology.at(when)) for when in (-(10**18), 1, 2, 3, 4)] == [1, 1, 2, 2, 1]


def test_only_the_last_few_snapshots_are_kept() -> None:
    topology = World(tuple((f"i{n}", f"c{n}", n, None) for n in range(20)), ()).topology()
    first = topology.at(0)
    for when in range(1, 20):
        topology.at(when)

    assert topology.at(19) is topology.at(10**9)
    assert first is not topology.at(0)


def test_the_order_of_the_rows_does_not_change_which_of_repeated_relations_is_shown() -> None:
    rows = (
        ("i1", "i1", "DEPENDS_ON", "h", 1, 0, None),
        ("i1", "i1", "DEPENDS_ON", None, None, 1, None),
        ("i1", "i1", "DEPENDS_ON", "g", 2, 1, None),
        ("i1", "i1", "DEPENDS_ON", "h", 1, 1, None),
        ("i1", "i1", "DEPENDS_ON", "g", 3, 1, None),
    )
    cis = (("i1", "a", None, None),)
    one, other = World(cis, rows).topology(), World(cis, rows[::-1]).topology()

    shown = [topology.relations.row(int(topology.at(1).row[0]))[3:5] for topology in (one, other)]
    assert shown == [("g", 2), ("g", 2)]
    assert one.at(1).copies.tolist() == [5]


def test_types_nobody_declared_are_named_and_have_no_impact() -> None:
    topology = World((), (("i1", "i2", "LIKES", None, None, None, None),)).topology()

    assert topology.undeclared == ("LIKES",)
    assert dict(zip(topology.types, topology.impacts, strict=True)) == {**TYPES, "LIKES": "none"}
    assert list(topology.types) == sorted(topology.types)


def test_an_empty_estate_has_an_empty_snapshot() -> None:
    empty: dict[str, list[str]] = {"valid_from": [], "valid_to": []}
    cis = pl.DataFrame({"ci_id": [], "ci_code": [], **empty})
    ends: dict[str, list[str]] = {
        "source_id": [],
        "target_id": [],
        "relation_type": [],
        "redundancy_group": [],
        "min_healthy": [],
    }
    snapshot = Topology.build(cis, pl.DataFrame({**ends, **empty}), {}).at(0)

    assert len(snapshot) == 0
    assert snapshot.find(["a"]).tolist() == [-1]


def test_an_unknown_relation_type_names_the_near_ones() -> None:
    with pytest.raises(BadParameter, match="Did you mean 'DEPENDS_ON'"):
        PLAIN.topology().type_codes(["DEPEND_ON"])


def test_a_type_number_that_is_none_is_refused() -> None:
    with pytest.raises(BadParameter, match="types=9: is not the number of a relation type"):
        PLAIN.topology().type_mask({9})


def test_a_missing_column_is_named() -> None:
    topology = PLAIN.topology()

    with pytest.raises(EstateInvalid, match="table relation: has no column target_id, min_healthy"):
        Topology.build(topology.cis, topology.relations.drop("target_id", "min_healthy"), TYPES)


def test_a_column_of_another_type_is_named() -> None:
    topology = PLAIN.topology()
    wrong = topology.cis.with_columns(pl.col("valid_from").cast(pl.Int64))

    with pytest.raises(EstateInvalid, match="table ci: has column valid_from of type Int64"):
        Topology.build(wrong, topology.relations, TYPES)


def test_a_row_without_a_code_is_refused() -> None:
    topology = PLAIN.topology()
    wrong = topology.cis.with_columns(ci_code=pl.lit(None, pl.String))

    with pytest.raises(EstateInvalid, match="table ci: has 2 rows without ci_code"):
        Topology.build(wrong, topology.relations, TYPES)


def test_more_relation_types_than_a_byte_can_tell_apart_are_refused() -> None:
    topology = PLAIN.topology()

    with pytest.raises(EstateInvalid, match="has 258 relation types"):
        Topology.build(topology.cis, topology.relations, {f"T{n}": "none" for n in range(257)})
