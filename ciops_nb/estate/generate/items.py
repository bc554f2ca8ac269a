"""The CIs of a made estate: what is there, what was replaced and is gone, their versions and their properties.

One system is a block of parts, and an estate is as many blocks as are asked for: blocks are joined, not looped over. In
every fourth system an old server was replaced by server 6; what ran on it moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from ciops_nb.estate.schema import DTYPES

__all__ = [
    "BEGIN",
    "END",
    "MOVED",
    "PARTS",
    "SHARED",
    "SYSTEMS",
    "TEAMS",
    "Stream",
    "items",
    "micros",
    "pick",
    "properties",
    "stream",
    "times",
    "versions",
]

END = datetime(2026, 3, 9, tzinfo=UTC)
BEGIN = datetime(2025, 9, 8, tzinfo=UTC)  # six months of history before the end
MOVED = datetime(2026, 2, 27, 22, 0, tzinfo=UTC)
"""When db-pay-06, mw-pay-03 and app-pay-05 moved from srv-pay-09 to srv-pay-06."""
SYSTEMS = ("erp", "crm", "shop", "pay", "hr", "bi", "mail", "log")
TEAMS = ("team-core", "team-data", "team-edge", "team-pay", "team-web")
_SITES = ("Berlin", "Madrid", "Oslo")
_RELEASES = ("1.4", "2.0", "2.1", "3.7")

Stream = np.random.Generator

# Per system: code prefix, how many, ci_type, ci_subtype, ci_category, role.
PARTS = (
    ("app", 10, "SW", "APPLICATION", "application", "app"),
    ("db", 6, "SW", "DATABASE", "data", "db"),
    ("mw", 6, "SW", "MIDDLEWARE", "integration", "queue"),
    ("srv", 8, "HW", "SERVER", "compute", "host"),
)
# Shared by eight systems.
SHARED = (
    ("sto-san", 4, "HW", "STORAGE", "storage", "storage"),
    ("net-sw", 5, "HW", "NETWORK", "network", "switch"),
    ("fw", 2, "HW", "FIREWALL", "network", "firewall"),
    ("lb", 7, "SW", "LOAD_BALANCER", "network", "lb"),
    ("idp", 7, "SW", "IDENTITY", "security", "idp"),
    ("mq", 7, "SW", "MESSAGE_QUEUE", "integration", "queue"),
)
_NAMES = {
    "app": "application",
    "db": "database",
    "mw": "middleware",
    "srv": "server",
    "sto-san": "SAN storage",
    "net-sw": "switch",
    "fw": "firewall",
    "lb": "load balancer",
    "idp": "identity provider",
    "mq": "message queue",
}
_REPLACED, _OLD = 6, 9  # the numbers of the new server and of the one it replaced


def stream(seed: int, step: str) -> Stream:
    """Random numbers of their own for a *step*, so that a change of one step leaves the others as they were."""
    return np.random.default_rng([seed, *step.encode()])


def pick(rng: Stream, values: Sequence[str], size: int) -> pl.Series:
    return pl.Series(list(values), dtype=pl.String).gather(rng.integers(0, len(values), size))


def micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def times(values: np.ndarray) -> pl.Series:
    """Microseconds since 1970 as times."""
    return pl.Series(values, dtype=pl.Int64).cast(DTYPES["time"])


def items(systems: int, rng: Stream, seed: int, earlier: timedelta) -> pl.DataFrame:
    """Every CI that is there or was, a row each as it is at the end of its life.

    Beside the columns of the table: place (of its system), system, part, number and role; born; gone (null for those
    that are there); moved_at, of a new server and of the one it replaced, which follow the others in the same order.
    """
    now = _current(systems, rng)
    blank = stream(seed, "blanks").random((2, now.height))
    moves = stream(seed, "moves")
    begun = times(micros(BEGIN) + moves.integers(30, 150, systems) * 86_400_000_000 + 79_200_000_000)
    when = pl.DataFrame({"place": np.arange(systems), "moved_at": begun}).with_columns(
        moved_at=pl.when(pl.col("place") == 3).then(pl.lit(MOVED - earlier)).otherwise("moved_at")
    )
    new = (pl.col("part") == "srv") & (pl.col("number") == _REPLACED) & (pl.col("place") % 4 == 3)
    now = (
        now.join(when, on="place", how="left", maintain_order="left")
        .with_columns(moved_at=pl.when(new).then("moved_at"), gone=pl.lit(None, DTYPES["time"]))
        .with_columns(
            born=pl.when(new).then(pl.col("moved_at") - pl.duration(days=3)).otherwise("born"),
            owner=pl.when(pl.Series(blank[0] >= 0.03)).then("owner"),
            location=pl.when(pl.Series(blank[1] >= 0.04)).then("location"),
        )
    )
    old = now.filter(new).with_row_index("row", offset=now.height)
    first = micros(BEGIN) - moves.integers(100, 1500, old.height) * 3_600_000_000
    old = old.with_columns(
        number=pl.lit(_OLD, pl.Int64),
        ci_id=_id("row"),
        ci_code=pl.format("srv-{}-0{}", "system", pl.lit(_OLD)),
        ci_name=pl.format("{} server {}", pl.col("system").str.to_uppercase(), pl.lit(_OLD)),
        status=pl.lit("retiring"),
        born=times(first),
        gone=pl.col("moved_at") + pl.duration(hours=32),
    )
    return pl.concat([now, old.select(now.columns)])


def _current(systems: int, rng: Stream) -> pl.DataFrame:
    names = pl.DataFrame({"place": np.arange(systems)}).with_columns(
        system=pl.concat_str(
            pl.Series(SYSTEMS).gather(pl.Series(np.arange(systems) % 8)),
            pl.when(pl.col("place") >= 8).then((pl.col("place") // 8 + 1).cast(pl.String)).otherwise(pl.lit("")),
        )
    )
    group = pl.DataFrame({"place": np.arange(0, systems, 8)}).with_columns(
        # The shared parts of the first eight systems have no suffix, those of further ones a number.
        system=pl.when(pl.col("place") >= 8).then(pl.format("g{}", pl.col("place") // 8 + 1)).otherwise(pl.lit(""))
    )
    whole = names.with_columns(
        part=pl.lit("sys"),
        number=pl.lit(0, pl.Int64),
        ci_type=pl.lit("SYSTEM"),
        ci_subtype=pl.lit("BUSINESS_SYSTEM"),
        ci_category=pl.lit("business"),
        role=pl.lit("system"),
    )
    parts = names.join(_blocks(PARTS), how="cross", maintain_order="left_right")
    shared = group.join(_blocks(SHARED), how="cross", maintain_order="left_right")
    found = pl.concat([frame.select(whole.columns) for frame in (whole, parts, shared)])
    size = found.height
    own = pl.concat_str(
        pl.col("part"),
        pl.lit("-"),
        pl.col("system"),
        pl.when(pl.col("system") == "").then(pl.lit("")).otherwise(pl.lit("-")),
        pl.col("number").cast(pl.String).str.zfill(2),
    )
    system = pl.col("part") == "sys"
    named = pl.concat_str(
        pl.col("system").str.to_uppercase(),
        pl.col("part").replace(_NAMES),
        pl.col("number").cast(pl.String),
        separator=" ",
    ).str.strip_chars()
    earliest = int((BEGIN - timedelta(days=400)).timestamp())
    return found.with_row_index("row").select(
        "place",
        "system",
        "part",
        "number",
        "role",
        born=times((earliest + rng.integers(0, 400 * 86400, size)) * 1_000_000),
        ci_id=_id("row"),
        ci_code=pl.when(system).then(pl.format("sys-{}", "system")).otherwise(own),
        ci_name=pl.when(system).then(pl.format("{} system", pl.col("system").str.to_uppercase())).otherwise(named),
        ci_type="ci_type",
        ci_subtype="ci_subtype",
        ci_category="ci_category",
        status=pick(rng, ("active", "active", "active", "degraded"), size),
        criticality=pl.when(system).then(pl.lit(5)).otherwise(pl.Series(rng.integers(1, 6, size))),
        location=pl.when(~system).then(pick(rng, _SITES, size)),
        owner=pick(rng, TEAMS, size),
    )


def _id(row: str) -> pl.Expr:
    return pl.format("ci-{}", pl.col(row).cast(pl.String).str.zfill(7))


def _blocks(parts: tuple[tuple[str, int, str, str, str, str], ...]) -> pl.DataFrame:
    rows = [(part, n, *kinds) for part, count, *kinds in parts for n in range(1, count + 1)]
    return pl.DataFrame(rows, schema=["part", "number", "ci_type", "ci_subtype", "ci_category", "role"], orient="row")


def versions(found: pl.DataFrame, rng: Stream) -> pl.DataFrame:
    """The rows of table ci: one in eight had another owner, status or name before, one in thirty twice.

    An old server was active until what ran on it had moved, and retiring from then on.
    """
    size, half = found.height, (micros(END) - micros(BEGIN)) // 120_000_000
    luck, kinds = pl.Series(rng.random(size)), rng.integers(0, 3, size)
    earlier, later = (times(micros(BEGIN) + (half * n + rng.integers(0, half, size)) * 60_000_000) for n in (0, 1))
    stable = pl.col("moved_at").is_null()
    dated = found.with_columns(
        kind=pl.when(stable).then(pl.Series(kinds)).otherwise(1),
        later=pl.when(stable & (pl.Series(luck) < 0.12))
        .then(later)
        .when(pl.col("gone").is_not_null())
        .then("moved_at"),
        earlier=pl.when(stable & (pl.Series(luck) < 0.03)).then(earlier),
        created_at="born",
    )
    teams = dict(zip(TEAMS, (*TEAMS[1:], TEAMS[0]), strict=True))
    before = {
        "owner": pl.col("owner").fill_null(TEAMS[-1]).replace_strict(teams, return_dtype=pl.String),
        "status": pl.when(pl.col("status") == "active").then(pl.lit("maintenance")).otherwise(pl.lit("active")),
        "ci_name": pl.concat_str("ci_name", pl.lit(" (old)")),
    }

    def undone(frame: pl.DataFrame, kind: pl.Expr) -> pl.DataFrame:
        return frame.with_columns(
            pl.when(kind == place).then(old).otherwise(name).alias(name)
            for place, (name, old) in enumerate(before.items())
        )

    last = dated.with_columns(valid_from=pl.coalesce("later", "born"), valid_to="gone")
    second = undone(dated.filter(pl.col("later").is_not_null()), pl.col("kind")).with_columns(
        valid_from=pl.coalesce("earlier", "born"), valid_to="later"
    )
    first = undone(second.filter(pl.col("earlier").is_not_null()), (pl.col("kind") + 1) % 3).with_columns(
        valid_from="born", valid_to="earlier"
    )
    return pl.concat([last, second, first]).with_columns(updated_at="valid_from")


def properties(found: pl.DataFrame, rng: Stream, changes: Stream) -> pl.DataFrame:
    """The rows of table ci_property: role, env, cores or version; a tenth of the software had another version before.

    At the turn of the year all systems had the tag ``freeze``.
    """
    size, old = found["gone"].null_count(), found.height - found["gone"].null_count()

    def some(values: Sequence[str]) -> pl.Series:
        return pl.concat([pick(rng, values, size), pick(changes, values, old)])

    given = found.select(
        "ci_id",
        "ci_type",
        role="role",
        env=some(("prod", "prod", "prod", "test")),
        cpu_cores=some(("8", "16", "32")),
        version=some(_RELEASES),
        valid_from="born",
        valid_to="gone",
    )
    index = ["ci_id", "ci_type", "valid_from", "valid_to"]
    long = given.unpivot(["role", "env", "cpu_cores", "version"], index=index, variable_name="name")
    fits = pl.col("name").is_in(["role", "env"]) | ((pl.col("name") == "cpu_cores") == (pl.col("ci_type") == "HW"))
    long = long.filter(fits)
    upgraded = (
        (pl.col("name") == "version") & (pl.col("ci_type") == "SW") & pl.Series(changes.random(long.height) < 0.1)
    )
    span = (micros(END) - micros(BEGIN)) // 60_000_000
    long = long.with_columns(
        since=pl.when(upgraded).then(times(micros(BEGIN) + changes.integers(0, span, long.height) * 60_000_000))
    )
    previous = dict(zip(_RELEASES, ("1.2", *_RELEASES[:-1]), strict=True))
    before = long.filter(pl.col("since").is_not_null()).with_columns(
        value=pl.col("value").replace_strict(previous, return_dtype=pl.String), valid_to="since"
    )
    frozen = given.filter(pl.col("ci_type") == "SYSTEM").select(
        *("ci_id", "ci_type"),
        valid_from=pl.lit(datetime(2025, 12, 15, tzinfo=UTC)).cast(DTYPES["time"]),
        valid_to=pl.lit(datetime(2026, 1, 7, tzinfo=UTC)).cast(DTYPES["time"]),
        name=pl.lit("freeze"),
        value=pl.lit("year-end"),
    )
    now = long.with_columns(valid_from=pl.coalesce("since", "valid_from"))
    return pl.concat([frame.select(frozen.columns) for frame in (now, before, frozen)]).with_columns(
        kind=pl.when(pl.col("name").is_in(["role", "env", "freeze"])).then(pl.lit("tag")).otherwise(pl.lit("attribute"))
    )
