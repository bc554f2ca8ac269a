"""Parameters that mean the same in every tool, by their names: made absolute before a call, and told as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from ciops_nb import sync
from ciops_nb.context import check_text
from ciops_nb.estate.times import TimeRange, format_time, parse_range, parse_time
from ciops_nb.tools.cep import read_rules
from ciops_nb.tools.filters import absolute_where
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
    if params.get("where") is not None:
        params["where"] = absolute_where(params["where"], tz=tz)
    if params.get("ci") is not None and not isinstance(params["ci"], str):
        params["ci"] = codes_of(params["ci"])
    if "rule" in params:  # read here, so that the record holds the rule and not the name of a file that may change
        params["rule"] = await sync.in_thread(read_rules, params["rule"])
    return params


def needs_until(arguments: Mapping[str, Any]) -> datetime | None:
    """The latest time that absolute *arguments* ask for; None if they do not say."""
    span, as_of = arguments.get("time_range"), arguments.get("as_of")
    asked = [as_of, span.end if isinstance(span, TimeRange) else None]
    return max((moment for moment in asked if isinstance(moment, datetime)), default=None)


def told(value: Any) -> Any:
    """*value* as plain JSON for a record."""
    if isinstance(value, TimeRange):
        return str(value)
    if isinstance(value, datetime):
        try:  # one without a zone is told as it is: what this machine's zone makes of it is nothing to record
            return str(value) if value.tzinfo is None else format_time(value)
        except (
            ValueError,
            OverflowError,
        ):  # at the edges of the calendar; what is wrong with it is for the tool to say
            return str(value)
    if isinstance(value, Mapping):
        return {str(key): told(inner) for key, inner in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((told(inner) for inner in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [told(inner) for inner in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
