"""Pictures of what the tools return: plain functions from a frame or a graph to a matplotlib Figure.

No pyplot, so nothing global is touched and nothing appears by itself. Colours are those of Okabe and Ito; whatever a
colour says, a shape or a word says too. An empty answer gives a figure that says so. How a figure becomes SVG is in
``svg``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ciops_nb.answers import provenance
from ciops_nb.errors import BadParameter
from ciops_nb.views import result_plots, rule_plots, topology_plots
from ciops_nb.views.marks import DASHES, KINDS, Mark, kind_look, marks_of, thinned, value_axis, with_gaps
from ciops_nb.views.pens import AxesPen
from ciops_nb.views.result_plots import call_times, ci_groups, injected, metric_groups, near_misses, paths
from ciops_nb.views.rule_plots import comparison, replay_timeline, sweep_map
from ciops_nb.views.sheet import (
    EM,
    WIDTH,
    Legend,
    amount,
    blank_sheet,
    clock,
    in_days,
    marker_sample,
    moment_of,
    nothing,
    padded,
    rows_of,
    span_text,
    time_axis,
    unit_of,
    width_of,
    window_of,
)
from ciops_nb.views.svg import Palette, palette, shorten, styled, to_svg, visible
from ciops_nb.views.topology_plots import relation_looks, topology, topology_diff, type_looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "EMPTY", "call_times", "ci_groups", "comparison", "draw", "injected", "metric_groups", "movers", "near_misses",
    "paths", "relation_looks", "replay_timeline", "series", "sweep_map", "timeline", "to_svg", "topology",
    "topology_diff", "type_looks",
]  # fmt: skip

EMPTY = {
    "timeline": "No events, changes, maintenance or incidents in this range.",
    "series": "No points of these metrics in this range.",
    "movers": "No metric moved.",
    **topology_plots.EMPTY,
    **rule_plots.EMPTY,
    **result_plots.EMPTY,
}

# --- timeline -------------------------------------------------------------------------------------------------------

_KIND_ROWS = 8


@styled
def timeline(history: Any, *, at: Any = None, window: Any = None, theme: str = "light") -> Figure:
    """Draw what happened when: a lane for each kind, a marker for each record, a bar where it took time.

    Args:
        history: A frame of ``history_recent``: start_at, end_at, kind, type, ci_code, severity, title.
        at: The moment in question, drawn as a line.
        window: (start, end) of what was looked into: all of it is within the axis, so that quiet is seen to be quiet.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, *window* is not a pair, or no such theme.
        BadTimeRange: *at* or an end of *window* is not a time.
    """
    colours = palette(theme)
    marks, moment, asked = marks_of(history), moment_of(at), window_of(window)
    if not marks:
        return nothing(EMPTY["timeline"], colours)
    ends = [m.end or m.start for m in marks] + ([moment] if moment else []) + list(asked or ())
    start, end = padded(min([m.start for m in marks] + list(asked or ())), max(ends))
    kinds = [k for k in KINDS if any(m.kind == k for m in marks)]
    kinds += sorted({m.kind for m in marks} - set(kinds))
    room = WIDTH - 1.35
    lanes = {kind: _stack([m for m in marks if m.kind == kind], start, end, room) for kind in kinds}
    unnamed = sum(not m.label for m in marks)
    return _draw_timeline(lanes, marks, (start, end), moment, unnamed, colours)


def _stack(marks: list[Mark], start: datetime, end: datetime, room: float) -> int:
    """Give the marks of one lane rows so that neither they nor their titles overlap; the number of rows.

    Where there are too many, the lesser ones go without a title.
    """
    for least in (0, 3, 4, 5, 10):
        for mark in marks:
            mark.label = mark.name() if mark.weight >= least else ""
        rows = _pack(marks, start, end, room)
        if rows <= _KIND_ROWS:
            return rows
    for mark in marks:
        mark.row = min(mark.row, _KIND_ROWS - 1)
    return _KIND_ROWS


def _pack(marks: list[Mark], start: datetime, end: datetime, room: float) -> int:
    scale = room / ((end - start) / timedelta(days=1))
    first = in_days(start)
    taken: list[list[tuple[float, float]]] = []
    for mark in marks:
        left = (in_days(mark.start) - first) * scale
        right = room if mark.open else (in_days(mark.end or mark.start) - first) * scale
        wide = width_of(mark.label, 6.5) + 0.1 if mark.label else 0.0
        tight = mark.open or right + 0.1 + wide > room
        mark.leftward = tight and left - 0.1 - wide >= 0
        mark.over = tight and not mark.leftward  # no room on either side: on its own bar
        beyond = max(right, left + 0.03 + wide) if mark.over else right + 0.01 + wide
        low, high = (left - 0.1 - wide, right + 0.09) if mark.leftward else (left - 0.09, beyond + 0.09)
        for row, spans in enumerate(taken):
            if all(high <= a or low >= b for a, b in spans):
                mark.row = row
                spans.append((low, high))
                break
        else:
            mark.row = len(taken)
            taken.append([(low, high)])
    return len(taken)


def _draw_timeline(
    lanes: dict[str, int],
    marks: list[Mark],
    span: tuple[datetime, datetime],
    moment: datetime | None,
    unnamed: int,
    colours: Palette,
) -> Figure:
    pitch, gap = 0.19, 0.12
    legend = Legend(WIDTH - 0.4)
    for word, face in (
        ("severity 4–5", colours.vermillion),
        ("severity 3", colours.orange),
        ("lower or none", colours.surface),
    ):
        legend.add(word, marker_sample("o", face, colours.ink))
    for kind in lanes:
        legend.add(kind, marker_sample(kind_look(kind, colours)[0], colours.muted, colours.ink))
    if any(mark.open for mark in marks):
        legend.notes.append("A dashed bar: not resolved by the end of the picture.")
    if unnamed:
        legend.notes.append(f"{unnamed} of {len(marks)} records are drawn without their title, for want of room.")
    inside = sum(lanes.values()) * pitch + gap * len(lanes)
    foot, head = legend.height() + 0.5, 0.25
    height = inside + foot + head
    figure, sheet = blank_sheet(WIDTH, height, colours)
    axes = figure.add_axes((1.15 / WIDTH, foot / height, (WIDTH - 1.35) / WIDTH, inside / height), facecolor="none")
    axes.set_ylim(inside, 0)
    top = 0.0
    for number, (kind, rows) in enumerate(lanes.items()):
        deep = rows * pitch + gap
        if number % 2 == 0:
            axes.axhspan(top, top + deep, color=colours.panel, linewidth=0, zorder=0)
        count = sum(m.kind == kind for m in marks)
        sheet.text(
            1.05,
            foot + inside - top - deep / 2,
            f"{shorten(visible(kind), 12)} ({count})",
            ha="right",
            va="center_baseline",
            fontsize=8,
            color=colours.ink,
        )
        _draw_marks(
            axes,
            [m for m in marks if m.kind == kind],
            top + gap / 2 + pitch / 2,
            pitch,
            span,
            colours,
            ground=colours.surface if number % 2 else colours.panel,
        )
        top += deep
    time_axis(axes, *span, colours)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(span_text(*span), fontsize=7, color=colours.muted)
    if moment is not None:
        axes.axvline(in_days(moment), color=colours.ink, linewidth=1.4, zorder=3)
        axes.text(
            in_days(moment),
            -0.05,
            f"at {clock(moment, span[1] - span[0])}",
            fontsize=7,
            color=colours.ink,
            ha="center",
            va="bottom",
        )
    legend.draw(AxesPen(sheet), 0.2, legend.height(), colours)
    return figure


def _draw_marks(
    axes: Axes,
    marks: list[Mark],
    first: float,
    pitch: float,
    span: tuple[datetime, datetime],
    colours: Palette,
    ground: str,
) -> None:
    scale = (WIDTH - 1.35) / (in_days(span[1]) - in_days(span[0]))
    for mark in marks:
        x, y = in_days(mark.start), first + mark.row * pitch
        shape, colour, size = kind_look(mark.kind, colours)
        stop = in_days(mark.end) if mark.end else in_days(span[1]) if mark.open else x
        if stop > x:
            dashes = (0, (0.8, 0.4)) if mark.open else "-"
            axes.plot(
                [x, stop],
                [y, y],
                color=colour,
                linewidth=5,
                alpha=0.55,
                solid_capstyle="butt",
                linestyle=dashes,
                zorder=2,
            )
        grade = mark.severity or 0
        face = colours.vermillion if grade >= 4 else colours.orange if grade == 3 else colours.surface
        area = (34 + 7 * max(0, grade - 2)) * size
        axes.scatter([x], [y], s=area, marker=shape, facecolors=face, edgecolors=colours.ink, linewidths=0.8, zorder=5)
        if mark.label:
            where, side = (x - 0.1 / scale, "right") if mark.leftward else (stop + 0.1 / scale, "left")
            if mark.over:
                where = x + 0.12 / scale
            backing = {"facecolor": ground, "edgecolor": "none", "alpha": 0.85, "pad": 0.4}
            tone = colours.ink if grade >= 4 or mark.weight >= 6 else colours.muted
            axes.text(
                where, y, mark.label, fontsize=6.5, color=tone, ha=side, va="center_baseline", bbox=backing, zorder=4
            )


# --- series ---------------------------------------------------------------------------------------------------------

_PANELS = 24
_NAMED = 9  # series of one panel up to which each is named in it
_CROWD = 12  # records of other items beyond which they are ticks: more lines than that hide the series
_NARROW = 0.25  # share of the axis below which the window has an axis of its own
_SERIES = {"ts": True, "ci_code": True, "metric": True, "series": False, "value": True}


@styled
def series(
    frame: Any,
    *,
    history: Any = None,
    at: Any = None,
    window: Any = None,
    units: Mapping[str, str] | None = None,
    theme: str = "light",
) -> Figure:
    """Draw series as small multiples over one axis of time, with what happened drawn over every one.

    Where *window* would be a small part of the axis, or far from the other points, it has an axis of its own, and the
    other points, what is usual, stand beside it on theirs.

    Args:
        frame: A frame of ``metric_series_table`` (not wide): ts, ci_code, metric, value, and series if there is one.
        history: A frame of ``history_recent``. Records of the panel's own item stand out; events below severity 4 are
            ticks at its foot.
        at: The moment in question, drawn as a line.
        window: (start, end) of what was looked into: shaded, and always within the axis.
        units: What each metric is measured in, by its name.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, *window* is not a pair, or no such theme.
        BadTimeRange: *at* or an end of *window* is not a time.
    """
    colours = palette(theme)
    rows = rows_of(frame, _SERIES, "frame").filter(pl.col("ts").is_not_null())
    marks = [] if history is None else marks_of(history)
    moment, shaded = moment_of(at), window_of(window)
    if rows.is_empty():
        return nothing(EMPTY["series"], colours)
    ends = [rows["ts"].min(), rows["ts"].max(), moment, *(shaded or ())]
    times = [end for end in ends if isinstance(end, datetime)]
    span, usual = padded(min(times), max(times), 0.01), None
    if shaded is not None and shaded[1] - shaded[0] < (span[1] - span[0]) * _NARROW:
        first, last = (pick(*shaded, moment or shaded[0]) for pick in (min, max))
        span = padded(first, last, 0.01)
        others = rows.filter(~pl.col("ts").is_between(*span))["ts"]
        usual = None if others.is_empty() else padded(others.min(), others.max(), 0.01)  # type: ignore[arg-type]
    panels = rows.with_columns(pl.col("series").cast(pl.String).fill_null("")).sort("ci_code", "metric", "series", "ts")
    groups = panels.partition_by("ci_code", "metric", maintain_order=True)
    return _Series(groups, marks, moment, shaded, span, usual, units, colours).draw()


@dataclass
class _Series:
    """One picture of small multiples."""

    groups: list[pl.DataFrame]
    marks: list[Mark]
    at: datetime | None
    window: tuple[datetime, datetime] | None
    span: tuple[datetime, datetime]
    usual: tuple[datetime, datetime] | None
    units: Mapping[str, str] | None
    colours: Palette

    def draw(self) -> Figure:
        shown = self.groups[:_PANELS]
        columns = self.columns()
        lines = -(-len(shown) // columns)
        legend = self._legend(len(shown))
        panel, space = 1.35 if columns == 1 else 1.15, 0.4
        foot, head = legend.height() + 0.52, 0.06
        height = lines * (panel + space) + foot + head
        figure, sheet = blank_sheet(WIDTH, height, self.colours)
        left, gap = 0.62, 0.7
        wide = (WIDTH - left - 0.2 - gap * (columns - 1)) / columns
        for i, group in enumerate(shown):
            column, line = i // lines, i % lines
            x, y = left + column * (wide + gap), foot + (lines - 1 - line) * (panel + space)
            part = wide * 0.28 if self.usual else 0.0
            axes = figure.add_axes(
                ((x + part) / WIDTH, y / height, (wide - part) / WIDTH, panel / height), facecolor="none"
            )
            last = line == lines - 1 or i == len(shown) - 1
            self._panel(axes, group, last)
            if self.usual:
                box = (x / WIDTH, y / height, (part - 0.1) / WIDTH, panel / height)
                self._usual(figure.add_axes(box, facecolor="none", sharey=axes), group, last)
            unit = unit_of(self.units, group["metric"][0])
            title = f"{visible(group['ci_code'][0])} · {visible(group['metric'][0])}" + (f" ({unit})" if unit else "")
            sheet.text(
                x,
                y + panel + 0.2,
                shorten(title, wide / 8 / EM),
                fontsize=8,
                weight="bold",
                color=self.colours.ink,
                va="center_baseline",
            )
        legend.draw(AxesPen(sheet), 0.2, legend.height(), self.colours)
        return figure

    def columns(self) -> int:
        return 1 if len(self.groups) <= 3 else 2

    def named(self) -> int:
        """How many lines of a panel are named side by side."""
        return 3 if self.columns() > 1 else 6

    def _legend(self, shown: int) -> Legend:
        colours, legend = self.colours, Legend(WIDTH - 0.4)
        if self.at is not None:
            legend.add_line(f"at {clock(self.at, self.span[1] - self.span[0])}", colours.ink, "-", 1.4)
        if self.window is not None:
            legend.add("looked into", marker_sample("s", colours.panel, colours.faint, 70))
        for kind in sorted(
            {m.kind for m in self._inside()}, key=lambda k: (list(KINDS).index(k) if k in KINDS else 9, k)
        ):
            shape, colour, _ = kind_look(kind, colours)
            legend.add(kind, marker_sample(shape, colour, colours.ink))
        if self.usual:
            legend.notes.append(
                f"The narrow part on the left: what is usual, {span_text(*self.usual)}, on its own axis."
            )
        if self._inside():
            others = "ticks at the top: the many of others" if self._crowded() else "hollow and pale: of others"
            legend.notes.append(f"Filled markers: of this item; {others}. Ticks at the foot: events below severity 4.")
        if shown < len(self.groups):
            legend.notes.append(f"{shown} of {len(self.groups)} series are drawn.")
        return legend

    def _inside(self) -> list[Mark]:
        start, end = self.span
        return [m for m in self.marks if m.start <= end and (m.end or m.start) >= start]

    def _crowded(self) -> bool:
        return sum(not mark.minor for mark in self._inside()) > _CROWD

    def _usual(self, axes: Axes, group: pl.DataFrame, last: bool) -> None:
        """The part of a panel that shows the time to compare with."""
        assert self.usual is not None
        time_axis(axes, *self.usual, self.colours, labels=last, most=3)
        if last:
            axes.set_xlabel("usual", fontsize=7, color=self.colours.muted, labelpad=2)
        for number, line in enumerate(group.partition_by("series", maintain_order=True)):
            self._line(axes, line.filter(pl.col("ts").is_between(*self.usual)), number, named=False)
        self._dress(axes, group)

    def _panel(self, axes: Axes, group: pl.DataFrame, last: bool) -> None:

        colours = self.colours
        time_axis(axes, *self.span, colours, labels=last)
        if last:
            axes.set_xlabel(span_text(*self.span), fontsize=7, color=colours.muted, labelpad=2)
        if self.window is not None:
            axes.axvspan(in_days(self.window[0]), in_days(self.window[1]), color=colours.panel, linewidth=0, zorder=0)
        lines = group.partition_by("series", maintain_order=True)
        for number, line in enumerate(lines):
            here = line.filter(pl.col("ts").is_between(*self.span)) if self.usual else line
            self._line(axes, here, number, named=len(lines) > 1)
        self._dress(axes, group)
        if self.usual:
            axes.tick_params(axis="y", labelleft=False)
        if not group["value"].cast(pl.Float64).is_finite().any():
            axes.text(0.5, 0.5, "only gaps", transform=axes.transAxes, ha="center", color=colours.muted)
            axes.set_yticks([])
        if len(lines) > _NAMED:
            many = f"{len(lines)} series, too many to be named here"
            axes.text(0.01, 0.97, many, transform=axes.transAxes, va="top", fontsize=6.5, color=colours.ink, zorder=5)
        elif len(lines) > 1:
            axes.legend(
                fontsize=6.5,
                loc="upper left",
                ncols=self.named(),
                frameon=False,
                labelcolor=colours.ink,
                handlelength=1.6,
                borderaxespad=0.7,
            )
        self._overlay(axes, visible(group["ci_code"][0]))
        if self.at is not None:
            axes.axvline(in_days(self.at), color=colours.ink, linewidth=1.4, zorder=4)

    def _dress(self, axes: Axes, group: pl.DataFrame) -> None:
        values = group["value"].cast(pl.Float64)
        known = values.filter(values.is_finite()).to_numpy()
        if self.usual and len(known):
            low, high = float(known.min()), float(known.max())
            room = (high - low) * 0.12 or abs(high) * 0.1 or 1.0
            axes.set_ylim(low - room, high + room)  # both parts: neither may cut the other
        value_axis(axes, self.colours)
        lines = group["series"].n_unique()
        if len(known) and lines > 1:  # room for their names above them
            low, high = axes.get_ylim()
            names = -(-lines // self.named()) if lines <= _NAMED else 1
            axes.set_ylim(low, high + (high - low) * 0.12 * names)

    def _line(self, axes: Axes, line: pl.DataFrame, number: int, named: bool) -> None:
        x, y = with_gaps(line["ts"], line["value"].cast(pl.Float64))
        hues = self.colours.hues()
        style: dict[str, Any] = {
            "color": hues[number % 6],
            "linestyle": DASHES[number // 6 % len(DASHES)],
            "linewidth": 1.2,
            "zorder": 3,
        }
        name = shorten(visible(line["series"][0]), 24) or "–"
        axes.plot(*thinned(x, y), label=(name if not name.startswith("_") else f" {name}") if named else None, **style)
        # A point between two gaps has no line to be seen by.
        known = np.isfinite(y)
        alone = known & ~np.append(known[1:], False) & ~np.append(False, known[:-1])
        if alone.any():
            axes.scatter(x[alone], y[alone], s=7, color=style["color"], linewidths=0, zorder=3)

    def _overlay(self, axes: Axes, code: str) -> None:
        colours, top, crowded = self.colours, axes.get_xaxis_transform(), self._crowded()
        ticks: dict[tuple[bool, str, bool], list[float]] = {}
        for mark in self._inside():
            own = mark.code == code
            if mark.minor or (crowded and not own):
                colour = colours.muted if mark.minor else kind_look(mark.kind, colours)[1]
                ticks.setdefault((mark.minor, colour, own), []).append(in_days(mark.start))
            else:
                self._mark(axes, mark, own)
        for (minor, colour, own), xs in sorted(ticks.items()):
            ends = (0.0, 0.07) if minor else (0.93, 1.0)
            axes.plot(  # one path for all, broken by NaN: a few bytes each
                np.repeat(xs, 3), np.tile([*ends, np.nan], len(xs)), transform=top, color=colour,
                linewidth=1.3 if own else 0.7, alpha=1 if own else 0.5,
            )  # fmt: skip

    def _mark(self, axes: Axes, mark: Mark, own: bool) -> None:
        colours, x = self.colours, in_days(mark.start)
        shape, colour, size = kind_look(mark.kind, colours)
        if mark.end is not None and mark.end > mark.start:
            axes.axvspan(x, in_days(mark.end), color=colour, alpha=0.2 if own else 0.1, linewidth=0, zorder=1)
        axes.axvline(
            x, color=colour, linewidth=1.1 if own else 0.7, linestyle=(0, (3, 2)), alpha=0.9 if own else 0.45, zorder=2
        )
        axes.scatter(
            [x], [1.0], s=30 * size, marker=shape, transform=axes.get_xaxis_transform(),
            facecolors=colour if own else colours.surface, edgecolors=colours.ink if own else colour, linewidths=0.7,
            clip_on=False, zorder=6,
        )  # fmt: skip


# --- movers ---------------------------------------------------------------------------------------------------------

_BARS = 30
_POWERS = 1000  # the longest bar to the shortest beyond which lengths are logarithms
_MOVERS = {
    "ci_code": True, "metric": True, "series": False, "score": True, "direction": False, "moved_at": False,
    "before": False, "worst": False,
}  # fmt: skip


@styled
def movers(frame: Any, *, units: Mapping[str, str] | None = None, theme: str = "light") -> Figure:
    """Draw which metrics moved most, and when each moved first.

    Args:
        frame: ci_code, metric, score (the further from usual the larger), direction (up, down), moved_at; series,
            before and worst (the usual value and the one furthest from it) where there are any.
        units: What each metric is measured in, by its name.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, or no such theme.
    """
    colours = palette(theme)
    rows = rows_of(frame, _MOVERS, "frame").filter(pl.col("score").cast(pl.Float64).is_finite())
    if rows.is_empty():
        return nothing(EMPTY["movers"], colours)
    size = pl.col("score").cast(pl.Float64).abs()
    rows = rows.with_columns(size.alias("size")).sort("size", "ci_code", "metric", descending=[True, False, False])
    shown = list(rows.head(_BARS).iter_rows(named=True))
    notes = [f"{len(shown)} of {rows.height} metrics are drawn."] if rows.height > len(shown) else []
    values = [_from_to(row, unit_of(units, row["metric"])) for row in shown]
    return _draw_movers(shown, values, notes, colours)


def _from_to(row: Mapping[str, Any], unit: str) -> str:
    """The usual value and the one furthest from it."""
    if row["before"] is None or row["worst"] is None:
        return ""
    return f"{amount(row['before'])} → {amount(row['worst'])} {shorten(unit, 12)}".rstrip()


def _draw_movers(shown: list[dict[str, Any]], values: list[str], notes: list[str], colours: Palette) -> Figure:
    told = max(width_of(text, 7.5) for text in values)
    pitch, width = 0.3, WIDTH if told else 9.0
    legend = Legend(width - 0.4, notes=notes)
    legend.add("rose above its usual", marker_sample("^", colours.vermillion, colours.ink))
    legend.add("fell below its usual", marker_sample("v", colours.blue, colours.ink))
    height = pitch * len(shown) + legend.height() + 0.45
    figure, axes = blank_sheet(width, height, colours)
    names = [shorten(_mover_name(row), 44) for row in shown]
    left = max(width_of(name, 7.5) for name in names) + 0.35
    times = [r["moved_at"] for r in shown if r["moved_at"] is not None]
    days = {t.date() for t in times}
    stamps = max(width_of(_moved_heading(days), 7.5), width_of("2026-03-02 10:00 first", 7.5) * 1.1) + 0.3
    room = width - left - 0.6 - stamps - (told + 0.35 if told else 0.0)
    share, scale = _bar_lengths([row["size"] for row in shown])
    style: dict[str, Any] = {"va": "center_baseline", "fontsize": 7.5}
    for x, side, text in (
        (left, "left", f"deviations from the usual{scale}"),
        (width - 0.2 - stamps, "right", "usual → furthest" if told else ""),
        (width - 0.2, "right", _moved_heading(days)),
    ):
        axes.text(x, height - 0.17, text, ha=side, color=colours.muted, **style)
    for i, (row, name) in enumerate(zip(shown, names, strict=True)):
        y = height - 0.3 - (i + 0.5) * pitch
        down = row["direction"] == "down"
        colour, arrow = (colours.blue, "v") if down else (colours.vermillion, "^")
        length = room * share[i]
        axes.text(left - 0.12, y, name, ha="right", va="center_baseline", fontsize=7.5, color=colours.ink)
        axes.barh([y], [length], left=left, height=pitch * 0.62, color=colour, linewidth=0, hatch=None)
        axes.scatter(
            [left + length + 0.13], [y], s=30, marker=arrow, facecolors=colour, edgecolors=colours.ink, linewidths=0.7
        )
        axes.text(
            left + length + 0.25,
            y,
            amount(row["size"], digits=3),
            va="center_baseline",
            fontsize=7.5,
            color=colours.ink,
        )
        axes.text(width - 0.2 - stamps, y, values[i], ha="right", color=colours.ink, **style)
        if row["moved_at"] is not None:
            stamp = f"{row['moved_at']:%H:%M:%S}" if len(days) == 1 else f"{row['moved_at']:%Y-%m-%d %H:%M}"
            first = " first" if row["moved_at"] == min(times) and len(times) > 1 else ""
            weight = "bold" if first else "normal"
            axes.text(
                width - 0.2,
                y,
                stamp + first,
                ha="right",
                va="center_baseline",
                fontsize=7.5,
                weight=weight,
                color=colours.ink,
            )
    legend.draw(AxesPen(axes), 0.2, legend.height(), colours)
    return figure


def _bar_lengths(sizes: list[float]) -> tuple[list[float], str]:
    """Each bar as a share of the longest, and what to say of the scale: logarithms where one would hide the others."""
    longest, least = sizes[0] or 1.0, min((size for size in sizes if size > 0), default=1.0)
    if longest / least <= _POWERS:
        return [size / longest for size in sizes], ""
    span = np.log(longest / least)
    return [float(0.05 + 0.95 * np.log(size / least) / span) if size > 0 else 0.0 for size in sizes], " (logarithmic)"


def _mover_name(row: Mapping[str, Any]) -> str:
    series = f" [{visible(row['series'])}]" if row["series"] else ""
    return f"{visible(row['ci_code'])} · {visible(row['metric'])}{series}"


def _moved_heading(days: set[date]) -> str:
    if not days:
        return "when it moved is not known"
    return f"moved at, {min(days)} UTC" if len(days) == 1 else "moved at, UTC"


# --- whatever a tool returned ---------------------------------------------------------------------------------------

_PICTURES: dict[str, Callable[..., Any]] = {
    "cep_compare": comparison,
    "cep_explain": near_misses,
    "cep_inject": injected,
    "cep_simulate": replay_timeline,
    "cep_sweep": sweep_map,
    "ci_aggregate": ci_groups,
    "graph_expand": topology,
    "graph_path": paths,
    "history_recent": timeline,
    "metric_aggregate": metric_groups,
    "metric_series_table": series,
}


def draw(result: Any, **options: Any) -> Figure:
    """Draw what a tool returned in the picture that suits it, which its record of origin tells.

    Args:
        result: A frame or a graph as a tool returned it.
        options: Those of the picture, such as ``theme="dark"`` or ``focus=`` of a topology.

    Raises:
        BadParameter: *result* carries no record of a tool that has a picture, or the picture has no such option.
    """
    try:
        tool = provenance(result).tool
    except LookupError:
        raise BadParameter(
            "result", type(result).__name__, "does not say which tool returned it",
            f"Choose a picture yourself: {', '.join(sorted(name for name in EMPTY))}",
        ) from None  # fmt: skip
    picture = _PICTURES.get(str(tool))
    if picture is None:
        raise BadParameter(
            "result", tool, "is a tool whose answers have no picture", f"There are pictures of {', '.join(_PICTURES)}"
        )
    known = list(inspect.signature(picture).parameters)[1:]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise BadParameter("options", unknown[0], f"is no option of {picture.__name__}", f"It has {', '.join(known)}")
    figure: Figure = picture(result, **options)
    return figure
