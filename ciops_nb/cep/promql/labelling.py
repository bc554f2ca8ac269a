"""``label_replace`` and ``label_join``: labels made from labels, settled once since neither looks at values."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ciops_nb.cep.promql.parts import without
from ciops_nb.cep.promql.regex import translated
from ciops_nb.cep.samples import Labels

__all__ = ["joined", "replaced"]

_OPENING = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]|\((\?P?<(\w+)>|(?!\?))", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


def joined(labels: Sequence[Labels], target: str, separator: str, names: Sequence[str]) -> list[Labels]:
    made = []
    for one in labels:
        known = dict(one)
        made.append(_with(one, target, separator.join(known.get(name, "") for name in names)))
    return made


def replaced(labels: Sequence[Labels], target: str, template: str, source: str, pattern: str) -> list[Labels]:
    """Where *pattern* fits all of the label *source*, *target* becomes *template* with its groups filled in."""
    import polars as pl

    texts = sorted({dict(one).get(source, "") for one in labels})
    anchored = translated(pattern, grouped=True)  # for $0, and so that there is a group
    column = pl.Series("text", texts, dtype=pl.String)
    hits = column.str.contains(anchored).to_list()
    found = column.str.extract_groups(anchored).to_list()
    names = _group_names(pattern)
    made = {
        text: _expanded(template, list(groups.values()), names) if hit else None
        for text, hit, groups in zip(texts, hits, found, strict=True)
    }
    result = []
    for one in labels:
        text = made[dict(one).get(source, "")]
        result.append(one if text is None else _with(one, target, text))
    return result


def _with(labels: Labels, name: str, text: str) -> Labels:
    kept = without(labels, (name,))
    return tuple(sorted((*kept, (name, text)))) if text else kept


def _group_names(pattern: str) -> dict[str, int]:
    """The number of each named group; a parenthesis that is escaped or in a class opens none."""
    names: dict[str, int] = {}
    number = 0
    for found in _OPENING.finditer(pattern):
        if found[1] is not None:
            number += 1
            if found[2]:
                names[found[2]] = number
    return names


def _expanded(template: str, groups: list[str | None], names: dict[str, int]) -> str:
    """As Go's Regexp.Expand: ``$1``, ``$name``, ``${name}`` and ``$$``; what there is no group for is empty."""

    def one(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name is None:
            return "$"
        number = int(name) if name.isdigit() else names.get(name, -1)
        return (groups[number] or "") if 0 <= number < len(groups) else ""

    return _VARIABLE.sub(one, template)
