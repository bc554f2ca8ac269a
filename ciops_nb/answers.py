"""Where an answer comes from, and whether it is whole.

The record travels in the answer itself where the library allows (``df.attrs``, ``G.graph``); polars frames have no
such place, so theirs are kept in a table beside, for as long as the frame lives.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NoReturn

from ciops_nb.estate.times import format_time

__all__ = [
    "COMPLETE",
    "FIELDS",
    "STATUSES",
    "Provenance",
    "attach",
    "describe",
    "frozen",
    "provenance",
    "record",
    "watch",
]

KEY = "ciops"
COMPLETE = "complete"
STATUSES = (COMPLETE, "truncated", "partial", "stale", "fallback")
FIELDS = (
    "call_id", "tool", "tool_version", "params", "tenant", "engine", "data_version", "as_of", "started_at",
    "duration_ms", "cached", "cache_age_s", "fallback", "completeness", "warnings",
)  # fmt: skip

_beside: dict[int, tuple[weakref.ref[Any], Provenance]] = {}
_hook: Callable[[Any, Provenance], None] | None = None


class Provenance(dict[str, Any]):
    """A read-only record whose fields are read as ``p.tool`` or ``p["tool"]``.

    It is a dict, so that pandas can write it into a Parquet file, and it cannot be changed, so that pandas need not
    copy it with every frame that is made from another.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{name!r} is not a field of a provenance; it has {', '.join(self)}") from None

    def __dir__(self) -> Iterator[str]:
        return iter([*super().__dir__(), *self])

    def __copy__(self) -> Provenance:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Provenance:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Provenance, (dict(self),)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a provenance is a record of what happened and cannot be changed; dict(p) gives a copy")

    __setitem__ = __delitem__ = __setattr__ = __delattr__ = _refuse
    __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __str__(self) -> str:
        return describe(self) if "completeness" in self else repr(self)  # a part of a record is a plain dict


def frozen(value: Any) -> Any:
    """*value* with every mapping in it read-only."""
    if isinstance(value, dict):
        return Provenance({key: frozen(inner) for key, inner in value.items()})
    if isinstance(value, (list, tuple)):
        return [frozen(inner) for inner in value]
    return value


def record(call: Any, answer: Any, *, started_at: datetime, duration_ms: float) -> Provenance:
    """What is to be said of the *answer* to a *call* (of ``execution.call``)."""
    warnings = list(answer.warnings)
    told: Provenance = frozen(
        {
            "call_id": call.id,
            "tool": call.tool,
            "tool_version": call.version,
            "params": call.params,
            "tenant": call.tenant,
            "engine": answer.engine,
            "data_version": answer.data_version,
            "as_of": answer.as_of,
            "started_at": format_time(started_at),
            "duration_ms": round(duration_ms, 3),
            "cached": answer.cached,
            "cache_age_s": answer.age,
            "fallback": answer.fallback,
            "completeness": {
                "status": answer.status,
                "returned": answer.rows,
                "total": answer.total,
                "left_out": [dict(cut) for cut in answer.left_out],
                "warnings": warnings,
            },
            "warnings": warnings,
        }
    )
    return told


def watch(hook: Callable[[Any, Provenance], None] | None) -> None:
    """Tell *hook* of each answer from now on, instead of whoever was told; None: nobody."""
    global _hook
    _hook = hook


def attach(result: Any, record: Provenance) -> Any:
    """Put *record* where ``provenance(result)`` finds it, and return the result."""
    if hasattr(result, "attrs"):
        result.attrs[KEY] = record
    elif hasattr(result, "graph"):
        result.graph[KEY] = record
    else:
        number = id(result)
        _beside[number] = (weakref.ref(result, lambda _: _beside.pop(number, None)), record)
    if _hook is not None:
        _hook(result, record)
    return result


def provenance(result: Any) -> Provenance:
    """Where *result* comes from and whether it is whole.

    Args:
        result: What a tool returned: a pandas or polars frame, or a graph; or a run.

    Returns:
        A record with call_id, tool, tool_version, params (defaults filled in, times absolute), tenant, engine,
        data_version, as_of, started_at, duration_ms, cached, cache_age_s, fallback, completeness (status, returned,
        total, left_out: what, count, why) and warnings. Its fields are read as ``p.tool`` or ``p["tool"]``.

    Raises:
        LookupError: *result* carries no record: it was not made by a tool, or the library it went through dropped it.
    """
    for place in ("attrs", "graph"):
        held = getattr(result, place, None)
        if isinstance(held, dict) and isinstance(held.get(KEY), dict):
            record = held[KEY]
            # A frame read back from a file carries a plain dict.
            return record if isinstance(record, Provenance) else frozen(record)
    found = _beside.get(id(result))
    if found is not None and found[0]() is result:
        return found[1]
    raise LookupError(
        f"This {type(result).__name__} carries no provenance: it was not made by a tool, or a step after the tool "
        "dropped it. Ask provenance() of what the tool returned."
    )


def describe(record: dict[str, Any]) -> str:
    """One quiet line: tool, data, completeness and warnings."""
    completeness = record["completeness"]
    total, returned = completeness["total"], completeness["returned"]
    parts = [
        f"{record['tool']} · {record['engine']} · tenant {record['tenant']} · data {record['data_version']}"
        f" · as of {record['as_of']}",
        completeness["status"] + (f" ({returned} of {total if total is not None else 'an unknown number'})"),
    ]
    parts += [f"left out: {item['count']} {item['what']} ({item['why']})" for item in completeness["left_out"]]
    if record["fallback"]:
        parts.append(f"from {record['fallback']['source']} ({record['fallback']['reason']})")
    if record["cached"]:
        parts.append(f"cached {record['cache_age_s']:.0f} s ago")
    parts += [f"warning: {text}" for text in record["warnings"]]
    return " · ".join(parts)
