"""Templates of Prometheus in the labels of alerts: they may name labels of the series, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ciops_nb.errors import BadRule

__all__ = ["check_closed", "check_template", "expanded"]

_LABEL_OR_TEXT = re.compile(r'\s*(?:(?:\$labels|\.Labels)\.([a-zA-Z_][a-zA-Z0-9_]*)|"([^"\\\n]*)")\s*')


def check_template(text: str, place: str = "a template") -> None:
    """Refuse what is no template, or does something else than name labels."""
    _template(text, place)


def expanded(text: str, labels: Mapping[str, str]) -> str:
    """A label of an alerting rule, for an alert of a series with *labels* (``__name__`` among them if it has one).

    Raises:
        BadRule: the template does something else than name labels.
    """
    return "".join(part if isinstance(part, str) else labels.get(part[0], "") for part in _template(text, "a template"))


def _template(text: str, place: str) -> list[str | tuple[str]]:
    """*text* in parts: texts as they are, and the names of labels."""
    found: list[str | tuple[str]] = []
    end = 0
    while (begin := text.find("{{", end)) >= 0:
        found.append(text[end:begin])
        end = _closed(text, begin, place)
        action = _LABEL_OR_TEXT.fullmatch(text[begin + 2 : end - 2])
        if action is None:
            told = text[begin:end]
            if "$value" in told or ".Value" in told:
                raise BadRule(
                    place, f"{told!r} is not supported: each change of the value would be another alert",
                    "Put the value into an annotation",
                )  # fmt: skip
            raise BadRule(place, f"{told!r} is not supported in a label", "Use {{ $labels.NAME }} only")
        found.append((action[1],) if action[1] else action[2])
    return [*found, text[end:]]


def _closed(text: str, begin: int, place: str) -> int:
    end = text.find("}}", begin)
    if end < 0:
        raise BadRule(place, f"{text[begin : begin + 40]!r} is not closed", "Write }} where the template ends")
    return end + 2


def check_closed(text: str, place: str) -> None:
    end = 0
    while (begin := text.find("{{", end)) >= 0:
        end = _closed(text, begin, place)
