"""From a signature to fields, from what was typed to values, and back."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ciops_nb as ciops
from ciops_nb.cep import load
from ciops_nb.errors import BadParameter, BadRule, CiopsError, UnknownField
from ciops_nb.estate.times import TimeRange
from ciops_nb.kinds import Between, CiCode, CiCodes, Fields, Length, Metrics, Moment, Range, RuleText, Where
from ciops_nb.recipes.run import all_recipes
from ciops_nb.views.asked import (
    Field,
    Given,
    Times,
    arguments,
    differs,
    fields_of,
    in_words,
    is_empty,
    purpose_of,
    raw_of,
    read,
    why,
)

BERLIN = ZoneInfo("Europe/Berlin")
RECIPES = all_recipes()
BOUNDED = [
    (name, field) for name, function in RECIPES.items() for field in fields_of(function) if field.low is not None
]


async def plain(  # type: ignore[no-untyped-def]
    ops,
    ci: CiCode,
    n: int,
    x: float = 0.5,
    *rest: str,
    deep: bool = False,
    name: str = "erp",
    way: Literal["up", "down"] | None = None,
    codes: list[str] | None = None,
    some: list[Literal["a", "b"]] = [],  # noqa: B006
    at: datetime | None = None,
    day: date | str = "2026-03-02",
    lasting: timedelta = timedelta(hours=1),
    either: bool | None = None,
    share: Annotated[float, Between(0.0, 1.0)] = 0.1,
    loose=7,
    nothing=None,
    gone: NotThere = "x",  # noqa: F821
    **more: Any,
) -> None:
    """Ask for everything,
    in ``two`` lines.

    More of it.

    Args:
        ci: The code:
            of the one.
        n, x: Numbers; None is 3.

            With a paragraph.
        deep (bool): How far.
        *rest: Others.

    Returns:
        name: Not a parameter.
    """


def field_of(kind: str, **how: Any) -> Field:
    return Field("it", kind, **how)


# ── from a signature ────────────────────────────────────────────────────────────────────────────────────────────────


def test_plain_types_make_a_form_too() -> None:
    fields = {field.name: field for field in fields_of(plain)}

    assert {
        "ci": "ci", "n": "whole number", "x": "number", "deep": "flag", "name": "text", "way": "choice",
        "codes": "texts", "some": "texts", "at": "datetime", "day": "datetime", "lasting": "timedelta",
        "either": "choice", "share": "number", "loose": "whole number", "nothing": "value", "gone": "text",
    } == {name: field.kind for name, field in fields.items()}  # fmt: skip
    assert ["ci", "n"] == [name for name, field in fields.items() if field.needed]
    assert ("up", "down") == fields["way"].choices
    assert (True, False) == fields["either"].choices
    assert (0.0, 1.0) == (fields["share"].low, fields["share"].high)


def test_a_docstring_says_what_each_is() -> None:
    fields = {field.name: field.help for field in fields_of(plain)}

    assert "The code: of the one." == fields["ci"]
    assert "Numbers; None is 3. With a paragraph." == fields["n"] == fields["x"]
    assert "How far." == fields["deep"]
    assert "" == fields["name"]
    assert "Ask for everything, in two lines." == purpose_of(plain)


@pytest.mark.parametrize("name", RECIPES)
def test_every_parameter_of_a_recipe_means_something_and_is_explained(name: str) -> None:
    fields = fields_of(RECIPES[name])

    assert [] == [field.name for field in fields if field.kind in ("value", "text") or not field.help]
    assert purpose_of(RECIPES[name]).endswith("?")


def test_the_recipes_ask_for_what_they_did() -> None:
    assert {
        "ci": "ci words", "at": "moment", "window": "length", "depth": "whole number", "baseline": "length",
        "normal": "range", "history": "length",
    } == {field.name: field.kind for field in fields_of(RECIPES["triage"])}  # fmt: skip


GIVEN: dict[str, dict[str, Any]] = {
    "blast_radius": {"ci": "srv-erp-01"},
    "lookup": {"text": "erp"},
    "path": {"source": "app-erp-01", "target": "srv-erp-01"},
    "rule_review": {
        "rule": "{id: r, when: {count: {type: none}, over: 5m, op: '>', value: 1}, for: 1m}",
        "time_range": "last_1h",
    },
    "triage": {"ci": "app-erp-01", "at": "2026-03-02T10:00Z"},
    "what_changed": {"ci": "app-erp-01"},
}


@pytest.mark.parametrize(("name", "field"), BOUNDED, ids=[f"{name}-{field.name}" for name, field in BOUNDED])
def test_the_bounds_that_are_told_are_those_that_hold(ops: ciops.Ops, name: str, field: Field) -> None:
    def run(value: float) -> BaseException | None:
        return ops.run.sync(name, **{**GIVEN[name], field.name: value}).error

    assert isinstance(run(int(field.low or 0) - 1), BadParameter)
    assert run(int(field.low or 0)) is None
    if field.high is not None:
        assert run(int(field.high)) is None
        assert isinstance(run(int(field.high) + 1), BadParameter)


def test_the_numbers_of_recipes_have_bounds() -> None:
    numbers = {
        (name, field.name) for name, made in RECIPES.items() for field in fields_of(made) if "number" in field.kind
    }

    assert {(name, field.name) for name, field in BOUNDED} == numbers


@pytest.fixture(scope="module")
def ops() -> Any:
    with ciops.connect("data/demo") as made:
        yield made


# ── from what was typed to values ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("field", "raw", "value", "said"),
    [
        (field_of("text"), " erp ", "erp", ""),
        (field_of("whole number"), "+3", 3, ""),
        (field_of("number"), "1e3", 1000.0, ""),
        (field_of("length"), "2h", "2h", "2 hours"),
        (field_of("length"), "PT90M", "PT90M", "1 hour 30 minutes"),
        (field_of("timedelta"), "1d", timedelta(days=1), "1 day"),
        (field_of("moment"), "2026-03-02T10:00Z", "2026-03-02T10:00Z", ""),
        (field_of("moment"), "2026-03-02T10:00", "2026-03-02T10:00", "that is 2026-03-02T09:00:00Z"),
        (field_of("datetime"), "2026-03-02T10:00Z", datetime(2026, 3, 2, 10, tzinfo=UTC), ""),
        (field_of("range"), "all", "all", "all the time there is"),
        (
            field_of("range"), "2026-03-02", "2026-03-02",
            "2026-03-01T23:00:00Z to 2026-03-02T23:00:00Z, the end not in it",
        ),
        (field_of("range"), "last_1h", "last_1h", ""),
        (field_of("where"), '{"ci_type": "HW"}', {"ci_type": "HW"}, "ci_type = 'HW'"),
        (
            field_of("where"), "{'criticality': ('>=', 4), 'tags.role': ['db', None]}",
            {"criticality": (">=", 4), "tags.role": ["db", None]},
            "criticality >= 4; tags.role is 'db' or no value",
        ),
        (field_of("where"), '{"owner": null, "location": "a\\\\b"}', {"owner": None, "location": "a\\b"},
         "owner = no value; location = 'a\\\\b'"),
        (field_of("value"), "42", 42, "a number"),
        (field_of("value"), "'42'", "42", "a text"),
        (field_of("value"), "app-1", "app-1", "a text"),
        (field_of("value"), "[1, 2]", [1, 2], "a list"),
        (field_of("choice", choices=(1, True)), True, True, ""),
    ],
)  # fmt: skip
def test_what_is_typed_is_read(field: Field, raw: Any, value: Any, said: str) -> None:
    assert Given(value, said) == read(field, raw, Times(BERLIN))


@pytest.mark.parametrize(
    ("field", "raw", "error", "words"),
    [
        (field_of("whole number", low=1, high=6), "7", BadParameter, "7 is above 6. It may be 6 at most."),
        (field_of("whole number", low=1, high=6), "0", BadParameter, "0 is below 1. It may be 1 at least."),
        (field_of("whole number"), "2.5", BadParameter, "'2.5' is not a whole number. Write one such as 3."),
        (field_of("whole number"), "٣", BadParameter, "'٣' is not a whole number. Write one such as 3."),
        (field_of("number"), "nan", BadParameter, "'nan' is not a number. Write one such as 0.5."),
        (field_of("length"), "2 hours", BadParameter, "'2 hours' is not a length of time. Write 30s, 5m, 1h30m, 1d or PT2H."),
        (field_of("moment"), "2026-10-25T02:30", BadParameter, "happened twice in Europe/Berlin"),
        (field_of("moment"), "soon", BadParameter, "'soon' is not a time. Write it as 2026-03-02T10:00Z."),
        (field_of("range"), "yesterday", BadParameter, "'yesterday' is not a time range. Write last_24h"),
        (field_of("texts", choices=("a", "b")), ["c"], BadParameter, "'c' is not a choice. Choose of a, b."),
        (field_of("fields"), ["ci_typ"], UnknownField, "There is no field 'ci_typ'. Did you mean 'ci_type'"),
        (field_of("where"), "{'ci_typ': 1}", UnknownField, "There is no field 'ci_typ'. Did you mean 'ci_type'"),
        (field_of("where"), "{'owner': ('like', 'x')}", BadParameter, "there is no operator 'like'"),
        (field_of("where"), "__import__('os')", BadParameter, "is not a mapping"),
        (field_of("where"), "{" * 5000, BadParameter, "is not a mapping"),
        (field_of("rule"), "when:\n  metric: cpu\n  op: '>'\n  vaule: 3", BadRule, "line 4, rule 1, when.vaule: there is no"),
        (field_of("choice", choices=(1, 2)), True, BadParameter, "True is not a choice. Choose one of 1, 2."),
        (field_of("text"), "\ud800", BadParameter, "is not text that UTF-8 can write"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told(field: Field, raw: Any, error: type[CiopsError], words: str) -> None:
    with pytest.raises(error) as caught:
        read(field, raw, Times(BERLIN))

    assert words in why(field, caught.value)


def test_what_a_rule_reads_is_told() -> None:
    two = "- when: {metric: cpu, op: '>', value: 1}\n- {when: {count: {type: down}, over: 5m, op: '>', value: 1}}"

    assert "2 rules; reads cpu, events" == read(field_of("rule"), two).said


def test_a_time_that_the_estate_does_not_have_is_told_and_not_refused() -> None:
    times = Times(UTC, None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    told = "the estate has data from 2026-01-01T00:00:00Z to 2026-03-01T00:00:00Z only"

    assert told == read(field_of("moment"), "2026-03-02T10:00Z", times).said
    assert read(field_of("range"), "2026-03-02/2026-03-03", times).said.endswith(told)
    assert told not in read(field_of("range"), "2026-02-02/2026-03-03", times).said


def test_a_length_is_told_in_words() -> None:
    assert "1 hour 30 minutes" == in_words(timedelta(minutes=90))
    assert "1,000 days 1 second 5 milliseconds" == in_words(timedelta(days=1000, seconds=1, milliseconds=5))


@pytest.mark.parametrize("raw", [None, "", "  ", []])
def test_what_is_empty(raw: Any) -> None:
    assert is_empty(raw)


@pytest.mark.parametrize("raw", [False, 0, "0", ["a"]])
def test_what_is_not_empty(raw: Any) -> None:
    assert not is_empty(raw)


# ── and back ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "value", "raw"),
    [
        ("moment", datetime(2026, 3, 2, 10, tzinfo=BERLIN), "2026-03-02T09:00:00Z"),
        ("moment", datetime(2026, 3, 2, 10), "2026-03-02T10:00:00"),
        ("moment", date(2026, 3, 2), "2026-03-02"),
        ("length", timedelta(minutes=90), "1h30m"),
        ("range", (datetime(2026, 3, 2, tzinfo=UTC), "2026-03-03Z"), "2026-03-02T00:00:00Z/2026-03-03Z"),
        ("range", TimeRange(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)),
         "2026-03-02T00:00:00Z/2026-03-03T00:00:00Z"),
        ("cis", "a", ["a"]),
        ("where", {"criticality": (">=", 4), "owner": {"b", "a"}}, "{'criticality': ('>=', 4), 'owner': ['a', 'b']}"),
        ("whole number", 3, "3"),
        ("value", "42", "'42'"),
        ("value", "app-1", "app-1"),
        ("value", (1, None), "(1, None)"),
    ],
)  # fmt: skip
def test_a_value_is_put_as_one_would_type_it(kind: str, value: Any, raw: Any) -> None:
    assert raw == raw_of(field_of(kind), value)


def test_a_rule_is_put_as_text_that_is_read_back() -> None:
    rules = load("- {id: a, when: {metric: cpu, op: '>', value: 1}}\n- {id: b, when: {metric: mem, op: '>', value: 2}}")

    assert rules == load(raw_of(field_of("rule"), rules))
    assert rules[:1] == load(raw_of(field_of("rule"), rules[0].plain()))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("range", TimeRange(datetime(2026, 3, 2, tzinfo=UTC), None)), ("value", object()), ("text", 3),
        ("choice", "x"), ("texts", [1]), ("rule", 7), ("rule", ["a", {}]),
    ],
)  # fmt: skip
def test_what_a_form_cannot_show_is_refused(kind: str, value: Any) -> None:
    with pytest.raises(BadParameter):
        raw_of(field_of(kind), value)


def test_a_default_is_left_empty() -> None:
    for function in RECIPES.values():
        for field in fields_of(function):
            if not field.needed:
                assert is_empty(raw_of(field, field.default))


def test_a_value_differs_by_kind_too() -> None:
    assert differs(field_of("value", needed=False, default=1), True)
    assert not differs(field_of("texts", needed=False, default=("a",)), ["a"])
    assert not differs(field_of("length", needed=False, default="2h"), "2h")


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.from_regex(r"[a-z0-9_]{1,5}", fullmatch=True), _PLAIN, max_size=3))
def test_the_arguments_are_python_that_says_the_same(params: dict[str, Any]) -> None:
    call = ast.parse(f"f({arguments({f'a_{name}': value for name, value in params.items()})})", mode="eval").body

    assert isinstance(call, ast.Call)
    assert {f"a_{name}": value for name, value in params.items()} == {
        str(word.arg): ast.literal_eval(word.value) for word in call.keywords
    }


@given(_PLAIN)
def test_any_plain_value_survives_a_field(value: Any) -> None:
    field = field_of("value")
    raw = raw_of(field, value)
    if not is_empty(raw) and raw == raw.strip():
        assert value == read(field, raw).value


def typed(
    ops: Any, cis: CiCodes, some: Fields, metrics: Metrics, at: Moment, window: Length, span: Range, rule: RuleText,
    where: Where | None = None,
) -> None:  # fmt: skip
    """Ask."""


def test_the_names_for_kinds_are_read_alone_and_with_none() -> None:
    kinds = ["cis", "fields", "metrics", "moment", "length", "range", "rule", "where"]

    assert kinds == [field.kind for field in fields_of(typed)]
