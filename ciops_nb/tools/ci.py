"""Questions about configuration items: find them, get them, count them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any, TypeAlias

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import polars as pl

from ciops_nb import sync
from ciops_nb.context import Context, Frame
from ciops_nb.engines.protocol import LazyFrame
from ciops_nb.errors import BadParameter, UnknownField
from ciops_nb.estate.names import nearest
from ciops_nb.estate.schema import CI_COLUMNS, DTYPES
from ciops_nb.estate.times import format_time
from ciops_nb.parameters import choose, several
from ciops_nb.registry import tool
from ciops_nb.tools.filters import Field, number, parse_field
from ciops_nb.tools.scope import (
    at_most,
    ci_index,
    ci_rows,
    codes_of,
    known_field,
    lookup,
    no_such_ci,
    properties_at,
    property_index,
    read_tables,
    select_cis,
)
from ciops_nb.ways import Work

__all__ = ["MATCHES", "ci_aggregate", "ci_get", "ci_get_by_code", "ci_list_preview", "ci_search"]

Places: TypeAlias = npt.NDArray[np.int64]
Scores: TypeAlias = npt.NDArray[np.float64]

_SHOWN = CI_COLUMNS[:10]  # up to owner
_SEARCHED = ("ci_code", "ci_name", "ci_type", "ci_subtype", "ci_category")
_EXACT = {0: 1.0, 1: 0.8}  # the score of a code or a name that is the word, by the place of its field
_PREFIX, _WORD, _SUBSTRING = 0.6, 0.4, 0.2
MATCHES = ("all", "any")
_BETWEEN_WORDS = r"[^\p{L}\p{N}]+"
_MEASURES = ("count", "count_distinct", "min", "max", "mean", "sum")


def _get_reads(given: Mapping[str, Any], sizes: Mapping[str, int]) -> tuple[Work, ...]:
    wanted = given["ci_id"] if "ci_id" in given else given["ci_code"]
    return lookup(1 if isinstance(wanted, str) else len(wanted))


def _search_reads(given: Mapping[str, Any], sizes: Mapping[str, int]) -> tuple[Work, ...]:
    return (_search_work(given["keywords"].lower().split(), given["as_of"], sizes, given["limit"]),)


@tool(version=1, work=_search_reads)
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
    choose("match", match, MATCHES)
    if not isinstance(keywords, str):
        raise BadParameter("keywords", keywords, "is not a text", 'Such as "erp db"')
    moment = ctx.moment(as_of)
    kept = await _kept(ctx, where, moment)
    words = keywords.lower().split()
    index = await _searched(ctx, moment, words, match)
    by, descending = (None, False) if isinstance(sort, str) and sort == "relevance" else _sort(sort)

    def find() -> tuple[_Found, pl.DataFrame]:
        found = index.find(words, match, kept)
        return found, pl.DataFrame({"place": index.order(found, by, descending)})

    found, order = await sync.in_thread(find)
    return index.shown(found, ctx.cut(order, limit=limit, offset=offset)["place"].to_numpy())


@dataclass(frozen=True)
class _Found:
    """The CIs in which words were found: their rows, their scores, and for each word where it is met best.

    That is a number of a field, -1 where a CI does not have the word.
    """

    rows: Places
    score: Scores
    best: list[Places]


@dataclass(frozen=True)
class _Texts:
    """Texts in lower case, null as empty, and the same with their words set apart by single spaces."""

    lower: pl.Series
    spaced: pl.Series

    @classmethod
    def of(cls, texts: pl.Series) -> _Texts:
        lower = texts.fill_null("").str.to_lowercase()  # no word is in an empty text
        return cls(lower, " " + lower.str.replace_all(_BETWEEN_WORDS, " ") + " ")

    def levels(self, rows: Places, word: str, exact: float | None = None) -> Scores:
        """How well *word* is met in each of *rows*, 0 where it is not; *exact* is for a text that is the word."""
        levels = np.zeros(len(rows))
        texts = self.lower.gather(rows)
        hits = np.flatnonzero(texts.str.contains(word, literal=True).to_numpy())
        if len(hits):
            spaced = self.spaced.gather(rows[hits])
            level = np.where(spaced.str.contains(f" {word} ", literal=True).to_numpy(), _WORD, _SUBSTRING)
            if exact is not None:
                texts = texts.gather(hits)
                level[texts.str.starts_with(word).to_numpy()] = _PREFIX
                level[(texts == word).to_numpy()] = exact
            levels[hits] = level
        return levels


class _SearchIndex:
    """The CIs of one moment, in order of their code, and their searched texts in lower case.

    A long text of all that a CI is searched in sieves the CIs; only those that pass are looked at field by field. A
    field's number is its place in ``_SEARCHED``, and for a tag that many plus the tag's place among all tags.
    """

    def __init__(self, cis: pl.DataFrame, tags: pl.DataFrame) -> None:
        self.cis = cis
        rows = self.cis.select("ci_id", row=pl.int_range(pl.len(), dtype=pl.Int64))
        held = tags.join(rows, on="ci_id").sort("row", "name", "value")
        self._texts = [_Texts.of(self.cis[name]) for name in _SEARCHED]
        self._tags = _Texts.of(held["value"])
        # The tags of row n are those from place n to place n + 1.
        self._places = np.searchsorted(held["row"].to_numpy(), np.arange(len(rows) + 1))
        no_field = pl.Series([None], dtype=pl.String)  # the last, so that -1 finds it
        self._names = pl.concat([pl.Series(_SEARCHED), "tags." + held["name"], no_field])
        texts = pl.DataFrame({"row": held["row"], "text": self._tags.lower})
        tagged = texts.group_by("row").agg(pl.col("text").str.join("\n"))
        self._all = (
            pl.DataFrame({"row": rows["row"], **{str(n): texts.lower for n, texts in enumerate(self._texts)}})
            .join(tagged, on="row", how="left", maintain_order="left")
            .select(pl.concat_str(pl.exclude("row"), separator="\n", ignore_nulls=True))
            .to_series()
        )

    def find(self, words: list[str], match: str, kept: pl.Series | None) -> _Found:
        """The CIs in which the words are found; all of them, without a score, if there are no words."""
        rows = _rows(self.cis, kept)
        if not words:
            return _Found(rows, np.zeros(len(rows)), [])
        rows = self._sieved(rows, words, match)
        met = [self._best(rows, word) for word in words]
        score: Scores = np.sum([level for level, _ in met], axis=0) / len(words)
        best = [field for _, field in met]
        if len(words) > 1:  # the phrase as a whole only counts where it is more than its words
            phrase = " ".join(words)
            for field, exact in _EXACT.items():
                level = self._texts[field].levels(rows, phrase, exact)
                better = (level >= _PREFIX) & (level > score)
                score[better] = level[better]
                for place, of_word in enumerate(best):
                    of_word[better] = -1 if place else field
        return _Found(rows, score, best)

    def order(self, found: _Found, by: str | None, descending: bool) -> Places:
        """The places of *found* in order of the column *by*, or of their score; ties by code."""
        if by is None:
            return np.argsort(-found.score, kind="stable")
        return _ordered(self.cis[by].gather(found.rows), descending)

    def shown(self, found: _Found, places: Places) -> pl.DataFrame:
        """What is shown of *found* at *places*."""
        shown = self.cis.select(_SHOWN)[found.rows[places]].with_columns(score=pl.Series(found.score[places]))
        if not found.best:
            return shown.with_columns(matched_on=pl.lit(None, pl.String))
        fields = pl.DataFrame({str(n): self._names.gather(best[places]) for n, best in enumerate(found.best)})
        known = [
            pl.any_horizontal(pl.lit(False), pl.col(fields.columns[:n]) == pl.col(str(n))) for n in range(fields.width)
        ]
        new = [pl.when(before).then(None).otherwise(str(n)) for n, before in enumerate(known)]
        matched_on = fields.select(matched_on=pl.concat_str(new, separator=", ", ignore_nulls=True))
        return shown.hstack(matched_on)

    def _sieved(self, rows: Places, words: list[str], match: str) -> Places:
        if match == "any":
            texts = self._all.gather(rows)
            return rows[np.logical_or.reduce([texts.str.contains(word, literal=True).to_numpy() for word in words])]
        for word in sorted(words, key=len, reverse=True):  # the longest leaves the fewest to look at
            texts = self._all if len(rows) == len(self._all) else self._all.gather(rows)
            rows = rows[texts.str.contains(word, literal=True).to_numpy()]
        return rows

    def _best(self, rows: Places, word: str) -> tuple[Scores, Places]:
        """How well *word* is met in each of *rows*, and in which field: the first of the best."""
        best, field = np.zeros(len(rows)), np.full(len(rows), -1)
        for place, texts in enumerate(self._texts):
            level = texts.levels(rows, word, _EXACT.get(place))
            better = level > best
            best[better], field[better] = level[better], place
        owner, tags = self._tags_of(rows)
        level = self._tags.levels(tags, word)
        hits = np.flatnonzero(level)
        hits = hits[np.lexsort((hits, -level[hits], owner[hits]))]
        hits = hits[np.flatnonzero(np.diff(owner[hits], prepend=-1))]
        hits = hits[level[hits] > best[owner[hits]]]
        best[owner[hits]], field[owner[hits]] = level[hits], len(_SEARCHED) + tags[hits]
        return best, field

    def _tags_of(self, rows: Places) -> tuple[Places, Places]:
        """The tags of *rows*, and the place of the row that each belongs to."""
        start, count = self._places[rows], self._places[rows + 1] - self._places[rows]
        before = np.cumsum(count) - count
        return np.repeat(np.arange(len(rows)), count), np.repeat(start - before, count) + np.arange(count.sum())


async def _searched(ctx: Context, moment: datetime, words: list[str], match: str) -> _SearchIndex:
    """An index in which the CIs are that have the *words* at *moment*."""
    tags = properties_at(ctx, moment).filter(nw.col("kind") == nw.lit("tag"), ~nw.col("value").is_null())

    async def whole() -> _SearchIndex:
        return await sync.in_thread(_SearchIndex, await _cis_at(ctx, moment), await ctx.run(tags))

    async def part() -> _SearchIndex:
        sieved = _with_words(await select_cis(ctx, None, moment), tags, words, match).select(CI_COLUMNS)
        cis = (await ctx.run(sieved)).sort("ci_code", "ci_id")
        held = await ctx.run(ci_rows(ctx, tags, cis["ci_id"].to_list()))
        return await sync.in_thread(_SearchIndex, cis, held)

    return await ctx.either(_search_work(words, moment, await ctx.sizes()), whole, part)


def _search_work(words: list[str], moment: datetime, sizes: Mapping[str, int], limit: int | None = None) -> Work:
    # How many CIs have a word cannot be known beforehand: one in fifty is pulled out of the air.
    cis = sizes["ci"] / (50 if words and _sieves(words) else 1)
    reads = ("ci", *("ci_property",) * (len(words) + 1))
    return Work("search", ("ci", "ci_property"), 3.1, reads, cis, at_most(cis, limit), format_time(moment))


def _sieves(words: list[str]) -> bool:
    """Whether an engine can be asked for them: engines differ in how they lower letters that are not of ASCII."""
    return all(word.isascii() for word in words)


def _with_words(cis: LazyFrame, tags: LazyFrame, words: list[str], match: str) -> LazyFrame:
    """Those of *cis* that have the words in a text or tag, and perhaps some more: who is asked next looks closely."""
    if not words or not _sieves(words):
        return cis
    met = []
    for place, word in enumerate(words):
        tagged = tags.filter(_holds("value", word)).select("ci_id").unique()
        cis = cis.join(tagged.with_columns(nw.lit(1).alias(f"tag{place}")), on="ci_id", how="left")
        texts = [_holds(name, word) for name in _SEARCHED]
        met.append(nw.any_horizontal(*texts, ~nw.col(f"tag{place}").is_null(), ignore_nulls=True))
    return cis.filter(reduce(or_ if match == "any" else and_, met))


def _holds(column: str, word: str) -> nw.Expr:
    return nw.col(column).str.to_lowercase().str.contains(word, literal=True)


async def _cis_at(ctx: Context, moment: datetime) -> pl.DataFrame:
    """The CIs of *moment* in order of their code, kept until another moment is asked for."""

    async def build() -> pl.DataFrame:
        cis = await ctx.run((await select_cis(ctx, None, moment)).select(CI_COLUMNS))
        return await sync.in_thread(cis.sort, "ci_code", "ci_id")

    return await ctx.shared.newest("cis", format_time(moment), build)


async def _kept(ctx: Context, where: Any, moment: datetime) -> pl.Series | None:
    """The ids of the CIs that meet *where*, None for all."""
    return None if where is None else (await ctx.run((await select_cis(ctx, where, moment)).select("ci_id")))["ci_id"]


def _rows(cis: pl.DataFrame, kept: pl.Series | None) -> Places:
    return np.arange(len(cis)) if kept is None else np.flatnonzero(cis["ci_id"].is_in(kept.implode()).to_numpy())


def _ordered(values: pl.Series, descending: bool) -> Places:
    """The places of *values* in their order, nulls last, equals as they stand."""
    keys = pl.DataFrame({"value": values}).with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64))
    return keys.sort("value", descending=descending, nulls_last=True, maintain_order=True)["place"].to_numpy()


def _sort(sort: Any) -> tuple[str, bool]:
    if not isinstance(sort, str):
        raise BadParameter("sort", sort, "is not the name of a column", 'Such as "ci_code", or "-ci_code"')
    name = sort.removeprefix("-")
    if name not in CI_COLUMNS:
        raise UnknownField(name, nearest(name, CI_COLUMNS), f"Sort by one of {', '.join(CI_COLUMNS)}.")
    return name, sort.startswith("-")


@tool(version=1, work=_get_reads)
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


@tool(version=1, work=_get_reads)
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
    index = await ci_index(ctx, key, wanted)
    rows = []
    for value in wanted:
        row = index.row_at(key, value, moment)
        if row is None:
            raise await no_such_ci(ctx, key, value, moment)
        rows.append(row)
    # A slice is free; a gather wakes all of polars' threads for one row.
    found = index.cis.slice(rows[0], 1) if len(rows) == 1 else index.cis[rows]
    ids = found["ci_id"].to_list()
    properties = await property_index(ctx, ids)
    held = [properties.of(ci_id, moment) for ci_id in ids]
    ctx.notes.total = len(rows)
    return found.hstack(
        [
            pl.Series(column, [of[kind] for of in held], dtype=pl.Object)
            for column, kind in (("tags", "tag"), ("attributes", "attribute"))
        ]
    )


@tool(version=1, work=read_tables("ci"))
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
    moment = ctx.moment(as_of)
    kept = await _kept(ctx, where, moment)
    cis = await _cis_at(ctx, moment)

    def order() -> pl.DataFrame:
        rows = _rows(cis, kept)
        return pl.DataFrame({"row": rows[_ordered(cis[by].gather(rows), descending)]})

    rows = ctx.cut(await sync.in_thread(order), limit=limit, offset=offset)["row"]
    return cis.select(*_SHOWN, "created_at", "updated_at")[rows]


@tool(version=1, work=read_tables("ci"))
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
    names = list(dict.fromkeys(several("by", by, "Name a field, or a list of them")))
    keys = [await known_field(ctx, parse_field(name)) for name in names]
    asked = several("measures", measures, "Name a measure, or a list of them")
    if not keys or not asked:
        raise BadParameter(
            "by" if not keys else "measures", by if not keys else measures, "is empty", "Name at least one"
        )
    measured = {text: await _measure(ctx, text) for text in asked}
    rows = await select_cis(ctx, where, moment)
    if ci is not None:
        wanted = codes_of(ci)
        index = await ci_index(ctx, "ci_code", wanted)
        held = []
        for code in wanted:
            row = index.row_at("ci_code", code, moment)
            if row is None:
                raise await no_such_ci(ctx, "ci_code", code, moment)
            held.append(row)
        # Not all that ever had the code: one that had it before may have another now.
        rows = ci_rows(ctx, rows, index.cis[held]["ci_id"].to_list())
    fields = {field.text: field for field in [*keys, *(field for _, field in measured.values() if field)]}
    columns = {text: f"f{place}" for place, text in enumerate(sorted(fields))}
    for text, field in fields.items():
        rows = _with_field(ctx, rows, field, columns[text], moment)
    keyed = [columns[key.text] for key in keys]
    grouped = rows.group_by(keyed).agg(
        **{f"m{place}": _aggregate(kind, field, columns) for place, (kind, field) in enumerate(measured.values())}
    )
    # Chained lazily: each eager step would be a query of its own.
    found = (await ctx.run(grouped)).lazy()
    renamed = found.rename({columns[key.text]: f"k{place}" for place, key in enumerate(keys)})
    ordered = renamed.sort(
        "m0", *(f"k{place}" for place in range(len(keys))), descending=[True, *[False] * len(keys)], nulls_last=True
    )
    named = ordered.select(
        *(pl.col(f"k{place}").alias(key.text) for place, key in enumerate(keys)),
        *(_typed(pl.col(f"m{place}"), kind).alias(text) for place, (text, (kind, _)) in enumerate(measured.items())),
    )
    return ctx.cut(named.collect(), limit=top, what="groups", named="top")


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
