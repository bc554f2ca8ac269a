"""What a parameter means, said in its annotation: to its reader, and to the form that is made from the signature.

::

    async def outages(ops: Ops, ci: CiCode, *, at: Moment, depth: Annotated[int, Between(0, 6)] = 3) -> Findings: ...

To whoever calls the function these are the plain types that they name; nothing is checked by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

__all__ = [
    "Between", "CiCode", "CiCodes", "CiWords", "Fields", "Kind", "Length", "Metric", "Metrics", "Moment", "Range",
    "RuleText", "SearchWords", "Where",
]  # fmt: skip

Name = Literal[
    "ci", "ci words", "search words", "cis", "moment", "length", "range", "metric", "metrics", "fields", "rule", "where"
]


@dataclass(frozen=True)
class Kind:
    """What a value is, where its type does not say it."""

    name: Name


@dataclass(frozen=True)
class Between:
    """The bounds of a number, both allowed; None is no bound."""

    low: float | None
    high: float | None = None


CiCode = Annotated[str, Kind("ci")]
"""The code of a CI that exists."""
CiWords = Annotated[str, Kind("ci words")]
"""The code of a CI, or words that mean one; a text that looks like a code has to be one."""
SearchWords = Annotated[str, Kind("search words")]
"""Words to look for CIs with, which may find none."""
CiCodes = Annotated[Any, Kind("cis")]
"""A code, a list of codes, a frame with ``ci_code``, or a graph."""
Moment = Annotated[str | datetime | date, Kind("moment")]
"""A time, as ``estate.times.parse_time`` reads it."""
Length = Annotated[str, Kind("length")]
"""A length of time such as ``2h``, as ``estate.times.parse_duration`` reads it."""
Range = Annotated[Any, Kind("range")]
"""A time range such as ``last_24h``, as ``estate.times.parse_range`` reads it."""
Metric = Annotated[str, Kind("metric")]
"""The name of a metric."""
Metrics = Annotated[list[str], Kind("metrics")]
"""Names of metrics."""
Fields = Annotated[list[str], Kind("fields")]
"""Fields of a CI: its columns, ``tags.NAME`` and ``attributes.NAME``."""
RuleText = Annotated[Any, Kind("rule")]
"""A rule or several, as ``cep.load`` reads them."""
Where = Annotated[dict[str, Any], Kind("where")]
"""Conditions on fields, the same as in every tool."""
