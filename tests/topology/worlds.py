"""Small estates for the tests, and what is true of them, found the slow and obvious way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

import networkx as nx
import polars as pl
from hypothesis import strategies as st

from ciops_nb.estate.schema import Impact
from ciops_nb.topology import Snapshot, Topology

TYPES: dict[str, Impact] = {
    "CONNECTED_TO": "both",
    "DEPENDS_ON": "target_to_source",
    "FEEDS": "source_to_target",
    "MENTIONS": "none",
}
USED_TYPES = (*TYPES, "UNDECLARED")
CODES = ("a", "B", "é", "e\u0301", "z", "日本", "\uffff", "𝔘-1", "a-1", "Z")  # 𝔘 is after \uffff, in UTF-16 before
IDS = ("i0", "i1", "i2", "i3", "i4", "i5", "i6")
NEVER_A_CI = ("x0", "x1")
LAST = 4

_TIME = pl.Datetime("us", "UTC")
Ci = tuple[str, str, int | None, int | None]
Relation = tuple[str, str, str, str | None, int | None, int | None, int | None]


@dataclass(frozen=True)
class World:
    cis: tuple[Ci, ...]
    relations: tuple[Relation, ...]

    def topology(self) -> Topology:
        cis = pl.DataFrame(
            self.cis,
            {"ci_id": pl.String, "ci_code": pl.String, "valid_from": pl.Int64, "valid_to": pl.Int64},
            orient="row",
        )
        relations = pl.DataFrame(
            self.relations,
            {
                "source_id": pl.String, "target_id": pl.String, "relation_type": pl.String,
                "redundancy_group": pl.String, "min_healthy": pl.Int64, "valid_from": pl.Int64, "valid_to": pl.Int64,
            },
            orient="row",
        )  # fmt: skip
        times = pl.col("valid_from", "valid_to").cast(_TIME)
        return Topology.build(cis.with_columns(times), relations.with_columns(times), TYPES)


@dataclass(frozen=True)
class Moment:
    """What exists at one moment: the code and row of each CI; the row and number of copies of each relation."""

    codes: dict[str, str]
    rows: dict[str, int]
    edges: dict[tuple[str, str, str], tuple[int, int]]
    loose: dict[tuple[str, str, str], int]

    def order(self, ids: Iterable[str]) -> list[str]:
        return sorted(ids, key=self.key)

    def key(self, ci: str) -> tuple[str, str]:
        return self.codes[ci], ci

    def steps(self, direction: str, types: Iterable[str]) -> nx.DiGraph[str]:
        """The steps a search may take."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.codes)
        for source, target, kind in self.edges:
            if kind in types:
                impact = TYPES.get(kind, "none")
                needs = impact in ("target_to_source", "both"), impact in ("source_to_target", "both")
                along, against = {"upstream": needs, "downstream": needs[::-1], "either": (True, True)}[direction]
                if along:
                    graph.add_edge(source, target)
                if against:
                    graph.add_edge(target, source)
        return graph


def _valid(start: int | None, end: int | None, when: int) -> bool:
    return (start is None or start <= when) and (end is None or when < end)


def _begin(start: int | None) -> float:
    return float("-inf") if start is None else start


def _nulls_last(value: Any) -> tuple[bool, Any]:
    return value is None, "" if value is None else value


def moment(world: World, when: int) -> Moment:
    codes, rows = {}, {}
    for ci in sorted({row[0] for row in world.cis}):
        versions = [
            (-_begin(start), code, row)
            for row, (name, code, start, end) in enumerate(world.cis)
            if name == ci and _valid(start, end, when)
        ]
        if versions:
            _, codes[ci], rows[ci] = min(versions)
    repeats: dict[tuple[str, str, str], list[Any]] = {}
    for row, (source, target, kind, group, least, start, end) in enumerate(world.relations):
        if _valid(start, end, when):
            order = (-_begin(start), _nulls_last(group), _nulls_last(least), row)
            repeats.setdefault((source, target, kind), []).append(order)
    best = {key: (min(found)[-1], len(found)) for key, found in repeats.items()}
    whole = {key for key in best if key[0] in codes and key[1] in codes}
    return Moment(
        codes,
        rows,
        {key: found for key, found in best.items() if key in whole},
        {key: row for key, (row, _) in best.items() if key not in whole},
    )


def type_numbers(topology: Topology, names: Iterable[str] | None) -> frozenset[int] | None:
    return None if names is None else topology.type_codes([name for name in names if name in topology.types])


def nodes_of(snapshot: Snapshot, ids: Iterable[str]) -> list[int]:
    """The node of each id, looked up through the ids of all nodes."""
    number = dict(zip(snapshot.ids(snapshot.by_code), snapshot.by_code.tolist(), strict=True))
    return [number[ci] for ci in ids]


@st.composite
def worlds(draw: st.DrawFn, *, same_code: bool = True) -> World:
    """Estates of up to seven CIs, with versions, ends that are missing, repeats, loops and hubs.

    They come from a seed: drawn piece by piece most of them had no valid relation, and tested nothing.
    Without *same_code* no two CIs ever have the same code.
    """
    chance = Random(draw(st.integers(0, 10**6)))
    ids = chance.sample(IDS, chance.choice((1, 3, 4, 5, 6, 7, 7)))
    codes = chance.sample(CODES, len(ids))
    cis: list[Ci] = []
    for ci, own in zip(ids, codes, strict=True):
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            code = chance.choice(CODES) if same_code and chance.random() < 0.3 else own
            cis.append((ci, code, *_span(chance)))
    ends = (*ids, *ids, *ids, *ids[:1] * 4, *IDS, *NEVER_A_CI)
    relations: list[Relation] = []
    for _ in range(chance.choice((0, 6, 12, 18, 24, 30))):
        front = chance.choice(ends), chance.choice(ends), chance.choice(USED_TYPES)
        if relations and chance.random() < 0.15:
            front = chance.choice(relations)[:3]
        relations.append((*front, chance.choice((None, None, "g", "h")), chance.choice((None, 1, 2)), *_span(chance)))
    return World(tuple(cis), tuple(relations))


def _span(chance: Random) -> tuple[int | None, int | None]:
    """Mostly without an end or a beginning; now and then one that ends before it begins."""
    start, end = (None if chance.random() < 0.7 else chance.randint(0, LAST) for _ in range(2))
    return start, end


types_asked = st.none() | st.frozensets(st.sampled_from(USED_TYPES))
