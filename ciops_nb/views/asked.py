"""What a function asks for: from its signature and docstring to fields of a form, and from what was typed to values.

The one place that knows what each kind of field takes. The widgets are in ``widgets.forms``; here is no widget.
What was typed (*raw*) is a text, a list of texts where there may be several, or one of the choices; ``""``, ``[]`` and
None are fields left empty.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import math
import re
import types
import typing
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Literal, Union

from ciops_nb import kinds
from ciops_nb.errors import BadParameter, BadRule, CiopsError
from ciops_nb.estate.times import TimeRange, format_time, parse_duration, parse_range, parse_time, spelled
from ciops_nb.parameters import check_text
from ciops_nb.recipes.evidence import counted
from ciops_nb.tools.filters import Condition, parse_field, parse_where
from ciops_nb.tools.scope import codes_of

__all__ = [
    "Field", "Given", "Times", "arguments", "differs", "fields_of", "in_words", "is_empty", "purpose_of", "raw_of",
    "read", "why",
]  # fmt: skip

_SECTION = re.compile(r"[A-Z][A-Za-z ]*:$")
_ENTRY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?:\([^)]*\))?:(?:\s+(.*))?$")
_LONGEST = 100_000  # characters of a value that is written as Python or JSON
_UNITS = (("day", 86_400_000_000), ("hour", 3_600_000_000), ("minute", 60_000_000), ("second", 1_000_000),
          ("millisecond", 1_000), ("microsecond", 1))  # fmt: skip
_PLAIN: dict[Any, str] = {
    int: "whole number", float: "number", bool: "flag", str: "text", datetime: "datetime", date: "datetime",
    timedelta: "timedelta", list: "texts", tuple: "texts", set: "texts", frozenset: "texts", dict: "value",
}  # fmt: skip
_SEVERAL = frozenset({"texts", "cis", "metrics", "fields"})


@dataclass(frozen=True)
class Field:
    """One thing that is asked for.

    Attributes:
        name: Of the parameter.
        kind: That of ``kinds``, or choice, flag, whole number, number, text, texts, datetime, timedelta, value.
        help: What its docstring says of it.
        needed: Whether there is no default.
        default: What it is where it is left empty.
        choices: What there is to choose from.
        low, high: The bounds of a number, both allowed; None is no bound.
    """

    name: str
    kind: str
    help: str = ""
    needed: bool = True
    default: Any = None
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def several(self) -> bool:
        """Whether it takes a list."""
        return self.kind in _SEVERAL


@dataclass(frozen=True)
class Times:
    """What is known of time where a field is read: the zone, now, and from when to when the estate has data."""

    tz: tzinfo = UTC
    now: datetime | None = None
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True)
class Given:
    """A field that was read: its value as the function takes it, and what that means, in words."""

    value: Any
    said: str = ""


# ── from a signature to fields ──────────────────────────────────────────────────────────────────────────────────────


def fields_of(function: Callable[..., Any]) -> tuple[Field, ...]:
    """What *function* asks for after its first parameter, the session, in the order of its signature."""
    plain = inspect.unwrap(function)
    told = _helps(inspect.getdoc(plain) or "")
    _, *parameters = inspect.signature(plain).parameters.values()
    return tuple(
        _field(each, _hint(plain, each.annotation), told.get(each.name, ""))
        for each in parameters
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    )


def purpose_of(function: Callable[..., Any]) -> str:
    """The first paragraph of its docstring on one line, without marks."""
    first = (inspect.getdoc(inspect.unwrap(function)) or "").split("\n\n")[0]
    return " ".join(first.replace("``", "").split())


def _helps(doc: str) -> dict[str, str]:
    """What the section ``Args:`` says of each parameter."""
    found: dict[str, list[str]] = {}
    inside, names, depth = False, [], 0
    for line in doc.splitlines():
        text = line.strip()
        if not line.startswith(" ") and text:
            inside, depth = text in ("Args:", "Arguments:", "Parameters:"), 0
        elif inside and text:
            indent = len(line) - len(line.lstrip())
            depth = depth or indent
            entry = _ENTRY.match(text) if indent == depth else None
            if entry:
                names = [name.strip().lstrip("*") for name in entry[1].split(",")]
                found.update({name: [entry[2] or ""] for name in names})
            else:
                for name in names:
                    found[name].append(text)
    return {name: " ".join(" ".join(lines).split()) for name, lines in found.items()}


def _hint(function: Callable[..., Any], annotation: Any) -> Any:
    """The annotation as a type; one that names what is not there at run time says nothing."""
    if annotation is inspect.Parameter.empty:
        return Any
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, getattr(function, "__globals__", {}), include_extras=True)["it"]
    except Exception:  # noqa: BLE001  whatever stands there: a form is made all the same
        return Any


def _field(parameter: inspect.Parameter, hint: Any, told: str) -> Field:
    needed = parameter.default is parameter.empty
    default = None if needed else parameter.default
    if hint is Any and default is not None:
        hint = type(default)
    bare = Field(parameter.name, "value", told, needed, default)
    made = _of_type(bare, hint)
    # Nothing is ticked and nothing is not: where no default says which, both are to be chosen.
    if made.kind == "flag" and (needed or not isinstance(default, bool)):
        return replace(made, kind="choice", choices=(True, False))
    return made


def _of_type(field: Field, hint: Any) -> Field:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        found = _of_type(field, inner[0])
        for mark in inner[1:]:
            if isinstance(mark, kinds.Kind):
                found = replace(found, kind=mark.name)
            elif isinstance(mark, kinds.Between):
                found = replace(found, low=mark.low, high=mark.high)
        return found
    if origin in (Union, types.UnionType):
        parts = [part for part in inner if part is not type(None)]
        return _of_union(field, [_of_type(field, part) for part in parts])
    if origin is Literal:
        return replace(field, kind="choice", choices=tuple(value for value in inner if value is not None))
    if origin in (list, tuple, set, frozenset) or hint in (list, tuple, set, frozenset):
        item = next((part for part in inner if part is not Ellipsis), str)
        of = _of_type(field, item)
        if of.kind in ("text", "choice") and origin is not tuple:
            return replace(field, kind="texts", choices=of.choices)
        return replace(field, kind={"metric": "metrics", "ci": "cis"}.get(of.kind, "value"))
    return replace(field, kind=_PLAIN.get(origin or hint, "value"))


def _of_union(field: Field, found: list[Field]) -> Field:
    """The one that takes what the others take too."""
    by_kind = {one.kind: one for one in found}
    if len(by_kind) == 1:
        return found[0]
    for kind in (*typing.get_args(kinds.Name), "datetime", "timedelta", "texts"):
        if kind in by_kind and set(by_kind) <= {kind, "text", "datetime", "timedelta", "choice"}:
            return by_kind[kind]
    if set(by_kind) == {"whole number", "number"}:
        return by_kind["number"]
    return replace(field, kind="value")


# ── from what was typed to values ───────────────────────────────────────────────────────────────────────────────────


def is_empty(raw: Any) -> bool:
    """Whether nothing was typed or chosen."""
    return raw is None or raw == [] or (isinstance(raw, str) and not raw.strip())


def read(field: Field, raw: Any, times: Times = Times()) -> Given:
    """What was typed, as the function takes it.

    Whether a CI or metric exists is not asked here.

    Raises:
        BadParameter, BadRule, UnknownField: it cannot be meant.
    """
    check_text(field.name, raw)
    return _READERS.get(field.kind, _text)(field, raw.strip() if isinstance(raw, str) else raw, times)


def _text(field: Field, raw: Any, times: Times) -> Given:
    return Given(raw)


def _choice(field: Field, raw: Any, times: Times) -> Given:
    if not any(raw == choice and type(raw) is type(choice) for choice in field.choices):
        there = ", ".join(map(str, field.choices))
        raise BadParameter(field.name, raw, "is not a choice", f"Choose one of {there}")
    return Given(raw)


def _flag(field: Field, raw: Any, times: Times) -> Given:
    if not isinstance(raw, bool):
        raise BadParameter(field.name, raw, "is neither True nor False", "Give one of them")
    return Given(raw)


def _whole(field: Field, raw: Any, times: Times) -> Given:
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", raw):
        raise BadParameter(field.name, raw, "is not a whole number", "Write one such as 3")
    return Given(_bounded(field, int(raw)))


def _number(field: Field, raw: Any, times: Times) -> Given:
    try:
        value = float(raw)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadParameter(field.name, raw, "is not a number", "Write one such as 0.5")
    return Given(_bounded(field, value))


def _bounded(field: Field, value: Any) -> Any:
    for bound, wrong, word in ((field.low, "below", "least"), (field.high, "above", "most")):
        if bound is not None and (value < bound if word == "least" else value > bound):
            raise BadParameter(field.name, value, f"is {wrong} {bound:g}", f"It may be {bound:g} at {word}")
    return value


def _length(field: Field, raw: Any, times: Times) -> Given:
    return Given(raw, in_words(parse_duration(raw, name=field.name)))


def _timedelta(field: Field, raw: Any, times: Times) -> Given:
    length = parse_duration(raw, name=field.name)
    return Given(length, in_words(length))


def _moment(field: Field, raw: Any, times: Times) -> Given:
    moment = parse_time(raw, tz=times.tz, name=field.name)
    told = "" if raw.endswith("Z") else f"that is {format_time(moment)}"
    return Given(raw, "; ".join(filter(None, (told, _outside(moment, moment, times)))))


def _datetime(field: Field, raw: Any, times: Times) -> Given:
    return Given(parse_time(raw, tz=times.tz, name=field.name), _moment(field, raw, times).said)


def _range(field: Field, raw: Any, times: Times) -> Given:
    # Where it is not known yet what time it is, the wall clock tells as well whether a range can be read.
    span = parse_range(raw, now=times.now or datetime.now(UTC), tz=times.tz, name=field.name)
    if span.start is None or span.end is None:
        return Given(raw, "all the time there is")
    if times.now is None and raw.startswith("last_"):
        return Given(raw)
    told = f"{format_time(span.start)} to {format_time(span.end)}, the end not in it"
    return Given(raw, "; ".join(filter(None, (told, _outside(span.start, span.end, times)))))


def _outside(start: datetime, end: datetime, times: Times) -> str:
    """That the estate has nothing of that time."""
    if times.first is None or times.last is None or (start <= times.last and end >= times.first):
        return ""
    return f"the estate has data from {format_time(times.first)} to {format_time(times.last)} only"


def _texts(field: Field, raw: Any, times: Times) -> Given:
    for one in raw:
        if field.choices and one not in field.choices:
            raise BadParameter(field.name, one, "is not a choice", f"Choose of {', '.join(map(str, field.choices))}")
    return Given(list(raw))


def _fields(field: Field, raw: Any, times: Times) -> Given:
    for one in raw:
        parse_field(one)
    return Given(list(raw))


def _rule(field: Field, raw: Any, times: Times) -> Given:
    from ciops_nb.cep import load  # rules take their time to load, and few forms ask for one

    rules = load(raw)
    uses = [use for rule in rules for use in rule.reads()]
    metrics = sorted({use.metric for use in uses if use.metric is not None})
    plural = {"metric": "any metric", "event": "events", "relation": "relations"}
    others = [plural[table] for table in plural if any(use.table == table and use.metric is None for use in uses)]
    told = ", ".join([*metrics, *others]) or "nothing"
    return Given(raw, f"{len(rules)} rule{'' if len(rules) == 1 else 's'}; reads {told}")


def _where(field: Field, raw: Any, times: Times) -> Given:
    value = _parsed(raw)
    if not isinstance(value, dict):
        raise BadParameter(field.name, raw, "is not a mapping", 'Write {"ci_type": "HW", "criticality": (">=", 4)}')
    return Given(value, "; ".join(map(_condition, parse_where(value, tz=times.tz))) or "all CIs")


def _condition(one: Condition) -> str:
    if one.operator in ("in", "not_in"):
        word = "is" if one.operator == "in" else "is not"
        return f"{one.field} {word} {' or '.join(map(_shown, one.value)) or 'any of none'}"
    if one.operator == "is_null":
        return f"{one.field} has {'no' if one.value else 'a'} value"
    return f"{one.field} {one.operator} {_shown(one.value)}"


def _shown(value: Any) -> str:
    return "no value" if value is None else format_time(value) if isinstance(value, datetime) else repr(value)


def _value(field: Field, raw: Any, times: Times) -> Given:
    value = _parsed(raw)
    if value is _NEITHER:
        return Given(raw, "a text")
    named = {bool: "true or false", int: "a number", float: "a number", str: "a text", type(None): "None"}
    return Given(value, named.get(type(value), f"a {type(value).__name__}"))


_NEITHER = object()


def _parsed(text: str) -> Any:
    """*text* as JSON or as a Python literal; a mark of its own if it is neither."""
    if len(text) <= _LONGEST:
        for parse in (json.loads, ast.literal_eval):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of a backslash that means nothing: it is kept as it is
                    return parse(text)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
    return _NEITHER


_READERS: dict[str, Callable[[Field, Any, Times], Given]] = {
    "choice": _choice, "flag": _flag, "whole number": _whole, "number": _number, "length": _length,
    "timedelta": _timedelta, "moment": _moment, "datetime": _datetime, "range": _range, "texts": _texts,
    "fields": _fields, "rule": _rule, "where": _where, "value": _value, "cis": _texts, "metrics": _texts,
}  # fmt: skip


def differs(field: Field, value: Any) -> bool:
    """Whether *value* has to be said: there is no default, or it is another."""
    default = list(field.default) if field.several and isinstance(field.default, (tuple, set)) else field.default
    return field.needed or type(value) is not type(default) or bool(value != default)


def in_words(length: timedelta) -> str:
    """*length* as it is spoken: 1 hour 30 minutes."""
    left, parts = length // timedelta(microseconds=1), []
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(counted(number, unit))
    return " ".join(parts)


def why(field: Field, error: BaseException) -> str:
    """What is wrong with a field, in words that stand beside it."""
    if isinstance(error, BadRule):
        return str(error).removeprefix("rules: ")
    if isinstance(error, BadParameter) and error.name == field.name:
        value = error.value if isinstance(error.value, (str, int, float)) else None
        shown = "" if value is None else f"{_cut(repr(value))} "
        return f"{shown}{error.problem}. {error.hint}".rstrip(". ") + "."
    return str(error) if isinstance(error, CiopsError) else f"{type(error).__name__}: {error}"


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"


# ── from values to what would be typed, and to code ─────────────────────────────────────────────────────────────────


def raw_of(field: Field, value: Any) -> Any:
    """What somebody would type for *value*; nothing for the default, so that the field says which that is.

    Raises:
        BadParameter: a form cannot show it.
    """
    if not field.needed and not differs(field, value):
        return value if field.kind == "flag" else [] if field.several else None if field.kind == "choice" else ""
    if field.several:
        return _listed(field, value)
    if field.kind in ("choice", "flag"):
        return read(field, value).value
    return _typed(field, value)


def _listed(field: Field, value: Any) -> list[str]:
    if field.kind == "cis":
        return codes_of(value)
    items = [value] if isinstance(value, str) else sorted(value) if isinstance(value, (set, frozenset)) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(one, str) for one in items):
        raise BadParameter(field.name, value, "is not a list of texts", "Give such a list")
    return list(items)


def _typed(field: Field, value: Any) -> str:
    if isinstance(value, str):
        parsed = _parsed(value) if field.kind == "value" else _NEITHER
        return value if parsed is _NEITHER else repr(value)
    if isinstance(value, timedelta):
        return spelled(value)
    if isinstance(value, (datetime, date)):
        return _moment_text(value)
    if field.kind == "range":
        if isinstance(value, (list, tuple)) and len(value) == 2:
            return "/".join(map(_moment_text, value))
        if isinstance(value, TimeRange) and (value.start is None) == (value.end is None):
            return str(value)
    if field.kind == "rule":
        from ciops_nb.cep import Rule

        parts = value if isinstance(value, (list, tuple)) else [value]
        plain = [dict(part) if isinstance(part, Mapping) else part.plain()
                 for part in parts if isinstance(part, (Mapping, Rule))]  # fmt: skip
        if len(plain) == len(parts):
            return json.dumps(plain if isinstance(value, (list, tuple)) else plain[0], ensure_ascii=False, indent=1)
    if field.kind in ("where", "value"):
        return repr(_literal(field, value))
    if isinstance(value, (int, float)) and field.kind in ("whole number", "number"):
        return repr(value)
    raise BadParameter(field.name, value, "cannot be shown in a form", "Give it to ops.run")


def _moment_text(value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return format_time(value)
    return value.isoformat() if isinstance(value, (datetime, date)) else str(value)


def _literal(field: Field, value: Any) -> Any:
    """*value* made of what Python can write down."""
    again = functools.partial(_literal, field)
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, (datetime, date)):
        return _moment_text(value)
    if isinstance(value, Mapping):
        return {again(key): again(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(map(again, value))
    if isinstance(value, list):
        return list(map(again, value))
    if isinstance(value, (set, frozenset)):
        return sorted(map(again, value), key=repr)
    raise BadParameter(field.name, value, "cannot be shown in a form", "Give it to ops.run")


def arguments(params: Mapping[str, Any]) -> str:
    """The keyword arguments that give *params*, as Python: every value is quoted as data."""
    return ", ".join(f"{name}={value!r}" for name, value in params.items())
