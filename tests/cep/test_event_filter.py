"""Which events a rule means: types, fields of texts, numbers and truth, and what an event has not."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.cep.conditions.event import EventFilter
from ciops_nb.cep.frames import event_rows
from ciops_nb.errors import BadRule

START = datetime(2026, 3, 1, tzinfo=UTC)
ROWS: dict[str, list[Any]] = {
    "type": ["err", "err", "ok", None, "deploy", "err"],
    "text": ["5", " 5.0 ", "x5", None, "", "Disk FULL"],
    "whole": [1, 2, 2**60, None, -1, 0],
    "real": [0.5, float("nan"), 2.0, None, float("inf"), 5.0],
    "flag": [True, False, True, None, False, True],
    "none": [None] * 6,
}
EVENTS = event_rows(pl.DataFrame({"ts": [START] * 6, "ci": ["a"] * 6, **ROWS}), UTC)


def met(**asked: Any) -> list[int]:
    return [n for n, there in enumerate(EventFilter(**asked).of(EVENTS)) if there]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"text": "5"}, [0]),
        ({"text": 5}, [0, 1]),  # a text is read as a number, without the blanks around it
        ({"text": ["<", 6]}, [0, 1]),
        ({"text": ["!=", 5]}, [2, 3, 4, 5]),
        ({"text": ["not_in", [5, 6]]}, [2, 3, 4, 5]),
        ({"text": ["!=", "5"]}, [1, 2, 3, 4, 5]),
        ({"text": ""}, [4]),
        ({"text": ["is_null", True]}, [3]),
        ({"text": ["is_null", False]}, [0, 1, 2, 4, 5]),
        ({"text": ["x5", "5"]}, [0, 2]),
        ({"text": ["in", ["x5", "5"]]}, [0, 2]),
        ({"text": ["contains", "5"]}, [0, 1, 2]),
        ({"text": ["contains", 5]}, [0, 1, 2]),
        ({"text": ["startswith", "x"]}, [2]),
        ({"text": ["endswith", "FULL"]}, [5]),
        ({"text": ["endswith", "full"]}, []),
        ({"text": ["like", "*full"]}, [5]),
        ({"text": ["like", "disk?full"]}, [5]),
        ({"text": ["like", "*.0*"]}, [1]),
        ({"text": ["like", "?"]}, [0]),
        ({"text": ["like", "*"]}, [0, 1, 2, 4, 5]),
        ({"text": [">=", "5"]}, [0, 2, 5]),
        ({"whole": 1}, [0]),
        ({"whole": "1"}, [0]),
        ({"whole": 1.0}, [0]),
        ({"whole": 2**60}, [2]),
        ({"whole": 2**60 + 1}, []),
        ({"whole": ["<", 2**60 + 1]}, [0, 1, 2, 4, 5]),
        ({"whole": ["!=", 1]}, [1, 2, 3, 4, 5]),
        ({"whole": ["in", [1, 2]]}, [0, 1]),
        ({"real": [">", 1]}, [2, 4, 5]),
        ({"real": ["!=", 0.5]}, [1, 2, 3, 4, 5]),
        ({"real": ["<=", 2]}, [0, 2]),
        ({"real": ["is_null", True]}, [3]),
        ({"flag": True}, [0, 2, 5]),
        ({"flag": "false"}, [1, 4]),
        ({"flag": ["!=", True]}, [1, 3, 4]),
        ({"none": "x"}, []),
        ({"none": ["!=", "x"]}, [0, 1, 2, 3, 4, 5]),
        ({"none": ["is_null", True]}, [0, 1, 2, 3, 4, 5]),
        ({"type": "err", "flag": True}, [0, 5]),
        ({"ci": "a"}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_fields_are_compared_by_what_they_hold(where: dict[str, Any], expected: list[int]) -> None:
    assert expected == met(where=where)


def test_filters_are_put_together() -> None:
    high, five = {"where": {"whole": [">", 0]}}, {"where": {"text": ["contains", "5"]}}

    assert [0, 1, 2] == met(all_of=[high, five])
    assert [0, 1, 2] == met(any_of=[high, five])
    assert [1, 2] == met(any_of=[high, {"type": "deploy"}], none_of=[{"where": {"text": "5"}}, {"type": "deploy"}])
    assert [3, 4, 5] == met(none_of=[high])
    assert [5] == met(type="err", none_of=[{"any_of": [{"all_of": [high]}]}])


def test_types_are_one_or_any_of_several() -> None:
    assert [0, 1, 5] == met(type="err")
    assert [0, 1, 2, 5] == met(type=["err", "ok"])
    assert [0] == met(type="err", where={"text": "5"})


@pytest.mark.parametrize("sign", list(" .^$*+?{}[]|()\\-#&~'\"%_/ä\n"))
def test_every_sign_is_itself(sign: str) -> None:
    events = event_rows(pl.DataFrame({"ts": [START] * 2, "ci": ["a"] * 2, "type": [f"A{sign}b", "A!b"]}), UTC)
    quoted = re.sub(r"([*?\\])", r"\\\1", sign)

    for where in (["like", f"a{quoted}B"], ["contains", sign], ["startswith", f"A{sign}"], f"A{sign}b"):
        assert [True, False] == EventFilter(where={"type": where}).of(events).tolist(), where


def test_categories_are_texts() -> None:
    rows = pl.DataFrame({"ts": [START] * 2, "ci": ["a"] * 2, "type": pl.Series(["a", "b"], dtype=pl.Categorical)})
    rows = rows.with_columns(kind=pl.col("type"))

    assert [False, True] == EventFilter(where={"kind": "b"}).of(event_rows(rows, UTC)).tolist()


COUNT = {"over": "5m", "op": ">", "value": 0}


@pytest.mark.parametrize(
    ("count", "says"),
    [
        ({}, "says no event"),
        ({"type": []}, "says no event"),
        ({"typ": "err"}, "Did you mean 'type'"),
        ({"type": "err", "where": "x"}, "is not a mapping"),
        ({"where": {"text": None}}, "Write [is_null, true]"),
        ({"where": {"text": ["in", "a"]}}, "'in' needs a list"),
        ({"where": {"text": ["in", []]}}, "'in' needs a list"),
        ({"where": {"text": []}}, "'in' needs a list"),
        ({"where": {"text": ["=", ["a"]]}}, "is not a text"),
        ({"where": {"text": ["a", 1]}}, "mixes texts and numbers"),
        ({"where": {"text": ["<", True]}}, "does not compare true and false"),
        ({"where": {"text": ["<", float("nan")]}}, "NaN"),
        ({"where": {"text": ["is_null", "x"]}}, "'is_null' is true or false"),
        ({"where": {"text": {"a": 1}}}, "is not a text"),
        ({"metric": "cpu", "type": "err"}, "both 'type' and 'metric'"),
        ({"any_of": [{}]}, "any_of[1]: says no event"),
        ({"any_of": {"type": "err"}}, "any_of: is not a list of events"),
        ({"none_of": [{"typ": "err"}]}, "none_of[1].typ: there is no such field. Did you mean 'type'"),
        ({"metric": "cpu", "none_of": [{"type": "err"}]}, "filters of events beside 'metric'"),
        ({"metric": "cpu", "where": {"ci": ["!=", "a"]}}, "compared by = and in"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_read(count: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRule) as caught:
        load({"when": {"count": count, **COUNT}})
    assert says in str(caught.value)
    assert "when.count" in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"count": {"where": {"tect": "x"}}}, "where, 'tect': events have no such field. Did you mean 'text'"),
        ({"count": {"where": {"zzz": "x"}}}, "There are: ci, type, text"),
        ({"count": {"type": "err"}, "by": "txt"}, "by, 'txt': events have no such field. Did you mean 'text'"),
        ({"distinct": {"type": "err", "field": "txt"}}, "field, 'txt': events have no such field"),
        ({"count": {"where": {"whole": "x"}}}, "holds numbers"),
        ({"count": {"where": {"whole": True}}}, "holds numbers"),
        ({"count": {"where": {"whole": ["contains", "1"]}}}, "compares texts"),
        ({"count": {"where": {"flag": 1}}}, "is true or false, and not 1"),
        ({"count": {"where": {"text": 2**60}}}, "Quote it"),
        ({"count": {"where": {"at": "x"}}}, "holds Datetime"),
    ],
)
def test_what_the_events_do_not_hold_is_refused_when_it_is_replayed(rule: dict[str, Any], says: str) -> None:
    events = pl.DataFrame({"ts": [START] * 6, "ci": ["a"] * 6, **ROWS, "at": [START] * 6})

    for more in ({}, {"every": "1m"}):
        with pytest.raises(BadRule) as caught:
            replay({"when": {**rule, **COUNT}, **more}, events=events, start=START, end=START)
        assert says in str(caught.value)


@pytest.mark.parametrize(
    "where",
    [{"text": "5"}, {"text": ["<", 5]}, {"text": ["a", "b"]}, {"flag": True}, {"text": ["is_null", True]}],
)
def test_a_filter_is_written_back_as_it_is_read(where: dict[str, Any]) -> None:
    (rule,) = load({"when": {"count": {"type": "err", "where": where}, **COUNT}})

    assert rule == load(json.loads(str(rule)))[0]


def test_a_key_that_an_event_has_not_keeps_it_out() -> None:
    events = event_rows(
        pl.DataFrame({"ts": [START] * 4, "ci": ["b", None, "", "a"], "type": ["x"] * 4, "n": [1, 2, 3, None]}), UTC
    )

    number, labels = events.keyed(["ci"])
    assert ([1, -1, -1, 0], ((("ci", "a"),), (("ci", "b"),))) == (number.tolist(), labels)
    number, labels = events.keyed(["n", "ci"])
    assert ([0, -1, -1, -1], ((("ci", "b"), ("n", "1")),)) == (number.tolist(), labels)


def test_any_name_of_a_field_is_a_key() -> None:
    rows = pl.DataFrame({"ts": [START] * 2, "ci": ["b", "a"], "type": ["x"] * 2, "of": ["p", "q"], "row": [1, 2]})
    rule = {"count": {"type": "x"}, "over": "5m", "by": ["of", "row", "of"], "op": ">", "value": 0}

    found = replay(rule, events=rows, start=START, end=START)

    assert ['{"of": "p", "row": "1"}', '{"of": "q", "row": "2"}'] == found["labels"].to_list()


@pytest.mark.parametrize(
    "values",
    [[True, False, None, True], pl.Series(["x", "y", None, "x"], dtype=pl.Categorical), [1, 2, None, 1], [0.5, 1.0, float("nan"), 0.5],
     [START, datetime(2027, 1, 1, tzinfo=UTC), None, START]],
)  # fmt: skip
def test_values_of_any_plain_kind_are_told_apart(values: Any) -> None:
    rows = pl.DataFrame({"ts": [START] * 4, "ci": ["a"] * 4, "type": ["x"] * 4, "v": values})
    distinct = {"distinct": {"type": "x", "field": "v"}, "op": ">", "value": 0}

    for more in ({"over": "5m"}, {"window": {"tumbling": "5m"}}):
        assert [2.0] == replay({**distinct, **more}, events=rows, start=START, end=START)["value"].to_list()


def test_values_that_are_lists_are_refused_by_name() -> None:
    rows = pl.DataFrame({"ts": [START], "ci": ["a"], "type": ["x"], "v": [[1]]})
    distinct = {"distinct": {"type": "x", "field": "v"}, "op": ">", "value": 0, "over": "5m"}

    with pytest.raises(BadRule, match=r"field, 'v': holds List\(Int64\)"):
        replay(distinct, events=rows, start=START, end=START)


def test_events_are_in_the_order_of_time_and_then_of_their_number() -> None:
    rows = pl.DataFrame({"ts": [START] * 3, "ci": ["a"] * 3, "type": ["x", "y", "z"]})

    assert ["1", "2", "3"] == event_rows(rows, UTC).seq.to_list()
    numbered = event_rows(rows.with_columns(seq=pl.Series([10, 9, 2])), UTC)
    assert (["2", "9", "10"], ["z", "y", "x"]) == (numbered.seq.to_list(), numbered.frame["type"].to_list())
