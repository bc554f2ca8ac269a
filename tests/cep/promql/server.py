"""A Prometheus of our own for a session of tests: random series in its store, answers over its loopback port."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ciops_nb.cep.samples import Grid, Samples
from tests.cep.promql.given import MINUTE, NOON, SECOND, samples

MISSING = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
needs_prometheus = pytest.mark.skipif(
    bool(MISSING), reason=f"PROMETHEUS IS NOT HERE: {' AND '.join(MISSING).upper()} MISSING, NOTHING COMPARED"
)
GRID = Grid(NOON, MINUTE, 121)
WORDS = (
    "a", "ab", "abc", "aab", "A", "b", "a b", "a.b", "a-b", "a_b", "a1", "1", "42", "\u0664\u0662", "ä", "äb", "Ä", "x{2}", "x{,2}",
    "xx", "{", "}", "[", "]", "^", "$", "|", "(", ")", "*", "+", "?", "&&", "a&&b", "~", "-", "--", "#", "a\tb", "/", "K",
    "\u212a", "s", "\u017f", "\u00a0", "é", "日本", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", ".", "..", "Q", "E",
)  # fmt: skip


def generated(seed: int = 20260301) -> list[Samples]:
    """Metrics with gaps, NaN, Inf, resets and labels that partly meet; no sample lies on a tick."""
    rng = np.random.default_rng(seed)

    def times(every: float, *, gap: float = 0.15) -> list[int]:
        count = int(4 * 3600 / every)
        at = NOON - 3600 * SECOND + (np.arange(count) * every * SECOND).astype(np.int64)
        at += rng.integers(1, 999, count) * 1000 + 7 * SECOND
        kept = np.repeat(rng.random(count // 20 + 1) > gap, 20)[:count] & (rng.random(count) > 0.03)
        return [int(one) for one in at[kept]]

    def series(labels: dict[str, str], values: Any, every: float = 30, **more: Any) -> Any:
        at = times(every, **more)
        return tuple(sorted(labels.items())), list(zip(at, [float(one) for one in values(len(at))], strict=True))

    def walk(count: int) -> Any:
        return np.round(50 + np.cumsum(rng.normal(0, 3, count)), 3)

    def odd(count: int) -> Any:
        value = walk(count)
        value[rng.random(count) < 0.03] = np.nan
        value[rng.random(count) < 0.02] = np.inf
        value[rng.random(count) < 0.02] = -np.inf
        return value

    def counter(count: int) -> Any:
        step = rng.gamma(0.7, 40, count).round(2)
        value = np.cumsum(step)
        for reset in sorted(rng.integers(0, count, 5).tolist()):
            value[reset:] -= value[reset] - rng.integers(0, 9)
        return value

    def few(count: int) -> Any:
        return rng.integers(-2, 4, count)

    def flat(count: int) -> Any:
        return np.full(count, 0.1)

    zones = ("north", "south")
    made = [
        samples("g", dict(series({"ci": f"c{n}", "zone": zones[n % 2]}, walk) for n in range(7))),
        samples("h", dict(series({"ci": f"c{n}", "zone": zones[n % 2]}, walk, 45) for n in range(2, 9))),
        samples("odd", dict(series({"ci": f"c{n}", "zone": zones[n % 2]}, odd) for n in range(6))),
        samples(
            "c_total", dict(series({"ci": f"c{n}", "code": str(c)}, counter) for n in range(4) for c in (200, 500))
        ),
        samples("few", dict(series({"ci": f"c{n}", "zone": zones[n % 2]}, few) for n in range(8))),
        samples("flat", dict(series({"ci": f"c{n}"}, flat) for n in range(4))),
        samples("neg", dict(series({"ci": f"c{n}"}, lambda count: rng.normal(0, 1, count)) for n in range(4))),
        samples("info", dict(series({"ci": f"c{n}", "owner": f"o{n % 3}"}, lambda n: np.ones(n)) for n in range(8))),
        samples("seconds", dict(series({"ci": f"c{n}"}, lambda n: rng.integers(-4e9, 4e9, n)) for n in range(3))),
        samples("churn", dict(_churned(rng))),
        samples("only_a", {(("ci", "x"),): [(at, 1.0) for at in times(30) if at < NOON + 50 * MINUTE]}),
        samples("only_b", {(("ci", "x"),): [(at, 2.0) for at in times(30) if at > NOON + 60 * MINUTE]}),
        samples("words", {(("w", word),): [(NOON - 10 * SECOND + 123_000, float(n))] for n, word in enumerate(WORDS)}),
        samples("b_bucket", dict(_buckets(rng, times))),
    ]
    return made


def _churned(rng: Any) -> Iterator[Any]:
    """One CI, measured by one pod after the other; never by two at a tick."""
    for pod in range(6):
        begin = NOON + pod * 20 * MINUTE
        at = [begin + n * 30 * SECOND + 7_123_000 for n in range(26)]
        yield (("ci", "x"), ("pod", f"p{pod}")), [(one, float(rng.integers(0, 100))) for one in at]


def _buckets(rng: Any, times: Any) -> Iterator[Any]:
    for ci in ("c0", "c1", "c2"):
        bounds = ("0.1", "0.5", "1", "2.5", "+Inf") if ci != "c2" else ("-1", "0", "1.0", "1", "10", "odd", "+Inf")
        at = times(30, gap=0.0)
        counts = np.cumsum(rng.integers(0, 5, (len(bounds), len(at))), axis=0).astype(float)
        counts[:, rng.random(len(at)) < 0.1] = 0.0
        counts += rng.normal(0, 0.3, counts.shape) * (rng.random(counts.shape) < 0.1)
        for bound, row in zip(bounds, counts, strict=True):
            kept = np.repeat(rng.random(len(at) // 25 + 1) > 0.12, 25)[: len(at)]
            yield (
                (("ci", ci), ("le", bound)),
                [(one, float(value)) for one, value, keep in zip(at, row, kept, strict=True) if keep],
            )


def _open_metrics(known: Sequence[Samples]) -> str:
    lines = []
    for one in known:
        for series, ts, value in zip(one.series.tolist(), one.ts.tolist(), one.value.tolist(), strict=True):
            labels = ",".join(f'{name}="{text}"' for name, text in one.labels[series])
            number = "NaN" if value != value else f"{value:+}".replace("inf", "Inf") if abs(value) == np.inf else value
            lines.append(f"{one.metric}{{{labels}}} {number} {ts // 1000 / 1000:.3f}")
    return "\n".join((*lines, "# EOF", ""))


class Server:
    def __init__(self, url: str) -> None:
        self._url = url

    def answer(self, text: str, grid: Grid = GRID) -> dict[Any, dict[int, float]] | str:
        """As ``given.evaluated``, or the words of the error."""
        last = grid.start + (grid.count - 1) * grid.step
        asked = {"query": text, "start": grid.start / 1e6, "end": last / 1e6, "step": grid.step / 1e6}
        found = self._asked("query_range", asked)
        return found if isinstance(found, str) else _told(found, "values", grid)

    def ruled(self, text: str, tick: int, grid: Grid = GRID) -> dict[Any, dict[int, float]] | str:
        """As ``answer`` at one tick, evaluated alone as a rule is."""
        found = self._asked("query", {"query": text, "time": (grid.start + tick * grid.step) / 1e6})
        return found if isinstance(found, str) else _told(found, "value", grid)

    def _asked(self, path: str, asked: dict[str, Any]) -> dict[str, Any] | str:
        try:
            with urllib.request.urlopen(f"{self._url}{path}?{urllib.parse.urlencode(asked)}", timeout=60) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            with error:
                return str(json.load(error)["error"])


def _told(found: dict[str, Any], where: str, grid: Grid) -> dict[Any, dict[int, float]]:
    result = found["data"]["result"]
    if found["data"]["resultType"] == "scalar":
        result = [{"metric": {}, where: result}]
    return {
        tuple(sorted(one["metric"].items())): {
            round(at * 1e6 - grid.start) // grid.step: float(value)
            for at, value in (one[where] if where == "values" else [one[where]])
        }
        for one in result
    }


def started(folder: Path, known: Sequence[Samples]) -> Iterator[Server]:
    (folder / "input").write_text(_open_metrics(known))
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "input", folder / "data"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (folder / "config.yml").write_text("global: {evaluation_interval: 1m}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder / 'config.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(f"http://127.0.0.1:{port}/-/ready", process)
        yield Server(f"http://127.0.0.1:{port}/api/v1/")
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "prometheus ended"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("prometheus is not ready after a minute")
