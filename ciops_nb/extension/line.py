"""The line under an answer that is shown: where it comes from, and whether it is whole, in plain text and in HTML.

What differs each time the same notebook runs (how long it took, whether it came from the cache, the moment that is now)
is left out unless it is asked for: a notebook that is run again is to be the same to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Any

from ciops_nb.answers import COMPLETE
from ciops_nb.extension.answered import Same
from ciops_nb.views.svg import shorten, visible

__all__ = ["Line", "graph_words", "line_of"]

_DOT = " · "
_GAP = "▲"
_NOW = timedelta(minutes=10)  # what was asked of a moment this near to the asking was asked of now
_NAMED = 5
_WIDTH = 60


@dataclass(frozen=True)
class Line:
    """Parts of a line: those of *told* are what matters most where the answer is not whole.

    Attributes:
        origin: Which tool.
        told: How whole it is, and what there is to mind.
        rest: The data and the engine.
        more: What is told to who rests on the line.
        whole: Whether there is nothing to mind. What was made of an answer that was whole is in the analyst's hands.
    """

    origin: str
    told: tuple[str, ...]
    rest: tuple[str, ...]
    more: str
    whole: bool

    def plain(self) -> str:
        text = visible(_DOT.join((self.origin, *self.told, *self.rest)))
        return text if self.whole else f"{_GAP} {text}"

    def html(self) -> str:
        """Inline styles only, without colours: a saved notebook keeps no others, and is read in the dark as well."""
        told = escape(visible(_DOT.join(self.told)))
        if not self.whole:
            told = f"<b>{told}</b>"
        parts = (escape(visible(self.origin)), told, *(escape(visible(part)) for part in self.rest))
        mark = "" if self.whole else f'<span aria-hidden="true">{_GAP}</span> '
        opacity = "0.75" if self.whole else "0.95"
        return (
            f'<div title="{escape(visible(self.more))}" style="font-size: 85%; opacity: {opacity}; margin: 0.3em 0">'
            f"{mark}{_DOT.join(parts)}</div>"
        )


def line_of(record: Mapping[str, Any], *, what: str, same: Same = "same", times: bool = False) -> Line:
    """The line of an answer.

    Args:
        record: Its provenance.
        what: What it is counted in: rows, nodes.
        same: Whether what is shown is what was answered.
        times: Tell also how long it took, and how old it is.
    """
    whole = record["completeness"]
    told = [_counted(whole, what)]
    if record["fallback"]:
        told.append(f"from {record['fallback']['source']} ({record['fallback']['reason']})")
    told += _warned(record["warnings"])
    origin = str(record["tool"])
    if same == "changed":
        origin, told = f"changed since it came from {origin}", [f"the answer had {told[0]}", *told[1:]]
    elif same == "unknown":
        origin, told = f"from {origin}, and perhaps changed since", [f"the answer had {told[0]}", *told[1:]]
    rest = [str(record["engine"]), f"data {_short(record['data_version'])}"]
    asked = _as_of(record)
    if asked is not None:
        rest.append(f"as of {asked}")
    if times:
        rest.append(f"cached, {record['cache_age_s']:.0f} s old" if record["cached"] else "fresh")
        rest.append(f"{record['duration_ms']:.0f} ms")
    more = f"tenant {record['tenant']}, data version {record['data_version']}; ciops_nb.provenance() tells all"
    calm = whole["status"] == COMPLETE and not record["warnings"]
    return Line(origin, tuple(told), tuple(rest), more, calm)


def _counted(whole: Mapping[str, Any], what: str) -> str:
    returned, total = whole["returned"], whole["total"]
    if total is None:
        head = f"{_count(returned, what)} of an unknown number"
    else:
        head = _count(returned, what) if total == returned else f"{returned:,} of {_count(total, what)}"
    cuts = [f"{_count(cut['count'], str(cut['what']))} left out by {cut['why']}" for cut in whole["left_out"]]
    return f"{head}, {whole['status']}" + (f": {', '.join(cuts)}" if cuts else "")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what[:-1] if number == 1 else what}"


def _warned(warnings: Sequence[str]) -> list[str]:
    first = [f"warning: {text}" for text in warnings[:1]]
    return first if len(warnings) < 2 else [*first, f"and {_count(len(warnings) - 1, 'more warnings')}"]


def _short(version: str | None) -> str:
    if version is None:
        return "of an unknown version"
    return version if len(version) <= 8 else f"{version[:8]}…"


def _as_of(record: Mapping[str, Any]) -> str | None:
    """The moment that was looked at, if that is not the moment of asking."""
    if "as_of" not in record["params"]:
        return None
    moment, asked = str(record["as_of"]), str(record["started_at"])
    if abs(datetime.fromisoformat(asked) - datetime.fromisoformat(moment)) < _NOW:
        return None
    return moment.replace(":00Z", "Z")


def graph_words(graph: Any, *, same: Same = "same") -> str:
    """What an answered graph is: how large; unless it was changed, also which view, from where, what lies beyond."""
    parts = [f"{_count(graph.number_of_nodes(), 'nodes')}, {_count(graph.number_of_edges(), 'edges')}"]
    about = {} if same == "changed" else graph.graph
    if "paths" in about:
        parts.append(_count(len(about["paths"]), "paths"))
    elif "view" in about:
        parts.append(f"view {about['view']}")
    if "depth" in about and "paths" not in about:
        parts.append(f"depth {about['depth']}")
    if "direction" in about:
        parts.append(str(about["direction"]))
    if about.get("roots"):
        between = " to " if "paths" in about else ", "
        roots = [shorten(visible(code), _WIDTH) for code in about["roots"][:_NAMED]]
        beyond = len(about["roots"]) - len(roots)
        parts.append(f"from {between.join(roots)}" + (f" and {beyond:,} more" if beyond else ""))
    if about.get("frontier"):
        hidden: dict[str, int] = {}
        for node in about["frontier"]:
            hidden[str(node["why"])] = hidden.get(str(node["why"]), 0) + 1
        why = ", ".join(f"{count:,} by {why}" for why, count in sorted(hidden.items()))
        parts.append(f"{_count(len(about['frontier']), 'nodes')} with neighbours beyond ({why})")
    return _DOT.join(parts)
