"""Sigma rules and correlations as rules of ours, read by pySigma.

A correlation becomes ``count`` (event_count), ``distinct`` (value_count) or ``together`` (temporal), judged at the
events; what it refers to becomes a filter of events. A rule that no correlation refers to is found for each CI at each
of its events. As Sigma has it, texts are compared without regard to the case of a to z, except with ``|cased``; the
values of group-by and of a counted field are told apart by their case all the same. A log source says where the events
of a rule come from, which events here do not hold: it is kept among the annotations and filters nothing. What cannot
be said in our words is refused by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ciops_nb.cep.conditions import Condition, Count, Distinct, Together
from ciops_nb.cep.model import Rule
from ciops_nb.cep.yamltext import documents
from ciops_nb.errors import BadRule

__all__ = ["sigma_rules"]

_OPERATORS = {"GT": ">", "GTE": ">=", "LT": "<", "LTE": "<=", "EQ": "==", "NEQ": "!="}
_EACH = "1ms"


def sigma_rules(source: Any) -> list[Rule]:
    """The rules in Sigma's YAML text (of one or several documents), or in the file of that path.

    Raises:
        BadRule: pySigma is not installed, cannot read it, or it says what our rules cannot.
    """
    try:
        from sigma.collection import SigmaCollection
        from sigma.exceptions import SigmaError
        from sigma.rule import SigmaRule
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "sigma":
            raise
        raise BadRule("format='sigma'", "needs pySigma, which is not installed", _INSTALL) from None
    if not isinstance(source, (str, Path)):
        raise BadRule("rules", f"a {type(source).__name__} is no text of Sigma rules", "Give YAML text or a path")
    raw = documents(source)
    for number, one in enumerate(raw, start=1):
        if not isinstance(one, dict):
            raise BadRule(f"document {number}", f"a {type(one).__name__} is no Sigma rule", "Put --- between rules")
        if "filter" in one:
            raise BadRule(f"document {number}", "is a Sigma filter, which is not supported", "Put it into the rules")
    try:
        read = list(SigmaCollection.from_dicts(raw).rules)
        correlations = [one for one in read if not isinstance(one, SigmaRule)]
        referred = {id(ref.rule) for one in correlations if not one.generate for ref in one.rules or ()}
        return _named(
            [
                _rule_of_events(one) if isinstance(one, SigmaRule) else _correlation(one)
                for one in read
                if id(one) not in referred
            ]
        )
    except SigmaError as error:
        raise BadRule("rules", f"pySigma cannot read them: {_sentence(error)}", _SPECIFICATION) from None
    except (AttributeError, KeyError, TypeError) as error:  # what it does with a list where it expects a mapping
        raise BadRule("rules", f"pySigma cannot read them ({error})", _SPECIFICATION) from None


_INSTALL = "Run pip install 'ciops_nb[sigma]'"
_SPECIFICATION = "See the Sigma specification for what belongs where"


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _named(rules: list[Rule]) -> list[Rule]:
    """*rules* with ids that differ: the name, id or title, and a number where several have it."""
    seen: dict[str, int] = {}
    found = []
    for rule in rules:
        name = str(rule.id)
        seen[name] = seen.get(name, 0) + 1
        found.append(rule if seen[name] == 1 else rule.model_copy(update={"id": f"{name} ({seen[name]})"}))
    return found


def _told(rule: Any) -> dict[str, Any]:
    """The id and the annotations of what pySigma read."""
    logsource = getattr(rule, "logsource", None)
    parts = (
        [] if logsource is None else [(name, getattr(logsource, name)) for name in ("category", "product", "service")]
    )
    said = {
        "title": rule.title,
        "sigma_id": rule.id,
        "description": rule.description,
        "status": rule.status,
        "level": rule.level,
        "tags": ", ".join(map(str, rule.tags)),
        "logsource": ", ".join(f"{name}={value}" for name, value in parts if value is not None),
    }
    annotations = {name: str(value) for name, value in said.items() if value not in (None, "")}
    return {"id": str(rule.name or rule.title or rule.id), "annotations": annotations}


def _rule_of_events(rule: Any) -> Rule:
    meant = _filter(rule)
    when = {"count": meant, "over": _EACH, "by": ["ci"], "op": ">=", "value": 1}
    return Rule.model_validate({**_told(rule), "when": Count.model_validate(when)})


def _correlation(rule: Any) -> Rule:
    place, kind = f"correlation {rule.title!r}", rule.type.name.lower()
    if rule.aliases.aliases:
        raise BadRule(place, "'aliases' are not supported", "Give the fields of the events the same name")
    if any(not hasattr(ref.rule, "detection") for ref in rule.rules):
        raise BadRule(place, "refers to another correlation, which is not supported", "Refer to rules of events")
    operator = getattr(getattr(rule.condition, "op", None), "name", None)
    if operator not in _OPERATORS:
        raise BadRule(place, "has a condition that is not supported", "Write gt, gte, lt, lte, eq or neq")
    op, number = _OPERATORS[operator], rule.condition.count
    filters = [_filter(ref.rule) for ref in rule.rules]
    shared = {"by": list(rule.group_by or ())}
    span = f"{rule.timespan.seconds}s"
    when: Condition
    if kind == "temporal" and len(filters) < 2:
        raise BadRule(place, "has one rule, and nothing that it could come together with", "Name two or more")
    if kind == "temporal":
        when = Together.model_validate(
            {**shared, "together": filters, "within": span, "at_least": _at_least(place, op, number, len(filters))}
        )
    elif kind in ("event_count", "value_count"):
        meant = filters[0] if len(filters) == 1 else {"any_of": filters}
        asked = {**shared, "over": span, "op": op, "value": float(number)}
        if kind == "event_count":
            when = Count.model_validate({**asked, "count": meant})
        else:
            when = Distinct.model_validate(
                {**asked, "distinct": {**meant, "field": _field(place, rule.condition.fieldref)}}
            )
    else:
        raise BadRule(place, f"'{kind}' is not supported", "There are: event_count, value_count, temporal")
    return Rule.model_validate({**_told(rule), "when": when})


def _field(place: str, field: Any) -> str:
    if not isinstance(field, str):
        raise BadRule(place, "counts the values of several fields, or of none", "Name one under condition, field")
    return field


def _at_least(place: str, op: str, number: float, most: int) -> int | None:
    """How many of *most* kinds there have to be; None for all."""
    least = int(number) + (op == ">")
    if op not in (">", ">=", "==") or number != int(number) or not 1 <= least <= most or (op == "==" and least < most):
        raise BadRule(place, f"asks for {op} {number} of {most} rules, which is not supported", "Ask for gte a number")
    return None if least == most else least


# ── detections ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _filter(rule: Any) -> dict[str, Any]:
    """What a rule of events detects, as the fields of an ``EventFilter``."""
    place = f"rule {rule.title!r}"
    every = [_condition(one.parsed, place) for one in rule.detection.parsed_condition]
    return every[0] if len(every) == 1 else {"any_of": every}


def _condition(item: Any, place: str) -> dict[str, Any]:
    kind = type(item).__name__
    if kind in ("ConditionAND", "ConditionOR"):
        parts = [_condition(one, place) for one in item.args]
        return parts[0] if len(parts) == 1 else {"all_of" if kind == "ConditionAND" else "any_of": parts}
    if kind == "ConditionNOT":
        return {"none_of": [_condition(one, place) for one in item.args]}
    if kind == "ConditionFieldEqualsValueExpression":
        return {"where": {item.field: _value(item.value, f"{place}, {item.field}")}}
    raise BadRule(place, "looks for texts in no field, which is not supported", "Name the field of each text")


def _value(value: Any, place: str) -> list[Any]:
    """Operator and value of one field."""
    kind = type(value).__name__
    if kind == "SigmaNull":
        return ["is_null", True]
    if kind == "SigmaExists":
        return ["is_null", not bool(value)]
    if kind == "SigmaBool":
        return ["=", bool(value)]
    if kind == "SigmaNumber":
        return ["=", value.number]
    if kind == "SigmaCompareExpression" and type(value.number).__name__ == "SigmaNumber":
        return [_OPERATORS[value.op.name], value.number.number]
    if kind in ("SigmaString", "SigmaCasedString"):
        return _text(value, place, cased=kind == "SigmaCasedString")
    raise BadRule(place, f"{kind.removeprefix('Sigma')} is not supported", "Use texts, numbers, null, exists, lt to gt")


def _text(value: Any, place: str, *, cased: bool) -> list[Any]:
    parts = value.s
    if all(isinstance(part, str) for part in parts):
        text = "".join(parts)
        plain = not any(sign.isascii() and sign.isalpha() for sign in text)
        return ["=" if cased or plain else "like", text if cased or plain else _quoted(text)]
    if not all(isinstance(part, str) or part.name in _WILD for part in parts):
        raise BadRule(place, "has a placeholder, which is not supported", "Write its values")
    if not cased:
        return ["like", "".join(_quoted(part) if isinstance(part, str) else _WILD[part.name] for part in parts)]
    shape = tuple("x" if isinstance(part, str) else _WILD[part.name] for part in parts)
    if shape not in _CASED:
        raise BadRule(place, "'cased' with wildcards inside of a text is not supported", "Leave out cased")
    return [_CASED[shape], next(part for part in parts if isinstance(part, str))]


_WILD = {"WILDCARD_MULTI": "*", "WILDCARD_SINGLE": "?"}
_CASED = {("x", "*"): "startswith", ("*", "x"): "endswith", ("*", "x", "*"): "contains"}


def _quoted(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "*?\\" else sign for sign in text)
