"""The names that an estate knows, for whoever is typing one: codes and ids of CIs, metrics, relation types, fields.

They are read once for a state of the data, as the tools read it: of one tenant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import TypeAlias

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb.context import Context
from ciops_nb.estate.schema import CI_COLUMNS
from ciops_nb.tools.ci import MATCHES
from ciops_nb.tools.filters import parse_field
from ciops_nb.tools.graph import DIRECTIONS, VIEWS, relation_types
from ciops_nb.tools.history import RECORDS
from ciops_nb.tools.metric import AGGREGATES, FILLS, definitions
from ciops_nb.tools.scope import property_fields

__all__ = ["ASKED", "CHOICES", "Known", "Names", "ended", "starting", "values_of"]

Known: TypeAlias = pl.DataFrame
"""Names in a column ``name``, sorted; those of CIs with ``valid_from`` and ``valid_to`` of each version."""


def _named(names: list[str]) -> Known:
    return pl.DataFrame({"name": sorted(names)}, schema={"name": pl.String()})


def _of_cis(column: str) -> Callable[[Context], Awaitable[Known]]:
    async def known(ctx: Context) -> Known:
        async def build() -> Known:
            rows = await ctx.run(ctx.tables.table("ci").select(column, "valid_from", "valid_to"))
            return rows.rename({column: "name"}).drop_nulls("name").sort("name", "valid_from")

        return await ctx.shared.get(f"names {column}", build)

    return known


async def _metrics(ctx: Context) -> Known:
    defined = await definitions(ctx)
    if defined.height or not ctx.tables.has("metric"):
        return defined.select(name="metric")

    async def build() -> Known:
        found = await ctx.run(ctx.tables.table("metric").select("metric").unique())
        return _named(found["metric"].drop_nulls().to_list())

    return await ctx.shared.get("names metric", build)


async def _relation_types(ctx: Context) -> Known:
    return _named(list(await relation_types(ctx)))


async def _fields(ctx: Context) -> Known:
    return _named([*CI_COLUMNS, *(await property_fields(ctx)).values()])


async def _values(ctx: Context, text: str) -> Known:
    """What CIs have, or had, in the field *text*, if that is one of texts."""
    field = parse_field(text)
    if field.kind != "text":
        return _named([])

    async def build() -> Known:
        if field.place == "column":
            rows = ctx.tables.table("ci").select(field.name)
        else:
            there = (nw.col("kind") == nw.lit(field.place)) & (nw.col("name") == nw.lit(field.name))
            rows = ctx.tables.table("ci_property").filter(there).select("value")
        return _named((await ctx.run(rows.unique())).to_series().drop_nulls().to_list())

    return await ctx.shared.newest("names of values", text, build)


@dataclass(frozen=True)
class Names:
    """A kind of names: what one of them is called, and how they are read."""

    kind: str
    read: Callable[[Context], Awaitable[Known]]


_CODES = Names("CI", _of_cis("ci_code"))
_FIELDS = Names("field", _fields)
ASKED: Mapping[str, Names] = {
    "ci": _CODES,
    "ci_code": _CODES,
    "source": _CODES,
    "target": _CODES,
    "ci_id": Names("id of a CI", _of_cis("ci_id")),
    "metric": Names("metric", _metrics),
    "relations": Names("relation type", _relation_types),
    "where": _FIELDS,
    "by": _FIELDS,
}
"""What the estate knows for the parameters of tools and recipes that are called so."""


@lru_cache(maxsize=64)  # the same for the same field: names that are being read are known by it
def values_of(field: str) -> Names:
    """The values of a field of a ``where``; none if there is no such field, or it is not one of texts."""
    return Names("value", partial(_values, text=field))


CHOICES: Mapping[str, tuple[str, ...]] = {
    "view": tuple(VIEWS),
    "direction": DIRECTIONS,
    "kinds": tuple(RECORDS),
    "match": MATCHES,
    "agg": AGGREGATES,
    "fill": FILLS,
}
"""What may be meant by the parameters of tools and recipes that are called so, in any estate."""


def starting(known: Known, typed: str, most: int) -> tuple[list[str], int]:
    """The first names that begin with *typed*, and how many there are; in any case of letters if none does so."""
    names = known["name"]
    begin = names.search_sorted(typed, side="left")
    rows = names.slice(begin, names.search_sorted(typed + "\U0010ffff", side="right") - begin)
    found = rows.filter(rows.str.starts_with(typed)).unique(maintain_order=True)
    if not len(found) and typed:
        found = names.filter(names.str.to_lowercase().str.starts_with(typed.lower())).unique(maintain_order=True)
    return found.head(most).to_list(), len(found)


def ended(known: Known, names: list[str], moment: datetime) -> set[str]:
    """Those of *names* that no CI has at *moment*."""
    if "valid_from" not in known.columns:
        return set()
    start, end = pl.col("valid_from"), pl.col("valid_to")
    valid = (start.is_null() | (start <= moment)) & (end.is_null() | (end > moment))
    return set(names) - set(known.filter(pl.col("name").is_in(names) & valid)["name"])
