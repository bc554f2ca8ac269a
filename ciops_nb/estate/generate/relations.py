"""How the CIs of a made estate hang together: the wires of each system, what was wired otherwise before, and links
across systems, as many as are asked for.

Links across systems have targets of a heavy-tailed popularity, so that some databases, identity providers and load
balancers are hubs. Arrays of row numbers are joined and drawn; ids are looked up once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl

from ciops_nb.errors import BadParameter
from ciops_nb.estate.generate.items import BEGIN, END, SHARED, Stream, micros, times
from ciops_nb.estate.schema import DEFAULT_RELATION_TYPES

__all__ = ["relations"]

# From each part of a system: to which part, by which type, and the number of the target for a number i of n.
_WIRES: tuple[tuple[str, str, str, Callable[[pl.Expr], pl.Expr]], ...] = (
    ("app", "db", "DEPENDS_ON", lambda i: (i - 1) % 6 + 1),
    ("app", "mw", "DEPENDS_ON", lambda i: (i - 1) % 6 + 1),
    ("app", "srv", "DEPLOYED_ON", lambda i: i % 8 + 1),
    ("app", "lb", "USES", lambda i: pl.when(i == 9).then(pl.col("place") % 8 + 1)),
    ("db", "srv", "RUNS_ON", lambda i: (i - 1) % 8 + 1),
    ("mw", "srv", "RUNS_ON", lambda i: (i + 2) % 8 + 1),
    ("mw", "mq", "USES", lambda i: pl.when(i % 2 == 1).then(i)),
    ("mw", "idp", "USES", lambda i: pl.when(i % 2 == 0).then(i)),
    ("srv", "sto-san", "DEPENDS_ON", lambda i: (i - 1) % 4 + 1),
    ("srv", "net-sw", "CONNECTED_TO", lambda i: (i - 1) % 5 + 1),
    ("db", "fw", "PROTECTED_BY", lambda i: (i - 1) % 2 + 1),
    # Database 5 of every fourth system runs on two servers, and one is enough.
    ("db", "srv", "RUNS_ON", lambda i: pl.when((i == 5) & (pl.col("place") % 4 == 0)).then(6)),
)
# In the systems after those, application 10 tried another way to log in, for ten weeks.
_TRIAL = ("app", "idp", "USES", lambda i: pl.when((i == 10) & (pl.col("place") % 4 == 1)).then(1))
_TRIED = tuple(datetime(*day, tzinfo=UTC) for day in ((2025, 11, 3), (2026, 1, 12)))
_TYPES = tuple(sorted(DEFAULT_RELATION_TYPES))


@dataclass(frozen=True)
class _Link:
    """A kind of link across systems, or to the servers of the own one (*own*), and its share of all of them."""

    sources: tuple[str, ...]
    target: str
    relation_type: str
    share: float
    own: bool = False


_LINKS = (
    _Link(("app",), "db", "DEPENDS_ON", 0.25),
    _Link(("app",), "app", "DEPENDS_ON", 0.20),
    _Link(("app",), "idp", "USES", 0.12),
    _Link(("app",), "lb", "USES", 0.08),
    _Link(("app", "mw"), "mq", "USES", 0.12),
    _Link(("srv",), "net-sw", "CONNECTED_TO", 0.07),
    _Link(("app", "mw"), "fw", "PROTECTED_BY", 0.05),
    _Link(("app",), "srv", "DEPLOYED_ON", 0.05, own=True),
    _Link(("db", "mw"), "srv", "RUNS_ON", 0.03, own=True),
    _Link(("sys",), "srv", "COMPOSED_OF", 0.03, own=True),
)
_TAIL = 3.0  # a uniform number to this power times n is the rank of a target: the first of n gets n ** (-1/3) of all
_ENDED = 0.03  # of the links across systems, so many more were there once and are not any more


def relations(found: pl.DataFrame, wanted: int | None, rng: Stream) -> pl.DataFrame:
    """The rows of table relation; *wanted* of them are valid now, None are the wires alone.

    Raises:
        BadParameter: *wanted* is less than the wires, or more than can be drawn for these CIs.
    """
    rows = found.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    now = rows.filter(pl.col("gone").is_null())
    wires, trial = _wires(now), _wire(now, *_TRIAL)
    tried = trial.with_columns(valid_from=pl.lit(_TRIED[0]), valid_to=pl.lit(_TRIED[1]))
    parts = [_dated(wires, rows), _replaced(wires, rows), tried]
    if wanted is not None:
        if wanted < wires.height:
            problem = f"is less than the {wires.height} that the systems of so many CIs have"
            raise BadParameter("relations", wanted, problem, "Ask for more relations, or for fewer CIs")
        current, once = _links(now, pl.concat([wires, trial]), wanted, wires.height, rng)
        parts += [_dated(current, rows), _ended(_dated(once, rows), rng)]
    made = pl.concat(parts)
    # What runs on several servers now needs one of them.
    held = (pl.col("relation_type") == "RUNS_ON") & pl.col("valid_to").is_null()
    several = held & (pl.len().over("source", "relation_type", "valid_to") > 1)
    code = found["ci_code"].gather(made["source"])
    return made.with_columns(
        source_id=found["ci_id"].gather(made["source"]),
        target_id=found["ci_id"].gather(made["target"]),
        redundancy_group=pl.when(several).then(pl.concat_str(code, pl.lit("-nodes"))),
        min_healthy=pl.when(several).then(1),
    )


def _wires(rows: pl.DataFrame) -> pl.DataFrame:
    whole = rows.filter(pl.col("part") == "sys").select("place", source="row")
    software = rows.filter(pl.col("part").is_in(["app", "db", "mw"])).select("place", target="row")
    joined = whole.join(software, on="place", maintain_order="left_right")
    composed = joined.select("source", "target", relation_type=pl.lit("COMPOSED_OF"))
    return pl.concat([composed, *(_wire(rows, *wire) for wire in _WIRES)])


def _wire(rows: pl.DataFrame, part: str, other: str, kind: str, number: Callable[[pl.Expr], pl.Expr]) -> pl.DataFrame:
    group = pl.col("place") // 8 * 8
    shared = other in {name for name, *_ in SHARED}
    sources = rows.filter(pl.col("part") == part).select(
        source="row", number=number(pl.col("number")), place=group if shared else pl.col("place")
    )
    targets = rows.filter(pl.col("part") == other).select("place", "number", target="row")
    joined = sources.join(targets, on=["place", "number"], maintain_order="left")
    return joined.select("source", "target", relation_type=pl.lit(kind))


def _dated(pairs: pl.DataFrame, rows: pl.DataFrame, *, moved: bool = True) -> pl.DataFrame:
    """*pairs* valid while both ends are there; what runs on a new server does so from the time when it *moved*."""
    born, gone, move = (rows[name] for name in ("born", "gone", "moved_at"))
    start = [born.gather(pairs["source"]), born.gather(pairs["target"])]
    start += [move.gather(pairs["target"])] if moved else []
    end = [gone.gather(pairs["source"]), gone.gather(pairs["target"])]
    return pairs.with_columns(valid_from=pl.max_horizontal(start), valid_to=pl.min_horizontal(end))


def _replaced(wires: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The wires of the old servers: those of their successors, as long as things ran there."""
    moved = rows.filter(pl.col("moved_at").is_not_null())
    servers = pl.DataFrame(
        {"new": moved.filter(pl.col("gone").is_null())["row"], "old": moved.filter(pl.col("gone").is_not_null())["row"]}
    )
    as_target = wires.join(servers, left_on="target", right_on="new", maintain_order="left")
    as_source = wires.join(servers, left_on="source", right_on="new", maintain_order="left")
    hosted = _dated(as_target.select("source", "relation_type", target="old").select(wires.columns), rows, moved=False)
    hosted = hosted.with_columns(valid_to=rows["moved_at"].gather(hosted["target"]))
    return pl.concat(
        [hosted, _dated(as_source.select(source="old", target="target", relation_type="relation_type"), rows)]
    )


def _ended(dated: pl.DataFrame, rng: Stream) -> pl.DataFrame:
    """Links that ended at some time in the six months; both ends were there before."""
    end = rng.integers(micros(BEGIN) // 60_000_000, micros(END) // 60_000_000, dated.height) * 60_000_000
    made = dated.with_columns(valid_to=pl.min_horizontal(pl.col("valid_to"), times(end)))
    return made.filter(pl.col("valid_from") < pl.col("valid_to"))


@dataclass(frozen=True)
class _Pool:
    """The pairs that a kind of link chooses from, as row numbers."""

    link: _Link
    sources: np.ndarray
    targets: np.ndarray  # the most popular first
    place: np.ndarray  # of each source
    own: int  # targets in each system

    @classmethod
    def of(cls, link: _Link, now: pl.DataFrame, rng: Stream) -> _Pool:
        sources = now.filter(pl.col("part").is_in(link.sources))
        targets = now.filter(pl.col("part") == link.target)["row"].to_numpy()
        own = len(targets) // now.filter(pl.col("part") == "sys").height if link.own else 0
        ranked = targets if link.own else rng.permutation(targets)
        return cls(link, sources["row"].to_numpy(), ranked, sources["place"].to_numpy(), own)

    @property
    def size(self) -> int:
        return len(self.sources) * (self.own or len(self.targets))

    def draw(self, count: int, tail: float, rng: Stream) -> tuple[np.ndarray, np.ndarray]:
        chosen = rng.integers(0, len(self.sources), count)
        if self.own:  # the servers lie in the order of their systems
            return self.sources[chosen], self.targets[self.place[chosen] * self.own + rng.integers(0, self.own, count)]
        return self.sources[chosen], self.targets[(rng.random(count) ** tail * len(self.targets)).astype(np.int64)]


def _links(now: pl.DataFrame, known: pl.DataFrame, wanted: int, least: int, rng: Stream) -> list[pl.DataFrame]:
    """So many links as *wanted* is more than *least*, in pairs that are not *known*, and some that there were once.

    Half of the possible pairs of a kind are never used, so that drawing at random finds free ones.
    """
    pools = [_Pool.of(link, now, rng) for link in _LINKS]
    used = dict(known.group_by("relation_type").len().iter_rows())
    room = np.array([max(0, pool.size // 2 - used.get(pool.link.relation_type, 0)) for pool in pools])
    number, most = wanted - least, int(room.sum())
    if number > most:
        problem = f"is more than the {least + most} that can be drawn for so many CIs"
        raise BadParameter("relations", wanted, problem, "Ask for fewer relations, or for more CIs")
    once = min(int(number * _ENDED), most - number)
    # A pair of a type is one number, so that sets of them are arrays.
    size, types = now.height, {name: place for place, name in enumerate(_TYPES)}
    kinds = known["relation_type"].replace_strict(types, return_dtype=pl.Int64)
    taken = np.unique(((kinds * size + known["source"]) * size + known["target"]).to_numpy())

    def keys(pool: _Pool, quota: int) -> np.ndarray:
        def draw(count: int, tail: float) -> np.ndarray:
            source, target = pool.draw(count, tail, rng)
            made = (types[pool.link.relation_type] * size + source) * size + target
            return np.asarray(made[source != target])

        return _distinct(draw, quota, taken)

    made = np.concatenate([keys(*task) for task in zip(pools, _quotas(number + once, room).tolist(), strict=True)])
    gone = np.zeros(len(made), dtype=bool)
    gone[rng.permutation(len(made))[:once]] = True
    pairs = pl.DataFrame(
        {
            "source": made // size % size,
            "target": made % size,
            "relation_type": pl.Series(_TYPES).gather(made // size // size),
        }
    )
    return [pairs.filter(~gone), pairs.filter(gone)]


def _quotas(number: int, room: np.ndarray) -> np.ndarray:
    """*number* shared out by the shares of the kinds; what a kind has no room for goes to the others."""
    given = np.zeros_like(room)
    while (left := number - given.sum()) > 0:
        shares = np.where(given < room, [link.share for link in _LINKS], 0.0)
        ends = np.floor(np.cumsum(shares) / shares.sum() * left + 1e-6).astype(np.int64)
        given = np.minimum(room, given + np.diff(ends, prepend=0))
    return given


def _distinct(draw: Callable[[int, float], np.ndarray], number: int, taken: np.ndarray) -> np.ndarray:
    """So many different keys that are not *taken*; hubs that are full are passed over after some rounds."""
    kept = np.empty(0, dtype=np.int64)
    round_ = 0
    while len(kept) < number:
        fresh = draw((number - len(kept)) * 5 // 4 + 16, _TAIL if round_ < 6 else 1.0)
        fresh = fresh[~np.isin(fresh, taken)]
        both = np.concatenate([kept, fresh])
        kept = both[np.sort(np.unique(both, return_index=True)[1])][:number]
        round_ += 1
    return kept
