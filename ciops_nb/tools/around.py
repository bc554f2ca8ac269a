"""The part of the graph that a question can see, read from the tables hop by hop: what is asked without a topology.

It holds all that a search within so many hops may look at: the CIs in sight with the ends of all their relations, and
these relations, whichever are followed. So the search on it finds what it would find in the whole graph.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb import sync
from ciops_nb.context import Context
from ciops_nb.tools.scope import among, valid

__all__ = ["Follow", "around"]

_LISTED = 200  # ids in a condition; more are joined


@dataclass(frozen=True)
class Follow:
    """The relation types that may be followed along their arrow, and those that may be against it."""

    along: list[str]
    against: list[str]


async def around(
    ctx: Context, moment: datetime, codes: list[str], *, depth: int, follow: Follow, target: str | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The versions of CIs and the relations that are in sight of the CIs *codes* at *moment*.

    Args:
        ctx: Where the tables are.
        moment: When.
        codes: Where to start.
        depth: The hops of the search.
        follow: Over which relations.
        target: A code; the search goes on beyond *depth* until it has been reached, or nothing more can be.
    """
    start, goal = await _ids(ctx, moment, codes), await _ids(ctx, moment, [] if target is None else [target])
    cis, relations = [await _cis(ctx, moment, start | goal)], []
    exist, asked = start | goal, start | goal
    done: set[str] = set()
    edge = start
    for hop in itertools.count():
        touching = await _relations(ctx, moment, sorted(edge))
        relations.append(await sync.in_thread(_without, touching, done))
        done |= edge
        ends = {*touching["source_id"].to_list(), *touching["target_id"].to_list()} - asked
        asked |= ends
        cis.append(await _cis(ctx, moment, ends))
        exist.update(cis[-1]["ci_id"].to_list())
        edge = ((await sync.in_thread(_next, touching, edge, follow)) & exist) - done
        if not edge or (hop >= depth and (not goal or goal & (done | edge))):
            return pl.concat(cis), pl.concat(relations)
    raise AssertionError("a graph has an end")


async def _ids(ctx: Context, moment: datetime, codes: list[str]) -> set[str]:
    rows = among(ctx, ctx.tables.table("ci").filter(valid(moment)), "ci_code", codes)
    return set((await ctx.run(rows.select("ci_id")))["ci_id"].to_list())


async def _cis(ctx: Context, moment: datetime, ids: Collection[str]) -> pl.DataFrame:
    return await ctx.run(among(ctx, ctx.tables.table("ci").filter(valid(moment)), "ci_id", sorted(ids)))


async def _relations(ctx: Context, moment: datetime, ids: list[str]) -> pl.DataFrame:
    """The relations that begin or end at *ids*."""
    rows = ctx.tables.table("relation").filter(valid(moment))
    if len(ids) <= _LISTED:
        return await ctx.run(rows.filter(nw.col("source_id").is_in(ids) | nw.col("target_id").is_in(ids)))
    wanted = ctx.tables.frame(pl.DataFrame({"id": ids}))
    leave = rows.join(wanted, left_on="source_id", right_on="id", how="semi")
    rest = rows.join(wanted, left_on="source_id", right_on="id", how="anti")
    reach = rest.join(wanted, left_on="target_id", right_on="id", how="semi")
    return pl.concat([await ctx.run(leave), await ctx.run(reach)])


def _at(rows: pl.DataFrame, column: str, ids: Collection[str]) -> pl.Series:
    return rows[column].is_in(pl.Series([*ids], dtype=pl.String()).implode())


def _without(relations: pl.DataFrame, ids: Collection[str]) -> pl.DataFrame:
    """Those of *relations* that neither begin nor end at *ids*: the others are known already."""
    return relations.filter(~(_at(relations, "source_id", ids) | _at(relations, "target_id", ids)))


def _next(relations: pl.DataFrame, edge: Collection[str], follow: Follow) -> set[str]:
    """Where *relations* lead from *edge*."""
    found = set()
    for here, there, types in (("source_id", "target_id", follow.along), ("target_id", "source_id", follow.against)):
        followed = relations.filter(_at(relations, here, edge) & _at(relations, "relation_type", types))
        found.update(followed[there].to_list())
    return found
