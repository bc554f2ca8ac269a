"""Which edges a search may follow, and in which direction: along the arrow, against it, or both.

The arrow runs from source to target. A relation with impact ``target_to_source`` hurts its source when its target
fails: upstream, to what a node needs, is along its arrow, and downstream is against it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ciops_nb.errors import BadParameter
from ciops_nb.estate.schema import Impact
from ciops_nb.topology.csr import Adjacency, Bools, Ints, Snapshot, concatenate_ranges

__all__ = ["DIRECTIONS", "Direction", "Rule", "edges_from", "existing", "neighbours", "rule_for"]

Direction = Literal["either", "upstream", "downstream"]
DIRECTIONS: tuple[Direction, ...] = ("upstream", "downstream", "either")

_ALONG: dict[Direction, tuple[Impact, ...]] = {
    "upstream": ("target_to_source", "both"),
    "downstream": ("source_to_target", "both"),
    "either": ("target_to_source", "source_to_target", "both", "none"),
}
_AGAINST: dict[Direction, tuple[Impact, ...]] = {
    "upstream": _ALONG["downstream"],
    "downstream": _ALONG["upstream"],
    "either": _ALONG["either"],
}


@dataclass(frozen=True, eq=False)
class Rule:
    """For each relation type whether a step may go along its arrow, and whether against it."""

    along: Bools
    against: Bools

    def reverse(self) -> Rule:
        """The rule that walks the same steps backwards."""
        return Rule(along=self.against, against=self.along)


def rule_for(snapshot: Snapshot, direction: Direction, types: Collection[int] | None) -> Rule:
    """What may be followed in *direction*, over relations of *types* (type numbers; None is all).

    Raises:
        BadParameter: there is no such direction or type.
    """
    if direction not in DIRECTIONS:
        raise BadParameter("direction", direction, "is not a direction", f"Choose from {', '.join(DIRECTIONS)}")
    topology = snapshot.topology
    allowed = topology.type_mask(types)
    along = np.array([impact in _ALONG[direction] for impact in topology.impacts], dtype=np.bool_)
    against = np.array([impact in _AGAINST[direction] for impact in topology.impacts], dtype=np.bool_)
    return Rule(along & allowed, against & allowed)


def neighbours(snapshot: Snapshot, nodes: Ints, rule: Rule) -> tuple[Ints, Ints]:
    """One step from *nodes*: pairs of a place in *nodes* and a node reached from there, with repeats."""
    along = _one_way(snapshot.forward, nodes, rule.along)
    against = _one_way(snapshot.backward, nodes, rule.against)
    return np.concatenate([along[0], against[0]]), np.concatenate([along[1], against[1]])


def _one_way(adjacency: Adjacency, nodes: Ints, followed: Bools) -> tuple[Ints, Ints]:
    if not followed.any():
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32)
    count, edges = concatenate_ranges(adjacency.start, nodes)
    place = np.repeat(np.arange(len(nodes)), count)
    if not followed.all():
        kept = followed[adjacency.kind[edges]]
        place, edges = place[kept], edges[kept]
    return place, adjacency.node[edges]


def edges_from(snapshot: Snapshot, nodes: Ints) -> Ints:
    """The places in ``snapshot.forward`` of all edges that leave *nodes*."""
    return concatenate_ranges(snapshot.forward.start, nodes)[1]


def existing(snapshot: Snapshot, nodes: Ints, name: str) -> Ints:
    """*nodes* without repeats in order of code.

    Raises:
        BadParameter: one does not exist at the moment of the snapshot.
    """
    asked = np.asarray(nodes, dtype=np.int64).reshape(-1)
    inside = (asked >= 0) & (asked < len(snapshot.rank))
    absent = asked[~inside] if not inside.all() else asked[snapshot.rank[asked] < 0]
    if len(absent):
        raise BadParameter(name, int(absent[0]), "is not a node that exists at this moment", "Ask Snapshot.find")
    return snapshot.by_code[snapshot.mask(asked)[snapshot.by_code]]
