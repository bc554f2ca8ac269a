"""Parameters that mean the same in every tool, by their names: made absolute before a call, and told as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from ciops_nb import sync
from ciops_nb.errors import BadParameter
from ciops_nb.estate.times import TimeRange, format_time, parse_range, parse_time, spelled
from ciops_nb.parameters import check_text
from ciops_nb.tools.cep import read_rules
from ciops_nb.tools.filters import absolute_where, as_told
from ciops_nb.tools.scope import codes_of

__all__ = ["absolute", "needs_until", "told"]


async def absolute(arguments: Mapping[str, Any], *, now: datetime, tz: tzinfo) -> dict[str, Any]:
    """The arguments with relative times made absolute, the CIs named by their codes, and rules read."""
    params = dict(arguments)
    for name, value in params.items():
        check_text(name, value)
    if "time_range" in params:
        params["time_range"] = parse_range(params["time_range"], now=now, tz=tz)
    if "as_of" in params:
        params["as_of"] = now if params["as_of"] is None else parse_time(params["as_of"], tz=tz)
    if params.get("data_as_of") is not None:
        params["data_as_of"] = parse_time(params["data_as_of"], tz=tz, name="data_as_of")
    if params.get("where") is not None:
        params["where"] = absolute_where(params["where"], tz=tz)
    if params.get("ci") is not None and not isinstance(params["ci"], str):
        params["ci"] = codes_of(params["ci"])
    for name in ("rule", "old_rule", "new_rule"):
        if name in params:  # read here, so that the record holds the rule and not the name of a file that may change
            params[name] = await sync.in_thread(read_rules, params[name])
    return params


def needs_until(arguments: Mapping[str, Any]) -> datetime | None:
    """The latest time that absolute *arguments* ask for; None if they do not say."""
    span, as_of = arguments.get("time_range"), arguments.get("as_of")
    asked = [as_of, span.end if isinstance(span, TimeRange) else None]
    return max((moment for moment in asked if isinstance(moment, datetime)), default=None)


def told(value: Any, name: str = "parameter") -> Any:
    """*value*, of the parameter *name*, as plain JSON: for records, and for keys, so that all of it must be in there.

    Raises:
        BadParameter: it is nothing that can be told.
    """
    if isinstance(value, TimeRange):
        return str(value)
    if isinstance(value, datetime):
        try:  # one without a zone is read in the session's, and must be told without one
            return value.isoformat() if value.tzinfo is None else format_time(value)
        except (ValueError, OverflowError):  # at the edges of the calendar: what is wrong is for the tool to say
            return str(value)
    if isinstance(value, timedelta):
        return spelled(value)
    if isinstance(value, Mapping):
        read = as_told if name == "where" else lambda inner: inner
        return {str(key): told(read(inner), str(key)) for key, inner in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((told(inner, name) for inner in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [told(inner, name) for inner in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    kind: Any = type(value)  # asked of the kind: asking a lazy frame for its columns would run it
    for method in ("tolist", "to_list"):  # numpy, pandas; polars
        if hasattr(kind, method):
            return told(getattr(value, method)(), name)
    # A frame is printed in part, and what has no words of its own as an address: two that differ would look the same.
    if (
        hasattr(kind, "columns")
        or hasattr(kind, "nodes")
        or (kind.__str__, kind.__repr__) == (object.__str__, object.__repr__)
    ):
        hint = "Give text, numbers, times, or lists and dicts of them"
        raise BadParameter(name, f"a {kind.__name__}", "cannot be written down as a parameter", hint)
    return str(value)
