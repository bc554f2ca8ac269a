"""All relations of a tenant as arrays, in both directions, and what of them holds at one moment.

A node is the position of a ci_id. ``Topology`` keeps every version of every CI and relation; ``Snapshot`` is what
exists at one moment, as compressed sparse rows (CSR): the neighbours of node *i* are ``node[start[i]:start[i + 1]]``,
with a byte an edge for its type. Searching is for ``search`` and ``paths``, which only ever see a snapshot.

Relations whose end does not exist at the moment are not in the snapshot, but it knows them: see ``Snapshot.dangling``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from ciops_nb.errors import BadParameter, EstateInvalid
from ciops_nb.estate.names import nearest
from ciops_nb.estate.schema import DTYPES, TABLES, Impact

__all__ = ["Adjacency", "Bools", "Ints", "Snapshot", "Topology", "concatenate_ranges", "runs"]

Ints: TypeAlias = npt.NDArray[np.signedinteger[Any]]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Bools: TypeAlias = npt.NDArray[np.bool_]

_LONG_AGO, _NEVER = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)
_KEPT_SNAPSHOTS = 4
_MOST_TYPES = 256
_CI_COLUMNS = ("ci_id", "ci_code", "valid_from", "valid_to")
_RELATION_COLUMNS = (
    "source_id", "target_id", "relation_type", "redundancy_group", "min_healthy", "valid_from", "valid_to",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Adjacency:
    """Neighbours in one direction: those of node *i* are ``node[start[i]:start[i + 1]]``, reached by types ``kind``."""

    start: Ints
    node: Ints
    kind: Bytes


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The nodes and edges that exist at one moment.

    Edges are sorted by source, target and type, one of each; nodes are known by their number, and ``rank`` orders
    them by code (code point order, as Python compares strings; CIs that share a code by their id).

    Attributes:
        topology: Where it was taken from.
        by_code: The nodes that exist, in order of code.
        rank: For each node its place in ``by_code``, -1 for one that does not exist.
        version: For each node the row of its version in the frame of CIs, -1 for one that does not exist.
        forward: For each node the targets of the edges that leave it.
        backward: For each node the sources of the edges that reach it.
        source: The source of each edge of ``forward``.
        row: The row in the frame of relations of each edge of ``forward``.
        copies: How many valid rows each edge of ``forward`` stands for: 1, more where rows repeat each other.
    """

    topology: Topology
    by_code: Ints
    rank: Ints
    version: Ints
    forward: Adjacency
    backward: Adjacency
    source: Ints
    row: Ints
    copies: Ints
    _loose: tuple[Ints, Ints, Ints, Bytes]

    def __len__(self) -> int:
        return len(self.by_code)

    def codes(self, nodes: Ints) -> list[str]:
        """The codes that *nodes*, all existing, have at this moment."""
        codes: list[str] = self.topology.cis["ci_code"].gather(self.version[nodes]).to_list()
        return codes

    def ids(self, nodes: Ints) -> list[str]:
        """The ids of *nodes*, all existing."""
        ids: list[str] = self.topology.cis["ci_id"].gather(self.version[nodes]).to_list()
        return ids

    def find(self, codes: Sequence[str]) -> Ints:
        """The node of each code, -1 where no CI has it at this moment; of CIs that share it the first by id."""
        names = self.topology.code_names
        asked = pl.Series("code", codes, dtype=pl.String)
        if not len(asked) or not len(names):
            return np.full(len(asked), -1, dtype=np.int32)
        number = np.minimum(names.search_sorted(asked, side="left").to_numpy(), len(names) - 1)
        known = (names.gather(number) == asked).fill_null(False).to_numpy().copy()
        place = np.searchsorted(self._code_numbers, number)
        known &= place < len(self.by_code)
        place[~known] = -1
        known[known] = self._code_numbers[place[known]] == number[known]
        found = np.full(len(asked), -1, dtype=np.int32)
        found[known] = self.by_code[place[known]]
        return found

    @cached_property
    def _code_numbers(self) -> Ints:
        return self.topology.code_number[self.version[self.by_code]]

    def dangling(self, nodes: Ints, types: Collection[int] | None = None) -> Ints:
        """The relations, valid at this moment, of *nodes* with CIs that do not exist at this moment.

        Args:
            nodes: Existing nodes.
            types: Only relations of these types; None is all.

        Returns:
            The row in the frame of relations of each, sorted; repeated rows of one relation count once.
        """
        source, target, row, kind = self._loose
        member = self.mask(nodes)
        told = member[source] | member[target]
        if types is not None:
            told &= self.topology.type_mask(types)[kind]
        return np.sort(row[told])

    def mask(self, nodes: Ints) -> Bools:
        """A boolean a node: whether it is among *nodes*."""
        member = np.zeros(len(self.rank), dtype=np.bool_)
        member[nodes] = True
        return member


class Topology:
    """Every version of every CI and relation of one tenant; ``build`` makes it, ``at`` shows one moment of it.

    Attributes:
        cis: The frame of CIs it was built from, as far as it is needed here; rows are the numbers of versions.
        relations: The frame of relations, likewise.
        types: The relation types by number, in order of name.
        impacts: The impact direction of each type.
        undeclared: Types that relations have but nobody declared; their impact is ``none``.
        code_names: Every code a CI ever had, sorted.
        code_number: For each version of a CI the place of its code in ``code_names``.
    """

    cis: pl.DataFrame
    relations: pl.DataFrame
    types: tuple[str, ...]
    impacts: tuple[Impact, ...]
    undeclared: tuple[str, ...]
    code_names: pl.Series
    code_number: Ints

    def __init__(self, cis: pl.DataFrame, relations: pl.DataFrame, relation_types: Mapping[str, Impact]) -> None:
        self.cis = _needed(cis, "ci", _CI_COLUMNS, required=2)
        self.relations = _needed(relations, "relation", _RELATION_COLUMNS, required=3)
        self._number_types(relation_types)
        ids = self.cis["ci_id"].unique().sort()
        source, target, self._nodes = _ends(self.relations, ids)
        self._keep_versions(ids)
        self._keep_edges(source, target)
        self._boundaries = _distinct(
            np.concatenate([self._version_start, self._version_end, self._edge_start, self._edge_end])
        )
        # Per topology, so that snapshots die with it; lru_cache is safe to call from several threads.
        self._snapshots: Callable[[int], Snapshot] = lru_cache(maxsize=_KEPT_SNAPSHOTS)(self._snapshot)

    @classmethod
    def build(cls, cis: pl.DataFrame, relations: pl.DataFrame, relation_types: Mapping[str, Impact]) -> Topology:
        """Arrange all versions of the CIs and relations of one tenant.

        Args:
            cis: Columns ci_id, ci_code, valid_from and valid_to of table ``ci`` (others are not looked at).
            relations: Columns source_id, target_id, relation_type, redundancy_group, min_healthy, valid_from and
                valid_to of table ``relation``.
            relation_types: What each relation type says about impact.

        Raises:
            EstateInvalid: a column is missing or of another type, an id, code or type is null, or there are more
                than 256 relation types.
        """
        return cls(cis, relations, relation_types)

    def at(self, when_us: int) -> Snapshot:
        """What exists at a moment: ``valid_from <= when < valid_to``, null open.

        Of several versions of a CI that are valid the one that began last counts. Moments between which nothing
        begins or ends share a snapshot; the last few are kept.

        Args:
            when_us: The moment, in microseconds since 1970, UTC.
        """
        return self._snapshots(int(np.searchsorted(self._boundaries, when_us, side="right")))

    def type_codes(self, names: Collection[str]) -> frozenset[int]:
        """The numbers of the relation types called *names*.

        Raises:
            BadParameter: there is no such type.
        """
        known = {name: number for number, name in enumerate(self.types)}
        for name in names:
            if name not in known:
                near = nearest(str(name), self.types)
                hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else f"There are {', '.join(self.types)}"
                raise BadParameter("relations", name, "is not a relation type of this estate", hint)
        return frozenset(known[name] for name in names)

    def type_mask(self, types: Collection[int] | None) -> Bools:
        """A boolean a type number: whether it is among *types*; None is all."""
        mask = np.full(len(self.types), types is None, dtype=np.bool_)
        for number in types or ():
            if not 0 <= number < len(self.types):
                raise BadParameter("types", number, "is not the number of a relation type", "Ask Topology.type_codes")
            mask[number] = True
        return mask

    def _number_types(self, declared: Mapping[str, Impact]) -> None:
        used = set(self.relations["relation_type"].unique().to_list())
        self.types = tuple(sorted(used | set(declared)))
        if len(self.types) > _MOST_TYPES:
            problem = f"has {len(self.types)} relation types, and {_MOST_TYPES} is the most"
            raise EstateInvalid("table relation", problem, "Is relation_type a name of a kind of relation?")
        self.impacts = tuple(declared.get(name, "none") for name in self.types)
        self.undeclared = tuple(sorted(used - set(declared)))

    def _keep_versions(self, ids: pl.Series) -> None:
        node = _places(self.cis["ci_id"], ids).to_numpy().astype(np.int32)
        self.code_names = self.cis["ci_code"].unique().sort()
        self.code_number = _places(self.cis["ci_code"], self.code_names).to_numpy().astype(np.int32)
        start, end = _times(self.cis, "valid_from", _LONG_AGO), _times(self.cis, "valid_to", _NEVER)
        # The last valid version of a node wins: the one that began last, of equals the smallest code, the first row.
        order = np.lexsort((-np.arange(len(node)), -self.code_number, start, node))
        self._version_row = order.astype(np.int32)
        self._version_node, self._version_start, self._version_end = node[order], start[order], end[order]
        self._versions_by_code = np.lexsort((self._version_node, self.code_number[order])).astype(np.int32)

    def _keep_edges(self, source: Ints, target: Ints) -> None:
        kind = _places(self.relations["relation_type"], pl.Series(self.types, dtype=pl.String)).to_numpy()
        start, end = _times(self.relations, "valid_from", _LONG_AGO), _times(self.relations, "valid_to", _NEVER)
        key = (source.astype(np.int64) * (self._nodes + 1) + target) * _MOST_TYPES + kind
        order = np.argsort(key)
        order, group = _settle_repeats(order, key[order], start, self.relations)
        self._edge_row, self._edge_group = order.astype(np.int32), group
        self._edge_source, self._edge_target = source[order], target[order]
        self._edge_kind = kind[order].astype(np.uint8)
        self._edge_start, self._edge_end = start[order], end[order]
        # A unique key sorts faster than a stable sort.
        place = np.arange(len(order), dtype=np.int64)
        self._edges_by_target = np.argsort(self._edge_target * np.int64(len(order)) + place).astype(np.int32)

    def _snapshot(self, interval: int) -> Snapshot:
        moment = int(self._boundaries[interval - 1]) if interval else _LONG_AGO
        by_code, version = self._versions_at(moment)
        rank = np.full(self._nodes, -1, dtype=np.int32)
        rank[by_code] = np.arange(len(by_code), dtype=np.int32)
        valid = (self._edge_start <= moment) & (moment < self._edge_end)
        exists = rank >= 0
        whole = exists[self._edge_source] & exists[self._edge_target]
        chosen, copies = self._first_of_each(np.flatnonzero(valid & whole))
        loose, _ = self._first_of_each(np.flatnonzero(valid & ~whole))
        kept = np.zeros(len(valid), dtype=np.bool_)
        kept[chosen] = True
        backward = self._edges_by_target[kept[self._edges_by_target]]
        source, target, kind = self._edge_source[chosen], self._edge_target[chosen], self._edge_kind[chosen]
        return Snapshot(
            topology=self,
            by_code=by_code,
            rank=rank,
            version=version,
            forward=Adjacency(_starts(source, self._nodes), target, kind),
            backward=Adjacency(
                _starts(target, self._nodes), self._edge_source[backward], self._edge_kind[backward]
            ),
            source=source,
            row=self._edge_row[chosen],
            copies=copies,
            _loose=(
                self._edge_source[loose], self._edge_target[loose], self._edge_row[loose], self._edge_kind[loose],
            ),
        )  # fmt: skip

    def _versions_at(self, moment: int) -> tuple[Ints, Ints]:
        """The nodes that exist in order of code, and for each node the row of its version (-1: none)."""
        valid = np.flatnonzero((self._version_start <= moment) & (moment < self._version_end))
        place = np.full(self._nodes, -1, dtype=np.int32)
        node = self._version_node[valid]
        last = np.ones(len(valid), dtype=np.bool_)
        last[:-1] = node[1:] != node[:-1]
        place[node[last]] = valid[last]
        chosen = np.zeros(len(self._version_node), dtype=np.bool_)
        chosen[valid[last]] = True
        by_code = self._version_node[self._versions_by_code[chosen[self._versions_by_code]]]
        version = np.full(self._nodes, -1, dtype=np.int32)
        exists = place >= 0
        version[exists] = self._version_row[place[exists]]
        return by_code, version

    def _first_of_each(self, edges: Ints) -> tuple[Ints, Ints]:
        """Of *edges* the first of each source, target and type, and how many there are of it."""
        first, count = runs(self._edge_group[edges])
        return edges[first], count


def runs(values: Ints) -> tuple[Ints, Ints]:
    """Where each run of equal *values* starts, and how long it is."""
    new = np.ones(len(values), dtype=np.bool_)
    new[1:] = values[1:] != values[:-1]
    first = np.flatnonzero(new)
    return first, np.diff(first, append=len(values)).astype(np.int32)


def concatenate_ranges(start: Ints, nodes: Ints) -> tuple[Ints, Ints]:
    """For *nodes* of an adjacency that begins at *start*: how many edges each has, and all their places in a row."""
    begin = start[nodes]
    count = start[nodes + 1] - begin
    offset = np.repeat(begin - (np.cumsum(count) - count), count)
    return count, offset + np.arange(len(offset))


def _starts(sorted_nodes: Ints, nodes: int) -> Ints:
    start = np.zeros(nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(sorted_nodes, minlength=nodes), out=start[1:])
    return start


def _distinct(values: Ints) -> Ints:
    ordered = np.sort(values)  # np.unique hashes first, which is many times slower on a million times
    return ordered[runs(ordered)[0]]


def _needed(frame: pl.DataFrame, table: str, columns: tuple[str, ...], *, required: int) -> pl.DataFrame:
    """Those *columns* of *frame* in the types of the schema; the first *required* must have a value in each row."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise EstateInvalid(f"table {table}", f"has no column {', '.join(missing)}", "Run ciops-nb check on the estate")
    wanted = {name: DTYPES[TABLES[table].by_name[name].kind] for name in columns}
    for name, dtype in wanted.items():
        if frame.schema[name] not in (dtype, pl.Null()):
            problem = f"has column {name} of type {frame.schema[name]}, not {dtype}"
            raise EstateInvalid(f"table {table}", problem, "Import the estate again with ciops-nb import")
    for name in columns[:required]:
        if frame[name].null_count():
            problem = f"has {frame[name].null_count()} rows without {name}"
            raise EstateInvalid(f"table {table}", problem, "Import it again: such rows are rejected with their reason")
    return frame.select(pl.col(name).cast(dtype) for name, dtype in wanted.items())


def _places(values: pl.Series, known: pl.Series) -> pl.Series:
    """The place of each of *values* in *known* (distinct), null where it is not there."""
    numbered = known.alias("value").to_frame().with_row_index("place")
    return values.alias("value").to_frame().join(numbered, on="value", how="left", maintain_order="left")["place"]


def _ends(relations: pl.DataFrame, ids: pl.Series) -> tuple[Ints, Ints, int]:
    """The nodes at both ends of each relation, and how many nodes there are.

    Ids that no CI ever had become nodes that never exist, so that what points at them is told apart.
    """
    source, target = (_places(relations[name], ids) for name in ("source_id", "target_id"))
    if source.null_count() or target.null_count():
        unknown = pl.concat(
            [
                relations["source_id"].filter(source.is_null()).alias("id"),
                relations["target_id"].filter(target.is_null()).alias("id"),
            ]
        )
        ids = pl.concat([ids.alias("id"), unknown.unique().sort()])
        source, target = (_places(relations[name], ids) for name in ("source_id", "target_id"))
    return source.to_numpy().astype(np.int32), target.to_numpy().astype(np.int32), len(ids)


def _times(frame: pl.DataFrame, column: str, otherwise: int) -> npt.NDArray[np.int64]:
    times: npt.NDArray[np.int64] = frame[column].to_physical().fill_null(otherwise).to_numpy()
    return times


def _settle_repeats(order: Ints, key: Ints, start: Ints, relations: pl.DataFrame) -> tuple[Ints, Ints]:
    """Order rows of one source, target and type so that the first is the one to show; number their groups.

    The one that began last comes first; of equals the one whose redundancy group and minimum sort first, so that the
    answer does not depend on the order of the rows.
    """
    first, count = runs(key)
    group = np.repeat(np.arange(len(first), dtype=np.int32), count)
    repeated = np.flatnonzero(np.repeat(count > 1, count))
    if len(repeated):
        rows = order[repeated]
        several = relations.select("redundancy_group", "min_healthy")[rows].with_columns(
            group=pl.Series(group[repeated]), start=pl.Series(start[rows]), row=pl.Series(rows)
        )
        order = order.copy()
        order[repeated] = several.sort(
            "group", "start", "redundancy_group", "min_healthy", "row",
            descending=[False, True, False, False, False], nulls_last=True,
        )["row"].to_numpy()  # fmt: skip
    return order, group
