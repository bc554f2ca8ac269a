"""Made estates of any size: systems with applications, databases and middleware on servers, storage and networks.

Everything follows from the seed. What is there and was lies in ``items``, how it hangs together in ``relations``, what
happened in ``history``, what was measured in ``metrics``, and the stories that are planted in ``faults``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from ciops_nb.errors import BadParameter
from ciops_nb.estate.generate.history import history, outages
from ciops_nb.estate.generate.items import BEGIN, END, items, properties, stream, versions
from ciops_nb.estate.generate.metrics import METRICS, Measured, definitions
from ciops_nb.estate.generate.relations import relations as relate
from ciops_nb.estate.manifest import Manifest, write_manifest
from ciops_nb.estate.storage import TableWriter, all_or_nothing
from ciops_nb.parameters import check_count

__all__ = ["END", "generate"]

Progress = Callable[[str, int, int], None]
Write = Callable[[str, pl.DataFrame], None]
_TABLES = ("ci", "ci_property", "relation", "metric_def", "label", "event", "change", "maintenance", "incident")


def generate(
    target: Path,
    *,
    cis: int = 280,
    relations: int | None = None,
    seed: int = 7,
    days: int = 14,
    every_minutes: int = 10,
    tenant: str = "demo",
    tenants: int = 1,
    name: str = "demo",
    progress: Progress | None = None,
) -> Manifest:
    """Make an estate: the same arguments give the same bytes.

    Args:
        target: The folder to make; it must not exist, or be empty.
        cis: About how many CIs each tenant has now; 280 is eight systems with 75 HW and 197 SW, and other numbers are
            whole systems. A few more were there once.
        relations: How many relations each tenant has now; None is those within the systems, some 2.6 a CI.
        seed: Of the random numbers.
        days: Days of metrics, up to 2026-03-09; at most the six months of history.
        every_minutes: Distance of the points of a series.
        tenant: The tenant, or the first of several.
        tenants: How many tenants. Further ones are called as the first with a number, such as ``demo-2``. All have the
            same codes and ids and different values; what is planted happens some hours earlier in them.
        name: The name of the estate.
        progress: Told the step, how much of it is done, and of how much.

    Raises:
        EstateInvalid: *target* is not empty or cannot be made.
        BadParameter: a number is not one or out of its range, or so many CIs cannot have so many relations.
    """
    _check(cis=cis, relations=relations, seed=seed, days=days, every_minutes=every_minutes, tenants=tenants)
    for label, text in (("tenant", tenant), ("name", name)):
        if not isinstance(text, str) or not text.strip():
            raise BadParameter(label, text, "is not a name", "Give some text")
    told = progress or (lambda step, done, total: None)
    names = {tenant: 0} | {f"{tenant}-{number + 1}": number for number in range(1, tenants)}
    manifest = Manifest(name)
    with all_or_nothing(target) as folder:
        write_manifest(folder, manifest)
        measured: dict[str, Measured] = {}
        with ExitStack() as files:
            writers = {table: files.enter_context(TableWriter(folder, table)) for table in _TABLES}
            for done, owner in enumerate(sorted(names)):
                told("tables", done, tenants)
                write = partial(_write, writers, owner)
                measured[owner] = _tables(write, cis, relations, _seed(seed, names[owner]), days, names[owner])
            told("tables", tenants, tenants)
        for day in range(days):
            _day(folder, measured, day, days, every_minutes, told)
        told("metrics", days * tenants * len(METRICS), days * tenants * len(METRICS))
    return manifest


def _check(**numbers: int | None) -> None:
    for label, value in numbers.items():
        check_count(label, value, optional=label == "relations", least=0 if label == "seed" else 1)
    for label, most, why in (
        ("days", (END - BEGIN).days, "history is six months long"),
        ("every_minutes", 1440, "each day has a point"),
    ):
        value = numbers[label]
        if value is not None and value > most:
            raise BadParameter(label, value, f"is more than {most}: {why}", "Give a smaller number")


def _seed(seed: int, number: int) -> int:
    """The seed of a tenant; that of the first is the one that was given, so that it is alike in any company."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]) if number else seed


def _write(writers: dict[str, TableWriter], tenant: str, table: str, rows: pl.DataFrame) -> None:
    writers[table].write(rows.with_columns(tenant_id=pl.lit(tenant)), ordered=False)


def _tables(write: Write, cis: int, relations: int | None, seed: int, days: int, number: int) -> Measured:
    """Write all tables of a tenant but its points."""
    rng, earlier = np.random.default_rng(seed), timedelta(hours=number % 24)
    found = items(max(1, round(cis / 35)), rng, seed, earlier)
    write("ci", versions(found, stream(seed, "versions")))
    write("ci_property", properties(found, rng, stream(seed, "properties")))
    write("relation", relate(found, relations, stream(seed, "relations")))
    write("metric_def", definitions())
    measured = Measured(found.select("place", "part", "number", "ci_id", "ci_code", "born", "gone"), seed, earlier)
    write("label", measured.labels(days))
    silent = outages(found, measured.rows, days, seed, earlier)
    happened = history(found, silent, rng, seed, earlier)
    for table, rows in happened.items():
        write(table, rows)
    measured.watch(silent, happened["event"].filter(pl.col("type") == "restart").select("ci_id", "ts"))
    return measured


def _day(folder: Path, measured: dict[str, Measured], day: int, days: int, every: int, told: Progress) -> None:
    """Write the points of one day, of all tenants."""
    start = END - timedelta(days=days - day)
    steps = [(owner, metric) for owner in measured for metric in METRICS]
    with TableWriter(folder, "metric", f"{start:%Y-%m-%d}") as writer:
        for place, (owner, metric) in enumerate(steps):
            told("metrics", day * len(steps) + place, days * len(steps))
            for points in measured[owner].points(metric, day, days, every):
                writer.write(points.with_columns(tenant_id=pl.lit(owner)), ordered=True)
