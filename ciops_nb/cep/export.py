"""Rules as Prometheus writes them; what it has no words for is refused by name."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

import yaml

from ciops_nb.cep.conditions import AllOf, AnyOf, Condition, Metric, Not, Operand, Promql, Ratio
from ciops_nb.cep.fields import Piece, spelled
from ciops_nb.cep.model import Rule
from ciops_nb.cep.prometheus import LABEL_NAME, METRIC_NAME
from ciops_nb.cep.reading import load
from ciops_nb.errors import BadRule

__all__ = ["as_yaml", "duration", "expression", "number", "quoted", "series_name", "to_prometheus"]

# A metric called like one of these would be read as that word.
_WORDS = frozenset(
    (
        "and", "or", "unless", "atan2", "avg", "bool", "bottomk", "by", "count", "count_values", "end", "group",
        "group_left", "group_right", "ignoring", "inf", "max", "min", "nan", "offset", "on", "quantile", "start",
        "stddev", "stdvar", "sum", "topk", "without", "limitk", "limit_ratio",
    )
)  # fmt: skip
_SAID = ("id", "when", "for_", "keep_firing_for", "every", "labels", "annotations", "record")
_SELECTED = ("metric", "agg", "over", "offset", "by", "reduce", "where")
_FIELDS: dict[type[Piece], tuple[str, ...]] = {
    Metric: (*_SELECTED, "op", "value"),
    Operand: (*_SELECTED, "times"),
    Ratio: ("ratio", "op", "value"),
    AllOf: ("all",),
    AnyOf: ("any",),
    Not: ("not_",),
    Promql: ("promql",),
}
_OVER_TIME = ("count", "min", "max", "sum", "avg", "last", "stddev")


def to_prometheus(rules: Any, *, group: str = "ciops") -> str:
    """Rules as a rule file of Prometheus.

    Args:
        rules: Whatever ``load`` reads.
        group: The name of their group; rules with ``every`` have groups of their own, named after it too.

    Returns:
        YAML that ``promtool check rules`` accepts. Prometheus fires where ``replay`` does, if it evaluates as often
        and looks as far back.

    Raises:
        BadRule: a rule cannot be read, or cannot be said in Prometheus' words.
    """
    groups: dict[timedelta | None, dict[str, Any]] = {}
    for rule in load(rules):
        place = f"rule {rule.id!r}"
        if rule.every not in groups:
            interval = None if rule.every is None else duration(rule.every, place)
            groups[rule.every] = (
                {"name": group, "rules": []}
                if interval is None
                else {"name": f"{group}-{interval}", "interval": interval, "rules": []}
            )
        groups[rule.every]["rules"].append(_written(rule, place))
    return as_yaml({"groups": [*groups.values()]})


def as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)


def _written(rule: Rule, place: str) -> dict[str, Any]:
    _check_said(rule, _SAID, place)
    assert rule.when is not None
    written: dict[str, Any] = {"alert": rule.id} if rule.record is None else {"record": rule.record}
    written["expr"] = expression(rule.when, place)
    if rule.for_:
        written["for"] = duration(rule.for_, place)
    if rule.keep_firing_for:
        written["keep_firing_for"] = duration(rule.keep_firing_for, place)
    if rule.labels:
        written["labels"] = {_label(name, place): text for name, text in rule.labels.items()}
    if rule.annotations:
        written["annotations"] = dict(rule.annotations)
    return written


def _label(name: str, place: str) -> str:
    if not LABEL_NAME.fullmatch(name) or name == "__name__":
        raise BadRule(f"{place}, labels", f"{name!r} is not a name for a label in Prometheus", "Use letters, digits, _")
    if name == "alertname":
        raise BadRule(f"{place}, labels", "Prometheus makes 'alertname' the id of the rule", "Use another name")
    return name


# ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def expression(condition: Condition, place: str) -> str:
    """*condition* as PromQL.

    Args:
        condition: What has to hold.
        place: Where it stands, for errors.

    Raises:
        BadRule: it cannot be said in PromQL.
    """
    known = _FIELDS.get(type(condition))
    if known is None:
        raise BadRule(place, f"{condition.KIND!r} cannot be said in PromQL", "Leave this rule out of the export")
    _check_said(condition, known, place)
    if isinstance(condition, Metric):
        return f"{_selected(condition, place)} {condition.op} {_value(condition, place)}"
    if isinstance(condition, Ratio):
        above, below = condition.ratio
        under = _operand(below, place)
        under = f"({under})" if below.times != 1.0 else under
        return f"{_operand(above, place)} / {under} {condition.op} {_value(condition, place)}"
    if isinstance(condition, Promql):
        return condition.promql
    if isinstance(condition, AnyOf):
        return " or ".join(_inner(part, place) for part in condition.any)
    assert isinstance(condition, AllOf)
    # What must not hold comes last: it is taken from what all the others leave.
    holds = [_inner(part, place) for part in condition.all if not isinstance(part, Not)]
    unless = [_inner(part.not_, place) for part in condition.all if isinstance(part, Not)]
    return " unless ".join([" and ".join(holds), *unless])


def _check_said(piece: Piece, known: tuple[str, ...], place: str) -> None:
    """Refuse a field that is set and that the export does not know: left out, the rule would mean something else."""
    for name, field in type(piece).model_fields.items():
        if name not in known and getattr(piece, name) != field.get_default(call_default_factory=True):
            raise BadRule(
                place, f"{field.alias or name!r} cannot be said in PromQL", "Leave this rule out of the export"
            )


def _inner(part: Condition, place: str) -> str:
    text = expression(part, place)
    if isinstance(part, Promql):
        return f"({text}\n)" if "#" in text else f"({text})"  # a remark ends with its line
    return f"({text})" if isinstance(part, (AllOf, AnyOf)) else text


def _value(part: Metric | Ratio, place: str) -> str:
    return _operand(part.value, place) if isinstance(part.value, Operand) else number(part.value)


def _operand(part: Operand, place: str) -> str:
    text = _selected(part, place)
    return text if part.times == 1.0 else f"{number(part.times)} * {text}"


def _selected(part: Metric | Operand, place: str) -> str:
    _check_said(part, _FIELDS[type(part)], place)
    text = series_name(part.metric, [_matcher(name, texts, place) for name, texts in part.where.items()])
    if part.over is not None:
        text += f"[{duration(part.over, place)}]"
    if part.offset is not None:
        text += f" offset {duration(part.offset, place)}"
    if part.over is not None:
        assert part.agg is not None
        text = _aggregated(part.agg, text)
    if part.reduce is None:
        return text
    for name in part.by or ():
        _check_label(name, place)
    return f"{part.reduce} by ({', '.join(part.by or ())}) ({text})"


def _aggregated(agg: str, text: str) -> str:
    if agg in _OVER_TIME:
        return f"{agg}_over_time({text})"
    if agg in ("rate", "increase"):
        return f"{agg}({text})"
    return f"quantile_over_time({number(float(agg[1:]) / 100)}, {text})"


def series_name(metric: str, matchers: list[str]) -> str:
    """A selector of *metric*; one whose name is not a name of PromQL is asked for by its label."""
    if not METRIC_NAME.fullmatch(metric) or metric.lower() in _WORDS:
        metric, matchers = "", [f"__name__={quoted(metric)}", *matchers]
    return metric + (f"{{{', '.join(matchers)}}}" if matchers else "")


def _matcher(name: str, texts: tuple[str, ...], place: str) -> str:
    _check_label(name, place)
    if len(texts) == 1:
        return f"{name}={quoted(texts[0])}"
    if not texts:
        raise BadRule(
            place, f"'where: {name}' allows no text, which PromQL cannot ask for", "Name one, or leave it out"
        )
    return f"{name}=~{quoted('|'.join(map(_literally, texts)))}"


def _literally(text: str) -> str:
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", text)


def _check_label(name: str, place: str) -> None:
    if not LABEL_NAME.fullmatch(name) or name == "__name__":
        raise BadRule(place, f"{name!r} is not a name that a label has in Prometheus", "Use letters, digits and _")


def quoted(text: str) -> str:
    """*text* as a string of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def number(value: float) -> str:
    """*value* so that PromQL reads back exactly it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return str(int(value)) if (value.is_integer() and 0 < abs(value) < 1e15) or value == 0 else repr(value)


def duration(length: timedelta, place: str) -> str:
    """*length* as Prometheus writes it: 1m30s."""
    if length % timedelta(milliseconds=1):
        raise BadRule(place, f"{length} is finer than a millisecond, which Prometheus knows not", "Round it")
    return spelled(length)
