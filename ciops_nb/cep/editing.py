"""Rules as text, with other numbers in their places: comments, order and all else stay to the letter."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ciops_nb.cep.conditions import AllOf, Not
from ciops_nb.cep.fields import spelled
from ciops_nb.cep.model import Rule
from ciops_nb.cep.reading import load
from ciops_nb.cep.sweep import threshold_of, turned_to
from ciops_nb.cep.yamltext import Lines, parsed, text_of
from ciops_nb.errors import BadRule

__all__ = ["as_text", "number", "turned_text"]


def as_text(rule: Any) -> str:
    """What ``load`` reads as YAML text: a text as it is, that of a file, or rules and dicts written out."""
    if isinstance(rule, (str, Path)):
        return text_of(rule)[1]
    plain = [one.plain() for one in load(rule)]
    shown = plain[0] if len(plain) == 1 else plain
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=10_000)


def turned_text(text: str, place: int, *, value: float, hold: timedelta) -> str:
    """*text* with another threshold and another duration in the rule at *place*, and nothing else changed.

    Args:
        text: YAML of one rule or several.
        place: Which of them, counted from 0.
        value: The threshold; *hold* is its ``for``, which is written where there was none and it is not zero.

    Raises:
        BadRule: the text cannot be read, the rule has no threshold, or its numbers stand where others read them too.
    """
    rules = load(text)
    rule = rules[place]
    threshold_of(rule)
    raw, lines = parsed(text)
    at = (place,) if isinstance(raw, list) else ()
    edits = [(*_span(lines, *at, *_value_at(rule, lines, at)), number(value))]
    if rule.for_ != hold:
        edits.append(_hold(lines, at, spelled(hold)))
    made = text
    for begin, end, new in sorted(edits, reverse=True):
        made = made[:begin] + new + made[end:]
    wanted = [turned_to(one, value, hold) if which == place else one for which, one in enumerate(rules)]
    if [one.plain() for one in load(made)] != [one.plain() for one in wanted]:
        raise BadRule(
            f"rule {rule.id!r}", "has numbers that other places of the text read too", "Write them out in this rule"
        )
    return made


def number(value: float) -> str:
    """*value* as YAML reads it back: never with an exponent."""
    return np.format_float_positional(value, trim="-")


def _value_at(rule: Rule, lines: Lines, at: tuple[int, ...]) -> tuple[str | int, ...]:
    inside: tuple[str | int, ...] = () if lines.span(*at, "when") is None else ("when",)
    if isinstance(rule.when, AllOf):
        first = next(number for number, one in enumerate(rule.when.all) if not isinstance(one, Not))
        inside = (*inside, "all", first)
    return (*inside, "value")


def _span(lines: Lines, *path: str | int) -> tuple[int, int]:
    found = lines.span(*path)
    if found is None:
        raise BadRule("rule", "has its threshold nowhere in this text", "Write it as 'value' of its condition")
    return found


def _hold(lines: Lines, at: tuple[int, ...], hold: str) -> tuple[int, int, str]:
    """Where the duration is written, or where a line for it has its place: before the condition."""
    found = lines.span(*at, "for")
    if found is not None:
        return (*found, hold)
    for name in ("when", "metric", "ratio", "all"):
        before = lines.before(*at, name)
        if before is not None:
            index, column, flow = before
            return index, index, f"for: {hold}, " if flow else f"for: {hold}\n{' ' * column}"
    raise BadRule("rule", "has its condition nowhere in this text", "Write it under 'when'")
