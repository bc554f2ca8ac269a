"""Rule files of Prometheus, read; promtool says whether it would load them too."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ciops_nb.cep import load
from ciops_nb.cep.prometheus import read
from ciops_nb.cep.templates import expanded
from ciops_nb.cep.yamltext import parsed
from ciops_nb.errors import BadRule
from tests.cep.cases import case, case_names, needs_cases
from tests.cep.oracle.promtool import accepted, needs_promtool


def _read(text: str) -> list[Any]:
    value, lines = parsed(text, texts=True)
    return read(value, "rules", lines)


FILE = """\
groups:
  - name: shop
    interval: 30s
    limit: 5
    rules:
      - record: job:errors:rate5m
        expr: rate(errors_total[5m])
        labels: {team: "{{ $labels.job }}"}
      - alert: TooMany
        expr: job:errors:rate5m > 0.1
        for: 1h30m
        keep_firing_for: 1d
        labels: {severity: page, on: yes, code: 0x10, none: }
        annotations: {summary: "{{ $value | humanize }} on {{ $labels.ci }}"}
  - name: empty
"""


def test_a_file_is_read_as_it_is_written() -> None:
    shop, empty = _read(FILE)
    record, alert = shop.rules

    assert ("shop", timedelta(seconds=30), None, 5, {}) == (
        shop.name,
        shop.interval,
        shop.query_offset,
        shop.limit,
        shop.labels,
    )
    assert (None, "job:errors:rate5m", "rate(errors_total[5m])") == (record.alert, record.record, record.expr)
    assert {"team": "{{ $labels.job }}"} == record.labels
    assert ("TooMany", timedelta(hours=1, minutes=30), timedelta(days=1)) == (
        alert.name,
        alert.for_,
        alert.keep_firing_for,
    )
    assert {"severity": "page", "on": "yes", "code": "0x10", "none": ""} == alert.labels
    assert {"summary": "{{ $value | humanize }} on {{ $labels.ci }}"} == alert.annotations
    assert "line 9, group 'shop', rule 2 'TooMany'" == alert.place
    assert ("empty", ()) == (empty.name, empty.rules)


def test_labels_of_a_group_stand_below_those_of_its_rules() -> None:
    (group,) = _read(
        "groups:\n- {name: g, labels: {a: group, b: group}, query_offset: 1m, "
        "rules: [{alert: x, expr: up, labels: {b: rule}}]}"
    )

    assert {"a": "group", "b": "group"} == group.labels
    assert {"a": "group", "b": "rule"} == group.rules[0].labels
    assert timedelta(minutes=1) == group.query_offset


@pytest.mark.parametrize(
    "raw",
    [
        {"alert": "x", "expr": "up"},
        [{"alert": "x", "expr": "up"}],
        {"rules": [{"alert": "x", "expr": "up"}]},
        {"name": "rules", "rules": [{"alert": "x", "expr": "up", "for": 0}]},
        {"groups": [{"name": "rules", "interval": 0, "rules": [{"alert": "x", "expr": "up", "annotations": {}}]}]},
    ],
)
def test_a_file_a_group_a_list_and_a_rule_are_read(raw: Any) -> None:
    (group,) = read(raw)

    assert ("rules", None, ["x"]) == (group.name, group.interval, [rule.name for rule in group.rules])


@needs_cases
@pytest.mark.parametrize(
    "name", [name for name in case_names() if case(name).get("native", {}).get("lang") == "prometheus_rules"]
)
def test_the_rules_of_the_cases_are_read(name: str) -> None:
    rules = case(name)["native"]["rules"]
    (group,) = read(rules)

    assert [rule.get("alert") or rule["record"] for rule in rules] == [rule.name for rule in group.rules]


def _file(rule: str) -> str:
    return f"groups:\n- name: g\n  rules:\n  - {rule}\n"


GOOD = {
    "for nothing": "{alert: a, expr: up, for: }",
    "for zero": "{alert: a, expr: up, for: 0}",
    "all units": "{alert: a, expr: up, for: 1y2w3d4h5m6s7ms}",
    "longest": "{alert: a, expr: up, for: 292y}",
    "recording for zero": "{record: b, expr: up, for: 0s, annotations: }",
    "number": "{alert: a, expr: 1}",
    "alertname": "{alert: a, expr: up, labels: {alertname: c}}",
    "texts": "{alert: a, expr: up, labels: {x: 1, y: yes, z: , w: 2026-01-01}}",
    "template": '{alert: a, expr: up, labels: {x: "{{ $labels.foo }}{{.Labels.a_b}} }} {{ \\"{{\\" }}"}}',
    "recorded template": '{record: a, expr: up, labels: {x: "{{ $labels.foo"}}',
    "annotated name": "{alert: a, expr: up, annotations: {__name__: c}}",
    "any alert": "{alert: 'a b {{ c', expr: up}",
    "merge": "{alert: a, expr: up, labels: {<<: {x: y}}}",
}
BAD = {
    "both": ("{alert: a, record: b, expr: up}", "line 4, group 'g', rule 1 'a': has both 'alert' and 'record'"),
    "neither": ("{expr: up}", "line 4, group 'g', rule 1: has neither 'alert' nor 'record'"),
    "empty name": ("{alert: '', expr: up}", "has neither 'alert' nor 'record'"),
    "no expr": ("{alert: a}", "line 4, group 'g', rule 1 'a': has no 'expr'"),
    "record name": ("{record: 'a b', expr: up}", "'a b' is not a name for a metric"),
    "recording for": ("{record: b, expr: up, for: 5m}", "rule 1 'b', for: has its place in alerting rules only"),
    "recording keep": ("{record: b, expr: up, keep_firing_for: 5m}", "keep_firing_for: has its place in alerting"),
    "recording text": (
        "{record: b, expr: up, annotations: {x: y}}",
        "annotations: has its place in alerting rules only",
    ),
    "label name": ("{alert: a, expr: up, labels: {a-b: c}}", "labels.a-b: 'a-b' is not a name for a label"),
    "name as label": ("{alert: a, expr: up, labels: {__name__: c}}", "the name of the metric is no label to set"),
    "annotation name": ("{alert: a, expr: up, annotations: {a-b: c}}", "annotations.a-b: 'a-b' is not a name"),
    "no unit": ("{alert: a, expr: up, for: 5}", "for: '5' is not a duration of Prometheus. Write it as 30s"),
    "empty duration": ("{alert: a, expr: up, for: ''}", "'' is not a duration"),
    "order of units": ("{alert: a, expr: up, for: 1m1h}", "'1m1h' is not a duration"),
    "fraction": ("{alert: a, expr: up, for: 1.5h}", "'1.5h' is not a duration"),
    "negative": ("{alert: a, expr: up, for: -5m}", "'-5m' is not a duration"),
    "space": ("{alert: a, expr: up, for: '5m '}", "'5m ' is not a duration"),
    "too long": ("{alert: a, expr: up, for: 293y}", "'293y' is longer than Prometheus can count"),
    "far too long": (f"{{alert: a, expr: up, for: {'9' * 50}y}}", "is longer than Prometheus can count"),
    "field": ("{alert: a, expr: up, label: {}}", "label: there is no such field. Did you mean 'labels'?"),
    "open label": ('{alert: a, expr: up, labels: {x: "{{ $labels.foo"}}', "labels.x: '{{ $labels.foo' is not closed"),
    "open annotation": (
        '{alert: a, expr: up, annotations: {x: "{{ $value"}}',
        "annotations.x: '{{ $value' is not closed",
    ),
    "text of labels": ("{alert: a, expr: up, labels: x}", "labels: a str has no names"),
    "list as label": ("{alert: a, expr: up, labels: {x: [1]}}", r"labels.x: \['1'\] is no text"),
    "twice": ("{alert: a, expr: up, expr: down}", "line 4: 'expr' is there twice"),
    "no rule": ("up", "line 4, group 'g': rule 1: a str is no rule"),
}
BAD_FILES = {
    "group twice": (
        "groups:\n- {name: g, rules: [{alert: a, expr: up}]}\n- {name: g}\n",
        "line 3: the group 'g' is there twice",
    ),
    "no group name": ("groups:\n- {rules: []}\n", "line 2, group 1: has no name"),
    "field of the file": ("groups: []\ngroop: 1\n", "line 2, groop: there is no such field. Did you mean 'groups'?"),
    "field of a group": (
        "groups:\n- {name: a, inteval: 1m}\n",
        "inteval: there is no such field. Did you mean 'interval'?",
    ),
    "limit": ("groups:\n- {name: a, limit: x}\n", "group 'a', limit: 'x' is not a whole number"),
    "interval": ("groups:\n- {name: a, interval: 1x}\n", "group 'a', interval: '1x' is not a duration"),
    "groups as text": ("groups: x\n", "line 1, groups: a str is no list of groups"),
    "rules as text": ("groups:\n- {name: a, rules: x}\n", "rules: a str is no list of rules"),
}


@pytest.mark.parametrize("what", GOOD)
def test_what_prometheus_loads_is_read(what: str) -> None:
    assert 1 == len(_read(_file(GOOD[what]))[0].rules)


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_rule_is_refused_with_its_line(what: str) -> None:
    rule, told = BAD[what]
    with pytest.raises(BadRule, match=told.replace("$", r"\$").replace("{", r"\{")):
        _read(_file(rule))


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_wrong_file_is_refused_with_its_line(what: str) -> None:
    text, told = BAD_FILES[what]
    with pytest.raises(BadRule, match=told):
        _read(text)


@needs_promtool
def test_promtool_accepts_and_refuses_the_same(tmp_path: Path) -> None:
    assert dict.fromkeys(GOOD, True) == {what: accepted(_file(rule), tmp_path) for what, rule in GOOD.items()}
    wrong = {what: _file(rule) for what, (rule, _) in BAD.items()} | {
        what: text for what, (text, _) in BAD_FILES.items()
    }
    assert dict.fromkeys(wrong, False) == {what: accepted(text, tmp_path) for what, text in wrong.items()}


@pytest.mark.parametrize("raw", ["x", 5, None, {"groups": []}, [], {"groups": [{"name": "g"}]}])
def test_no_rules_are_refused(raw: Any) -> None:
    with pytest.raises(BadRule, match=r"is no rule file|there is no rule"):
        read(raw)


def test_without_lines_the_place_is_told_in_words() -> None:
    with pytest.raises(BadRule, match=r"^shop\.yml, group 'g', rule 2 'b', for: '5' is not a duration"):
        read(
            {
                "groups": [
                    {"name": "g", "rules": [{"alert": "a", "expr": "up"}, {"alert": "b", "expr": "up", "for": 5}]}
                ]
            },
            "shop.yml",
        )


def test_what_yaml_made_of_a_word_is_refused() -> None:
    with pytest.raises(BadRule, match=r"labels\.on: True is no text. Put it in quotes"):
        read([{"alert": "a", "expr": "up", "labels": {"on": True}}])


# ── templates ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_template_names_labels() -> None:
    text = '{{ $labels.ci }}/{{.Labels.job}}: {{ $labels.nothing }}{{ "{{" }} }} {{ $labels.__name__ }}'

    assert "srv-1/db: {{ }} cpu" == expanded(text, {"ci": "srv-1", "job": "db", "__name__": "cpu"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ $value }}", "'{{ $value }}' is not supported: each change of the value would be another alert"),
        ("{{ .Value | humanize }}", "each change of the value would be another alert"),
        ("{{ $labels.x | title }}", "'{{ $labels.x | title }}' is not supported in a label"),
        ("{{- $labels.x -}}", "is not supported in a label"),
        ("{{ $externalLabels.x }}", "Use {{ $labels.NAME }} only"),
        ("{{ if true }}x{{ end }}", "'{{ if true }}' is not supported"),
    ],
)
def test_other_templates_in_labels_are_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(BadRule) as raised:
        _read(_file(yaml.safe_dump({"alert": "a", "expr": "up", "labels": {"x": text}}, default_flow_style=True)))

    assert "line 4, group 'g', rule 1 'a', labels.x" == raised.value.where
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("groups:\n- name: g\n  rules: []\n", "prometheus"),
        ("- alert: a\n  expr: up\n", "prometheus"),
        ("title: a\ndetection: {selection: {type: x}, condition: selection}\n", "sigma"),
    ],
)
def test_rules_of_others_are_known_by_their_words(text: str, other: str) -> None:
    with pytest.raises(BadRule, match=rf"is a rule of {other.capitalize()}.*Use ciops.cep.load\(..., '{other}'\)"):
        load(text)
