"""From YAML, dicts or a file to rules, with errors that name the place, the near names and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from ciops_nb.cep.conditions import KINDS, Condition, Promql
from ciops_nb.cep.fields import Piece
from ciops_nb.cep.model import Rule
from ciops_nb.cep.yamltext import DEEPEST, Lines, parsed
from ciops_nb.errors import BadParameter, BadRule
from ciops_nb.estate.names import one_of

__all__ = ["load"]

M = TypeVar("M", bound=Piece)
_LONGEST = 80  # of a name that is shown whole


def load(path_or_text: Any, format: str = "yaml") -> list[Rule]:  # noqa: A002  the name the design gave it
    """Read rules.

    Args:
        path_or_text: YAML text, the path of a YAML file (a Path, or a text that ends in .yaml or .yml), a dict, a Rule,
            or a list of dicts and Rules.
        format: ``yaml``, ``prometheus`` for rule files of Prometheus (``groups``, one group, or a list of rules), or
            ``sigma`` for Sigma rules and correlations, which needs ``pip install 'ciops_nb[sigma]'``.

    Returns:
        The rules, each with an id. Those of Prometheus are called like their alert or the metric that they record, so
        that several may have the same one.

    Raises:
        BadRule: the text cannot be read, or a rule cannot be meant or is not supported; it says where.
    """
    if format == "sigma":
        from ciops_nb.cep.sigma import sigma_rules  # reading a rule of ours should not need what reads Sigma

        return sigma_rules(path_or_text)
    if format not in ("yaml", "prometheus"):
        raise BadParameter("format", format, "is not a format of rules", "Use yaml, prometheus or sigma")
    prometheus = format == "prometheus"
    raw, lines = (
        parsed(path_or_text, texts=prometheus) if isinstance(path_or_text, (str, Path)) else (path_or_text, Lines())
    )
    if prometheus:
        from ciops_nb.cep.prometheus import imported

        return imported(raw, lines)
    several = isinstance(raw, (list, tuple))
    listed = raw if several else [raw]
    if not several and not isinstance(raw, (Rule, Mapping)):
        raise BadRule("rules", f"a {type(raw).__name__} is not a rule", "Give a rule with 'when', or a list of rules")
    if not listed:
        raise BadRule("rules", "there is no rule", "Give a rule with 'when', or a list of rules")
    rules = [
        _rule(part, number, _Place(f"rule {number}", (number - 1,) if several else (), lines))
        for number, part in enumerate(listed, start=1)
    ]
    _check_ids(rules)
    return rules


def _check_ids(rules: list[Rule]) -> None:
    places: dict[str | None, int] = {}
    for number, rule in enumerate(rules, start=1):
        if rule.record is not None or isinstance(rule.when, Promql):
            continue  # as in a rule file of Prometheus, where several rules may have one name
        if rule.id in places:
            raise BadRule(
                f"rule {number} {rule.id!r}, id", f"is the id of rule {places[rule.id]} too", "Give each its own"
            )
        places[rule.id] = number


@dataclass(frozen=True)
class _Place:
    """Where in the rules something stands: in words, and in the text that was read."""

    words: str
    path: tuple[str | int, ...]
    lines: Lines
    joint: str = field(default=", ")

    def of(self, name: str) -> _Place:
        """The field *name* of what is here."""
        shown = name if name.isprintable() and len(name) <= _LONGEST else repr(name[:_LONGEST])
        return _Place(f"{self.words}{self.joint}{shown}", (*self.path, name), self.lines, ".")

    def nth(self, number: int) -> _Place:
        """The part *number* (from 1) of the list that is here."""
        return _Place(f"{self.words}[{number}]", (*self.path, number - 1), self.lines, ".")

    def __str__(self) -> str:
        line = self.lines.of(*self.path)
        return self.words if line is None else f"line {line}, {self.words}"


def _rule(raw: Any, number: int, place: _Place) -> Rule:
    if isinstance(raw, Rule):
        return raw if raw.id is not None else raw.model_copy(update={"id": f"rule-{number}"})
    if not isinstance(raw, Mapping):
        raise BadRule(str(place), f"a {type(raw).__name__} is not a rule", "Write a mapping with 'when'")
    foreign = next((word for word in ("groups", "alert", "record", "detection") if word in raw), None)
    if foreign is not None and not any(kind in raw for kind in Rule.SAYS):
        other = "sigma" if foreign == "detection" else "prometheus"
        raise BadRule(
            str(place), f"is a rule of {other.capitalize()}, by its {foreign!r}", f"Use ciops.cep.load(..., {other!r})"
        )
    name = raw.get("id")
    if isinstance(name, str):
        place = _Place(f"{place.words} {name[:_LONGEST]!r}", place.path, place.lines)
    fields = {**_with_when(raw), "id": f"rule-{number}" if name is None else name}
    _check_fields(fields, Rule, place)
    if not any(kind in fields for kind in Rule.SAYS):
        raise BadRule(str(place), "has no 'when'", "Say under 'when' which condition has to hold")
    return _piece(Rule, fields, place, 0)


def _with_when(raw: Mapping[Any, Any]) -> dict[Any, Any]:
    """A rule may be short for one condition: its fields then stand beside those of the rule."""
    kinds = [kind for kind in KINDS if kind in raw]
    if len(kinds) != 1 or any(kind in raw for kind in Rule.SAYS):
        return dict(raw)
    own = {*_fields(KINDS[kinds[0]])} - {*_fields(Rule)}
    return {
        **{name: value for name, value in raw.items() if name not in own},
        "when": {name: value for name, value in raw.items() if name in own},
    }


def _fields(model: type[Piece]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _check_fields(raw: Mapping[Any, Any], model: type[Piece] | None, place: _Place) -> None:
    every = [name for kind in KINDS.values() for name in _fields(kind)]
    known = tuple(dict.fromkeys(every if model is None else _fields(model)))
    for name in raw:
        if not isinstance(name, str):
            at = str(place.of(repr(name)))
            raise BadRule(at, "is not a name", "YAML reads on, off, yes and no as true or false")
        if name in known:
            continue
        raise BadRule(str(place.of(name)), "there is no such field", one_of(name, known))


def _piece(model: type[M], raw: Mapping[Any, Any], place: _Place, depth: int) -> M:
    """*raw* as *model*, its own pieces first, so that an error names the innermost place."""
    _check_fields(raw, model, place)
    fields = dict(raw)
    for name, of in model.PARTS.items():
        if name in fields:
            fields[name] = _nested(of, fields[name], place.of(name), depth)
    return _made(model, fields, place)


def _nested(of: type[Piece] | list[type[Piece]], raw: Any, place: _Place, depth: int) -> Any:
    if isinstance(of, list):
        (each,) = of
        if not isinstance(raw, (list, tuple)) or not raw:
            raise BadRule(str(place), f"is not a list of {each.NOUN}s", "Write one a line, each with a - before it")
        return tuple(_read(each, part, place.nth(n), depth + 1) for n, part in enumerate(raw, start=1))
    # What is no mapping may be meant all the same, as a number beside a metric: the model knows.
    return _read(of, raw, place, depth + 1) if isinstance(raw, Mapping) or of is Condition else raw


def _read(of: type[Piece], raw: Any, place: _Place, depth: int) -> Piece:
    if depth > DEEPEST:
        raise BadRule(str(place), "is nested too deeply", f"Nest less than {DEEPEST} levels")
    if isinstance(raw, of):
        return raw
    if not isinstance(raw, Mapping):
        what = f"a {type(raw).__name__} is not a {of.NOUN}"
        raise BadRule(str(place), what, f"Write a mapping such as {of.SUCH_AS}")
    return _piece(_kind(raw, place) if of is Condition else of, raw, place, depth)


def _kind(raw: Mapping[Any, Any], place: _Place) -> type[Condition]:
    kinds = [kind for kind in KINDS if kind in raw]
    if not kinds:
        _check_fields(raw, None, place)
        raise BadRule(str(place), "says no condition", f"Use one of {', '.join(KINDS)}")
    if len(kinds) > 1:
        raise BadRule(str(place), f"has both {kinds[0]!r} and {kinds[1]!r}", "Put them together under 'all' or 'any'")
    return KINDS[kinds[0]]


def _made(model: type[M], fields: dict[str, Any], place: _Place) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as failed:
        error = failed.errors(include_url=False)[0]
        at = place
        if error["loc"]:
            name, *deeper = error["loc"]
            at = place.of(str(name))
            for part in deeper:
                at = at.nth(part + 1) if isinstance(part, int) else at
        raise BadRule(str(at), *_problem(error)) from None


def _problem(error: Any) -> tuple[str, str]:
    kind, shown = error["type"], repr(error["input"])
    shown = shown if len(shown) <= 100 else shown[:97] + "..."
    if kind == "missing":
        return "is missing", "Write it beside the others"
    if kind == "value_error":
        told = error["ctx"]["error"]
        if isinstance(told, BadRule):
            return f"{told.where}: {told.problem}", told.hint
        problem, _, hint = str(error["ctx"]["error"]).partition(". ")
        return problem, hint
    if kind == "literal_error":
        return f"{shown} is not a choice", f"Choose {error['ctx']['expected']}; quote operators in YAML"
    if kind.startswith(("model", "dict")):
        return f"{shown} is not a mapping", "Write its fields under it"
    if kind.startswith("float"):
        return f"{shown} is not a number", "Write a number, or a mapping with 'metric' where another metric is meant"
    return f"{shown}: {error['msg'][:1].lower()}{error['msg'][1:]}", ""
