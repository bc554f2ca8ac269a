"""The six months of a made estate: events, changes and maintenance in proportion to its CIs, and what is planted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import polars as pl

from ciops_nb.estate.generate.faults import FAULTS, OUTAGE, planted
from ciops_nb.estate.generate.items import BEGIN, END, TEAMS, Stream, micros, pick, stream, times
from ciops_nb.estate.schema import DTYPES

__all__ = ["history", "outages"]

_TITLES = {
    "alert": ("load high", "check flapped", "memory high", "latency high"),
    "info": ("backup finished", "job finished", "configuration reloaded", "certificate renewed"),
    "restart": ("service restarted", "service restarted", "worker restarted", "host restarted"),
}
_WORK = {
    "config": ("Parameter change", "Limits raised", "Logging changed"),
    "deployment": ("New release", "Hotfix", "Rollback of a release"),
    "patch": ("Monthly patch", "Security patch", "Driver update"),
}


def outages(found: pl.DataFrame, measured: pl.Series, days: int, seed: int, earlier: timedelta) -> pl.DataFrame:
    """When the agent of which CI was silent: row, start and end in microseconds, one a CI at most.

    A hundredth of the *measured* CIs (rows) in a week, never those of a fault, whose points must be there.
    """
    rng = stream(seed, "outages")
    faulty = {effect.ci_code for fault in FAULTS for effect in fault.effects}
    code, began, length = OUTAGE
    rows = found.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    known = rows.filter(pl.col("ci_code") == code)["row"]
    free = rows.filter(
        pl.col("row").is_in(measured.implode()),
        pl.col("moved_at").is_null(),
        ~pl.col("ci_code").is_in([*faulty, code]),
    )["row"].to_numpy()
    chosen = np.sort(rng.choice(free, int(len(free) * days / 700), replace=False))
    start = micros(END) - rng.integers(0, days * 1440, len(chosen)) * 60_000_000
    end = start + rng.integers(30, 361, len(chosen)) * 60_000_000
    planned = micros(began - earlier)
    return pl.concat(
        [
            pl.DataFrame({"row": chosen, "start": start, "end": end}),
            pl.DataFrame({"row": known, "start": planned, "end": planned + length // timedelta(microseconds=1)}),
        ]
    )


def history(
    found: pl.DataFrame, silent: pl.DataFrame, rng: Stream, seed: int, earlier: timedelta
) -> dict[str, pl.DataFrame]:
    """The rows of the tables event, change, maintenance and incident."""
    tables = {
        "event": _events(found, silent, rng, stream(seed, "events")),
        "change": _changes(found, rng, stream(seed, "changes")),
        "maintenance": _maintenance(found, rng, stream(seed, "maintenance")),
        "incident": pl.DataFrame(schema={"incident_id": pl.String}),
    }
    for table, rows in planted(_ids(found), earlier).items():
        tables[table] = pl.concat([tables[table], rows], how="diagonal_relaxed")
    return tables


def _ids(found: pl.DataFrame) -> Mapping[str, str]:
    """Ids by code, of the first eight systems and what they share, where faults are planted."""
    return dict(found.filter(pl.col("place") < 8).select("ci_code", "ci_id").iter_rows())


def _some(found: pl.DataFrame, number: int, rng: Stream) -> tuple[pl.DataFrame, np.ndarray]:
    """CIs (id and code) and moments, sorted by time; a moment before a server was there is its predecessor's."""
    size = found["gone"].null_count()
    rows = rng.integers(0, size, number)
    moments = micros(BEGIN) + np.sort(rng.integers(0, (micros(END) - micros(BEGIN)) // 1_000_000, number)) * 1_000_000
    moved = found["moved_at"].is_not_null().to_numpy()
    before = np.arange(found.height)
    before[:size][moved[:size]] = np.arange(size, found.height)
    early = moments < found["born"].dt.timestamp("us").to_numpy()[rows]
    rows = np.where(early, before[rows], rows)
    return found.select("ci_id", "ci_code")[rows], moments


def _titles(kinds: pl.Series, titles: Mapping[str, tuple[str, ...]], numbers: np.ndarray) -> pl.Series:
    """The title with a number among those of its kind."""
    flat = pl.Series([title for some in titles.values() for title in some])
    width = len(next(iter(titles.values())))
    first = {kind: place * width for place, kind in enumerate(titles)}
    return flat.gather(kinds.replace_strict(first, return_dtype=pl.Int64) + pl.Series(numbers))


def _numbered(prefix: str, number: int, width: int) -> pl.Series:
    return pl.select(pl.format(f"{prefix}{{}}", pl.int_range(number).cast(pl.String).str.zfill(width))).to_series()


def _json(key: str, value: pl.Expr | str, more: str = "") -> pl.Expr:
    return pl.concat_str(pl.lit(f'{{"{key}": '), value, pl.lit(f"{more}}}"))


def _events(found: pl.DataFrame, silent: pl.DataFrame, rng: Stream, more: Stream) -> pl.DataFrame:
    count = found["gone"].null_count() * 4
    chosen, moments = _some(found, count, rng)
    kinds = pick(rng, tuple(_TITLES), count)
    severity = pl.Series([1, 1, 2, 2, 3]).gather(rng.integers(0, 5, count))
    titles = _titles(kinds, _TITLES, rng.integers(0, 4, count))
    noise = pl.DataFrame(
        {
            "event_id": _numbered("E", count, 7),
            "ci_id": chosen["ci_id"],
            "ts": times(moments),
            "type": kinds,
            "severity": severity,
            "source": pl.repeat("monitoring", count, eager=True),
            "title": titles,
            "value": more.integers(91, 100, count),
            "seconds": more.integers(2, 900, count),
        }
    )
    alert, restart = pl.col("type") == "alert", pl.col("type") == "restart"
    noise = noise.with_columns(
        detail=pl.when(alert)
        .then(pl.format("{} percent, and 90 are allowed", "value"))
        .when(restart)
        .then(pl.format("up again after {} s", "seconds"))
        .otherwise(pl.format("took {} s", "seconds")),
        properties=pl.when(alert)
        .then(_json("value", "value", ', "threshold": 90, "unit": "percent"'))
        .when(restart)
        .then(_json("downtime_s", "seconds"))
        .otherwise(_json("duration_s", "seconds")),
    ).drop("value", "seconds")
    return pl.concat([noise, _silences(found, silent)], how="diagonal_relaxed")


def _silences(found: pl.DataFrame, silent: pl.DataFrame) -> pl.DataFrame:
    """The events of agents that fell silent and came back."""
    minutes = (pl.col("end") - pl.col("start")) // 60_000_000
    told = silent.with_columns(ci_id=found["ci_id"].gather(silent["row"])).with_row_index("number")
    words = (("down", "start", 2, "agent is silent"), ("up", "end", 1, "agent is back"))
    ends = [
        told.select(
            "ci_id",
            event_id=pl.format(f"E-agent-{{}}-{word}", pl.col("number").cast(pl.String).str.zfill(4)),
            ts=pl.col(column).cast(pl.Int64).cast(DTYPES["time"]),
            type=pl.lit("agent"),
            severity=pl.lit(severity, pl.Int64),
            source=pl.lit("monitoring"),
            title=pl.lit(title),
            detail=pl.format("no metrics for {} minutes", minutes),
            properties=_json("minutes", minutes),
        )
        for word, column, severity, title in words
    ]
    return pl.concat(ends).filter(pl.col("ts") < END)


def _changes(found: pl.DataFrame, rng: Stream, more: Stream) -> pl.DataFrame:
    count = max(1, found["gone"].null_count() // 2)
    chosen, moments = _some(found, count, rng)
    kinds = pick(rng, tuple(_WORK), count)
    titles = _titles(kinds, _WORK, rng.integers(0, 3, count))
    asked = pick(rng, TEAMS, count)
    risk = pick(rng, ("low", "medium", "high"), count)
    result = pick(rng, ("success", "success", "failed"), count)
    noise = pl.DataFrame(
        {
            "change_id": _numbered("C", count, 6),
            "ci_id": chosen["ci_id"],
            "type": kinds,
            "title": titles,
            "requested_by": asked,
            "approved_by": pick(more, TEAMS, count),
            "risk": risk,
            "start_at": times(moments),
            "result": result,
            "code": chosen["ci_code"],
        }
    )
    failed = pl.col("result") == "failed"
    outcome = pl.when(failed).then(pl.lit("a check failed, it was undone")).otherwise(pl.lit("as planned"))
    noise = noise.with_columns(
        end_at=pl.col("start_at") + pl.duration(minutes=30),
        detail=pl.format("{} on {}: {}", "title", "code", outcome),
        # A change of low risk needs nobody's consent, one of high risk that of the board.
        approved_by=pl.when(pl.col("risk") == "high")
        .then(pl.lit("change-board"))
        .when(pl.col("risk") == "medium")
        .then("approved_by"),
    ).drop("code")
    return pl.concat([noise, _moves(found)], how="diagonal_relaxed")


def _moves(found: pl.DataFrame) -> pl.DataFrame:
    """A change for each server that was replaced, on the database that moved, the old and the new server."""
    moved = found.filter(pl.col("moved_at").is_not_null())
    old, new = (moved.filter(pl.col("gone").is_not_null() == gone) for gone in (True, False))
    databases = found.filter(pl.col("part") == "db", pl.col("number") == 6).select("place", "ci_id", db="ci_code")
    pairs = old.select("place", "system", "moved_at", old="ci_code", old_id="ci_id").join(
        new.select("place", new="ci_code", new_id="ci_id"), on="place", maintain_order="left"
    )
    pairs = pairs.join(databases, on="place", maintain_order="left")
    told = pairs.select(
        ["ci_id", "old_id", "new_id"],
        change_id=pl.format("C-move-{}", "system"),
        type=pl.lit("migration"),
        title=pl.format("{} moves from {} to {}", "db", "old", "new"),
        detail=pl.format("{} is old; what runs on it moves to {}, and it is switched off after 32 hours", "old", "new"),
        requested_by=pl.lit("team-data"),
        approved_by=pl.lit("change-board"),
        risk=pl.lit("high"),
        start_at="moved_at",
        end_at=pl.col("moved_at") + pl.duration(minutes=90),
        result=pl.lit("success"),
    )
    shared = [name for name in told.columns if name not in ("ci_id", "old_id", "new_id")]
    return pl.concat([told.select(pl.col(name).alias("ci_id"), *shared) for name in ("ci_id", "old_id", "new_id")])


def _maintenance(found: pl.DataFrame, rng: Stream, more: Stream) -> pl.DataFrame:
    count = max(1, found["gone"].null_count() // 6)
    chosen, moments = _some(found, count, rng)
    noise = pl.DataFrame(
        {
            "maintenance_id": _numbered("M", count, 6),
            "ci_id": chosen["ci_id"],
            "type": pick(more, ("planned", "planned", "planned", "emergency"), count),
            "performer": pick(rng, TEAMS, count),
            "start_at": times(moments),
            "result": pick(more, ("done", "done", "done", "done", "aborted"), count),
            "code": chosen["ci_code"],
        }
    )
    aborted = pl.when(pl.col("result") == "aborted").then(pl.lit("; it took too long and will be repeated"))
    return noise.with_columns(
        title=pl.lit("Maintenance window"),
        detail=pl.format("{} may be away for two hours{}", "code", aborted.otherwise(pl.lit(""))),
        end_at=pl.col("start_at") + pl.duration(hours=2),
    ).drop("code")
