"""A rule's numbers are changed in their places, and nothing else of the text."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ciops_nb.cep import load
from ciops_nb.cep.editing import as_text, number, turned_text
from ciops_nb.errors import BadRule

TEN = timedelta(minutes=10)
CASES = [
    (
        "# paging\nid: slow   # since 2024\nwhen:\n  metric: cpu\n  op: '>'\n  value: 80.0 # percent\nfor: 5m  # short\n",
        "# paging\nid: slow   # since 2024\nwhen:\n  metric: cpu\n  op: '>'\n  value: 72.5 # percent\nfor: 10m  # short\n",
    ),
    (
        "{when: {metric: cpu, op: '>', value: 80}, for: 5m}",
        "{when: {metric: cpu, op: '>', value: 72.5}, for: 10m}",
    ),
    ("{metric: cpu, op: '>', value: 80}", "{for: 10m, metric: cpu, op: '>', value: 72.5}"),
    ("metric: cpu\nop: '>'\nvalue: 80\n", "for: 10m\nmetric: cpu\nop: '>'\nvalue: 72.5\n"),
    (
        "when:\n  all:\n    - not: {metric: a, op: '>', value: 1}\n    - {metric: cpu, op: '>', value: 80}\n",
        "for: 10m\nwhen:\n  all:\n    - not: {metric: a, op: '>', value: 1}\n    - {metric: cpu, op: '>', value: 72.5}\n",
    ),
    (
        "when:\n  ratio: [{metric: a}, {metric: b}]\n  op: '>'\n  value: 0.5\nfor: 0s\n",
        "when:\n  ratio: [{metric: a}, {metric: b}]\n  op: '>'\n  value: 72.5\nfor: 10m\n",
    ),
]


@pytest.mark.parametrize(("before", "after"), CASES)
def test_only_the_numbers_change(before: str, after: str) -> None:
    assert after == turned_text(before, 0, value=72.5, hold=TEN)


def test_one_rule_of_a_list_is_changed() -> None:
    text = (
        "- id: one\n  when: {metric: cpu, op: '>', value: 80}\n- id: two\n  when: {metric: cpu, op: '>', value: 80}\n"
    )

    assert (
        "- id: one\n  when: {metric: cpu, op: '>', value: 80}\n"
        "- id: two\n  for: 10m\n  when: {metric: cpu, op: '>', value: 90}\n"
    ) == turned_text(text, 1, value=90.0, hold=TEN)


def test_the_same_numbers_leave_the_text_as_it_is() -> None:
    text = "{when: {metric: cpu, op: '>', value: 80}, for: 10m}"

    assert text == turned_text(text, 0, value=80.0, hold=TEN)


def test_numbers_that_are_shared_are_left_alone_and_it_is_said() -> None:
    text = "- &a\n  id: one\n  when: &w {metric: cpu, op: '>', value: 80}\n- id: two\n  when: *w\n"

    with pytest.raises(BadRule, match="other places of the text read too"):
        turned_text(text, 0, value=90.0, hold=timedelta(0))


@pytest.mark.parametrize(
    ("value", "text"), [(80.0, "80"), (0.1, "0.1"), (1e-7, "0.0000001"), (1e20, "1" + "0" * 20), (-3.25, "-3.25")]
)
def test_a_number_is_read_back_as_it_was(value: float, text: str) -> None:
    turned = turned_text("{metric: cpu, op: '>', value: 80}", 0, value=value, hold=timedelta(0))

    assert text == number(value)
    assert value == load(turned)[0].when.value  # type: ignore[union-attr]


def test_a_rule_of_any_kind_has_a_text() -> None:
    given = {"id": "x", "when": {"metric": "cpu", "op": ">", "value": 80}, "for": "90s"}

    assert load(given) == load(as_text(given)) == load(as_text(load(given)[0]))
    assert "a text" == as_text("a text")
