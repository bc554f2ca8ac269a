"""Random rule files of Prometheus on random data: recording rules, and alerting rules on these and on the metrics.

``CIOPS_ORACLE_PAIRS`` and ``CIOPS_ORACLE_SEED`` are as for ours. What looks ahead of a tick is left out of the
random ones and asked on its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.errors import BadRule
from tests.cep.oracle.compare import Batch, differing, told
from tests.cep.oracle.data import Data, random_data
from tests.cep.oracle.expressions import Expression, comparison, leaf_of, vector
from tests.cep.oracle.promtool import Asked, ask, complaints, needs_promtool
from tests.cep.oracle.test_neutral import PAIRS, SEED

pytestmark = needs_promtool

RECORDS, ALERTS, DATA = 3, 12, 4


def _replayed(rules: Sequence[Any], data: Data, batch: Batch) -> pl.DataFrame:
    end = batch.start + timedelta(seconds=batch.step * (batch.ticks - 1))
    text = json.dumps({"groups": [{"name": "g", "rules": [*rules]}]}) + "\n"
    return replay(
        load(text, format="prometheus"),
        metrics=data.frame(batch.start),
        start=batch.start,
        end=end,
        every=timedelta(seconds=batch.step),
    )


def expressions(random: Random) -> tuple[list[Expression], list[Expression]]:
    """What is recorded as rec_0, rec_1, ..., and what is asked; both may ask for what was recorded."""
    recorded: list[Expression] = []
    leaves: tuple[Expression, ...] = ()
    for number in range(RECORDS):
        recorded.append(vector(random, 2, leaves))
        leaves = (*leaves, leaf_of(f"rec_{number}", recorded[-1]))
    return recorded, [vector(random, random.choice((1, 2, 2, 3, 4)), leaves) for _ in range(ALERTS)]


def _recording(recorded: list[Expression]) -> list[Asked]:
    return [Asked({"record": f"rec_{number}", "expr": str(one)}) for number, one in enumerate(recorded)]


def batch(number: int) -> Batch:
    random = Random(f"promql-{SEED}-{number}")
    step, ticks = random.choice(((60, 61), (60, 61), (30, 61), (15, 81), (300, 25)))
    data = [random_data(random, step * ticks, histograms=True) for _ in range(DATA)]
    recorded, asked = expressions(random)
    # Where the values lie is not known of what is so deeply nested: Prometheus says it, and the threshold is between them.
    shown = [*_recording(recorded), *(Asked({"record": f"shown_{n}", "expr": str(one)}) for n, one in enumerate(asked))]
    values: dict[str, set[float]] = {f"shown_{n}": set() for n in range(ALERTS)}
    for by_tick in ask(shown, data, step=step, ticks=ticks, select="shown_.+").values():
        for samples in by_tick.values():
            for labels, value in samples:
                values[labels["__name__"]].add(value)
    rules = _recording(recorded)
    for n, inner in enumerate(asked):
        expr = str(comparison(random, inner, _between(random, values[f"shown_{n}"])))
        rule: dict[str, Any] = {"alert": f"a{RECORDS + n}", "expr": expr}
        for name in ("for", "keep_firing_for"):
            if random.random() < 0.5:
                rule[name] = random.choice(("0s", "15s", "1m", "100s", "5m"))
        if random.random() < 0.3:
            rule["labels"] = {"severity": "page", "who": "{{ $labels.ci }} of {{ $labels.zone }}"}
        rules.append(Asked(rule))
    return Batch([rule.fields for rule in rules], rules, data, datetime(1970, 1, 1, tzinfo=UTC), step, ticks, _replayed)


def _between(random: Random, values: set[float]) -> float:
    """A number well apart from all *values*."""
    finite = sorted(value for value in values if math.isfinite(value))
    if len(finite) < 2:
        return 0.000371
    place = random.randrange(len(finite) - 1)
    for low, high in zip(finite[place:-1], finite[place + 1 :], strict=True):
        if high - low > 1e-6 * max(abs(low), abs(high)):
            return low + (high - low) * 0.371
    return finite[-1] + abs(finite[-1]) + 1


@pytest.mark.parametrize("number", range(2))
def test_prometheus_evaluates_all_expressions_of_the_grammar(number: int) -> None:
    random = Random(f"grammar-{SEED}-{number}")
    recorded, asked = expressions(random)
    data = random_data(random, 1800, histograms=True)

    assert [] == complaints(_recording(recorded), [str(one) for one in asked], data, step=60, ticks=31)


@pytest.mark.parametrize("number", range(max(1, PAIRS // 2 // (ALERTS * DATA))))
def test_random_rule_files_fire_as_in_prometheus(number: int) -> None:
    asked = batch(number)

    found = differing(asked)

    assert not found, told(asked, found)


@pytest.mark.parametrize("expr", ["cpu offset -95s", "sum by (ci) (cpu offset -5m)", "cpu - (cpu offset -1m)"])
def test_a_tick_does_not_see_what_has_not_happened_yet(expr: str) -> None:
    """Though it is asked for: the rule manager had evaluated the rule before the sample came."""
    random = Random(f"ahead-{SEED}")
    rules = [Asked({"alert": "a0", "expr": f"{expr} > 0.000371"})]
    data = [random_data(random, 1800) for _ in range(DATA)]
    asked = Batch([rule.fields for rule in rules], rules, data, datetime(1970, 1, 1, tzinfo=UTC), 60, 31, _replayed)

    found = differing(asked)

    assert not found, told(asked, found)


@pytest.mark.parametrize(
    "expr",
    [
        "cpu @ 1200",
        "rate(cpu[2m] offset -1m)",
        "sum_over_time(cpu[5m:1m] offset -2m)",
        "max_over_time((cpu offset -2m)[5m:1m])",
    ],
)
def test_what_looks_ahead_and_is_hard_to_say_exactly_is_refused(expr: str) -> None:
    data = pl.DataFrame({"ts": [datetime(1970, 1, 1, tzinfo=UTC)], "metric": "cpu", "ci": "a", "value": 1.0})
    (rule,) = load([{"alert": "a", "expr": expr}], format="prometheus")

    with pytest.raises(BadRule, match=r"had not come at the first tick|looks ahead"):
        replay([rule], metrics=data, start="1970-01-01T00:10Z", end="1970-01-01T01:00Z")
