"""Questions about configuration items: find them, get them, count them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, TypeAlias

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import polars as pl

from ciops_nb import sync
from ciops_nb.context import Context, Frame, choose
from ciops_nb.errors import BadParameter, ItemNotFound, UnknownField
from ciops_nb.estate.names import nearest
from ciops_nb.estate.schema import CI_COLUMNS, DTYPES
from ciops_nb.estate.times import format_time
from ciops_nb.registry import tool
from ciops_nb.tools.filters import Field, number, parse_field
from ciops_nb.tools.scope import (
    ci_index,
    ci_rows,
    codes_of,
    known_field,
    properties_at,
    property_index,
    scope_ids,
    select_cis,
)

__all__ = ["ci_aggregate", "ci_get", "ci_get_by_code", "ci_list_preview", "ci_search"]

Places: TypeAlias = npt.NDArray[np.int64]

_SHOWN = CI_COLUMNS[:10]  # up to owner
_SEARCHED = ("ci_code", "ci_name", "ci_type", "ci_subtype", "ci_category")
_EXACT_CODE, _EXACT_NAME, _PREFIX, _WORD, _SUBSTRING = 1.0, 0.8, 0.6, 0.4, 0.2
_BETWEEN_WORDS = r"[^\p{L}\p{N}]+"
_MEASURES = ("count", "count_distinct", "min", "max", "mean", "sum")


@tool(version=1)
async def ci_search(
    ctx: Context,
    keywords: str = "",
    *,
    where: dict[str, Any] | None = None,
    match: str = "all",
    sort: str = "relevance",
    limit: int | None = 50,
    offset: int = 0,
    as_of: Any = None,
) -> Frame:
    """Find CIs by words in their code, name, type, subtype, category and tag values.

    Args:
        keywords: Words, matched as case-insensitive substrings; empty matches every CI.
        where: Conditions on fields, such as ``{"ci_type": "HW", "tags.role": ["db", "web"]}``.
        match: ``all`` needs each word somewhere, ``any`` one of them.
        sort: ``relevance``, or a column of a CI; a leading ``-`` is descending.
        limit: At most so many rows; None is all.
        offset: Leave out so many rows first.
        as_of: The moment to look at; None is now.

    Returns:
        A frame with ci_id, ci_code, ci_name, ci_type, ci_subtype, ci_category, status, criticality, location, owner,
        score (1 exact code, 0.8 exact name, 0.6 prefix of either, 0.4 whole word, 0.2 substring; the mean over the
        words) and matched_on (the best field of each word). Ties are in order of ci_code.
    """
    choose("match", match, ("all", "any"))
    if not isinstance(keywords, str):
        raise BadParameter("keywords", keywords, "is not a text", 'Such as "erp db"')
    moment = ctx.moment(as_of)
    index = await _searched(ctx, moment)
    kept = None if where is None else (await ctx.run((await select_cis(ctx, where, moment)).select("ci_id")))["ci_id"]
    found = await sync.in_thread(index.find, keywords.lower().split(), match, kept)
    by, descending = ("score", True) if sort == "relevance" else _sort(sort)
    ordered = found.sort(by, "ci_code", "ci_id", descending=[descending, False, False], nulls_last=True)
    return ctx.cut(ordered.select(*_SHOWN, "score", "matched_on"), limit=limit, offset=offset)


class _SearchIndex:
    """The CIs of one moment with all their searched texts, lower case, one beside the other.

    One look at that long text sieves the CIs; only those that pass are looked at field by field.
    """

    def __init__(self, cis: pl.DataFrame, tags: pl.DataFrame) -> None:
        self.cis = cis.sort("ci_id")
        rows = self.cis.select("ci_id", row=pl.int_range(pl.len(), dtype=pl.Int64))
        joined = tags.join(rows, on="ci_id").sort("row", "name", "value")
        self._tags = joined.select(
            "ci_id", field="tags." + pl.col("name"), rank=pl.lit(9), text=pl.col("value").str.to_lowercase()
        )
        # The tags of row n are those from place n to place n + 1.
        self._places = np.searchsorted(joined["row"].to_numpy(), np.arange(len(rows) + 1))
        tagged = self._tags.group_by("ci_id").agg(pl.col("text").str.join("\n"))
        texts = [pl.col(name).str.to_lowercase() for name in _SEARCHED]
        self._all = (
            self.cis.join(tagged, on="ci_id", how="left", maintain_order="left")
            .select(text=pl.concat_str([*texts, "text"], separator="\n", ignore_nulls=True))
            .to_series()
        )

    def find(self, words: list[str], match: str, kept: pl.Series | None) -> pl.DataFrame:
        """The CIs in which the words are found, with score and matched_on; all of them if there are no words."""
        rows = np.arange(len(self.cis))
        if kept is not None:
            rows = np.flatnonzero(self.cis["ci_id"].is_in(kept.implode()).to_numpy())
        if not words:
            return self.cis[rows].with_columns(score=pl.lit(0.0), matched_on=pl.lit(None, pl.String))
        rows = self._sieved(rows, words, match)
        return _scored(self.cis[rows], self._tags[self._tags_of(rows)], words, match)

    def _sieved(self, rows: Places, words: list[str], match: str) -> Places:
        if match == "any":
            texts = self._all[rows]
            return rows[np.logical_or.reduce([texts.str.contains(word, literal=True).to_numpy() for word in words])]
        for word in sorted(words, key=len, reverse=True):  # the longest leaves the fewest to look at
            texts = self._all if len(rows) == len(self._all) else self._all[rows]
            rows = rows[texts.str.contains(word, literal=True).to_numpy()]
        return rows

    def _tags_of(self, rows: Places) -> Places:
        start, count = self._places[rows], self._places[rows + 1] - self._places[rows]
        before = np.cumsum(count) - count
        return np.repeat(start - before, count) + np.arange(count.sum())


async def _searched(ctx: Context, moment: datetime) -> _SearchIndex:
    async def build() -> _SearchIndex:
        cis, tags = await asyncio.gather(
            ctx.run((await select_cis(ctx, None, moment)).select(CI_COLUMNS)),
            ctx.run(properties_at(ctx, moment).filter(nw.col("kind") == nw.lit("tag"), ~nw.col("value").is_null())),
        )
        return await sync.in_thread(_SearchIndex, cis, tags)

    return await ctx.shared.newest("search", format_time(moment), build)


def _scored(cis: pl.DataFrame, tags: pl.DataFrame, words: list[str], match: str) -> pl.DataFrame:
    """The CIs in which the words are found, with score and matched_on; *tags* are those of *cis*."""
    texts = pl.concat(
        [
            *(
                cis.lazy().select("ci_id", field=pl.lit(name), rank=pl.lit(rank), text=pl.col(name).str.to_lowercase())
                for rank, name in enumerate(_SEARCHED)
            ),
            tags.lazy(),
        ]
    )
    # Only texts with a word in them can score; their words are set apart by single spaces, once for all that is asked.
    texts = texts.filter(pl.any_horizontal(_contains(word) for word in words)).with_columns(
        spaced=pl.concat_str(pl.lit(" "), pl.col("text").str.replace_all(_BETWEEN_WORDS, " "), pl.lit(" "))
    )
    texts = texts.collect().lazy()  # once, not for each word
    hits = [
        texts.filter(_contains(word)).select("ci_id", "field", "rank", place=pl.lit(place), level=_level(word))
        for place, word in enumerate(words)
    ]
    if len(words) > 1:  # the phrase as a whole only counts where it is more than its words
        phrase = " ".join(words)
        whole = texts.filter(pl.col("text").str.starts_with(phrase))
        level = whole.select("ci_id", "field", "rank", place=pl.lit(len(words)), level=_level(phrase))
        hits.append(level.filter(pl.col("level") >= _PREFIX))
    best = (
        pl.concat(hits)
        .sort("ci_id", "place", "level", "rank", "field", descending=[False, False, True, False, False])
        .unique(["ci_id", "place"], keep="first", maintain_order=True)
    )
    single = (
        best.filter(pl.col("place") < len(words))
        .group_by("ci_id", maintain_order=True)
        .agg(
            pl.len().alias("words"),
            (pl.col("level").sum() / len(words)).alias("score"),
            pl.col("field").unique(maintain_order=True).str.join(", ").alias("matched_on"),
        )
    )
    whole = best.filter(pl.col("place") == len(words)).select("ci_id", phrase="level", phrase_on="field")
    better = pl.col("phrase") > pl.col("score")
    return (
        cis.lazy()
        .join(single.filter(pl.col("words") == len(words)) if match == "all" else single, on="ci_id")
        .join(whole, on="ci_id", how="left")
        .with_columns(
            score=pl.when(better).then("phrase").otherwise("score"),
            matched_on=pl.when(better).then("phrase_on").otherwise("matched_on"),
        )
        .collect()
    )


def _contains(word: str) -> pl.Expr:
    return pl.col("text").str.contains(word, literal=True)


def _level(word: str) -> pl.Expr:
    text, field = pl.col("text"), pl.col("field")
    return (
        pl.when((text == word) & (field == "ci_code")).then(_EXACT_CODE)
        .when((text == word) & (field == "ci_name")).then(_EXACT_NAME)
        .when(text.str.starts_with(word) & field.is_in(["ci_code", "ci_name"])).then(_PREFIX)
        .when(pl.col("spaced").str.contains(f" {word} ", literal=True)).then(_WORD)
        .otherwise(_SUBSTRING)
    )  # fmt: skip


def _sort(sort: Any) -> tuple[str, bool]:
    name = sort.removeprefix("-") if isinstance(sort, str) else sort
    if name not in CI_COLUMNS:
        shown = name if isinstance(name, str) else repr(name)
        raise UnknownField(shown, nearest(shown, CI_COLUMNS), f"Sort by one of {', '.join(CI_COLUMNS)}.")
    return name, sort.startswith("-")


@tool(version=1)
async def ci_get(ctx: Context, ci_id: str | list[str], *, as_of: Any = None) -> Frame:
    """Get CIs by id, one row per id asked, in the order asked.

    Args:
        ci_id: An id or a list of ids.
        as_of: The moment to look at; None is now.

    Returns:
        A frame with the columns of a CI, then tags and attributes (dicts).

    Raises:
        ItemNotFound: an id does not exist at that moment.
    """
    return await _get(ctx, "ci_id", ci_id, as_of)


@tool(version=1)
async def ci_get_by_code(ctx: Context, ci_code: str | list[str], *, as_of: Any = None) -> Frame:
    """Get CIs by code, one row per code asked, in the order asked.

    Args:
        ci_code: A code or a list of codes.
        as_of: The moment to look at; None is now.

    Returns:
        A frame with the columns of a CI, then tags and attributes (dicts).

    Raises:
        ItemNotFound: a code does not exist at that moment.
    """
    return await _get(ctx, "ci_code", ci_code, as_of)


async def _get(ctx: Context, key: str, asked: Any, as_of: Any) -> pl.DataFrame:
    moment = ctx.moment(as_of)
    wanted = [asked] if isinstance(asked, str) else asked
    if not isinstance(wanted, (list, tuple)) or not all(isinstance(value, str) for value in wanted):
        raise BadParameter(key, asked, "is neither a text nor a list of texts", "Ask for one, or for a list")
    index = await ci_index(ctx)
    rows = []
    for value in wanted:
        row = index.row_at(key, value, moment)
        if row is None:
            raise ItemNotFound(value, index.near(key, value), what=key.removeprefix("ci_"), when=format_time(moment))
        rows.append(row)
    found = index.cis[rows]
    properties = await property_index(ctx)
    held = [properties.of(ci_id, moment) for ci_id in found["ci_id"]]
    ctx.notes.total = len(rows)
    return found.hstack(
        [
            pl.Series(column, [of[kind] for of in held], dtype=pl.Object)
            for column, kind in (("tags", "tag"), ("attributes", "attribute"))
        ]
    )


@tool(version=1)
async def ci_list_preview(
    ctx: Context,
    *,
    where: dict[str, Any] | None = None,
    sort: str = "-created_at",
    limit: int | None = 50,
    offset: int = 0,
    as_of: Any = None,
) -> Frame:
    """List CIs, the newest first.

    Args:
        where: Conditions on fields.
        sort: A column of a CI; a leading ``-`` is descending. Nulls are last, ties in order of ci_code.
        limit: At most so many rows; None is all.
        offset: Leave out so many rows first.
        as_of: The moment to look at; None is now.

    Returns:
        A frame with ci_id, ci_code, ci_name, ci_type, ci_subtype, ci_category, status, criticality, location, owner,
        created_at, updated_at.
    """
    by, descending = _sort(sort)
    cis = await ctx.run((await select_cis(ctx, where, ctx.moment(as_of))).select(CI_COLUMNS))
    ordered = cis.sort(by, "ci_code", "ci_id", descending=[descending, False, False], nulls_last=True)
    return ctx.cut(ordered.select(*_SHOWN, "created_at", "updated_at"), limit=limit, offset=offset)


@tool(version=1)
async def ci_aggregate(
    ctx: Context,
    by: str | list[str],
    *,
    measures: str | list[str] = "count",
    where: dict[str, Any] | None = None,
    ci: Any = None,
    top: int | None = 50,
    as_of: Any = None,
) -> Frame:
    """Count and measure CIs in groups.

    Args:
        by: A field or several: a column of a CI, ``tags.NAME``, ``attributes.NAME``. Null is a group.
        measures: ``count``, ``count_distinct:FIELD``, ``min|max|mean|sum:FIELD``, or a list of them. Those
            of a tag or attribute take the numbers in its texts. Of no values, the sum is 0 and the others null.
        where: Conditions on fields.
        ci: Only these: a code, codes, a frame with ci_code, or a graph.
        top: At most so many groups; None is all.
        as_of: The moment to look at; None is now.

    Returns:
        A frame with the keys and a column a measure, named as asked; biggest first by the first measure, ties by key.
    """
    moment = ctx.moment(as_of)
    keys = [await known_field(ctx, parse_field(name)) for name in ([by] if isinstance(by, str) else list(by))]
    asked = [measures] if isinstance(measures, str) else list(measures)
    if not keys or not asked:
        raise BadParameter(
            "by" if not keys else "measures", by if not keys else measures, "is empty", "Name at least one"
        )
    measured = {text: await _measure(ctx, text) for text in asked}
    rows = await select_cis(ctx, where, moment)
    if ci is not None:
        index = await ci_index(ctx)
        wanted = codes_of(ci)
        for code in wanted:
            if index.row_at("ci_code", code, moment) is None:
                raise ItemNotFound(code, index.near("ci_code", code), when=format_time(moment))
        rows = ci_rows(ctx, rows, await scope_ids(ctx, wanted))
    fields = {field.text: field for field in [*keys, *(field for _, field in measured.values() if field)]}
    columns = {text: f"f{place}" for place, text in enumerate(sorted(fields))}
    for text, field in fields.items():
        rows = _with_field(ctx, rows, field, columns[text], moment)
    keyed = [columns[key.text] for key in keys]
    grouped = rows.group_by(keyed).agg(
        **{f"m{place}": _aggregate(kind, field, columns) for place, (kind, field) in enumerate(measured.values())}
    )
    found = (await ctx.run(grouped)).rename({columns[key.text]: f"k{place}" for place, key in enumerate(keys)})
    ordered = found.sort(
        "m0", *(f"k{place}" for place in range(len(keys))), descending=[True, *[False] * len(keys)], nulls_last=True
    )
    named = ordered.select(
        *(pl.col(f"k{place}").alias(key.text) for place, key in enumerate(keys)),
        *(_typed(pl.col(f"m{place}"), kind).alias(text) for place, (text, (kind, _)) in enumerate(measured.items())),
    )
    return ctx.cut(named, limit=top, what="groups")


async def _measure(ctx: Context, text: Any) -> tuple[str, Field | None]:
    kind, _, name = text.partition(":") if isinstance(text, str) else ("", "", "")
    if kind not in _MEASURES or (kind == "count") != (not name):
        raise BadParameter(
            "measures", text, "is not a measure", "Write count, count_distinct:FIELD or min|max|mean|sum:FIELD"
        )
    if kind == "count":
        return kind, None
    field = await known_field(ctx, parse_field(name))
    if kind in ("mean", "sum") and field.place == "column" and field.kind != "int":
        raise BadParameter("measures", text, f"{field} holds no numbers", "Use count_distinct, min or max")
    return kind, field


def _with_field(ctx: Context, rows: Any, field: Field, column: str, moment: Any) -> Any:
    if field.place == "column":
        return rows.with_columns(nw.col(field.name).alias(column))
    named = properties_at(ctx, moment).filter(
        nw.col("kind") == nw.lit(field.place), nw.col("name") == nw.lit(field.name)
    )
    one = named.group_by("ci_id").agg(nw.col("value").max().alias(column))
    return rows.join(one, on="ci_id", how="left")


def _aggregate(kind: str, field: Field | None, columns: dict[str, str]) -> nw.Expr:
    if field is None:
        return nw.len()
    column = nw.col(columns[field.text])
    if kind == "count_distinct":
        # A null is no value: Narwhals counts it as one.
        return column.n_unique() - column.is_null().any().cast(nw.Int64)
    value = number(columns[field.text]) if field.place != "column" else column
    return {"min": value.min, "max": value.max, "mean": value.mean, "sum": value.sum}[kind]()


def _typed(column: pl.Expr, kind: str) -> pl.Expr:
    return (
        column.cast(DTYPES["int"])
        if kind.startswith("count")
        else column.cast(DTYPES["float"])
        if kind == "mean"
        else column
    )
