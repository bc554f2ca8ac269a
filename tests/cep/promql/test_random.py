"""Expressions made up at random, against a Prometheus server."""

from __future__ import annotations

import random
from datetime import timedelta

import numpy as np
import pytest

from ciops_nb.cep.promql import compiled, parse
from ciops_nb.cep.samples import Samples
from ciops_nb.errors import BadRule
from tests.cep.promql.given import finder
from tests.cep.promql.server import GRID, Server, needs_prometheus
from tests.cep.promql.test_prometheus import ARITHMETIC, COMPARED, DATES, REDUCERS, differences, ours

METRICS = (
    "g",
    "h",
    "odd",
    "few",
    "flat",
    "neg",
    "c_total",
    "info",
    "churn",
    "only_a",
    'g{zone="north"}',
    'few{ci=~"c[2-5]"}',
)
OVER = (
    "rate", "irate", "increase", "delta", "idelta", "deriv", "changes", "resets", "avg_over_time", "min_over_time",
    "max_over_time", "sum_over_time", "count_over_time", "last_over_time", "present_over_time", "stddev_over_time",
)  # fmt: skip
PLAIN = ("abs", "ceil", "floor", "sgn", "sqrt", "sort", "timestamp", "round")
SAME_LABELS = "vector cannot contain metrics with the same labelset"


class Writer:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def vector(self, depth: int) -> str:
        one = self._random
        if depth == 0:
            moved = one.choice(["", "", "", " offset 3m", " offset -2m", " @ 1772370000", " @ end()", " @ start()"])
            return one.choice(METRICS) + moved
        kind = one.choice(
            ["window", "window", "subquery", "reduced", "reduced", "ranked", "scaled", "compared", "joined", "joined", "sets", "plain", "clamped", "labelled", "date", "absent"]
        )  # fmt: skip
        made: str = getattr(self, f"_{kind}")(depth - 1)
        return made

    def scalar(self, depth: int) -> str:
        if depth and self._random.random() < 0.2:
            return f"scalar({self.vector(depth - 1)})"
        return self._random.choice(["2.37", "50.37", "-1.13", "0.51", "time() % 977", "7"])

    def _window(self, depth: int) -> str:
        moved = self._random.choice(["", "", " offset 2m", " offset -1m", " @ 1772368000"])
        name = self._random.choice(OVER)
        return f"{name}({self._random.choice(METRICS)}[{self._random.choice(['1m', '4m', '11m'])}]{moved})"

    def _subquery(self, depth: int) -> str:
        name, step = self._random.choice(OVER), self._random.choice(["1m", "2m", "", "30s"])
        moved = self._random.choice(["", "", " offset 2m"])
        return f"{name}(({self._calm(depth)})[7m15s:{step}]{moved})"

    def _calm(self, depth: int) -> str:
        """Without a second subquery, whose points could lie on an edge, and without moments."""
        while ":" in (found := self.vector(depth)) or "@" in found:
            pass
        return found

    def _labels(self) -> str:
        names = self._random.sample(["ci", "zone", "code", "owner", "pod", "none"], self._random.randint(0, 2))
        return f"({', '.join(names)})"

    def _grouped(self) -> str:
        return self._random.choice(["", f"by {self._labels()} ", f"without {self._labels()} "])

    def _reduced(self, depth: int) -> str:
        inner = self.vector(depth)
        # Of moments 2.42 tells the deviation to a millionth only: they are large, and their differences small.
        known = REDUCERS if "timestamp" not in inner else [name for name in REDUCERS if not name.startswith("std")]
        return f"{self._random.choice(known)} {self._grouped()}({inner})"

    def _ranked(self, depth: int) -> str:
        if self._random.random() < 0.5:
            return f"quantile {self._grouped()}({self._random.choice(['0.5', '0.93', '-1'])}, {self.vector(depth)})"
        return (
            f"{self._random.choice(['topk', 'bottomk'])} {self._grouped()}({self._random.randint(1, 3)}, neg or g or h)"
        )

    def _scaled(self, depth: int) -> str:
        left, right = self.vector(depth), self.scalar(depth)
        if self._random.random() < 0.4:
            left, right = right, left
        return f"({left}) {self._random.choice(ARITHMETIC)} ({right})"

    def _compared(self, depth: int) -> str:
        left, right = self.vector(depth), self.scalar(0)
        if self._random.random() < 0.4:
            left, right = right, left
        return f"({left}) {self._random.choice(COMPARED)} {self._random.choice(['', '', 'bool '])}({right})"

    def _matching(self, *, grouped: bool) -> str:
        if self._random.random() < 0.2:
            return ""
        how = self._random.choice(
            [
                "on (ci)",
                "on (ci)",
                "on (ci, zone)",
                "on ()",
                "on (zone)",
                "ignoring (zone)",
                "ignoring (code, zone, owner)",
            ]
        )
        if grouped and self._random.random() < 0.6:
            taken = self._random.choice(["", "(owner)", "(code)", "(pod, none)"])
            how += f" {self._random.choice(['group_left', 'group_right'])} {taken}"
        return how  # fmt: skip

    def _joined(self, depth: int) -> str:
        op = self._random.choice([*ARITHMETIC[:5], ">", "<=", "!=", "> bool"])
        return f"({self.vector(depth)}) {op} {self._matching(grouped=True)} ({self.vector(depth)})"

    def _sets(self, depth: int) -> str:
        op = self._random.choice(["and", "or", "unless"])
        return f"({self.vector(depth)}) {op} {self._matching(grouped=False)} ({self.vector(depth)})"

    def _plain(self, depth: int) -> str:
        return f"{self._random.choice(PLAIN)}({self.vector(depth)})"

    def _clamped(self, depth: int) -> str:
        return f"clamp({self.vector(depth)}, {self.scalar(0)}, {self.scalar(depth)})"

    def _labelled(self, depth: int) -> str:
        if self._random.random() < 0.4:
            return f'label_join({self.vector(depth)}, "to", "-", "ci", "zone")'
        source, target = self._random.choice(["ci", "zone", "none"]), self._random.choice(["to", "ci", "owner"])
        return f'label_replace({self.vector(depth)}, "{target}", "$1", "{source}", "(.).*")'

    def _date(self, depth: int) -> str:
        return f"{self._random.choice(DATES)}(timestamp({self.vector(depth)}) * 7919)"

    def _absent(self, depth: int) -> str:
        return f"absent({self.vector(depth)})"


@needs_prometheus
@pytest.mark.parametrize("seed", range(300))
def test_expression_is_evaluated_as_prometheus_does(prometheus: Server, known: list[Samples], seed: int) -> None:
    text = Writer(seed).vector(1 + seed % 3)
    theirs, found = prometheus.answer(text), ours(text, known)

    if theirs == SAME_LABELS:  # which 2.42 says too of series that are never there together
        return
    if "atan2" in text and "__name__" in str(theirs):  # which 2.42 leaves there
        return
    if isinstance(theirs, str) or isinstance(found, str):
        assert isinstance(theirs, str) == isinstance(found, str), (text, found, theirs)
    else:
        assert [] == differences(found, theirs)[:5], text


@pytest.mark.parametrize("seed", range(0, 300, 2))
def test_what_a_value_rests_on_are_samples_up_to_its_tick(known: list[Samples], seed: int) -> None:
    text = Writer(seed).vector(1 + seed % 3)
    there = {
        (one.metric, dict(one.labels[series]).get("ci"), ts, str(value))
        for one in known
        for series, ts, value in zip(one.series.tolist(), one.ts.tolist(), one.value.tolist(), strict=True)
    }
    span = (GRID.start, GRID.start + (GRID.count - 1) * GRID.step)
    try:
        part = compiled(parse(text), finder(known), GRID, lambda metric: timedelta(minutes=5), span=span)
        series, ticks = np.nonzero(part.at(np.arange(GRID.count))[1])
    except BadRule:
        return
    some = np.arange(0, len(series), 97)
    found = part.sources(series[some], ticks[some])

    assert len(found) == len(some)
    for records, tick in zip(found, ticks[some].tolist(), strict=True):
        for record in records:
            assert (record["metric"], record["ci_code"], record["ts"], str(record["value"])) in there
            if "@" not in text and "offset -" not in text:
                assert record["ts"] <= GRID.start + tick * GRID.step
