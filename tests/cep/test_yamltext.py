"""YAML text to values and lines; what is refused of it is tested with the rules that are made of it."""

from __future__ import annotations

import pytest

from ciops_nb.cep.yamltext import Lines, parsed

TEXT = """# a remark
groups:
  - name: a
    rules:
      - alert: x
        for: 0x10

      - {alert: y, labels: {on: yes, "n": 1.0, none: , quoted: ''}}
  - name: b
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 2),
        (("groups",), 2),
        (("groups", 0), 3),
        (("groups", 0, "rules", 0, "for"), 6),
        (("groups", 0, "rules", 1, "labels", "on"), 8),
        (("groups", 1, "name"), 9),
        (("groups", 1, "rules", 5), 9),
        (("groups", 7), 2),
        (("nothing", "of", 3), 2),
    ],
)
def test_the_line_of_a_path_is_that_of_its_last_part_that_is_there(path: tuple[str | int, ...], line: int) -> None:
    assert line == parsed(TEXT)[1].of(*path)


def test_values_that_were_no_text_have_no_line() -> None:
    assert Lines().of("groups", 0) is None


def test_what_is_merged_in_has_the_line_where_it_is_written() -> None:
    lines = parsed("base: &base\n  for: 1m\n  alert: b\none:\n  <<: *base\n  alert: a\n")[1]

    assert [2, 6] == [lines.of("one", name) for name in ("for", "alert")]


def test_scalars_may_be_left_as_they_were_written() -> None:
    value, _ = parsed(TEXT, texts=True)
    first, second = value["groups"][0]["rules"]

    assert "0x10" == first["for"]
    assert {"on": "yes", "n": "1.0", "none": None, "quoted": ""} == second["labels"]


def test_aliases_and_merges_are_read_in_texts_too() -> None:
    value, _ = parsed("a: &a {x: 1}\nb: {<<: *a, y: 2}\n", texts=True)

    assert {"a": {"x": "1"}, "b": {"x": "1", "y": "2"}} == value
