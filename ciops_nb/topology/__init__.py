"""How CIs hang together: the relations as arrays, and searches over them.

``csr`` holds the data and shows one moment of it, ``follow`` says which edges a search may take, ``search`` and
``paths`` search, ``convert`` makes a networkx graph of what they found. Pure functions on arrays: no engine, no loop.
"""

from ciops_nb.topology.convert import to_networkx
from ciops_nb.topology.csr import Snapshot, Topology
from ciops_nb.topology.follow import DIRECTIONS, Direction
from ciops_nb.topology.paths import PathsResult, shortest_paths
from ciops_nb.topology.search import Edges, Expansion, Frontier, expand

__all__ = [
    "DIRECTIONS",
    "Direction",
    "Edges",
    "Expansion",
    "Frontier",
    "PathsResult",
    "Snapshot",
    "Topology",
    "expand",
    "shortest_paths",
    "to_networkx",
]
