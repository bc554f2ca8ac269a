"""Rules, measured: a replay and a sweep of a million samples (part of ``make bench``), and what takes longer.

``python -m tests.bench.rules`` also replays 100 million samples from a file, in a process of its own whose memory is
told, and asks a Prometheus for the same values, where one is installed: back-filled, then by range queries. Prometheus
gives values at ticks, and no alerts with their states and evidence.
"""

from __future__ import annotations

import json
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ciops_nb.cep import replay
from ciops_nb.cep.sweep import INCIDENTS, sweep

BENCH = Path(".bench")
BIG = BENCH / "samples-100m.parquet"
START = datetime(2026, 3, 2, tzinfo=UTC)
CIS, SAMPLES, TICKS = 50, 20_160, 10_080  # a week: a sample each half minute, a tick each minute
END = START + timedelta(minutes=TICKS - 1)
THRESHOLD = {"id": "high", "when": {"metric": "cpu", "op": ">", "value": 80}, "for": "5m"}
AVERAGE = {"id": "high", "when": {"metric": "cpu", "agg": "avg", "over": "5m", "op": ">", "value": 75}, "for": "5m"}
SEQUENCE = {"sequence": {"steps": [{"type": "deploy"}, {"type": "error"}], "within": "5m", "by": "ci"}}
TURNS = 7


def samples() -> pl.DataFrame:
    """A million samples of 50 CIs: each its own level that drifts, and noise."""
    draw = np.random.default_rng(1)
    drift = np.cumsum(draw.normal(0, 0.3, (CIS, SAMPLES)), axis=1)
    value = np.clip(50 + drift + draw.normal(0, 5, (CIS, SAMPLES)), 0, 100)
    return pl.DataFrame(
        {
            "ts": pl.Series(np.tile(np.arange(SAMPLES) * 30_000_000, CIS)).cast(pl.Duration("us")) + START,
            "ci": np.repeat([f"srv-{number:03d}" for number in range(CIS)], SAMPLES),
            "value": value.ravel(),
        }
    ).with_columns(metric=pl.lit("cpu"))


def occurrences() -> pl.DataFrame:
    """A million events of 1,000 CIs in a week, of five types."""
    draw = np.random.default_rng(2)
    week = int(timedelta(weeks=1) / timedelta(microseconds=1))
    return pl.DataFrame(
        {
            "ts": pl.Series(np.sort(draw.integers(0, week, 1_000_000))).cast(pl.Duration("us")) + START,
            "seq": np.arange(1_000_000),
            "ci": np.array([f"srv-{number:03d}" for number in range(1000)])[draw.integers(0, 1000, 1_000_000)],
            "type": np.array(["deploy", "error", "ok", "login", "backup"])[draw.integers(0, 5, 1_000_000)],
        }
    )


def best(ask: Callable[[], Any], turns: int = TURNS) -> float:
    """Milliseconds of the best of some turns: on a busy machine the others measure its other work."""
    took = []
    for _ in range(turns):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1e3)
    return min(took)


def lines() -> list[str]:
    """Rows for the table of ``make bench``."""
    metrics = samples()
    incidents = pl.DataFrame(
        [(f"i{n}", f"srv-{n:03d}", START + timedelta(hours=3 * n), START + timedelta(hours=3 * n + 1)) for n in range(CIS)],
        schema=INCIDENTS,
        orient="row",
    )  # fmt: skip
    given: dict[str, Any] = {"metrics": metrics, "start": START, "end": END}
    grid = {"values": np.linspace(50, 95, 30).tolist(), "holds": [f"{n}m" for n in range(1, 31)]}
    events = occurrences()
    asked = [
        ("replay, a threshold, 1.0 M samples", 100, lambda: replay(THRESHOLD, **given), TURNS),
        ("replay, the average of 5 minutes, 1.0 M samples", 150, lambda: replay(AVERAGE, **given), TURNS),
        (
            "replay, a sequence of two, 1.0 M events",
            1000,
            lambda: replay(SEQUENCE, events=events, start=START, end=END),
            3,
        ),
        (
            "sweep, 30 thresholds x 30 durations, 1.0 M samples",
            5000,
            lambda: sweep(THRESHOLD, incidents=incidents, **grid, **given),
            3,
        ),
    ]
    rows = []
    for name, goal, ask, turns in asked:
        took = best(ask, turns)
        rows.append(f"| {name} | {took:.0f} | | | {goal} ms | {'yes' if took <= goal else 'no'} |")
    return rows


# ── 100 million samples ─────────────────────────────────────────────────────────────────────────────────────────────


def make_big() -> None:
    """1,000 CIs with 100,000 samples each, a minute apart, written CI by CI."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count, draw = 100_000, np.random.default_rng(1)
    moments = int(START.timestamp() * 1e6) + np.arange(count) * 60_000_000
    kinds = {"ts": pa.timestamp("us", "UTC"), "metric": pa.string(), "ci": pa.string(), "value": pa.float64()}
    with pq.ParquetWriter(BIG, pa.schema(list(kinds.items())), compression="zstd") as writer:
        for number in range(1000):
            value = 50 + np.cumsum(draw.normal(0, 0.5, count)) % 40 + draw.normal(0, 3, count)
            columns = [moments, ["cpu"] * count, [f"srv-{number:04d}"] * count, np.round(np.clip(value, 0, 100), 1)]
            arrays = [pa.array(column, type=kind) for column, kind in zip(columns, kinds.values(), strict=True)]
            writer.write_table(pa.table(arrays, schema=pa.schema(list(kinds.items()))))


def replay_big(which: str) -> None:
    """In a process of its own: seconds, alerts, and the most memory it ever held."""
    rule = {"threshold": THRESHOLD, "average": AVERAGE}[which]
    rule = {**rule, "when": {**rule["when"], "value": 95}}  # type: ignore[dict-item]
    began = time.perf_counter()
    found = replay(rule, metrics=pl.scan_parquet(BIG), start=START, end=START + timedelta(minutes=99_999))
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"| replay, {which}, 100 M samples | {time.perf_counter() - began:.0f} s | {held:.1f} GiB | {found.height:,} |"
    )


# ── Prometheus ──────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def prometheus(metrics: pl.DataFrame) -> Iterator[str]:
    """A Prometheus that has *metrics*: its address, as long as it is used."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        line = pl.concat_str(pl.lit('cpu{ci="'), "ci", pl.lit('"} '), "value", pl.lit(" "), pl.col("ts").dt.epoch("s"))
        text = metrics.select(line)
        body = "\n".join(["# TYPE cpu gauge", *text.to_series().to_list(), "# EOF", ""])
        (folder / "cpu.txt").write_text(body, encoding="utf-8")
        (folder / "prometheus.yml").write_text("global: {}\n", encoding="utf-8")
        fill = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "cpu.txt"), str(folder / "data")]
        subprocess.run(fill, check=True, capture_output=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        server = subprocess.Popen(
            [
                "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
                "--storage.tsdb.retention.time=100y", f"--web.listen-address={address}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                try:
                    urllib.request.urlopen(f"http://{address}/-/ready", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield f"http://{address}"
        finally:
            server.terminate()
            server.wait()


def beside_prometheus() -> Iterator[str]:
    metrics = samples()
    given: dict[str, Any] = {"metrics": metrics, "start": START, "end": END}
    with prometheus(metrics) as address:
        for rule, query in ((THRESHOLD, "cpu > 80"), (AVERAGE, "avg_over_time(cpu[5m]) > 75")):
            asked = urllib.parse.urlencode(
                {"query": query, "start": START.timestamp(), "end": END.timestamp(), "step": 60}
            )

            def ask(asked: str = asked) -> int:
                with urllib.request.urlopen(f"{address}/api/v1/query_range?{asked}", timeout=300) as answer:
                    found = json.load(answer)["data"]["result"]
                return sum(len(series["values"]) for series in found)

            ours, theirs = best(lambda rule=rule: replay(rule, **given)), best(ask)
            held = replay(rule, **given)["n"].sum()
            yield f"| {query} | {ours:.0f} ms | {theirs:.0f} ms | {held:,} and {ask():,} values |"


def main() -> None:
    if sys.argv[1:]:
        return replay_big(sys.argv[1])
    print("\n".join(lines()), flush=True)
    if shutil.which("prometheus") and shutil.which("promtool"):
        print("\n".join(beside_prometheus()), flush=True)
    if not BIG.exists():
        BENCH.mkdir(exist_ok=True)
        make_big()
    for which in ("threshold", "average"):
        subprocess.run([sys.executable, "-m", "tests.bench.rules", which], check=True)
    return None


if __name__ == "__main__":
    main()
