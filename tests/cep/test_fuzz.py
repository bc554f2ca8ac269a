"""Rules and frames that nobody would write: whatever comes in, an answer or an error of ours comes out."""

from __future__ import annotations

import contextlib
import copy
import math
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.cep import Rule, load, replay
from ciops_nb.cep.conditions import KINDS
from ciops_nb.errors import BadParameter, BadRule, CiopsError
from tests.cep.cases import FOLDER, case, case_names

START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(minutes=20)

HIGH = {"metric": "cpu", "op": ">", "value": 50}
ERROR = {"type": "error", "where": {"msg": ["like", "*time?out*"]}}
RULES: list[Any] = [
    {"when": HIGH, "for": "2m", "keep_firing_for": "1m", "every": "30s", "labels": {"severity": "{{ $labels.role }}"}},
    {"when": {**HIGH, "agg": "p95", "over": "5m", "offset": "1m", "where": {"ci": ["a", "b"]}, "clear": 40}},
    {"when": {"metric": "cpu", "by": ["role"], "reduce": "avg", "op": ">=", "value": {"metric": "up", "times": 2}}},
    {"when": {"ratio": [{"metric": "cpu"}, {"metric": "up", "agg": "rate", "over": "5m"}], "op": "<", "value": 1}},
    {"when": {"baseline": {"metric": "cpu"}, "window": "10m", "deviations": 1.0, "points": 3, "side": "above"}},
    {"when": {"baseline": {"metric": "cpu"}, "method": "seasonal", "season": "2m", "window": "10m", "least": 1.0}},
    {"when": {"promql": 'max_over_time(rate(cpu{role=~"x|y"}[5m])[10m:1m]) > 0'}},
    {"when": {"all": [HIGH, {"any": [HIGH, {"metric": "up", "op": "==", "value": 0}]}]}},
    {"when": {"all": [HIGH, {"not": {"metric": "up", "op": "==", "value": 0}}]}, "active": {"days": "mon-fri"}},
    {"when": {"at_least": {"n": 1, "of": [HIGH, {"near": {"of": HIGH, "is": "upstream", "hops": 2}}]}}},
    {"when": {"share": {"of": HIGH, "by": ["role"]}, "op": ">", "value": 0.5}},
    {"when": {"count_of": {"of": HIGH, "is": "either", "hops": 1, "relations": ["r"]}, "op": ">", "value": 0}},
    [{"id": "a", "when": HIGH, "inhibit": [{"rule": "b", "equal": ["role"]}]}, {"id": "b", "when": {"rule": "c"}},
     {"id": "c", "when": HIGH, "data_as_of": "came"}],
    [{"id": "r", "when": HIGH, "record": "high"}, {"when": {"metric": "high", "op": ">", "value": 0}}],
    {"when": {"count": ERROR, "over": "5m", "by": ["ci"], "op": ">", "value": 1}},
    {"when": {"count": {"metric": "cpu"}, "window": {"hop": "1m", "size": "5m"}, "op": ">", "value": 1}},
    {"when": {"distinct": {"type": "error", "field": "msg"}, "window": {"session": "2m"}, "op": ">", "value": 0}},
    {"when": {"aggregate": {"type": "error", "field": "n"}, "agg": "avg", "window": {"calendar": "hour", "tz": "Asia/Tokyo"},
              "op": ">", "value": 0}},
    {"when": {"together": [{"type": "error"}, {"type": "deploy"}], "within": "5m", "by": ["ci"]}},
    {"when": {"absent": {"type": "deploy", "where": {"n": ["in", [1, 2]]}, "over": "3m", "by": ["ci"]}}},
    {"when": {"flapping": HIGH, "over": "10m", "op": ">", "value": 2}},
    {"sequence": {"steps": [{"type": "deploy", "min": 1, "max": 3}, {"not": {"type": "error"}}, HIGH], "by": "ci",
                  "within": "10m", "start": "earliest", "after": "skip_to_next", "until": {"type": "stop"}}},
    {"schedule": {"cron": "*/5 9 * * mon", "tz": "Europe/Berlin"}, "end": "2026-03-02T00:10:00Z"},
    {"event": {"type": "deploy", "any_of": [{"where": {"v": [">", 1]}}], "none_of": [{"type": "error"}]}},
    {"near": {"a": {"type": "error"}, "b": {"type": "deploy"}, "b_is": "upstream", "max_hops": 2, "within": "5m"}},
    {"common_upstream": {"of": {"type": "error"}, "within": "10m", "min_cis": 2}, "labels": {"team": "net"}},
]  # fmt: skip
RULES += (
    [case(name)["neutral_rule"] for name in case_names() if "neutral_rule" in case(name)] if FOLDER.exists() else []
)

LENGTHS = ("5m", "1m30s", "1ms", "0s", "9000w", "3652058d", "99999999999999d", "PT0.0000004S", "1y", "")
NUMBERS = (0, 1, 2, 50, -1, 0.5, 1e308, math.inf, -math.inf, math.nan, 2**63, 10**400, True)
NAMES = (
    "cpu",
    "up",
    "ci",
    "role",
    "type",
    "msg",
    "n",
    "flag",
    "came",
    "value",
    "ts",
    "rule-1",
    "a",
    "nope",
    "\0",
    "\ud800",
)
TEXTS = (
    "*" * 30 + "a", "x" * 5000, "a*?\\", "(a+)+$", "[", "%", "{{ $labels.ci }}", "{{", "upstream", "either", "like", "in",
    "is_null", "contains", "=", "<", "!=", "sum", "p0", "p100", "p101", "stddev", "increase", "last", "firing", "pending",
    "22:00-06:00", "24:00-24:00", "sat", "0001-01-01", "9999-12-31T23:59:59Z", "2026-03-02", "month", "0 0 30 2 *",
    "cpu offset -9000w > 0", "count_over_time(cpu[9000w]) > 0", '{__name__=~"(c+)+u*"} > 0', "cpu[9000w:1ms]", "up @ 1e9",
)  # fmt: skip
OTHERS = (None, [], {}, [[]], {"a": None}, b"x", timedelta.max, timedelta(microseconds=1), date(2026, 3, 2), START)
ANY = st.one_of(*(st.sampled_from(some) for some in (LENGTHS, NUMBERS, NAMES, TEXTS, OTHERS))).map(copy.deepcopy)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in *value*, and each key or place in it."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """Some rule with up to three of its parts taken out, or replaced by a value or by a part of another rule."""
    rules = copy.deepcopy(draw(st.sampled_from(RULES)))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(rules))
        if not found:
            break
        inside, key = draw(st.sampled_from(found))
        how = draw(st.integers(0, 9))
        if how == 0:
            del inside[key]
        elif how <= 3:
            other, at = draw(st.sampled_from(list(places(draw(st.sampled_from(RULES))))))
            inside[at if isinstance(inside, dict) and isinstance(at, str) else key] = copy.deepcopy(other[at])
        else:
            inside[key] = draw(ANY)
    return rules


def frames(seed: int) -> dict[str, Any]:
    """Metrics, events and relations, none of them, or with nothing but nulls."""
    pick = random.Random(seed)

    def times(count: int) -> pl.Series:
        moments = [START + timedelta(seconds=15 * pick.randint(-40, 100)) for _ in range(count)]
        return pl.Series(moments, dtype=pl.Datetime("us", "UTC"))

    def of(count: int, values: tuple[Any, ...], dtype: Any = pl.String) -> pl.Series:
        return pl.Series([pick.choice(values) for _ in range(count)], dtype=dtype)

    many = pick.choice([0, 1, 60, 60])
    floats = (0.0, 1.0, 49.0, 60.0, 99.0, 1e308, -1e308, math.inf, math.nan, None)
    found = {
        "metrics": pl.DataFrame({"ts": times(many), "metric": of(many, ("cpu", "up")), "ci": of(many, ("a", "b", "c", None)),
            "role": of(many, ("x", "y", "")), "value": of(many, floats, pl.Float64), "came": times(many),
            "stale": of(many, (False, False, True), pl.Boolean)}),
        "events": pl.DataFrame({"ts": times(many), "ci": of(many, ("a", "b", None)), "type": of(many, ("deploy", "error", None)),
            "msg": of(many, ("timeout", "(a+)+$", "12", None)), "n": of(many, (1, 2, None), pl.Int64), "came": times(many),
            "flag": of(many, (True, False, None), pl.Boolean)}),
        "relations": pl.DataFrame({"src": ["a", "b"], "dst": ["b", "c"], "rel": ["r", None]}),
    }  # fmt: skip
    for name in list(found):
        if (luck := pick.random()) < 0.1:
            found[name] = found[name].select(pl.lit(None).alias(column) for column in found[name].columns)
        elif luck < 0.2:
            del found[name]
    return found


def test_each_word_of_the_language_is_tried() -> None:
    def words(value: Any) -> set[str]:
        return {key for _, key in places(value) if isinstance(key, str)}

    assert {*KINDS, *Rule.SAYS} <= words(RULES)
    for rules in RULES:
        assert load(copy.deepcopy(rules))


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(mutated(), st.integers(0, 50), st.sampled_from(["20m", "0m"]))
def test_any_rule_is_replayed_or_refused(rules: Any, seed: int, length: str) -> None:
    with contextlib.suppress(CiopsError):
        read = load(rules)
        assert read == load([rule.plain() for rule in read])
        replay(read, **frames(seed), start=START, end=END if length == "20m" else START, every="1m")


@settings(max_examples=400, deadline=None, derandomize=True)
@given(mutated(), st.sampled_from(["yaml", "prometheus"]), st.integers(0, 400), st.text(max_size=3))
def test_any_text_is_read_or_refused(rules: Any, format: str, at: int, put: str) -> None:  # noqa: A002
    with contextlib.suppress(yaml.YAMLError, UnicodeError):
        text = yaml.safe_dump(rules)
        at %= len(text)
        with contextlib.suppress(CiopsError):
            load(text[:at] + put + text[at + 1 :] + "\n", format=format)


PROMETHEUS: Any = {
    "groups": [{"name": "g", "interval": "1m", "labels": {"team": "net"}, "rules": [
        {"alert": "High", "expr": "cpu > 50", "for": "5m", "labels": {"severity": "page"}, "annotations": {"a": "{{ $value }}"}},
        {"record": "role:cpu:sum", "expr": "sum by (role) (cpu)"},
    ]}]
}  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_any_rule_file_of_prometheus_is_replayed_or_refused(data: st.DataObject) -> None:
    rules = copy.deepcopy(PROMETHEUS)
    for _ in range(data.draw(st.integers(1, 2))):
        inside, key = data.draw(st.sampled_from(list(places(rules))))
        inside[key] = data.draw(ANY)
    with contextlib.suppress(CiopsError):
        replay(load(rules, format="prometheus"), **frames(data.draw(st.integers(0, 9))), start=START, end=END)


# ── frames ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SAMPLES = {"ts": [START], "metric": ["cpu"], "ci": ["a"], "value": [99.0]}
EVENTS = {"ts": [START], "seq": [1], "ci": ["a"], "type": ["error"]}
RELATIONS = {"src": ["a"], "dst": ["b"], "rel": ["r"]}


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("metrics", SAMPLES | {"tags": [[1]]}, "tags: List(Int64)"),
        ("metrics", SAMPLES | {"raw": [b"\xff"]}, "raw: Binary"),
        ("metrics", SAMPLES | {"metric": [None]}, "is null in 1 rows"),
        (
            "metrics",
            SAMPLES | {"ts": pl.Series([2**63 - 1], dtype=pl.Datetime("us", "UTC"))},
            "outside of the calendar",
        ),
        ("events", EVENTS | {"seq": [[1]]}, "seq: List(Int64)"),
        ("events", EVENTS | {"ci": [{"a": 1}]}, "ci: Struct"),
        ("relations", RELATIONS | {"src": [["a"]]}, "src: List(String)"),
    ],
)
def test_a_column_that_is_not_read_is_named(name: str, given: Any, told: str) -> None:
    with pytest.raises(BadParameter) as refused:
        replay(RULES[0], **{name: pl.DataFrame(given)}, start=START, end=END)

    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (pd.DataFrame([[START, "cpu", 1.0, 2.0]], columns=["ts", "metric", "value", "value"]), "two columns 'value'"),
        (pd.DataFrame({"ts": [START] * 2, "metric": ["cpu", 1], "value": [1.0, 2.0]}), "values of several kinds"),
    ],
)
def test_a_frame_of_pandas_that_is_not_read_is_refused(given: pd.DataFrame, told: str) -> None:
    for name in ("metrics", "events", "relations"):
        with pytest.raises(BadParameter) as refused:
            replay(RULES[0], **{name: given}, start=START, end=END)

        assert told in str(refused.value)


def test_a_field_of_lists_is_no_key() -> None:
    rule = {"when": {"count": {"type": "error"}, "over": "5m", "by": ["tags"], "op": ">", "value": 0}}
    with pytest.raises(BadRule, match="by, 'tags': holds List"):
        replay(rule, events=pl.DataFrame(EVENTS | {"tags": [["x"]]}), start=START, end=END)


def test_a_baseline_that_would_not_fit_into_memory_is_refused() -> None:
    rule = {"when": {"baseline": {"metric": "cpu"}, "window": "9000w"}}
    with pytest.raises(BadRule, match="more than fit into memory"):
        replay(rule, metrics=pl.DataFrame(SAMPLES), start=START, end=END)
