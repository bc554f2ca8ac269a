"""What a board asks of an estate, what came of it, and the Python that asks the same.

One thing that fails does not take the rest with it: it is left out and said, apart from what is merely not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from ciops_nb import sync
from ciops_nb.answers import provenance
from ciops_nb.errors import BadParameter, BadTimeRange, ItemNotFound
from ciops_nb.estate.times import parse_range
from ciops_nb.views import plots
from ciops_nb.views.sheet import rows_of
from ciops_nb.views.svg import to_svg, visible
from ciops_nb.views.widgets.twin import explained

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["KINDS", "Asked", "Seen", "code_of", "drawn", "look", "neighbours", "notes_of", "suggestions"]

T = TypeVar("T")

KINDS = ("incident", "change", "maintenance", "event")
_RECORDS = 1000  # of history, the newest
_FIRST = 4  # metrics that are shown where none was asked for
_LOOKED_INTO = 100  # CIs of which it is asked what metrics they have


@dataclass(frozen=True)
class Asked:
    """What a board is to show; no metrics are the first few that the CIs have, no kinds no history."""

    cis: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    time_range: str = "last_24h"
    every: str = ""
    agg: str = "mean"
    kinds: tuple[str, ...] = KINDS
    min_severity: int = 1


@dataclass(frozen=True)
class Seen:
    """What came of it.

    Attributes:
        asked: What was asked.
        span: The time it was asked for, absolute.
        cis, metrics: Those that were found, and that the frames are of.
        series, history: As the tools return them; None where there was nothing to ask, or it failed.
        units: The metrics that the CIs have, with their units.
        failed: What could not be answered, and why.
        absent: By metric, the CIs that do not have it at all.
        silent: By metric, the CIs that have it, and no point of it in this time.
        unknown: Of how many CIs without points it is not known which of the two they are.
        said: How whole the frames are.
    """

    asked: Asked
    span: str = ""
    cis: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    series: Any = None
    history: Any = None
    units: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    silent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unknown: int = 0
    said: tuple[str, ...] = ()


async def look(ops: Ops, asked: Asked) -> Seen:
    """Ask for all that a board shows.

    Raises:
        BadTimeRange, BadParameter: something cannot be meant.
        CiopsError: nothing could be answered.
    """
    _check(asked)
    span = str(parse_range(asked.time_range, now=await ops.now("MetricBoard"), tz=ops.tz))
    if not asked.cis:
        return Seen(asked, span)
    failed: dict[str, str] = {}
    cis, units = await _known(ops, list(asked.cis), failed)
    if not cis:
        return Seen(asked, span, failed=failed)
    metrics = list(asked.metrics) or await _first(ops, cis[0], units)
    series, (history, said) = await asyncio.gather(
        _series(ops, asked, cis, metrics, span, failed), _history(ops, asked, cis, span, failed)
    )
    said = (*_completeness("points", series), *said)
    metrics = [name for name in metrics if name not in failed]
    absent, silent, unknown = await _lacking(ops, cis, metrics, series)
    return Seen(
        asked, span, tuple(cis), tuple(metrics), series, history, units, failed, absent, silent, unknown, said
    )  # fmt: skip


def _check(asked: Asked) -> None:
    for kind in asked.kinds:
        if kind not in KINDS:
            raise BadParameter("kinds", kind, "is no kind of record", f"Choose from {', '.join(KINDS)}")
    if not 1 <= asked.min_severity <= 5:
        raise BadParameter("min_severity", asked.min_severity, "is not a severity", "Give a number from 1 to 5")


async def _known(ops: Ops, cis: list[str], failed: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Those of *cis* that there are, and the metrics that they have."""
    left = list(dict.fromkeys(cis))
    while left:
        try:
            found = await ops.metric_list(left)
        except ItemNotFound as error:
            if error.value not in left:
                raise
            failed[error.value] = str(error)
            left.remove(error.value)
        else:
            rows = rows_of(found, {"metric": True, "unit": True}, "metrics")
            return left, {metric: unit or "" for metric, unit in rows.iter_rows()}
    return [], {}


async def _first(ops: Ops, code: str, units: Mapping[str, str]) -> list[str]:
    """The metrics to begin with: the first few of the first CI, or of all where it has none."""
    own = rows_of(await ops.metric_list(code), {"metric": True}, "metrics")["metric"].to_list()
    return (own or list(units))[:_FIRST]


async def _series(ops: Ops, asked: Asked, cis: list[str], metrics: list[str], span: str, failed: dict[str, str]) -> Any:
    """The points of all metrics in one frame; where that fails, of those that do not."""

    def ask(names: list[str]) -> Awaitable[Any]:
        return ops.metric_series_table(names, cis, time_range=span, every=asked.every or None, agg=asked.agg)

    if not metrics:
        return None
    found, error = await _tried(ask(metrics))
    if error is None:
        return found
    alone = (
        [(name, *await _tried(ask([name]))) for name in metrics] if len(metrics) > 1 else [(metrics[0], None, error)]
    )
    failed.update({name: explained(wrong) for name, _, wrong in alone if wrong is not None})
    good = [name for name, _, wrong in alone if wrong is None]
    if not good:
        return None
    found, error = await _tried(ask(good))
    if error is not None:
        failed.update(dict.fromkeys(good, explained(error)))
    return found


async def _history(
    ops: Ops, asked: Asked, cis: list[str], span: str, failed: dict[str, str]
) -> tuple[Any, tuple[str, ...]]:
    """The records that are drawn over the series, and how whole they are."""
    if not asked.kinds:
        return None, ()
    ask = ops.history_recent(cis, time_range=span, kinds=list(asked.kinds), limit=_RECORDS)
    found: Any
    found, error = await _tried(ask)
    if error is not None:
        failed["history"] = explained(error)
        return None, ()
    said, shown = _completeness("records of history", found), _severe(found, asked.min_severity)
    if hidden := len(found) - len(shown):
        said.append(f"Not drawn, since less severe than {asked.min_severity}: {hidden} of them.")
    return shown, tuple(said)


async def _tried(asking: Awaitable[T]) -> tuple[T | None, Exception | None]:
    try:
        return await asking, None
    except BadTimeRange:
        raise
    except Exception as error:  # noqa: BLE001  it is said of what failed
        return None, error


def _severe(history: Any, least: int) -> Any:
    """Records of at least this severity, and those that have none; the same as what ``code_of`` says."""
    if least <= 1:
        return history
    severity = history["severity"]
    if isinstance(history, pl.DataFrame):
        return history.filter(severity.fill_null(9) >= least)
    return history[severity.fillna(9) >= least]


async def _lacking(
    ops: Ops, cis: list[str], metrics: list[str], series: Any
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], int]:
    """Who has no points: since the metric is absent, or only in this time; and of how many that was not asked."""
    seen: set[tuple[Any, ...]] = set()
    if series is not None:
        seen = set(rows_of(series, {"metric": True, "ci_code": True}, "series").unique().iter_rows())
    lacking = {name: [code for code in cis if (name, code) not in seen] for name in metrics}
    codes = sorted({code for some in lacking.values() for code in some})
    asked = codes[:_LOOKED_INTO]
    found = await sync.together(*(_tried(ops.metric_list(code)) for code in asked))
    has = {
        code: set(rows_of(one, {"metric": True}, "metrics")["metric"])
        for code, (one, error) in zip(asked, found, strict=True)
        if error is None
    }
    absent = {name: tuple(c for c in some if c in has and name not in has[c]) for name, some in lacking.items()}
    silent = {name: tuple(c for c in some if c in has and name in has[c]) for name, some in lacking.items()}
    return _filled(absent), _filled(silent), len(codes) - len(has)


def _filled(some: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: codes for name, codes in some.items() if codes}


async def suggestions(ops: Ops, words: str, most: int = 8) -> list[tuple[str, str]]:
    """CIs that *words* may mean, code and name, the best first."""
    found = rows_of(await ops.ci_search(words, limit=most), {"ci_code": True, "ci_name": True}, "found")
    return [(code, name or "") for code, name in found.iter_rows()]


async def neighbours(ops: Ops, cis: Sequence[str], view: str) -> list[str]:
    """The CIs that *cis* need (``dependency``) or hurt (``impact``) at once, those that are known left out, by code."""
    graph = await ops.graph_expand(list(cis), view=view, depth=1)
    return sorted(set(graph) - set(cis))


# ── words and pictures ──────────────────────────────────────────────────────────────────────────────────────────────


def notes_of(seen: Seen) -> list[tuple[str, str]]:
    """What is to be said beneath the picture, each with its look: alarm, or quiet."""
    notes = [("alarm", f"Failed: {name}: {why}") for name, why in sorted(seen.failed.items())]
    for metric, codes in seen.absent.items():
        notes.append(("quiet", f"Absent: {metric} is not measured on {_some(codes)}."))
    for metric, codes in seen.silent.items():
        notes.append(("quiet", f"No points of {metric} in this time on {_some(codes)}."))
    if seen.unknown:
        notes.append(("quiet", f"Of {seen.unknown} CIs without points it is not known which metrics they have."))
    return [*notes, *(("quiet", text) for text in seen.said)]


def _completeness(what: str, frame: Any) -> list[str]:
    if frame is None:
        return []
    told = provenance(frame)
    whole = told.completeness
    said = [f"{what.capitalize()}: {len(frame):,}, {whole['status']}."]
    said += [f"Left out: {cut['count']} {cut['what']} of the {what} ({cut['why']})." for cut in whole["left_out"]]
    return said + [f"Note on the {what}: {text}" for text in told.warnings]


def _some(codes: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(visible(code) for code in codes[:most])
    return f"{shown} and {len(codes) - most} more" if len(codes) > most else shown


def drawn(seen: Seen) -> str | None:
    """The picture, as SVG in the colours of the light theme; None where there is nothing to draw."""
    if seen.series is None:
        return None
    figure = plots.series(seen.series, history=seen.history, units=_units(seen))
    title = f"{', '.join(seen.metrics)} of {_some(seen.cis)}"
    return to_svg(figure, title, prefix="board")


def code_of(seen: Seen, frames: str) -> str:
    """The Python that asks for the same, and draws it."""
    if seen.series is None:
        return ""
    asked = seen.asked
    bucket = f", every={asked.every!r}, agg={asked.agg!r}" if asked.every else ""
    cis = list(seen.cis)
    lines = [
        "from ciops_nb.views import plots",
        "",
        f"points = ops.metric_series_table.sync({list(seen.metrics)!r}, {cis!r}, time_range={seen.span!r}{bucket})",
    ]
    if seen.history is not None:
        kinds = list(asked.kinds)
        lines.append(
            f"history = ops.history_recent.sync({cis!r}, time_range={seen.span!r}, kinds={kinds!r}, limit={_RECORDS})"
        )
        if asked.min_severity > 1:
            fill, keep = ("fill_null", "history.filter({})") if frames == "polars" else ("fillna", "history[{}]")
            lines.append("history = " + keep.format(f"history['severity'].{fill}(9) >= {asked.min_severity}"))
    history = "history=history, " if seen.history is not None else ""
    lines.append(f"figure = plots.series(points, {history}units={_units(seen)!r})")
    return "\n".join(lines)


def _units(seen: Seen) -> dict[str, str]:
    return {name: seen.units[name] for name in seen.metrics if seen.units.get(name)}
