"""The ``where`` language, where records and keys have to tell its questions apart."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

import ciops_nb as ciops
from ciops_nb.errors import BadFilter
from ciops_nb.tools.filters import parse_where
from ciops_nb.tools.params import told

DEMO = Path(__file__).parents[2] / "data/demo"
PAIRS: list[Any] = [("contains", "team"), (">=", 4), ("in", ["a", "b"]), ("is_null", True), ("=", None)]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0])
def test_a_pair_told_as_json_asks_the_same_again(pair: tuple[str, Any]) -> None:
    field = "criticality" if pair[0] == ">=" else "owner"
    where = {field: pair}

    again = json.loads(json.dumps(told({"where": where})))["where"]

    assert {field: {pair[0]: pair[1]}} == again
    assert parse_where(where, tz=UTC) == parse_where(again, tz=UTC)


def test_a_pair_and_a_list_of_two_are_two_questions_to_the_cache_too() -> None:
    with ciops.connect(DEMO) as ops:
        pair = ops.ci_list_preview.sync(where={"owner": ("contains", "team")})
        either = ops.ci_list_preview.sync(where={"owner": ["contains", "team"]})

    assert 50 == len(pair)
    assert 0 == len(either)


def test_a_run_with_a_pair_is_replayed_as_it_was_asked(tmp_path: Path) -> None:
    with ciops.connect(DEMO) as ops:
        run = ops.run.sync("inventory", where={"criticality": (">=", 4)})
        saved = run.save(tmp_path / "run.ciops")
        again = ciops.replay(saved)

        assert "done" == again.status
        assert {"same"} == set(ops.compare(run, again)["status"])


@pytest.mark.parametrize("asked", [{}, {">=": 1, "<": 3}, {"near": 1}])
def test_a_mapping_is_one_operator_and_its_value(asked: dict[str, Any]) -> None:
    with pytest.raises(BadFilter, match="where\\[criticality\\]"):
        parse_where({"criticality": asked}, tz=UTC)
