"""How answers are written down: frames as Parquet, graphs and all else as JSON. No pickle: what is read back may come
from a stranger.

Equal values give equal bytes. JSON holds what it has no word for as an object with one key that begins with ``$``: a
moment as ``{"$time": "2026-03-02T10:00:00Z"}``, a number that is none as ``{"$number": "nan"}``.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from ciops_nb import errors
from ciops_nb.errors import CiopsError
from ciops_nb.execution.call import Answer

if TYPE_CHECKING:
    import networkx as nx

__all__ = [
    "Written", "difference", "digest", "error_from_json", "error_to_json", "from_json",
    "frozen", "plain", "thawed", "to_json", "whole",
]  # fmt: skip

_MOST_CELLS = 200_000_000  # of a frame that is read back: more is no answer, but an attack or a mistake


@dataclass(frozen=True)
class Written:
    """A value as bytes, with what has to be known to read it: *kind* is frame or graph."""

    kind: str
    data: bytes
    json_columns: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        return "parquet" if self.kind == "frame" else "json"


def frozen(value: Any) -> Written:
    """*value* (a polars frame or a graph) as bytes."""
    if not isinstance(value, pl.DataFrame):
        return Written("graph", _text(_of_graph(value)))
    import pyarrow.parquet as pq

    plain, columns = _without_objects(value)
    buffer = io.BytesIO()
    pq.write_table(plain.to_arrow(), buffer, compression="zstd", store_schema=False)
    return Written("frame", buffer.getvalue(), columns)


def thawed(kept: Written) -> Any:
    """The value that was frozen.

    Raises:
        ValueError: the bytes are not what they should be.
    """
    if kept.kind == "graph":
        return _to_graph(_parsed(kept.data))
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        told = pq.read_metadata(io.BytesIO(kept.data))
        if told.num_rows * max(1, told.num_columns) > _MOST_CELLS:
            raise ValueError(f"it has {told.num_rows:,} rows of {told.num_columns} columns, more than any answer")
        frame = pl.read_parquet(io.BytesIO(kept.data))
    except (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise ValueError(f"it is no Parquet file ({str(error).splitlines()[0]})") from None
    for name in kept.json_columns:
        if name not in frame.columns or frame[name].dtype != pl.String:
            raise ValueError(f"column {name!r} should hold JSON")
        cells = [None if cell is None else from_json(_parsed(cell.encode())) for cell in frame[name]]
        frame = frame.with_columns(pl.Series(name, cells, dtype=pl.Object()))
    return frame


def digest(value: Any) -> str:
    """The same for equal values only, whichever library wrote them: what a report says of an answer."""
    made = hashlib.blake2b(digest_size=16)
    if not isinstance(value, pl.DataFrame):
        made.update(_text(_of_graph(value)))
        return made.hexdigest()
    plain, _ = _without_objects(value)
    for series in plain.get_columns():
        made.update(f"{series.name}\0{series.dtype}\0{len(series)}\0".encode())
        # Floats as their bits: JSON would write NaN as null.
        cells = series.reinterpret(signed=False) if series.dtype == pl.Float64() else series
        made.update(pl.DataFrame({"": cells}).write_json().encode())
    return made.hexdigest()


def difference(left: Answer, right: Answer) -> str | None:
    """What differs first between two answers to one question, None if nothing does."""
    one, other = left.value, right.value
    if isinstance(one, pl.DataFrame) != isinstance(other, pl.DataFrame):
        return "one is a frame, the other a graph"
    if digest(one) == digest(other):
        return _told_otherwise(left, right)
    if not isinstance(one, pl.DataFrame):
        return _of_graphs(one, other)
    if one.schema != other.schema:
        names = sorted({*one.schema.items()} ^ {*other.schema.items()}, key=repr)
        return f"columns: {', '.join(f'{name} ({kind})' for name, kind in names) or 'their order'}"
    if one.height != other.height:
        return f"{one.height} rows against {other.height}"
    for name in one.columns:
        pairs = zip(one[name].to_list(), other[name].to_list(), strict=True)
        for row, (a, b) in enumerate(pairs):
            if not _same(a, b):
                return f"row {row}, {name}: {a!r} against {b!r}"
    return "a value that looks the same"


def _told_otherwise(left: Answer, right: Answer) -> str | None:
    for name in ("total", "left_out", "warnings"):
        a, b = getattr(left, name), getattr(right, name)
        if a != b:
            return f"{name}: {a!r} against {b!r}"
    return None


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) or (a != a and b != b)


def _of_graphs(one: nx.MultiDiGraph[str], other: nx.MultiDiGraph[str]) -> str:
    parts: list[tuple[str, dict[Any, Any], dict[Any, Any]]] = [
        ("node", {**one.nodes}, {**other.nodes}),
        ("edge", _edges(one), _edges(other)),
        ("graph", one.graph, other.graph),
    ]
    for what, a, b in parts:
        for key in [*a, *(key for key in b if key not in a)]:
            if key not in b or key not in a:
                return f"{what} {key!r} only in the {'first' if key in a else 'second'}"
            if a[key] != b[key]:
                return f"{what} {key!r}: {a[key]!r} against {b[key]!r}"
    return "the order of nodes or edges"


def _edges(graph: nx.MultiDiGraph[str]) -> dict[Any, Any]:
    return {(source, target, key): data for source, target, key, data in graph.edges(keys=True, data=True)}


def plain(body: Any) -> Any:
    """A pandas frame as the polars frame it is kept as, its columns of dicts as they are; all else as it is."""
    if isinstance(body, pl.DataFrame) or not hasattr(body, "columns"):
        return body
    objects = [name for name in body.columns if body[name].dtype == object]
    held = [name for name in objects if any(isinstance(cell, dict) for cell in body[name])]
    made: pl.DataFrame = pl.from_pandas(body.drop(columns=held))
    columns = [pl.Series(name, list(body[name]), dtype=pl.Object()) for name in held]
    return made.with_columns(columns).select(list(body.columns))


def whole(tool: str, value: Any) -> Any:
    """What *tool* returned as it is kept: a polars frame or a graph.

    Raises:
        TypeError: it is neither of these nor a pandas frame.
    """
    if isinstance(value, pl.DataFrame) or (hasattr(value, "nodes") and hasattr(value, "edges")):
        return value
    if hasattr(value, "attrs") and hasattr(value, "columns"):
        if value.index.nlevels != 1 or list(value.index) != list(range(len(value))):
            raise TypeError(f"tool {tool} returned a frame whose index would be lost: reset_index() makes it a column")
        return plain(value)
    raise TypeError(f"tool {tool} returned a {type(value).__name__}, not a frame or a graph")


# ── frames ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _without_objects(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """*frame* with Python objects (tags, attributes) as JSON texts, and the columns that were."""
    held = tuple(name for name, kind in frame.schema.items() if kind == pl.Object())
    made = [
        pl.Series(name, [None if cell is None else _text(to_json(cell)).decode() for cell in frame[name]], pl.String())
        for name in held
    ]
    return frame.with_columns(made), held


# ── graphs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_graph(graph: nx.MultiDiGraph[str]) -> dict[str, Any]:
    return {
        "nodes": [[code, to_json(data)] for code, data in graph.nodes(data=True)],
        "edges": [[*ends, to_json(data)] for *ends, data in graph.edges(keys=True, data=True)],
        "graph": to_json({name: value for name, value in graph.graph.items() if name != "ciops"}),
    }


def _to_graph(held: Any) -> nx.MultiDiGraph[str]:
    import networkx as nx

    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    try:
        graph.graph.update(from_json(held["graph"]))
        graph.add_nodes_from((code, from_json(data)) for code, data in held["nodes"])
        for source, target, key, data in held["edges"]:
            graph.add_edge(source, target, key, **from_json(data))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"it is no graph ({type(error).__name__}: {error})") from None
    return graph


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def error_to_json(error: CiopsError) -> dict[str, Any]:
    """A named error as JSON: its kind, what it says, and its fields as far as they can be written."""
    fields = {}
    for name, value in vars(error).items():
        if not name.startswith("_"):
            try:
                fields[name] = to_json(value)
            except TypeError:
                fields[name] = repr(value)
    return {"kind": type(error).__name__, "text": str(error), "fields": fields}


def error_from_json(told: Mapping[str, Any]) -> CiopsError:
    """The error that was written; one of a kind that is not ours is a plain CiopsError that says the same.

    Raises:
        ValueError: it was not written by ``error_to_json``.
    """
    kind, text, fields = told["kind"], told["text"], from_json(told["fields"])
    if not isinstance(text, str) or not isinstance(fields, dict):
        raise ValueError("it is no error")
    if kind not in errors.__all__:
        return CiopsError(text)
    made: CiopsError = (cls := getattr(errors, kind)).__new__(cls, text)
    vars(made).update(fields)
    return made if str(made) == text else CiopsError(text)


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def to_json(value: Any) -> Any:
    """*value* as JSON has it, so that ``from_json`` gives it back.

    Raises:
        TypeError: it cannot be written.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$number": str(value)}
    if isinstance(value, datetime):
        return {"$time": value.astimezone(UTC).isoformat().replace("+00:00", "Z")}
    if isinstance(value, timedelta):
        return {"$microseconds": value // timedelta(microseconds=1)}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"{value!r} cannot be written as JSON: its keys are not texts")
        plain = {key: to_json(inner) for key, inner in value.items()}
        return {"$object": plain} if len(plain) == 1 and next(iter(plain)).startswith("$") else plain
    if isinstance(value, (list, tuple)):
        return [to_json(inner) for inner in value]
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def from_json(value: Any) -> Any:
    """The value that was written.

    Raises:
        ValueError: it was not written by ``to_json``.
    """
    if isinstance(value, list):
        return [from_json(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key == "$time":
            return datetime.fromisoformat(inner)
        if key == "$number":
            return float(inner)
        if key == "$microseconds":
            return timedelta(microseconds=inner)
        if key == "$object":
            return {name: from_json(held) for name, held in inner.items()}
    return {name: from_json(held) for name, held in value.items()}


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON ({error})") from None
