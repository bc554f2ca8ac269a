"""Random rules of ours on random data, as Prometheus' own rule manager evaluates what they are exported as.

``CIOPS_ORACLE_PAIRS=5000`` compares more pairs, ``CIOPS_ORACLE_SEED`` others.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pytest
import yaml

from ciops_nb.cep import replay
from ciops_nb.cep.prometheus import to_prometheus
from tests.cep.oracle.compare import Batch, differing, told
from tests.cep.oracle.data import Data, random_data
from tests.cep.oracle.promtool import Asked, needs_promtool
from tests.cep.oracle.rules import random_rule

pytestmark = needs_promtool

RULES, DATA = 20, 4
PAIRS = int(os.environ.get("CIOPS_ORACLE_PAIRS", "960"))
SEED = int(os.environ.get("CIOPS_ORACLE_SEED", "20260301"))


def _replayed(rules: Sequence[Any], data: Data, batch: Batch) -> pl.DataFrame:
    end = batch.start + timedelta(seconds=batch.step * (batch.ticks - 1))
    return replay(
        [*rules], metrics=data.frame(batch.start), start=batch.start, end=end, every=timedelta(seconds=batch.step)
    )


def _named(rules: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**rule, "id": f"a{number}"} for number, rule in enumerate(rules)]


def batch(number: int) -> Batch:
    random = Random(f"{SEED}-{number}")
    step, ticks = random.choice(((60, 61), (60, 61), (30, 61), (15, 81), (90, 51), (300, 25)))
    rules = _named([random_rule(random) for _ in range(RULES)])
    written = yaml.safe_load(to_prometheus(rules))["groups"][0]["rules"]
    return Batch(
        rules,
        [Asked(fields) for fields in written],
        [random_data(random, step * ticks) for _ in range(DATA)],
        datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=random.randint(0, 10**7)),
        step,
        ticks,
        _replayed,
    )


@pytest.mark.parametrize("number", range(-(-PAIRS // (RULES * DATA))))
def test_random_rules_fire_as_in_prometheus(number: int) -> None:
    asked = batch(number)

    found = differing(asked)

    assert not found, told(asked, found)
