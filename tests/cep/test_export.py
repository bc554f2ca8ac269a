"""Rules written for Prometheus; promtool says whether it would load them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from ciops_nb.cep import load, to_prometheus
from ciops_nb.cep.conditions import Metric
from ciops_nb.cep.export import expression
from ciops_nb.cep.prometheus import read
from ciops_nb.cep.templates import expanded
from ciops_nb.cep.yamltext import parsed
from ciops_nb.errors import BadRule
from tests.cep.oracle.promtool import accepted, needs_promtool

CPU: dict[str, Any] = {"metric": "cpu", "op": ">", "value": 80}
SAID = [
    (CPU, "cpu > 80"),
    ({**CPU, "agg": "last"}, "cpu > 80"),
    ({**CPU, "agg": "avg", "over": "5m", "offset": "30m", "where": {"job": "x"}}, 'avg_over_time(cpu{job="x"}[5m] offset 30m) > 80'),
    ({**CPU, "offset": "90s"}, "cpu offset 1m30s > 80"),
    ({**CPU, "agg": "p95", "over": "1m"}, "quantile_over_time(0.95, cpu[1m]) > 80"),
    ({**CPU, "agg": "p100", "over": "1m"}, "quantile_over_time(1, cpu[1m]) > 80"),
    ({**CPU, "agg": "rate", "over": "1m"}, "rate(cpu[1m]) > 80"),
    ({**CPU, "by": "ci", "reduce": "max"}, "max by (ci) (cpu) > 80"),
    ({**CPU, "reduce": "sum"}, "sum by () (cpu) > 80"),
    ({**CPU, "where": {"a": ["x.y", "", "b|c"], "d": 'q"\\'}}, r'cpu{a=~"x\\.y||b\\|c", d="q\"\\"} > 80'),
    ({**CPU, "value": {"metric": "mem", "times": 2}}, "cpu > 2 * mem"),
    ({**CPU, "value": -1.5}, "cpu > -1.5"),
    ({**CPU, "value": float("-inf")}, "cpu > -Inf"),
    ({**CPU, "value": 1e300}, "cpu > 1e+300"),
    ({"metric": "on", "op": "==", "value": 0}, '{__name__="on"} == 0'),
    ({"metric": "disk used", "op": "==", "value": 0, "where": {"a": "b"}}, '{__name__="disk used", a="b"} == 0'),
    (
        {"ratio": [{"metric": "a", "times": 2}, {"metric": "b", "times": 3}], "op": "<", "value": 0.1},
        "2 * a / (3 * b) < 0.1",
    ),
    ({"any": [CPU, {"all": [CPU, CPU]}]}, "cpu > 80 or (cpu > 80 and cpu > 80)"),
    ({"all": [{"not": CPU}, {"any": [CPU, CPU]}, CPU]}, "(cpu > 80 or cpu > 80) and cpu > 80 unless cpu > 80"),
    ({"any": [CPU]}, "cpu > 80"),
    ({"all": [{"promql": "up == 0 # down"}, CPU]}, "(up == 0 # down\n) and cpu > 80"),
]  # fmt: skip


@pytest.mark.parametrize(("when", "text"), SAID)
def test_a_condition_is_said_in_promql(when: dict[str, Any], text: str) -> None:
    (group,) = yaml.safe_load(to_prometheus({"when": when}))["groups"]

    assert [{"alert": "rule-1", "expr": text}] == group["rules"]


@needs_promtool
def test_promtool_accepts_what_is_written(tmp_path: Path) -> None:
    assert accepted(to_prometheus([{"when": when} for when, _ in SAID]), tmp_path)


def test_durations_labels_and_groups_are_written() -> None:
    rules = [
        {"id": "a", "when": CPU, "for": "90s", "keep_firing_for": "1d", "labels": {"x": '{{"{{"}} {{ $labels.ci }}'}},
        {"id": "b", "when": CPU, "every": "30s"},
        {"id": "c", "when": CPU},
    ]
    text = to_prometheus(rules, group="shop")

    assert {
        "groups": [
            {
                "name": "shop",
                "rules": [
                    {
                        "alert": "a",
                        "expr": "cpu > 80",
                        "for": "1m30s",
                        "keep_firing_for": "1d",
                        "labels": {"x": '{{"{{"}} {{ $labels.ci }}'},
                    },
                    {"alert": "c", "expr": "cpu > 80"},
                ],
            },
            {"name": "shop-30s", "interval": "30s", "rules": [{"alert": "b", "expr": "cpu > 80"}]},
        ]
    } == yaml.safe_load(text)
    assert "{{ a" == expanded(read(parsed(text, texts=True)[0])[0].rules[0].labels["x"], {"ci": "a"})


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"when": {**CPU, "where": {"a-b": "x"}}}, "rule 'rule-1': 'a-b' is not a name that a label has"),
        ({"when": {**CPU, "where": {"__name__": "x"}}}, "'__name__' is not a name that a label has"),
        ({"when": {**CPU, "where": {"a": []}}}, "'where: a' allows no text"),
        ({"when": {**CPU, "by": ["a b"], "reduce": "max"}}, "'a b' is not a name that a label has"),
        ({"when": {**CPU, "agg": "avg", "over": timedelta(microseconds=1500)}}, "finer than a millisecond"),
        ({"when": CPU, "for": timedelta(microseconds=1500)}, "finer than a millisecond"),
        (
            {"sequence": {"steps": [{"type": "a"}, {"type": "b"}], "within": "1m"}},
            "'sequence' cannot be said in PromQL",
        ),
        ({"when": CPU, "labels": {"a-b": "x"}}, "rule 'rule-1', labels: 'a-b' is not a name for a label"),
        ({"when": CPU, "labels": {"alertname": "x"}}, "Prometheus makes 'alertname' the id of the rule"),
    ],
)
def test_what_prometheus_has_no_words_for_is_refused(rule: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRule, match=told):
        to_prometheus(load(rule))


class Later(Metric):
    """A condition of a later release, of which the export knows nothing."""

    KIND: ClassVar[str] = "later"


def test_what_the_export_does_not_know_is_refused_by_name() -> None:
    with pytest.raises(BadRule, match="rule 1: 'later' cannot be said in PromQL"):
        expression(Later(**CPU), "rule 1")


FILE = """\
groups:
- name: ciops
  rules:
  - record: job:errors:rate5m
    expr: rate(errors_total[5m])
    labels:
      team: '{{ shop'
  - alert: TooMany
    expr: job:errors:rate5m > 0.1
    for: 1h30m
    labels:
      who: '{{ $labels.ci }}'
    annotations:
      summary: '{{ $value }} errors'
"""


def test_an_imported_file_is_written_as_it_was() -> None:
    assert FILE == to_prometheus(load(FILE, format="prometheus"))
