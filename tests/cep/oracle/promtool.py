"""Many rules on many data in one call of promtool, and the alerts that Prometheus saw.

Prometheus writes the state of its alerts as the series ALERTS, and each rule stands there a second time as a recording
rule, which tells its values. At every tick an expression asks for all of them and expects what is never there:
promtool complains of each, and says what it got.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cep.oracle.data import Data

__all__ = ["Alert", "Asked", "Got", "accepted", "alerts", "ask", "complaints", "needs_promtool"]

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="PROMTOOL IS NOT HERE, NOTHING COMPARED WITH PROMETHEUS: install the package prometheus",
)

Labels = tuple[tuple[str, str], ...]
Got = dict[int, dict[int, list[tuple[dict[str, str], float]]]]
"""By number of the data, by tick: the samples."""

_EXPECTED = re.compile(r'\s+exp: \{__name__="never", data="(\d+)", tick="(\d+)"\} 0E\+00')
_SAMPLE = re.compile(r'\{((?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*"(?:, )?)*)\} (\S+?)(?:, (?=\{)|$)')
_LABEL = re.compile(r'([a-zA-Z_]\w*)=("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True)
class Asked:
    """One rule as Prometheus reads it: the fields of an alerting rule (or a recording rule)."""

    fields: dict[str, Any]

    def twice(self) -> Iterator[dict[str, Any]]:
        yield self.fields
        if "alert" in self.fields:
            # The labels of a recording rule are no templates: they stay as they are written.
            labels = self.fields.get("labels", {})
            yield {"record": f"value_{self.fields['alert']}", "expr": self.fields["expr"], "labels": labels}


@dataclass(frozen=True)
class Alert:
    """What ``replay`` says of an alert, by number of the tick (None: not)."""

    rule: str
    labels: Labels
    active: int
    fired: int | None
    ended: int | None
    value: float | None
    n: int


def ask(rules: Sequence[Asked], data: Sequence[Data], *, step: int, ticks: int, select: str = "ALERTS|value_.+") -> Got:
    """What there is at each tick of the series that *select* names, for all of *data*."""
    written = [made for rule in rules for made in rule.twice()]
    expected = [
        [
            {
                "expr": f'{{__name__=~"{select}"}}',
                "eval_time": f"{tick * step}s",
                "exp_samples": [{"labels": f'never{{data="{number}", tick="{tick}"}}', "value": 0}],
            }
            for tick in range(ticks)
        ]
        for number in range(len(data))
    ]
    return _read(_told(written, data, expected, step), len(data), ticks)


def complaints(rules: Sequence[Asked], expressions: Sequence[str], data: Data, *, step: int, ticks: int) -> list[str]:
    """What Prometheus cannot evaluate of *expressions*, in its words."""
    expected = [{"expr": expr, "eval_time": f"{tick * step}s"} for expr in expressions for tick in range(0, ticks, 5)]
    told = _told([rule.fields for rule in rules], [data], [expected], step)
    return [line for line in told.splitlines() if "err:" in line]


def accepted(text: str, folder: Path) -> bool:
    """Whether ``promtool check rules`` takes *text*."""
    (folder / "rules.yml").write_text(text)
    asked = ["promtool", "check", "rules", "--lint=none", "rules.yml"]
    return subprocess.run(asked, cwd=folder, capture_output=True).returncode == 0


def _told(rules: list[dict[str, Any]], data: Sequence[Data], expected: Sequence[Any], step: int) -> str:
    """All that promtool says of the expressions that are *expected* of each of *data*."""
    tests = [
        {
            "interval": "1s",
            "input_series": [{"series": one.name(), "values": one.notation()} for one in each.series],
            "promql_expr_test": some,
        }
        for each, some in zip(data, expected, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder) / "rules.yml", {"groups": [{"name": "g", "interval": f"{step}s", "rules": rules}]})
        _write(
            Path(folder) / "tests.yml",
            {"rule_files": ["rules.yml"], "evaluation_interval": f"{step}s", "tests": tests},
        )
        done = subprocess.run(
            ["promtool", "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True, timeout=300
        )
    return done.stdout + done.stderr


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))  # JSON is YAML, and written many times as fast


def _read(text: str, data: int, ticks: int) -> Got:
    found: Got = {number: {} for number in range(data)}
    at: tuple[int, int] | None = None
    for line in text.splitlines():
        if expected := _EXPECTED.fullmatch(line):
            at = int(expected[1]), int(expected[2])
        elif at is not None and (place := line.find("got: ")) >= 0:
            found[at[0]][at[1]] = _samples(line[place + 5 :])
            at = None
    missing = [(number, tick) for number in found for tick in range(ticks) if tick not in found[number]]
    assert not missing, f"promtool said nothing of {missing[:5]}, but:\n{text[:3000]}"
    return found


def _samples(text: str) -> list[tuple[dict[str, str], float]]:
    if text == "nil":
        return []
    found, end = [], 0
    for sample in _SAMPLE.finditer(text):
        assert sample.start() == end, text
        found.append(({name: json.loads(value) for name, value in _LABEL.findall(sample[1])}, float(sample[2])))
        end = sample.end()
    assert end == len(text), text
    return found


def alerts(rules: Sequence[Asked], got: dict[int, list[tuple[dict[str, str], float]]], ticks: int) -> list[Alert]:
    """The alerts of all *rules* on one of the data."""
    own = {rule.fields["alert"]: rule.fields.get("labels", {}) for rule in rules if "alert" in rule.fields}
    states: dict[tuple[str, Labels], dict[int, str]] = {}
    values: dict[tuple[str, Labels], dict[int, float]] = {}
    for tick, samples in got.items():
        for sample, value in samples:
            name = sample.pop("__name__")
            if name == "ALERTS":
                rule, state = sample.pop("alertname"), sample.pop("alertstate")
                states.setdefault((rule, tuple(sorted(sample.items()))), {})[tick] = state
            else:
                key = name.removeprefix("value_"), tuple(sorted(sample.items()))
                values.setdefault(key, {})[tick] = value
    found = []
    for (rule, labels), by_tick in states.items():
        written = {name: text for name, text in {**dict(labels), **own[rule]}.items() if text}
        held = values.get((rule, tuple(sorted(written.items()))), {})
        for run in _runs(sorted(by_tick)):
            fired = next((tick for tick in run if by_tick[tick] == "firing"), None)
            found.append(
                Alert(
                    rule,
                    labels,
                    active=run[0],
                    fired=fired,
                    ended=None if run[-1] == ticks - 1 else run[-1] + 1,
                    value=None if fired is None else held[fired],
                    n=sum(tick in held for tick in run),
                )
            )
    return found


def _runs(ticks: list[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for tick in ticks:
        if run and tick != run[-1] + 1:
            yield run
            run = []
        run.append(tick)
    if run:
        yield run
