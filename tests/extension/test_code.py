"""Where the cursor is, in code that is not finished."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciops_nb.extension.code import Callee, Place, Text, place_of

GET = Callee(("ops", "ci_get"))


def at(code: str) -> tuple[tuple[str, ...], int | None, str | None, str, str | None] | None:
    """What is called, which argument the cursor is in, within what, and what is typed."""
    place = place_of(code)
    if place is None:
        return None
    typed = None if place.text is None else place.text.typed
    return place.callee.names, place.position, place.keyword, place.within, typed


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('ops.ci_get("a', (("ops", "ci_get"), 0, None, "value", "a")),
        ("ops.ci_get('", (("ops", "ci_get"), 0, None, "value", "")),
        ("x = await ops.ci_get.sync('a', as_of='", (("ops", "ci_get", "sync"), 1, "as_of", "value", "")),
        ("ops.f(x(1, 2), [3, 4], 'a", (("ops", "f"), 2, None, "value", "a")),
        ("ops.f(\n    'a',  # it's here\n    ci = 'b", (("ops", "f"), 1, "ci", "value", "b")),
        ("ops.f(ci=['a', 'b", (("ops", "f"), 0, "ci", "item", "b")),
        ("ops.f(ci=('a', 'b", (("ops", "f"), 0, "ci", "item", "b")),
        ("ops.f(where={'a': [1, 2], 'b", (("ops", "f"), 0, "where", "key", "b")),
        ("ops.f(view=", (("ops", "f"), 0, "view", "value", None)),
        ("ops.f(*args, 'a", (("ops", "f"), None, None, "value", "a")),
        ("outer(ops.f('a", (("ops", "f"), 0, None, "value", "a")),
        ('ops.f("""a\nb', (("ops", "f"), 0, None, "value", "a\nb")),
        ("print('it is)\nops.f('a", (("ops", "f"), 0, None, "value", "a")),
        ("!echo it's\nops.f('a", (("ops", "f"), 0, None, "value", "a")),
        ("ops.f(a == 'b', 'c", (("ops", "f"), 1, None, "value", "c")),
    ],
)
def test_the_argument_that_is_being_typed_is_found(code: str, expected: object) -> None:
    assert expected == at(code)


@pytest.mark.parametrize(
    "code",
    [
        "", "'a", "ops.f('a')", "ops.f('a' + 'b", "ops.f(x, # 'a", "ops.f(x['a", "ops.f(g()('a", "f()('a", "xs[0].f('a",
        "(ops).f('a", "ops.f(where={'a': 'b' + 'c", "ops.f(where={'a': [1 + 'b", "ops.f(where={a: 'b", "ops.f(where={'a': ('=', 'b", "x[{'a': 'b",
        "{'a': 'b", "{'a': ['b", "ops.f(a=b", "ops.f(lambda: 'a",
        "ops.f(not 'a", "ops.f(x if 'a", "ops.f('''a''' 'b", "ops.f(xs[1:'a",
    ],
)  # fmt: skip
def test_elsewhere_there_is_no_place(code: str) -> None:
    assert place_of(code) is None


def test_a_call_of_a_call_keeps_the_name_it_was_made_with() -> None:
    assert Place(Callee(("ops", "tool"), "mine"), 0, None, None, "value", Text("", '"', "a")) == place_of(
        "ops.tool('mine')(\"a"
    )
    assert Place(Callee(("ops", "tool"), "mine", ("sync",)), 0, "ci", None, "value", Text("r", "'", "")) == place_of(
        "ops.tool('mine').sync(ci=R'"
    )
    assert place_of("ops.tool(name).sync('a") is None


def test_a_value_is_that_of_its_key() -> None:
    codes = ("ops.f(where={'x': 1, 'a': 'b", "ops.f(where={'a': ['c', 'b", "ops.f({'b", "ops.f({'a': ['b'], 'b")

    assert [("a", "value"), ("a", "item"), (None, "key"), (None, "key")] == [
        place and (place.of, place.within) for place in map(place_of, codes)
    ]


def test_the_first_argument_is_told_where_it_is_a_text() -> None:
    found = [place_of(code) for code in ("ops.run('triage', ci='a", "ops.run(name, ci='a", "ops.run(ci='a', x='b")]

    assert ["triage", None, None] == [place and place.first for place in found]


@given(st.text(alphabet="ops.f()[]{}'\"\\#=,:*rRbf \n\u202e", max_size=40))
def test_no_code_breaks_it(code: str) -> None:
    place_of(code)


# ── texts ───────────────────────────────────────────────────────────────────────────────────────────────────────────

STARTS = [(prefix, quote) for prefix in ("", "u", "r", "f", "rf") for quote in ("'", '"', "'''", '"""')]


@given(st.sampled_from(STARTS), st.text(max_size=12))
def test_what_is_written_into_a_text_is_that_text(start: tuple[str, str], value: str) -> None:
    prefix, quote = start
    written = Text(prefix, quote, "").written(value)

    if written is None:
        assert "r" in prefix
        return
    node = ast.parse(f"{prefix}{quote}{written}{quote}", mode="eval").body
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    assert value == "".join(part.value for part in parts)  # type: ignore[attr-defined]
    assert value == Text(prefix, quote, written).value
    assert "\u202e" not in written


@given(st.text(max_size=12))
def test_a_raw_text_holds_what_it_can(value: str) -> None:
    plain = all(letter.isprintable() and letter != "'" for letter in value) and not value.endswith("\\")

    assert (value if plain else None) == Text("r", "'", "").written(value)


@pytest.mark.parametrize(
    "text", [Text("b", "'", "a"), Text("f", "'", "{x"), Text("f", "'", "a}"), Text("", "'", "\\x")]
)
def test_what_cannot_be_told_yet_has_no_value(text: Text) -> None:
    assert text.value is None
