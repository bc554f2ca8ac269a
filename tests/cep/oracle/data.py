"""Random series: gauges, flags and counters with gaps, ends, late starts, resets, NaN and Inf, and pods that are replaced.

Samples are at seconds that no multiple of five is, and every window, step and offset of the rules is such a multiple:
whether a window holds its edge makes no difference here, and Prometheus 2 and 3 mean the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import polars as pl

__all__ = ["Data", "Series", "random_data", "random_turns"]

_ODD = ("a", "b\\c", 'say "x"', "größe", "x.y|z", "{{x}}")


@dataclass(frozen=True)
class Series:
    """Samples as (second, value), None for the marker that the series ended."""

    metric: str
    labels: tuple[tuple[str, str], ...]
    samples: tuple[tuple[int, float | None], ...]

    def name(self) -> str:
        escaped = [(name, text.replace("\\", "\\\\").replace('"', '\\"')) for name, text in self.labels]
        return self.metric + "{" + ", ".join(f'{name}="{text}"' for name, text in escaped) + "}"

    def notation(self) -> str:
        """As promtool takes it, a place a second."""
        words, next_second = [], 0
        for second, value in self.samples:
            if second > next_second:
                words.append(f"_x{second - next_second}")
            words.append("stale" if value is None else _number(value))
            next_second = second + 1
        return " ".join(words)


@dataclass(frozen=True)
class Data:
    series: tuple[Series, ...]

    def frame(self, start: datetime) -> pl.DataFrame:
        """As ``replay`` takes them."""
        names = sorted({name for one in self.series for name, _ in one.labels})
        rows = [
            {
                "ts": start + timedelta(seconds=second),
                "metric": one.metric,
                "value": value,
                "stale": value is None,
                **dict.fromkeys(names),
                **dict(one.labels),
            }
            for one in self.series
            for second, value in one.samples
        ]
        schema: dict[str, pl.DataType] = {
            "ts": pl.Datetime("us", "UTC"),
            "metric": pl.String(),
            "value": pl.Float64(),
            "stale": pl.Boolean(),
            **{name: pl.String() for name in names},
        }
        return pl.DataFrame(rows, schema=schema)

    def told(self) -> str:
        return "\n".join(f"{one.name()}  {one.notation()}" for one in self.series)


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return repr(value)


def random_data(random: Random, length: int, *, histograms: bool = False) -> Data:
    """Series over *length* seconds."""
    cis = [f"srv-{n}" for n in range(random.randint(1, 4))]
    found: list[Series] = []
    for number, ci in enumerate(cis):
        home = {"ci": ci, "service": random.choice(("shop", "erp")), "zone": _ODD[(number + 1) % len(_ODD)]}
        if random.random() < 0.2:
            del home["service"]
        found += [_gauge(random, "cpu", home, length), _gauge(random, "mem", home, length)]
        found.append(_flags(random, {"ci": ci, "job": random.choice(("node", "db"))}, length))
        found += [_counter(random, {**home, "code": code}, length) for code in random.sample(("500", "502", "404"), 2)]
        found += _pods(random, home, length)
        if random.random() < 0.5:
            found.append(_whole(random, "queue", home, length))
        if histograms:
            found += _histogram(random, home, length)
    return Data(tuple(one for one in found if one.samples))


def _seconds(random: Random, first: int, length: int) -> list[int]:
    """When there is a sample: about every so often, with gaps."""
    often = random.choice((15, 15, 30, 30, 60, 60, 120, 290))
    jitter = random.choice((0, 0, 1, 2))
    gappy = random.random() < 0.4
    found, at = [], first + random.randint(1, often)
    while at < length:
        second = at + random.randint(-jitter, jitter)
        second += second % 5 == 0
        if second > 0 and (not found or second > found[-1]):
            found.append(second)
        at += often
        if gappy and random.random() < 0.04:
            at += random.choice((60, 200, 299, 301, 600, 1200))
    return found


def _made(
    random: Random, metric: str, labels: dict[str, str], seconds: list[int], values: list[float], ends: float = 0.3
) -> Series:
    """A series, with NaN and Inf here and there, and perhaps marks where it ended."""
    samples: list[tuple[int, float | None]] = [*zip(seconds, values, strict=True)]
    if random.random() < 0.15:
        samples = [
            (at, random.choice((math.nan, math.inf, -math.inf)) if random.random() < 0.06 else v) for at, v in samples
        ]
    if random.random() < ends:
        samples = [(at, None if random.random() < 0.04 else value) for at, value in samples]
    return Series(metric, tuple(sorted(labels.items())), tuple(samples))


def _first(random: Random, length: int) -> int:
    return random.randint(0, length // 2) if random.random() < 0.25 else 0


def _gauge(random: Random, metric: str, labels: dict[str, str], length: int) -> Series:
    seconds = _seconds(random, _first(random, length), length)
    style = random.choice(("whole", "float", "float", "flat", "tiny", "signed"))
    level, values = random.uniform(30, 90), []
    for _ in seconds:
        level = min(100.0, max(0.0, level + random.gauss(0, 9)))
        shown = {
            "whole": float(round(level)),
            "float": level,
            "flat": 70.0,
            "tiny": level * 1e-9,
            "signed": level - 60.3,
        }
        values.append(shown[style])
    return _made(random, metric, labels, seconds, values)


def _whole(random: Random, metric: str, labels: dict[str, str], length: int) -> Series:
    seconds = _seconds(random, _first(random, length), length)
    return _made(random, metric, labels, seconds, [float(random.randint(0, 6)) for _ in seconds])


def _flags(random: Random, labels: dict[str, str], length: int) -> Series:
    seconds, value, values = _seconds(random, _first(random, length), length), 1.0, []
    for _ in seconds:
        value = 1.0 - value if random.random() < 0.12 else value
        values.append(value)
    return _made(random, "up", labels, seconds, values)


def _counter(random: Random, labels: dict[str, str], length: int) -> Series:
    seconds = _seconds(random, _first(random, length), length)
    total, values = random.choice((0.0, 0.0, 12345.0)), []
    busy, parts = random.random(), random.random() < 0.3
    for _ in seconds:
        if random.random() < 0.04:
            total = float(random.choice((0, 0, 3)))
        if random.random() < busy:
            total += random.uniform(0, 40) if parts else random.randint(0, 40)
        values.append(total)
    return _made(random, "errs_total", labels, seconds, values)


def _histogram(random: Random, home: dict[str, str], length: int) -> list[Series]:
    """Buckets, each with what is in those below it."""
    seconds = _seconds(random, _first(random, length), length)
    counts, rows = [0, 0, 0, 0], []
    for _ in seconds:
        if random.random() < 0.02:
            counts = [0, 0, 0, 0]
        for bucket in range(4):
            counts[bucket] += random.randint(0, 5) if random.random() < 0.6 else 0
        rows.append([float(sum(counts[: bucket + 1])) for bucket in range(4)])
    return [
        Series(
            "lat_bucket",
            tuple(sorted({**home, "le": le}.items())),
            tuple((second, row[bucket]) for second, row in zip(seconds, rows, strict=True)),
        )
        for bucket, le in enumerate(("0.1", "0.5", "2", "+Inf"))
    ]


def random_turns(random: Random, length: int) -> Data:
    """Pods of which a CI has one at a time: when the next begins, the last was marked as ended."""
    homes = [{"ci": f"srv-{n}", "zone": _ODD[n]} for n in range(3)]
    return Data(tuple(one for home in homes for one in _pods(random, home, length, 1.0) if one.samples))


def _pods(random: Random, home: dict[str, str], length: int, marked: float = 0.6) -> list[Series]:
    """One pod after another; when the next begins the last has ended, *marked* or not."""
    found, at = [], 0
    while at < length and len(found) < 4:
        until = min(length, at + random.randint(300, 2400))
        seconds = _seconds(random, at, until)
        made = _made(
            random,
            "pods",
            {**home, "pod": f"p{len(found)}"},
            seconds,
            [float(random.randint(0, 3)) for _ in seconds],
            0.0,
        )
        if made.samples and random.random() < marked:
            last = made.samples[-1][0] + 1
            made = Series(made.metric, made.labels, (*made.samples, (last + (last % 5 == 0), None)))
        found.append(made)
        at = until + random.choice((0, 0, 120, 600))
    return found
