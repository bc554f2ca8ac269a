"""Relations in time, and which CIs are near others by those that hold at one moment.

src depends on dst: dst is upstream of src. Hops are those of the shortest path, and a CI is not near itself, not even
where its relations lead back to it. ``either`` takes each step upstream or downstream as it comes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from ciops_nb.cep.samples import Bools, Ints
from ciops_nb.errors import BadRule
from ciops_nb.estate.names import one_of
from ciops_nb.topology.csr import Adjacency, Snapshot, Topology, concatenate_ranges, runs

__all__ = ["OPPOSITE", "Direction", "Nearby", "Relations"]

Direction = Literal["upstream", "downstream", "either"]
OPPOSITE: dict[Direction, Direction] = {"upstream": "downstream", "downstream": "upstream", "either": "either"}

_MOST_STEPS = 4_000_000  # taken at once: some 100 MB
_MOST_PAIRS = 50_000_000
_LONG_AGO, _NEVER = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Nearby:
    """Pairs of CIs: *near* is *hops* away from *of* (a place in what was asked); by *of* and then *near*."""

    of: Ints
    near: Ints
    hops: Ints

    def __len__(self) -> int:
        return len(self.of)


@dataclass(frozen=True)
class Relations:
    """src (which depends on), dst, rel, valid_from, valid_to (microseconds since 1970; null is for ever).

    CIs are known by their number in *cis*, those with no relation at any time have none. *given* tells a replay that
    was given relations, if only none, from one that was not.
    """

    frame: pl.DataFrame
    given: bool = True

    @cached_property
    def cis(self) -> pl.Series:
        """Every CI that is or was related to another, sorted."""
        return pl.concat([self.frame["src"].alias("ci"), self.frame["dst"].alias("ci")]).unique().sort()

    @cached_property
    def types(self) -> tuple[str, ...]:
        return tuple(self.frame["rel"].drop_nulls().unique().sort())

    def numbers(self, cis: pl.Series) -> Ints:
        """The number of each of *cis*, -1 for one that was never related to another."""
        known = self.cis.to_frame().with_row_index("of")
        found = cis.cast(pl.String).alias("ci").to_frame().join(known, on="ci", how="left", maintain_order="left")
        return found["of"].cast(pl.Int64).fill_null(-1).to_numpy()

    def check(self, types: Collection[str], where: str) -> None:
        """Refuse *types* that no relation has."""
        for name in types:
            if name not in self.types:
                hint = one_of(name, self.types) if self.types else "None of the relations says its type"
                raise BadRule(where, f"no relation has the type {name!r}", hint)

    def epochs(self, moments: Ints) -> Ints:
        """The number of the stretch of time in which each of *moments* lies; in one the relations stay the same."""
        return np.searchsorted(self._boundaries, moments, side="right")

    def near(
        self, asked: Ints, moment: int, direction: Direction, hops: int, types: Collection[str] | None = None
    ) -> Nearby:
        """The CIs up to *hops* in *direction* of each of *asked* (numbers), over relations of *types* (None: all)."""
        steps = _Steps(self._topology.at(moment), direction, self._numbered(types))
        found: list[Nearby] = []
        pairs, todo = 0, [(0, len(asked))]
        while todo:
            begin, end = todo.pop()
            some = steps.walk(asked[begin:end], hops)
            if some is None:  # too many at once
                middle = (begin + end) // 2
                todo += [(middle, end), (begin, middle)]
                continue
            found.append(Nearby(some.of + begin, some.near, some.hops))
            pairs += len(some)
            if pairs > _MOST_PAIRS:
                problem = f"{hops} hops {direction} make more than {_MOST_PAIRS:,} pairs of CIs"
                raise BadRule("near", problem, "Ask for fewer hops, or name the relations to follow")
        return Nearby(*(np.concatenate([getattr(one, name) for one in found]) for name in ("of", "near", "hops")))

    def within(
        self, asked: Ints, span: tuple[int, int], direction: Direction, hops: int, types: Collection[str] | None = None
    ) -> Ints:
        """The CIs that may be up to *hops* away from any of *asked* at some moment of *span*, with *asked*, sorted."""
        start, end = pl.col("valid_from").fill_null(_LONG_AGO), pl.col("valid_to").fill_null(_NEVER)
        there = (start <= span[1]) & (end > span[0])
        rows = self.frame.filter(there if types is None else there & pl.col("rel").is_in(list(types)))
        src, dst = self.numbers(rows["src"]), self.numbers(rows["dst"])
        reached = np.zeros(len(self.cis), dtype=np.bool_)
        reached[asked] = True
        for _ in range(hops):
            before = reached.copy()
            if direction != "downstream":
                reached[dst[before[src]]] = True
            if direction != "upstream":
                reached[src[before[dst]]] = True
        return np.flatnonzero(reached)

    def _numbered(self, types: Collection[str] | None) -> Bools:
        every = self._topology.types
        return np.array([types is None or name in types for name in every], dtype=np.bool_)

    @cached_property
    def _boundaries(self) -> Ints:
        ends = pl.concat([self.frame["valid_from"].alias("at"), self.frame["valid_to"].alias("at")])
        return ends.drop_nulls().unique().sort().to_numpy()

    @cached_property
    def _topology(self) -> Topology:
        times = [pl.col(name).cast(pl.Datetime("us", "UTC")) for name in ("valid_from", "valid_to")]
        cis = self.cis.alias("ci_id").to_frame().with_columns(ci_code="ci_id", valid_from=None, valid_to=None)
        rows = self.frame.select(
            pl.col("src").alias("source_id"),
            pl.col("dst").alias("target_id"),
            pl.col("rel").fill_null("").alias("relation_type"),
            *times,
            redundancy_group=None,
            min_healthy=None,
        )
        return Topology.build(cis, rows, {})


class _Steps:
    """The steps that may be taken at one moment."""

    def __init__(self, snapshot: Snapshot, direction: Direction, followed: Bools) -> None:
        self._count = len(snapshot.rank)
        self._followed = followed
        self._ways: list[Adjacency] = []
        if direction != "downstream":
            self._ways.append(snapshot.forward)
        if direction != "upstream":
            self._ways.append(snapshot.backward)

    def walk(self, asked: Ints, hops: int) -> Nearby | None:
        """The nodes near each of *asked*, a level at a time; None if that is too much for several of them at once."""
        place, node = np.arange(len(asked), dtype=np.int64), asked
        seen = place * self._count + node  # a number for each pair, sorted as *place* is
        levels: list[tuple[Ints, int]] = []
        for level in range(1, hops + 1):
            if len(asked) > 1 and self._ahead(node) > _MOST_STEPS:
                return None
            keys = self._next(place, node)
            at = np.minimum(np.searchsorted(seen, keys), max(len(seen) - 1, 0))
            fresh = keys[seen[at] != keys] if len(seen) else keys
            if not len(fresh):
                break
            levels.append((fresh, level))
            seen = np.sort(np.concatenate([seen, fresh]))
            place, node = fresh // self._count, fresh % self._count
        keys = np.concatenate([np.zeros(0, dtype=np.int64), *(some for some, _ in levels)])
        steps = np.repeat(np.array([level for _, level in levels], dtype=np.int64), [len(some) for some, _ in levels])
        order = np.argsort(keys)
        keys = keys[order]
        width = max(self._count, 1)
        return Nearby(keys // width, keys % width, steps[order])

    def _ahead(self, nodes: Ints) -> int:
        return sum(int((way.start[nodes + 1] - way.start[nodes]).sum()) for way in self._ways)

    def _next(self, place: Ints, node: Ints) -> Ints:
        """The pairs one step on, as sorted numbers, each once."""
        found = []
        for way in self._ways:
            count, edges = concatenate_ranges(way.start, node)
            from_place = np.repeat(place, count)
            if not self._followed.all():
                kept = self._followed[way.kind[edges]]
                from_place, edges = from_place[kept], edges[kept]
            found.append(from_place * self._count + way.node[edges])
        keys = np.sort(np.concatenate(found))
        return keys[runs(keys)[0]]
