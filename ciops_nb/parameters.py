"""Checks of what a caller gave for a parameter: what cannot be meant is refused by name, with what to give instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ciops_nb.errors import BadParameter

__all__ = ["check_count", "check_flag", "check_text", "choose", "several"]


def check_count(name: str, value: Any, *, optional: bool = False, least: int = 0) -> None:
    """Refuse what is not a whole number of at least *least*."""
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadParameter(
            name,
            value,
            f"is not a whole number of at least {least}",
            "Give such a number" + (" or None" if optional else ""),
        )


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False: a text such as "no" would mean yes."""
    if not isinstance(value, bool):
        raise BadParameter(name, value, "is neither True nor False", "Give one of them")


def check_text(name: str, value: Any) -> None:
    """Refuse text, however deep in lists and mappings, that no table can hold: half of a surrogate pair."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadParameter(name, value, "is not text that UTF-8 can write", "Was it decoded wrongly?") from None
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            check_text(name, key)
            check_text(name, inner)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            check_text(name, inner)


def several(name: str, value: Any, hint: str) -> list[str]:
    """*value*, a text or a list of texts, as a list."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise BadParameter(name, value, "is neither a text nor a list of texts", hint)
    return list(value)


def choose(name: str, value: Any, choices: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Refuse what is not one of *choices*."""
    if not isinstance(value, str) or value not in choices:
        raise BadParameter(name, value, "is not a choice", f"Choose one of {', '.join(choices)}")
    return value
