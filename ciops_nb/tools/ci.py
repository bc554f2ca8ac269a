"""Questions about configuration items: find them, get them, count them."""

from __future__ import annotations

from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb.context import Context, Frame, choose
from ciops_nb.errors import BadParameter, ItemNotFound, UnknownField
from ciops_nb.estate.names import nearest
from ciops_nb.estate.schema import CI_COLUMNS, DTYPES
from ciops_nb.estate.times import format_time
from ciops_nb.registry import tool
from ciops_nb.tools.filters import Field, number, parse_field
from ciops_nb.tools.scope import ci_index, ci_rows, codes_of, known_field, properties_at, scope_ids, select_cis

__all__ = ["ci_aggregate", "ci_get", "ci_get_by_code", "ci_list_preview", "ci_search"]

_SHOWN = CI_COLUMNS[:10]  # up to owner
_SEARCHED = ("ci_code", "ci_name", "ci_type", "ci_subtype", "ci_category")
_EXACT_CODE, _EXACT_NAME, _PREFIX, _WORD, _SUBSTRING = 1.0, 0.8, 0.6, 0.4, 0.2
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
    cis = await ctx.run((await select_cis(ctx, where, moment)).select(CI_COLUMNS))
    words = keywords.lower().split()
    if words:
        tags = await ctx.run(
            properties_at(ctx, moment).filter(nw.col("kind") == nw.lit("tag"), ~nw.col("value").is_null())
        )
        found = _match(cis, tags, words, match)
    else:
        found = cis.with_columns(score=pl.lit(0.0), matched_on=pl.lit(None, pl.String))
    by, descending = ("score", True) if sort == "relevance" else _sort(sort)
    ordered = found.sort(by, "ci_code", "ci_id", descending=[descending, False, False], nulls_last=True)
    return ctx.cut(ordered.select(*_SHOWN, "score", "matched_on"), limit=limit, offset=offset)


def _match(cis: pl.DataFrame, tags: pl.DataFrame, words: list[str], match: str) -> pl.DataFrame:
    """The CIs in which the words are found, with score and matched_on."""
    texts = pl.concat(
        [
            *(
                cis.select("ci_id", field=pl.lit(name), rank=pl.lit(rank), text=pl.col(name).str.to_lowercase())
                for rank, name in enumerate(_SEARCHED)
            ),
            tags.join(cis.select("ci_id"), on="ci_id", how="semi").select(
                "ci_id", field="tags." + pl.col("name"), rank=pl.lit(9), text=pl.col("value").str.to_lowercase()
            ),
        ]
    )
    phrase = " ".join(words)
    hits = []
    for place, word in enumerate([*words, phrase]):
        level = _level(word)
        if place == len(words):  # the phrase as a whole only counts where it is more than its words
            level = pl.when(level >= _PREFIX).then(level)
        hits.append(
            texts.lazy()
            .filter(pl.col("text").str.contains(word, literal=True))
            .with_columns(place=pl.lit(place), level=level)
            .drop_nulls("level")
            .collect()
        )
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
        cis.join(single.filter(pl.col("words") == len(words)) if match == "all" else single, on="ci_id")
        .join(whole, on="ci_id", how="left")
        .with_columns(
            score=pl.when(better).then("phrase").otherwise("score"),
            matched_on=pl.when(better).then("phrase_on").otherwise("matched_on"),
        )
    )


def _level(word: str) -> pl.Expr:
    text, field = pl.col("text"), pl.col("field")
    whole = pl.concat_str(pl.lit(" "), text.str.replace_all(r"[^\p{L}\p{N}]+", " "), pl.lit(" "))
    return (
        pl.when((text == word) & (field == "ci_code")).then(_EXACT_CODE)
        .when((text == word) & (field == "ci_name")).then(_EXACT_NAME)
        .when(text.str.starts_with(word) & field.is_in(["ci_code", "ci_name"])).then(_PREFIX)
        .when(whole.str.contains(f" {word} ", literal=True)).then(_WORD)
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
    found = index.versions[rows].select(CI_COLUMNS)
    ids = list(dict.fromkeys(found["ci_id"]))
    properties = (await ctx.run(ci_rows(ctx, properties_at(ctx, moment), ids))).sort("ci_id", "kind", "name", "value")
    held: dict[tuple[str, str], dict[str, Any]] = {}
    for ci_id, kind, name, value in properties.iter_rows():
        held.setdefault((ci_id, kind), {})[name] = value
    ctx.notes.total = len(rows)
    return found.with_columns(
        pl.Series(column, [dict(held.get((ci_id, kind), {})) for ci_id in found["ci_id"]], dtype=pl.Object)
        for column, kind in (("tags", "tag"), ("attributes", "attribute"))
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
