"""From text to tree: what is read, and what is refused with which words and at which place."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ciops_nb.cep.promql import Matcher, names, parse
from ciops_nb.cep.promql.tree import Aggregate, Binary, Call, Matching, Negated, Number, Range, Selector, Subquery
from ciops_nb.errors import BadRule

SECOND = 1_000_000
UP = (Matcher("__name__", "=", "up"),)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("up", Selector(UP)),
        ("up offset -1m30s", Selector(UP, -90 * SECOND)),
        ("up @ 10.5 offset 1s", Selector(UP, SECOND, 10_500_000)),
        ("up @ end()", Selector(UP, 0, "end")),
        ("-2 ^ 2", Negated(Binary("^", Number(2.0), Number(2.0)))),
        ('{a!~"b.*", __name__=~"c|d"}', Selector((Matcher("a", "!~", "b.*"), Matcher("__name__", "=~", "c|d")))),
        ("sum(up) without (a, b)", Aggregate("sum", Selector(UP), None, ("a", "b"), without=True)),
        ("topk by (a) (2, up)", Aggregate("topk", Selector(UP), Number(2.0), ("a",))),
        ("rate(up[5m] offset 1m)", Call("rate", (Range(Selector(UP, 60 * SECOND), 300 * SECOND),))),
        (
            "avg_over_time(up[1h:] @ start())",
            Call("avg_over_time", (Subquery(Selector(UP), 3600 * SECOND, None, 0, "start"),)),
        ),
        (
            "up > bool on (a) group_right (b) up",
            Binary(">", Selector(UP), Selector(UP), Matching(True, ("a",), "right", ("b",)), as_bool=True),
        ),
        ("up and ignoring (a) up", Binary("and", Selector(UP), Selector(UP), Matching(False, ("a",)))),
    ],
)
def test_tree(text: str, tree: object) -> None:
    assert tree == parse(text).root


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", "", "no expression"),
        ("up[5m]", "", "range of samples"),
        ('"a"', "", "a text"),
        ("{}", "", "at least one non-empty matcher"),
        ('{a=~".*"}', "", "at least one non-empty matcher"),
        ("sum(up) +\n  ratee(up[5m])", "line 2, column 3", "'ratee' is not evaluated here. Did you mean 'rate'"),
        ("holt_winters(up[5m], 0.1, 0.2)", "line 1, column 1", "'holt_winters' is not evaluated here"),
        ("double_exponential_smoothing(up[5m], 0.1, 0.2)", "line 1, column 1", "is not evaluated here"),
        ("1 + histogram_count(up)", "line 1, column 5", "'histogram_count' is not evaluated here"),
        ("limitk(1, up)", "line 1, column 1", "'limitk' is not evaluated here"),
        ('sort_by_label(up, "a")', "line 1, column 1", "is not evaluated here"),
        ("mad_over_time(up[5m])", "line 1, column 1", "is not evaluated here"),
        ("info(up)", "line 1, column 1", "is not evaluated here"),
        ("up + fill(0) up", "line 1, column 6", "'fill' is not evaluated here"),
        ('up{a="1" or b="2"}', "line 1, column 10", "'or' between matchers"),
        ("sum((up)", "line 1, column 4", "unclosed left parenthesis"),
        ("up{a=1}", "line 1, column 6", "unexpected character"),
        ("rate(up)", "line 1, column 1", "expected type matrix"),
        ("sum(up[5m])", "", "expected type vector"),
        ("abs(1)", "line 1, column 1", "expected type vector"),
        ("round(up, 1, 2)", "line 1, column 1", "at most 2"),
        ("topk(up)", "", "wrong number of arguments"),
        ("topk(up, up)", "", "expected type scalar"),
        ('count_values("a b", up)', "", "name of a label"),
        ("1 == 2", "", "must use BOOL"),
        ("up + bool up", "", "bool modifier"),
        ("1 and up", "line 1, column 3", "set operator 'and'"),
        ("up and on (a) group_left up", "line 1, column 4", "no grouping allowed"),
        ("up + on (a) group_left (a) up", "", "ON and GROUP"),
        ("up + on (a) 1", "", "only allowed between vectors"),
        ('"a" == "b"', "", "scalar and instant vector"),
        ("up[0s]", "", "greater than 0"),
        ("up @ -1", "line 1, column 6", "before 1970"),
        ("up @ 1e20", "line 1, column 6", "too large"),
        ("max_over_time(up[1e400])", "line 1, column 18", "too large"),
        ("up offset 5000y", "", "too long"),
        ('{a=~"(?=x)"}', "", "the pattern '(?=x)' cannot be used"),
        ('up{a=~"x**"}', "", "the pattern 'x**' cannot be used: repetition of a repetition"),
        ('label_replace(up, "a", "", "b", "(")', "", "the pattern '(' cannot be used"),
        ('label_replace(up, "a b", "", "b", "")', "", "not the name of a label"),
        ("(" * 101 + "up" + ")" * 101, "", "nests more than 100 levels"),
        ("-" * 100_000, "", "more than 500 operators"),
        ("x" * 100_001, "", "longer than 100,000"),
    ],
)
def test_refused(text: str, place: str, problem: str) -> None:
    with pytest.raises(BadRule) as error:
        parse(text, "rule 'r', promql")

    assert error.value.where.startswith("rule 'r', promql")
    assert place in error.value.where
    assert problem in str(error.value)


@pytest.mark.parametrize("text", [None, 5, b"up"])
def test_only_text_is_read(text: object) -> None:
    with pytest.raises(BadRule):
        parse(text)  # type: ignore[arg-type]


def test_names() -> None:
    assert {"a", "b", "c"} == names(
        parse('a + on (x) sum by (x) (rate(b[5m])) or max_over_time({__name__="c"}[5m:1m])')
    )
    assert names(parse('a + on (x) {__name__=~"b|c"}')) is None
    assert set() == names(parse("vector(1)"))


WORDS = (
    *"()[]{},=+-*/%^<>@:#\"'` ", "=~", "!~", "==", "!=", ">=", "up", "cpu", "a", "by", "on", "bool", "offset", "5m", "[5m]",
    "[5m:1m]", "[5m:]", "group_left", "ignoring", "without", "sum", "topk", "rate", "and", "or", "unless", "start()", "end()",
    "1", "2.5", "1e9", "1e400", "0x", "inf", "NaN", "label_replace", "absent", "fill", "ü", "\n", "\\", "{a=~\"", "\ud800", "\0",
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join)))
@example("up[1e400]")
@example("up offset NaN")
@example("up @ -inf")
@example("up @ + -5")
@example('{a=~"\\Q["}')
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadRule):
        parse(text)


def test_the_library_is_loaded_when_it_is_needed() -> None:
    code = "import sys, ciops_nb, ciops_nb.cep.promql; print('promql_parser' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "False" == found.stdout.strip()
