"""From arrays of nodes and edges to a networkx graph, once, at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ciops_nb.errors import EstateInvalid
from ciops_nb.topology.csr import Ints, Snapshot
from ciops_nb.topology.search import Edges

if TYPE_CHECKING:  # networkx is slow to import, and only needed where a graph is made
    import networkx as nx

__all__ = ["to_networkx"]


def to_networkx(
    snapshot: Snapshot, nodes: Ints, edges: Edges, columns: Mapping[str, Sequence[Any]]
) -> nx.MultiDiGraph[str]:
    """Build the graph of *nodes* and *edges*.

    Args:
        snapshot: The moment they were found in.
        nodes: Nodes in the order they shall have, such as ``Expansion.nodes``.
        edges: Edges among them.
        columns: Attributes of the nodes: for each name the values, in the order of *nodes*.

    Returns:
        A graph whose nodes are codes. Edges run as stored, their key is the relation type; they carry relation_type,
        and redundancy_group and min_healthy where these are not null.

    Raises:
        EstateInvalid: two of the nodes have the same code at this moment.
    """
    import networkx as nx

    codes = dict(zip(nodes.tolist(), snapshot.codes(nodes), strict=True))
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    names = tuple(columns)
    values = zip(*columns.values(), strict=True) if columns else ((),) * len(codes)
    graph.add_nodes_from(
        (code, dict(zip(names, row, strict=True))) for code, row in zip(codes.values(), values, strict=True)
    )
    if len(graph) < len(codes):
        raise EstateInvalid(
            "table ci", _shared(codes.values()), "Run ciops-nb check on the estate, and give each CI its code"
        )
    ends = zip(edges.source.tolist(), edges.target.tolist(), strict=True)
    for (source, target), attributes in zip(ends, _attributes(snapshot, edges), strict=True):
        graph.add_edge(codes[source], codes[target], attributes["relation_type"], **attributes)
    return graph


def _attributes(snapshot: Snapshot, edges: Edges) -> list[dict[str, Any]]:
    topology = snapshot.topology
    attributes: list[dict[str, Any]] = [{"relation_type": topology.types[kind]} for kind in edges.kind.tolist()]
    for name in ("redundancy_group", "min_healthy"):
        for held, value in zip(attributes, topology.relations[name].gather(edges.row).to_list(), strict=True):
            if value is not None:
                held[name] = value
    return attributes


def _shared(codes: Collection[str]) -> str:
    shared = sorted(code for code, count in Counter(codes).items() if count > 1)
    return f"has several CIs with code {', '.join(map(repr, shared))} at this moment"
