"""Rule files of Prometheus: what is written in them, not what the expressions mean.

Read is what ``promtool check rules`` accepts, but for two things: names are of letters, digits and ``_`` (as before
Prometheus 3), and templates in labels do nothing but name labels, for the labels say which alert is which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from ciops_nb.cep.conditions import Promql
from ciops_nb.cep.model import Rule
from ciops_nb.cep.templates import check_closed, check_template
from ciops_nb.cep.yamltext import Lines
from ciops_nb.errors import BadRule
from ciops_nb.estate.names import one_of

__all__ = ["LABEL_NAME", "METRIC_NAME", "PrometheusGroup", "PrometheusRule", "imported", "read"]

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class PrometheusRule:
    """One rule as it is written, durations as such and *labels* with those of its group.

    Attributes:
        alert, record: Its name, as an alerting or as a recording rule; the other is None.
        expr: PromQL, not parsed.
        for_, keep_firing_for: Nothing where not given.
        labels: Of alerting rules with templates, see ``templates``; an empty text takes the label away.
        annotations: As they are written.
        place: Where it stands, for errors.
    """

    alert: str | None
    record: str | None
    expr: str
    for_: timedelta
    keep_firing_for: timedelta
    labels: dict[str, str]
    annotations: dict[str, str]
    place: str

    @property
    def name(self) -> str:
        return self.alert or self.record or ""


@dataclass(frozen=True)
class PrometheusGroup:
    """Rules that are evaluated one after another; what is not given is None (*limit* 0: none)."""

    name: str
    interval: timedelta | None
    query_offset: timedelta | None
    limit: int
    labels: dict[str, str]
    rules: tuple[PrometheusRule, ...]


# ── in ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

_FILE = ("groups",)
_GROUP = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE = ("alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")
_ALERTS_ONLY = ("for", "keep_firing_for", "annotations")
_LENGTHS = {
    "y": timedelta(days=365),
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_DURATION = re.compile("".join(rf"(?:([0-9]+){unit})?" for unit in _LENGTHS))
_MOST_LETTERS = 100  # of a duration
_LONGEST = timedelta(microseconds=(2**63 - 1) // 1000)  # Prometheus counts nanoseconds in 64 bits


class _Place:
    """Where something stands: its path in what was read, and how a person would name it."""

    def __init__(self, where: str, lines: Lines, path: tuple[str | int, ...] = (), told: str = "") -> None:
        self._where, self._lines, self._path, self._told = where, lines, path, told

    def __str__(self) -> str:
        line = self._lines.of(*self._path)
        return f"{self._where if line is None else f'line {line}'}{self._told}"

    def inner(self, *parts: str | int, told: str) -> _Place:
        return _Place(self._where, self._lines, (*self._path, *parts), f"{self._told}{told}")

    def field(self, name: str) -> _Place:
        return self.inner(name, told=f", {name}")

    def wrong(self, problem: str, hint: str) -> BadRule:
        return BadRule(str(self), problem, hint)


def read(raw: Any, where: str = "rules", lines: Lines | None = None) -> list[PrometheusGroup]:
    """The groups of a rule file of Prometheus.

    Args:
        raw: What the YAML says: a file (``groups``), one group (``rules``), a list of rules, or a rule. Read texts
            with ``yamltext.parsed(text, texts=True)``, as a scalar means here what is written.
        where: How errors name it where they know no line.
        lines: The lines of *raw*.

    Raises:
        BadRule: it is not what Prometheus would load, or a template in a label is not supported; it says where.
    """
    place = _Place(where, lines or Lines())
    if isinstance(raw, Mapping) and "groups" in raw:
        _check_fields(raw, _FILE, place)
        listed = _listed(raw["groups"], "groups", place.field("groups"))
        groups = [_group(one, place.inner("groups", n, told=""), n + 1) for n, one in enumerate(listed)]
    elif isinstance(raw, Mapping) and "rules" in raw:
        groups = [_group({"name": "rules", **raw}, place, 1)]
    elif isinstance(raw, Mapping):
        groups = [PrometheusGroup("rules", None, None, 0, {}, (_rule(raw, place, 1, {}),))]
    elif isinstance(raw, (list, tuple)):
        rules = (_rule(one, place.inner(n, told=""), n + 1, {}) for n, one in enumerate(raw))
        groups = [PrometheusGroup("rules", None, None, 0, {}, tuple(rules))]
    else:
        raise place.wrong(f"a {type(raw).__name__} is no rule file", "Give 'groups', or a list of rules")
    names = [group.name for group in groups]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise place.inner("groups", number, told="").wrong(f"the group {name!r} is there twice", "Rename one")
    if not any(group.rules for group in groups):
        raise place.wrong("there is no rule", "Give 'groups' with 'rules', or a list of rules")
    return groups


def _listed(raw: Any, what: str, place: _Place) -> list[Any]:
    if raw is None:
        return []
    if not isinstance(raw, (list, tuple)):
        raise place.wrong(f"a {type(raw).__name__} is no list of {what}", "Write one a line, each with a - before it")
    return [*raw]


def _group(raw: Any, place: _Place, number: int) -> PrometheusGroup:
    if not isinstance(raw, Mapping):
        raise place.wrong(f"group {number}: a {type(raw).__name__} is no group", "Write a mapping with name and rules")
    name = _text(raw.get("name"), place.inner("name", told=f", group {number}, name"))
    place = place.inner(told=f", group {name!r}" if name else f", group {number}")
    _check_fields(raw, _GROUP, place)
    if not name:
        raise place.wrong("has no name", "Give it one with 'name'")
    limit, labels = raw.get("limit"), _texts(raw, "labels", place)
    if limit is not None and not re.fullmatch(r"[+-]?[0-9]{1,18}", str(limit)):
        raise place.field("limit").wrong(f"{limit!r} is not a whole number", "Write how many alerts may be, or 0")
    listed = _listed(raw.get("rules"), "rules", place.field("rules"))
    rules = [_rule(one, place.inner("rules", n, told=""), n + 1, labels) for n, one in enumerate(listed)]
    interval, query_offset = (_length(raw, name, place) for name in ("interval", "query_offset"))
    return PrometheusGroup(name, interval or None, query_offset, int(limit or 0), labels, tuple(rules))


def _rule(raw: Any, place: _Place, number: int, outer: dict[str, str]) -> PrometheusRule:
    if not isinstance(raw, Mapping):
        raise place.wrong(f"rule {number}: a {type(raw).__name__} is no rule", "Write a mapping with alert and expr")
    names = {kind: _text(raw.get(kind), place.inner(kind, told=f", rule {number}, {kind}")) for kind in _RULE[:2]}
    alert, record = names["alert"], names["record"]
    name = alert or record
    place = place.inner(told=f", rule {number} {name!r}" if name else f", rule {number}")
    _check_fields(raw, _RULE, place)
    if alert and record:
        raise place.wrong("has both 'alert' and 'record'", "Keep one: does it raise alerts, or record a series?")
    if not name:
        raise place.wrong("has neither 'alert' nor 'record'", "Name it with one of them")
    expr = _text(raw.get("expr"), place.field("expr"))
    if not expr.strip():
        raise place.wrong("has no 'expr'", "Say in PromQL which series it is about")
    for_, keep = (_length(raw, field, place) or timedelta(0) for field in ("for", "keep_firing_for"))
    labels, annotations = _texts(raw, "labels", place), _texts(raw, "annotations", place)
    if record:
        given = {"for": for_, "keep_firing_for": keep, "annotations": annotations}
        for field in _ALERTS_ONLY:
            if given[field]:
                raise place.field(field).wrong("has its place in alerting rules only", "Leave it out")
        if not METRIC_NAME.fullmatch(record):
            raise place.field("record").wrong(f"{record!r} is not a name for a metric", "Use letters, digits, _ and :")
    else:
        for label, text in labels.items():
            check_template(text, str(place.inner("labels", label, told=f", labels.{label}")))
        for label, text in annotations.items():
            check_closed(text, str(place.inner("annotations", label, told=f", annotations.{label}")))
    merged = outer | labels
    return PrometheusRule(alert or None, record or None, expr, for_, keep, merged, annotations, str(place))


def _check_fields(raw: Mapping[Any, Any], known: tuple[str, ...], place: _Place) -> None:
    for name in raw:
        if name not in known:
            raise place.field(str(name)).wrong("there is no such field", one_of(str(name), known))


def _text(value: Any, place: _Place) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
            raise place.wrong(f"{value!r} has half of a sign", "Save it as UTF-8")
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise place.wrong(f"{value!r} is no text", "Put it in quotes")


def _texts(raw: Mapping[Any, Any], field: str, place: _Place) -> dict[str, str]:
    given, place = raw.get(field), place.field(field)
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise place.wrong(f"a {type(given).__name__} has no names", "Write a mapping of names to texts")
    found = {}
    for name, value in given.items():
        here = place.inner(str(name), told=f".{name}")
        if not isinstance(name, str) or not LABEL_NAME.fullmatch(name):
            raise here.wrong(f"{name!r} is not a name for a label", "Use letters, digits and _")
        if name == "__name__" and field == "labels":
            raise here.wrong("the name of the metric is no label to set", "Leave it out")
        found[name] = _text(value, here)
    return found


def _length(raw: Mapping[Any, Any], field: str, place: _Place) -> timedelta | None:
    value = raw.get(field)
    if value is None:
        return None
    text = _text(value, place.field(field))
    if text == "0":
        return timedelta(0)
    units = _DURATION.fullmatch(text) if len(text) <= _MOST_LETTERS else None
    if not text or units is None:
        shown = repr(text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}...")
        raise place.field(field).wrong(
            f"{shown} is not a duration of Prometheus", "Write it as 30s, 5m, 1h30m or 1d, with a unit"
        )
    counts = [int(count) for count in units.groups("0")]
    try:
        found = sum((n * length for n, length in zip(counts, _LENGTHS.values(), strict=True)), timedelta(0))
    except OverflowError:
        found = timedelta.max
    if found > _LONGEST:
        raise place.field(field).wrong(f"{text!r} is longer than Prometheus can count", "Write less than 292y")
    return found


def imported(raw: Any, lines: Lines) -> list[Rule]:
    """The rules of a rule file of Prometheus, in its order, with their expressions as conditions."""
    rules = []
    for group in read(raw, lines=lines):
        for told, given in (("limit", group.limit), ("query_offset", group.query_offset)):
            if given:
                raise BadRule(f"group {group.name!r}, {told}", f"{told!r} is not supported", "Leave it out")
        rules += [_imported(rule, group) for rule in group.rules]
    return rules


def _imported(rule: PrometheusRule, group: PrometheusGroup) -> Rule:
    try:
        when = Promql(promql=rule.expr)
    except ValidationError as failed:
        told = failed.errors(include_url=False)[0].get("ctx", {}).get("error")
        if not isinstance(told, BadRule):
            raise BadRule(f"{rule.place}, expr", "is empty", "Write an expression") from None
        raise BadRule(f"{rule.place}, {told.where}", told.problem, told.hint) from None
    return Rule(
        id=rule.name,
        when=when,
        for_=rule.for_,
        keep_firing_for=rule.keep_firing_for,
        every=group.interval,
        labels=rule.labels,
        annotations=rule.annotations,
        record=rule.record,
    )
