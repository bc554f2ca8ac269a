"""What tools answered while the extension was loaded: what was changed since is not to be taken for the answer.

pandas hands ``attrs`` on to what is made of a frame, and networkx ``graph`` to what is made of a graph. An answer of
moderate size is held beside: both libraries of frames share the columns with it until one side is written to. Of larger
ones only the columns are known, and that they are still the very object that was handed out.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal

from ciops_nb.answers import Provenance

__all__ = ["Answered", "Same", "kind_of"]

Same = Literal["same", "changed", "unknown"]

_MOST_CELLS = 200_000  # of one answer that is held
_ALL_CELLS = 1_000_000  # of all that are held
_MOST = 1_000  # that are remembered


def kind_of(value: Any) -> Literal["pandas", "polars", "graph"] | None:
    """Which library's frame or graph it is, told by the names of its types: none of them need be loaded."""
    for base in type(value).__mro__:
        place = (base.__module__.partition(".")[0], base.__name__)
        if place in _KINDS:
            return _KINDS[place]
    return None


_KINDS: dict[tuple[str, str], Literal["pandas", "polars", "graph"]] = {
    ("pandas", "DataFrame"): "pandas",
    ("polars", "DataFrame"): "polars",
    ("networkx", "Graph"): "graph",
}


@dataclass
class _Memory:
    record: Provenance  # held, so that no other has its id
    answer: weakref.ref[Any]
    shape: Any  # the names of the columns, or a digest of nodes and edges
    copy: Any = None
    cells: int = 0


class Answered:
    """The latest answers, by their records."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, _Memory] = OrderedDict()
        self._cells = 0
        self._lock = threading.Lock()  # told on the home loop, asked where it is shown

    def note(self, answer: Any, record: Provenance) -> None:
        """Remember *answer* as it is now."""
        with self._lock, contextlib.suppress(Exception):  # the answer counts, and what is said under it less
            self._note(answer, record)

    def _note(self, answer: Any, record: Provenance) -> None:
        kind = kind_of(answer)
        if kind is None:
            return
        memory = _Memory(record, weakref.ref(answer), _digest(answer) if kind == "graph" else list(answer.columns))
        if kind != "graph" and answer.shape[0] * answer.shape[1] <= _MOST_CELLS:
            memory.cells = answer.shape[0] * answer.shape[1]
            memory.copy = answer.copy(deep=False) if kind == "pandas" else answer.clone()
        known = self._kept.pop(id(record), None)
        self._kept[id(record)] = memory
        self._cells += memory.cells - (0 if known is None else known.cells)
        self._let_go()

    def _let_go(self) -> None:
        for memory in list(self._kept.values()):
            if self._cells <= _ALL_CELLS:
                break
            self._cells -= memory.cells
            memory.copy, memory.cells = None, 0
        while len(self._kept) > _MOST:
            _, memory = self._kept.popitem(last=False)
            self._cells -= memory.cells

    def compare(self, value: Any, record: Provenance) -> Same:
        """Whether *value* is what was answered."""
        memory, kind = self._kept.get(id(record)), kind_of(value)
        if len(value) != record["completeness"]["returned"]:
            return "changed"
        if memory is None:
            return "unknown"
        if kind == "graph":
            return "same" if _digest(value) == memory.shape else "changed"
        if list(value.columns) != memory.shape:
            return "changed"
        copy = memory.copy
        if copy is not None:
            return "same" if _equal(value, copy) else "changed"
        return "same" if memory.answer() is value else "unknown"


def _equal(left: Any, right: Any) -> bool:
    if kind_of(left) == "pandas":
        return bool(left.equals(right))
    # polars finds no two columns of Python objects equal.
    return left.schema == right.schema and all(
        one.to_list() == other.to_list() if str(one.dtype) == "Object" else one.equals(other)
        for one, other in zip(left.get_columns(), right.get_columns(), strict=True)
    )


def _digest(graph: Any) -> tuple[int, int]:
    edges = graph.edges(keys=True) if graph.is_multigraph() else graph.edges
    return hash(frozenset(graph)), hash(frozenset(edges))
