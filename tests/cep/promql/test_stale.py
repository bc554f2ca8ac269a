"""Series that end, and pauses: ``promtool test rules`` is given our values as what it has to find."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from ciops_nb.cep.samples import Grid, Samples
from tests.cep.promql.given import MINUTE, SECOND, evaluated, samples
from tests.cep.promql.server import needs_prometheus

SERIES = {
    'x{a="1"}': "1 2 3 stale _ _ 7 8 stale _ 11 12 _ 14 15 16 _ _ _ _ _ _ _ _ 25 26 27 28 29 30",
    'x{a="2"}': "5 _ 5 6 stale stale 6 7 7 7 8 stale 1 2 3 stale 4 _ 5 _ 6 _ 7 stale _ 1 _ _ _ 2",
    'x{a="3"}': "_ _ _ _ 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 stale _ _ _ _ _ _ _ _ _",
    'y{a="1",b="p"}': "1 1 1 1 1 stale _ _ _ _ 2 2 2 2 stale _ _ _ 3 3 3 3 3 3 3 3 3 3 3 3",
    'y{a="1",b="q"}': "_ _ _ _ _ 4 4 4 4 stale _ _ _ _ 5 5 5 stale _ _ _ _ _ _ _ _ _ _ _ _",
}
EXPRESSIONS = (
    "x", "x offset 2m", "x > 2", "timestamp(x)", "-x", "sum(x)", "count(x)", "x * 2 unless on (a) y", "x and on (a) y", "x or y",
    "max_over_time(x[3m])", "count_over_time(x[4m])", "last_over_time(x[10m])", "sum_over_time(x[3m])", "changes(x[6m])",
    "resets(x[8m])", "rate(x[5m])", "increase(x[4m])", "delta(x[4m])", "irate(x[5m])", "absent(x{a='3'})", "absent(y)",
    "absent_over_time(x{a='3'}[3m])", "present_over_time(x[2m])", "max_over_time(x[4m:1m])", "count_over_time(x[4m:1m])",
    "count_over_time((x > 3)[5m10s:30s])", "sum_over_time(x[3m:])", "x * on (a) group_left (b) y", "topk(1, x)", "x + on (a) y",
    "(x{a='1'} + 1) or vector(0)", "count_values('v', x)", "vector(1) unless on () x",
)  # fmt: skip
TICKS = range(1, 34)
HALF = 30 * SECOND
EVERY = 59  # so that no sample lies on the edge of a range or a look-back, which 2.42 takes in and we do not


def known() -> list[Samples]:
    metrics: dict[str, Any] = {}
    for name, texts in SERIES.items():
        metric, _, rest = name.partition("{")
        labels = tuple(tuple(pair.replace('"', "").split("=")) for pair in rest.rstrip("}").split(","))
        points = [
            (number * EVERY * SECOND, None if text == "stale" else float(text))
            for number, text in enumerate(texts.split())
            if text != "_"
        ]
        metrics.setdefault(metric, {})[labels] = points
    return [samples(metric, series) for metric, series in sorted(metrics.items())]


@needs_prometheus
def test_promtool_finds_our_values(tmp_path: Path) -> None:
    grid = Grid(HALF, MINUTE, TICKS.stop)
    tests = []
    for text in EXPRESSIONS:
        found = evaluated(text, known(), grid, named=True)
        for tick in TICKS:
            there = [(labels, row[tick]) for labels, row in sorted(found.items()) if tick in row]
            tests.append(
                {
                    "expr": text,
                    "eval_time": f"{tick}m30s",
                    "exp_samples": [{"labels": _spelled(labels), "value": value} for labels, value in there],
                }
            )
    rules = {
        "evaluation_interval": "1m",
        "rule_files": [],
        "tests": [
            {
                "interval": f"{EVERY}s",
                "input_series": [{"series": name, "values": values} for name, values in SERIES.items()],
                "promql_expr_test": tests,
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(rules))
    command = ["promtool", "test", "rules", tmp_path / "test.yml"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert ran.returncode == 0, (ran.stdout + ran.stderr)[:3000]


def _spelled(labels: tuple[tuple[str, str], ...]) -> str:
    name = dict(labels).get("__name__", "")
    rest = ", ".join(f'{key}="{text}"' for key, text in labels if key != "__name__")
    return f"{name}{{{rest}}}"
