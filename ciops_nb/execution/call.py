"""A question and its answer, as the layers hand them on: plain frozen values that know nothing of any tool."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeAlias

import polars as pl

from ciops_nb.present import to_pandas

__all__ = ["Answer", "Call", "Runner"]

# What a graph takes, measured with tracemalloc on answers of some thousand nodes with seven attributes.
_NODE_BYTES, _EDGE_BYTES = 1_400, 900
_PLAIN = frozenset({str, int, float, bool, type(None)})  # they cannot be changed


async def _nothing(*_: Any, **__: Any) -> Any:
    raise TypeError("this call names a question, and has no function that answers it")


@dataclass(frozen=True)
class Call:
    """One question, whole: equal keys mean the same answer.

    Attributes:
        tool, version, edition: Which question; the edition counts how often a notebook has defined the tool anew.
        arguments: As the function takes them, times absolute.
        params: The same as plain JSON values, for records and for the key.
        tenant, user: Of whose data, and for whom.
        engine, data_version: Of the first source; None if it could not be reached, and then nothing is kept.
        source: The source that is to answer.
        as_of, live: The moment that is looked at. If it is the now of a live source, an answer that is not older than
            its ttl will do; all others are for one moment only.
        ttl, timeout: Seconds that an answer may be kept, and that it may take.
        function, now: The tool, and what time it is for it; neither is part of the question.
        place: In the order in which a run asked.
    """

    tool: str
    version: int
    arguments: Mapping[str, Any] = field(compare=False, repr=False)
    params: Mapping[str, Any]
    tenant: str
    user: str | None
    engine: str
    data_version: str | None
    source: str
    ttl: float
    timeout: float | None
    edition: int = 0
    as_of: str = ""
    live: bool = False
    function: Callable[..., Awaitable[Any]] = field(default=_nothing, compare=False, repr=False)
    now: datetime = field(default=datetime(1970, 1, 1, tzinfo=UTC), compare=False)
    place: int | None = field(default=None, compare=False)

    @cached_property
    def key(self) -> str:
        """Tool and version, engine, data version, tenant, user, all parameters and the moment, as a digest."""
        params = {name: value for name, value in self.params.items() if name != "as_of"}
        return self._digest(params, "now" if self.live else self.as_of, self.user, self.edition, size=16)

    @cached_property
    def question(self) -> str:
        """The tool and all parameters, of whatever data."""
        whole = [self.tool, self.version, self.params, self.tenant]
        return json.dumps(whole, sort_keys=True)

    @cached_property
    def id(self) -> str:
        """The same question on the same data has the same id, whoever asks: so a report repeats byte for byte.

        The moment is part of the question: the code or tag that a point is shown under is the one of that moment.
        """
        return self._digest(self.params, self.as_of, size=6)

    def _digest(self, *more: object, size: int) -> str:
        whole = [self.tool, self.version, self.tenant, self.engine, self.data_version, *more]
        return hashlib.blake2b(json.dumps(whole, sort_keys=True).encode(), digest_size=size).hexdigest()

    def to(self, source: str) -> Call:
        """The same question for another source."""
        return replace(self, source=source)


@dataclass(frozen=True, eq=False)
class Answer:
    """What came back, before it is handed out: rows or a graph, and what is to be said of them.

    It is shared by all who asked, so that nobody may be given ``value`` itself: ``handed_out`` gives each their own.
    """

    value: Any
    engine: str
    data_version: str
    as_of: str
    source: str
    total: int | None
    left_out: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    fallback: Mapping[str, str] | None = None
    cached: bool = False
    age: float | None = None
    retries: int = 0
    steady: bool = True  # the data did not change while it was made: else no version names them
    _shown: dict[str, Any] = field(default_factory=dict, repr=False)  # what was made of value once, for all its copies

    @property
    def rows(self) -> int:
        """How many rows, or nodes."""
        return self.value.height if isinstance(self.value, pl.DataFrame) else self.value.number_of_nodes()

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        if isinstance(self.value, pl.DataFrame):
            return int(self.value.estimated_size())
        return int(_NODE_BYTES * self.value.number_of_nodes() + _EDGE_BYTES * self.value.number_of_edges())

    @property
    def status(self) -> str:
        """Of its completeness: what matters more comes first."""
        return "fallback" if self.fallback else "truncated" if self.left_out else "complete"

    def handed_out(self, frames: str) -> Any:
        """A frame (``pandas`` or ``polars``) or graph of one's own: changing it changes nothing that is kept.

        The columns are shared and copied when they are written to (polars always does so, pandas since 3.0); what can
        be changed inside of a cell, dicts and lists, is copied here.
        """
        if not isinstance(self.value, pl.DataFrame):
            return _own_graph(self.value)
        if frames == "polars":
            return self._own()
        if not self._shown:  # most answers are given once: no copy of what nobody else has
            self._shown["given"] = True
            return to_pandas(self._own())
        if "pandas" not in self._shown:
            self._shown["pandas"] = to_pandas(self.value)
        frame = self._shown["pandas"].copy(deep=False)
        for name, kind in self.value.schema.items():
            if kind == pl.Object() or kind.is_nested():
                frame[name] = frame[name].map(copy.deepcopy)
        return frame

    def _own(self) -> pl.DataFrame:
        """The polars frame, with copies of the Python objects in it."""
        frame: pl.DataFrame = self.value.clone()
        for place, kind in enumerate(frame.dtypes):
            if kind == pl.Object():
                cells = copy.deepcopy(frame.to_series(place).to_list())
                frame.replace_column(place, pl.Series(frame.columns[place], cells, dtype=pl.Object()))
        return frame


def _own_graph(graph: Any) -> Any:
    """A copy of *graph* that shares nothing with it that a caller would change.

    ``MultiDiGraph.copy`` adds node by node and edge by edge, which takes several times as long as copying its dicts.
    """
    import networkx as nx

    plain = type(graph) is nx.MultiDiGraph
    made: Any = nx.MultiDiGraph()
    if not plain:  # a tool of somebody else's
        made = graph.copy()
    else:
        made._node = {node: dict(data) for node, data in graph._node.items()}
        made._succ, made._pred = {node: {} for node in graph._node}, {node: {} for node in graph._node}
        for source, targets in graph._succ.items():
            for target, edges in targets.items():
                # One dict is in both directions, as networkx has it.
                own = {key: dict(data) for key, data in edges.items()}
                made._succ[source][target] = made._pred[target][source] = own
    made.graph.update(_own_value(graph.graph))
    return made


def _own_value(value: Any) -> Any:
    """A deep copy; ``copy.deepcopy`` of plain lists and dicts is many times slower."""
    kind = type(value)
    if kind is dict:
        return {key: _own_value(inner) for key, inner in value.items()}
    if kind is list:
        return [_own_value(inner) for inner in value]
    return value if kind in _PLAIN else copy.deepcopy(value)


Runner: TypeAlias = Callable[[Call], Awaitable[Answer]]
"""A layer, or what is innermost: from a call to its answer."""
