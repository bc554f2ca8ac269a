"""Pictures of the rule lab: what a replay found, what a sweep is worth, and what a new rule changes.

As in ``plots``, which hands these out too: plain functions from a frame to a matplotlib Figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ciops_nb.errors import BadParameter
from ciops_nb.estate.times import parse_duration
from ciops_nb.views.marks import DASHES, Mark, kind_look, marks_of, thinned, value_axis, with_gaps
from ciops_nb.views.pens import AxesPen, Pen
from ciops_nb.views.sheet import (
    EM,
    WIDTH,
    Legend,
    Sample,
    amount,
    blank_sheet,
    box_sample,
    clock,
    in_days,
    length_text,
    marker_sample,
    nothing,
    padded,
    rows_of,
    span_text,
    time_axis,
    width_of,
    window_of,
)
from ciops_nb.views.svg import Palette, palette, shorten, styled, text_columns, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["EMPTY", "comparison", "replay_timeline", "sweep_map"]

EMPTY = {
    "replay_timeline": "No alerts in this range.",
    "sweep_map": "No cells of a sweep.",
    "comparison": "Neither rule fired in this range.",
}

# --- stretches of time in lanes -------------------------------------------------------------------------------------

_PITCH = 0.19  # inches from row to row
_LEFT, _RIGHT = 2.5, 0.25  # beside lanes
_ROWS = (3, 7)  # of one lane, as long as what stands in it is named, and at all


@dataclass
class _Span:
    """What takes its time in a lane, and the words beside it."""

    begin: datetime
    end: datetime | None
    said: str
    weight: int = 0
    row: int = 0
    label: str = ""
    side: str = "right"  # of it, on which its label stands
    anchor: datetime | None = None  # after which its label stands, where it is on neither side

    def word_at(self, span: tuple[datetime, datetime]) -> float:
        """Where words that lie on it begin, in days: within *span*."""
        at = self.begin if self.anchor is None or self.anchor > span[1] else self.anchor
        return in_days(max(at, span[0]))


@dataclass
class _Lane:
    """One rule on one CI: what stands in it, in rows."""

    rule: str
    code: str
    spans: Sequence[_Span]
    rows: int = 1
    crowded: int = 0  # how many share the last row, for want of others

    def name(self, rules: bool, room: float, points: float, *more: str) -> str:
        parts = [self.code or "no CI", *([self.rule] if rules and self.rule else []), *more]
        each = (room / points / EM - 3 * (len(parts) - 1)) / len(parts)
        spare = sum(max(0.0, each - text_columns(part)) for part in parts)
        return " · ".join(shorten(part, each + spare) for part in parts)


def _place(lane: _Lane, span: tuple[datetime, datetime], room: float) -> None:
    """Give what stands in a lane rows, so that neither it nor its words overlap; the lesser ones go without words."""
    for least in sorted({one.weight for one in lane.spans} | {math.inf}):
        for one in lane.spans:
            one.label = one.said if one.weight >= least else ""
        lane.rows = max(1, _packed(lane.spans, span, room))
        if lane.rows <= _ROWS[least == math.inf]:
            return
    lane.crowded = sum(one.row >= _ROWS[1] - 1 for one in lane.spans)
    for one in lane.spans:
        one.row = min(one.row, _ROWS[1] - 1)
    lane.rows = _ROWS[1]


def _packed(spans: Sequence[_Span], span: tuple[datetime, datetime], room: float) -> int:
    scale, first = room / (in_days(span[1]) - in_days(span[0])), in_days(span[0])
    taken: list[list[tuple[float, float]]] = []
    for one in spans:
        left = max(0.0, (in_days(one.begin) - first) * scale)
        right = room if one.end is None else min(room, (in_days(one.end) - first) * scale)
        wide = width_of(one.label, 6.5) + 0.12 if one.label else 0.0
        tight = right + 0.1 + wide > room
        one.side = "right" if not tight else "left" if left - 0.1 - wide >= 0 else "over"
        low = left - 0.09 - (wide if one.side == "left" else 0.0)
        start = (one.word_at(span) - first) * scale
        high = max(right, start + wide if one.side == "over" else 0.0) + 0.09 + (wide if one.side == "right" else 0.0)
        for row, others in enumerate(taken):
            if all(high <= a or low >= b for a, b in others):
                one.row = row
                others.append((low, high))
                break
        else:
            one.row = len(taken)
            taken.append([(low, high)])
    return len(taken)


def _box(axes: Axes, begin: float, end: float, middle: float, high: float, **style: Any) -> None:
    from matplotlib.patches import Rectangle

    style = {"linewidth": 0.7, "zorder": 3} | style
    axes.add_patch(Rectangle((begin, middle - high / 2), end - begin, high, **style))


def _write(
    axes: Axes, one: _Span, y: float, room: float, span: tuple[datetime, datetime], ground: str, colours: Palette
) -> None:
    """The words of *one* beside it; *room* is how many inches wide the axes are."""
    if not one.label:
        return
    low, high = map(in_days, span)
    scale = room / (high - low)
    begin = max(in_days(one.begin), low)
    end = high if one.end is None else min(in_days(one.end), high)
    x, side = {
        "right": (end + 0.11 / scale, "left"),
        "left": (begin - 0.11 / scale, "right"),
        "over": (one.word_at(span) + 0.12 / scale, "left"),
    }[one.side]
    backing = {"facecolor": ground, "edgecolor": "none", "alpha": 0.85, "pad": 0.4}
    axes.text(x, y, one.label, fontsize=6.5, color=colours.ink, ha=side, va="center_baseline", bbox=backing, zorder=6)


Draw = Callable[["Axes", _Lane, float, float, str], None]


def _lane_sheet(
    lanes: Sequence[_Lane], deep: float, span: tuple[datetime, datetime], legend: Legend, draw: Draw, colours: Palette
) -> Figure:
    """Lanes below each other over one axis of time; *draw* fills each, and a row of one is *deep*."""
    gap = 0.12
    inside = sum(lane.rows * deep + gap for lane in lanes)
    foot, head = legend.height() + 0.5, 0.14
    height = inside + foot + head
    figure, sheet = blank_sheet(WIDTH, height, colours)
    room = WIDTH - _LEFT - _RIGHT
    axes = figure.add_axes((_LEFT / WIDTH, foot / height, room / WIDTH, inside / height), facecolor="none")
    axes.set_ylim(inside, 0)
    time_axis(axes, *span, colours)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(span_text(*span), fontsize=7, color=colours.muted)
    several, top = len({lane.rule for lane in lanes}) > 1, 0.0
    for number, lane in enumerate(lanes):
        depth = lane.rows * deep + gap
        if number % 2 == 0:
            axes.axhspan(top, top + depth, color=colours.panel, linewidth=0, zorder=0)
        sheet.text(
            _LEFT - 0.1, foot + inside - top - depth / 2, lane.name(several, _LEFT - 0.3, 7.5), ha="right",
            va="center_baseline", fontsize=7.5, color=colours.ink,
        )  # fmt: skip
        draw(axes, lane, top, depth, colours.surface if number % 2 else colours.panel)
        top += depth
    legend.draw(AxesPen(sheet), 0.2, legend.height(), colours)
    return figure


def _notes_of(lanes: Sequence[_Lane], every: int, what: str) -> list[str]:
    """What is not drawn, or not said, of lanes of which there are *every*."""
    notes = []
    unnamed = sum(bool(one.said) and not one.label for lane in lanes for one in lane.spans)
    count = sum(len(lane.spans) for lane in lanes)
    if unnamed:
        notes.append(f"{unnamed} of {count} {what} are drawn without their words, for want of room.")
    if crowded := sum(lane.crowded for lane in lanes):
        notes.append(f"{crowded} of {count} {what} share a row, and lie on each other.")
    if len(lanes) < every:
        notes.append(f"{len(lanes)} of {every} lanes are drawn: those with the most to show.")
    return notes


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _code_column(frame: Any) -> str:
    """How *frame* calls its CIs: the tools say ci_code, the functions of ``ciops.cep`` ci."""
    present = [str(column) for column in getattr(frame, "columns", ())]
    return "ci" if "ci" in present and "ci_code" not in present else "ci_code"


def _within(found: Sequence[_Span], span: tuple[datetime, datetime]) -> list[_Span]:
    return [one for one in found if one.begin <= span[1] and (one.end is None or one.end >= span[0])]


# --- replay ---------------------------------------------------------------------------------------------------------

_PANELS, _LANES = 24, 40
_NAMED = 6  # lines of one panel up to which each is named in it
_STATUS = {"fired": "", "suppressed": " suppressed", "pending_only": " did not last"}
_SERIES = {"ts": True, "ci_code": True, "metric": True, "series": False, "value": True}
_DRAWN = ("incident", "maintenance")


@dataclass
class _Alert(_Span):
    status: str = "fired"
    fired: datetime | None = None


@styled
def replay_timeline(
    alerts: Any,
    *,
    series: Any = None,
    threshold: float | Mapping[str, float] | None = None,
    history: Any = None,
    window: Any = None,
    theme: str = "light",
) -> Figure:
    """Draw when rules would have fired: for each rule and CI when an alert was pending, fired and ended.

    With *series* each has a panel with the values above; a CI without alerts has one too. 24 panels are drawn at most,
    and 40 lanes without values; those with the most alerts that fired come first, and the others are counted.

    Args:
        alerts: A frame of ``cep_simulate``, or of ``ciops.cep.replay``: rule, ci_code (or ci), status, active_at,
            fired_at, ended_at.
        series: A frame of ``metric_series_table`` (not wide): what the rules look at.
        threshold: What the values are held against, a number, or one for each rule by its name.
        history: A frame of ``history_recent``. Incidents, and maintenance of the CI itself, are drawn; other records
            are not.
        window: (start, end) to draw; by default all of it. Alerts outside are counted.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, a status or the threshold is none, *window* is not a pair, or no such theme.
        BadTimeRange: an end of *window* is not a time.
    """
    colours = palette(theme)
    found = _alerts_of(alerts)
    points = None if series is None else rows_of(series, _SERIES, "series").filter(pl.col("ts").is_not_null())
    marks = [] if history is None else [mark for mark in marks_of(history) if mark.kind in _DRAWN]
    limits, shown = _limits(threshold), window_of(window)
    if points is not None and shown is not None:
        points = points.filter(pl.col("ts").is_between(*shown))
    inside = {key: _within(ones, shown) if shown else ones for key, ones in found.items()}
    outside = sum(map(len, found.values())) - sum(map(len, inside.values()))
    inside = {key: ones for key, ones in inside.items() if ones}
    if not inside and (points is None or points.is_empty()):
        return nothing(EMPTY["replay_timeline"], colours)
    span = padded(*(shown or _reach(inside, points)), 0.01)
    groups = {} if points is None else {visible(code): rows for (code,), rows in points.group_by("ci_code")}
    quiet = sorted(set(groups) - {code for _, code in inside})
    lanes = [_Lane(rule, code, ones) for (rule, code), ones in inside.items()] + [_Lane("", c, []) for c in quiet]
    most = _PANELS if groups else _LANES
    kept = sorted(sorted(lanes, key=_importance)[:most], key=lambda lane: (lane.code, lane.rule))
    picture = _Replay(kept, len(lanes), groups, limits, marks, span, colours)
    if outside:
        picture.notes.append(f"{outside} more alerts lie outside this window.")
    if not inside:
        picture.notes.append(EMPTY["replay_timeline"])
    return picture.draw()


def _alerts_of(frame: Any) -> dict[tuple[str, str], list[_Span]]:
    """The alerts of each rule and CI, in time."""
    code = _code_column(frame)
    columns = {"rule": True, code: True, "status": True, "active_at": True, "fired_at": True, "ended_at": True}
    rows = rows_of(frame, columns, "alerts").filter(pl.col("active_at").is_not_null())
    unknown = sorted(set(rows["status"].cast(pl.String).fill_null("").to_list()) - set(_STATUS))
    if unknown:
        raise BadParameter("alerts", unknown[0], "is no status of an alert", f"Give one of {', '.join(_STATUS)}")
    found: dict[tuple[str, str], list[_Span]] = {}
    for row in rows.sort("rule", code, "active_at", "fired_at", "ended_at", "status").iter_rows(named=True):
        weight = list(_STATUS)[::-1].index(row["status"])
        one = _Alert(row["active_at"], row["ended_at"], "", weight, status=row["status"], fired=row["fired_at"])
        one.anchor = one.fired
        found.setdefault((visible(row["rule"] or ""), visible(row[code] or "")), []).append(one)
    return found


def _limits(threshold: Any) -> Mapping[str, float]:
    """The threshold of each rule; that of "" is for all."""
    given = threshold if isinstance(threshold, Mapping) else {} if threshold is None else {"": threshold}
    limits = {}
    for name, value in given.items():
        if not _is_number(value) or not math.isfinite(value):
            raise BadParameter("threshold", value, "is not a finite number", "Give what the rule compares with")
        limits[visible(name)] = float(value)
    return limits


def _reach(alerts: Mapping[Any, Sequence[_Span]], points: pl.DataFrame | None) -> tuple[datetime, datetime]:
    times = [time for ones in alerts.values() for one in ones for time in (one.begin, one.end or one.begin)]
    if points is not None and points.height:
        times += [points["ts"].min(), points["ts"].max()]  # type: ignore[list-item]
    return min(times), max(times)


def _importance(lane: _Lane) -> tuple[Any, ...]:
    fired, suppressed = (sum(one.weight == weight for one in lane.spans) for weight in (2, 1))
    return -fired, -suppressed, -len(lane.spans), lane.code, lane.rule


@dataclass
class _Replay:
    """One picture of a replay."""

    lanes: list[_Lane]
    every: int
    groups: Mapping[str, pl.DataFrame]
    limits: Mapping[str, float]
    marks: list[Mark]
    span: tuple[datetime, datetime]
    colours: Palette
    notes: list[str] = field(default_factory=list)

    def draw(self) -> Figure:
        for one in (one for lane in self.lanes for one in lane.spans):
            assert isinstance(one, _Alert)
            one.said = f"{clock(one.fired or one.begin, self.span[1] - self.span[0])}{_STATUS[one.status]}"
        return self._panels() if self.groups else self._lanes()

    def _lanes(self) -> Figure:
        room = WIDTH - _LEFT - _RIGHT
        for lane in self.lanes:
            _place(lane, self.span, room)

        def fill(axes: Axes, lane: _Lane, top: float, deep: float, ground: str) -> None:
            self._history(axes, lane.code, top, top + deep, axes.transData, others=not top)
            self._stretches(axes, lane, top + 0.06, room, ground)

        return _lane_sheet(self.lanes, _PITCH, self.span, self._legend(), fill, self.colours)

    def _panels(self) -> Figure:
        columns = 1 if len(self.lanes) <= 3 else 2
        left, gap, space = 0.62, 0.7, 0.34
        wide = (WIDTH - left - 0.2 - gap * (columns - 1)) / columns
        for lane in self.lanes:
            _place(lane, self.span, wide)
        tall = 1.25 if columns == 1 else 1.0
        deep = [(lane.rows * _PITCH + 0.08) * bool(lane.spans) for lane in self.lanes]
        high = [tall * (lane.code in self.groups) + strip for lane, strip in zip(self.lanes, deep, strict=True)]
        lines = [max(high[at : at + columns]) for at in range(0, len(high), columns)]
        legend = self._legend()
        foot, head = legend.height() + 0.52, 0.06
        height = sum(lines) + space * len(lines) + foot + head
        figure, sheet = blank_sheet(WIDTH, height, self.colours)
        several = len({lane.rule for lane in self.lanes if lane.rule}) > 1
        for i, lane in enumerate(self.lanes):
            x = left + i % columns * (wide + gap)
            top = height - head - sum(lines[: i // columns]) - space * (i // columns + 1)
            title = lane.name(several, wide, 8, *self._metric(lane.code))
            style: dict[str, Any] = {"fontsize": 8, "weight": "bold", "color": self.colours.ink}
            sheet.text(x, top + 0.15, title, va="center_baseline", **style)
            boxes = {"value": high[i] - deep[i], "strip": deep[i]}
            last = i + columns >= len(self.lanes)
            for name, depth in boxes.items():
                if not depth:
                    continue
                top -= depth
                axes = figure.add_axes((x / WIDTH, top / height, wide / WIDTH, depth / height), facecolor="none")
                lowest = name == "strip" or not deep[i]
                time_axis(axes, *self.span, self.colours, labels=last and lowest, most=9 if columns == 1 else 6)
                axes.tick_params(axis="x", length=3 if lowest else 0)
                if last and lowest:
                    axes.set_xlabel(span_text(*self.span), fontsize=7, color=self.colours.muted, labelpad=2)
                upper = name == "value" or lane.code not in self.groups
                self._history(axes, lane.code, 0.0, 1.0, axes.get_xaxis_transform(), own=upper, others=upper)
                if name == "value":
                    self._values(axes, lane)
                else:
                    axes.set_ylim(depth, 0)
                    axes.set_yticks([])
                    axes.axhspan(0, depth, color=self.colours.panel, linewidth=0, zorder=0)
                    self._stretches(axes, lane, 0.04, wide, self.colours.panel)
        legend.draw(AxesPen(sheet), 0.2, legend.height(), self.colours)
        return figure

    def _legend(self) -> Legend:
        colours, legend = self.colours, Legend(WIDTH - 0.4)
        alerts = [one for lane in self.lanes for one in lane.spans if isinstance(one, _Alert)]
        if any(one.status == "pending_only" or (one.fired or one.begin) > one.begin for one in alerts):
            legend.add("pending", box_sample(colours.surface, colours.muted, "/////"), 0.28)
        for status, word in (("fired", "firing"), ("suppressed", "firing in maintenance: suppressed")):
            if any(one.status == status for one in alerts):
                face, edge, hatch = self._look(status)
                legend.add(word, box_sample(face, edge, hatch), 0.28)
        for status, word in (("fired", "fired"), ("suppressed", "suppressed"), ("pending_only", "did not last")):
            if any(one.status == status for one in alerts):
                legend.add(word, self._marker(status))
        if self.groups and self.limits:
            single = next(iter(self.limits.values())) if len(self.limits) == 1 else None
            said = "threshold" if single is None else f"threshold {amount(single)}"
            legend.add_line(said, colours.ink, (0, (5, 2)), 1.1)
        for kind in _DRAWN:
            if any(mark.kind == kind for mark in self._known()):
                shape, colour, _ = kind_look(kind, colours)
                hatched = box_sample(colours.surface, colour, "\\\\\\\\")
                legend.add(
                    kind, hatched if kind == "maintenance" else marker_sample(shape, colour, colours.ink, 70), 0.28
                )
        if any(mark.kind == "incident" for mark in self._known()):
            legend.notes.append("Stars that are filled: incidents of this CI; hollow, or a line alone: of others.")
        if any(one.end is None for one in alerts):
            legend.notes.append("An arrow at the end: still on when the replay ended.")
        legend.notes += [*_notes_of(self.lanes, self.every, "alerts"), *self.notes]
        return legend

    def _known(self) -> list[Mark]:
        """What is drawn of history: incidents in sight, and maintenance of the CIs that are there."""
        codes = {lane.code for lane in self.lanes}
        start, end = self.span
        seen = [mark for mark in self.marks if mark.start <= end and (mark.end or end) >= start]
        return [mark for mark in seen if mark.kind == "incident" or mark.code in codes]

    def _history(
        self, axes: Axes, code: str, low: float, high: float, transform: Any, *, own: bool = True, others: bool = True
    ) -> None:
        """Incidents and maintenance from *low* to *high*; with a star for its own incidents and for those of others."""
        colours, top = self.colours, low if transform is axes.transData else high
        for mark in self._known():
            ours, (shape, colour, size) = mark.code == code, kind_look(mark.kind, colours)
            x, end = in_days(mark.start), in_days(mark.end or self.span[1])
            if ours:
                hatch = "\\\\\\\\" if mark.kind == "maintenance" else ""
                _box(
                    axes, x, end, (low + high) / 2, high - low, transform=transform, facecolor=colour, edgecolor=colour,
                    hatch=hatch, alpha=0.18, linewidth=0, zorder=1,
                )  # fmt: skip
            if mark.kind != "incident":
                continue
            style: dict[str, Any] = {"linewidth": 1.1 if ours else 0.7, "alpha": 0.9 if ours else 0.45}
            axes.plot([x, x], [low, high], transform=transform, color=colour, linestyle=(0, (3, 2)), **style)
            if self.span[0] <= mark.start and (own if ours else others):
                axes.scatter(
                    [x], [top], s=36 * size, marker=shape, transform=transform, zorder=7, clip_on=False,
                    facecolors=colour if ours else colours.surface, edgecolors=colours.ink if ours else colour,
                    linewidths=0.6,
                )  # fmt: skip

    def _metric(self, code: str) -> list[str]:
        """What the values of a panel are of, where that is one metric."""
        metrics = self.groups[code]["metric"].unique().to_list() if code in self.groups else []
        return [visible(metrics[0])] if len(metrics) == 1 else []

    def _values(self, axes: Axes, lane: _Lane) -> None:
        colours, rows = self.colours, self.groups[lane.code]
        rows = rows.with_columns(pl.col("series").cast(pl.String).fill_null("")).sort("metric", "series", "ts")
        lines = rows.partition_by("metric", "series", maintain_order=True)
        for number, line in enumerate(lines):
            x, y = with_gaps(line["ts"], line["value"].cast(pl.Float64))
            name = " ".join(text for text in (line["metric"][0], line["series"][0]) if text)
            style = {"color": colours.hues()[number % 6], "linestyle": DASHES[number // 6 % len(DASHES)]}
            axes.plot(*thinned(x, y), label=f" {shorten(visible(name), 40)}", linewidth=1.1, zorder=3, **style)
        if not rows["value"].cast(pl.Float64).is_finite().any():
            axes.text(0.5, 0.5, "only gaps", transform=axes.transAxes, ha="center", color=colours.muted)
        limit = self.limits.get(lane.rule, self.limits.get(""))
        if limit is not None:
            axes.axhline(limit, color=colours.ink, linestyle=(0, (5, 2)), linewidth=1.1, zorder=4)
        for one in lane.spans:
            assert isinstance(one, _Alert)
            if one.status == "fired" and one.fired is not None:
                end = in_days(one.end or self.span[1])
                axes.axvspan(in_days(one.fired), end, color=colours.orange, alpha=0.25, linewidth=0, zorder=1)
        value_axis(axes, colours)
        if len(lines) == 1:
            return  # its metric is in the title
        if len(lines) > _NAMED:
            said = f"{len(lines)} series, too many to be named here"
            axes.text(0.01, 0.97, said, transform=axes.transAxes, va="top", fontsize=6.5, color=colours.ink, zorder=5)
        else:
            axes.legend(
                fontsize=6.5, loc="upper left", ncols=3, frameon=False, labelcolor=colours.ink, handlelength=1.6,
                borderaxespad=0.3,
            )  # fmt: skip

    def _stretches(self, axes: Axes, lane: _Lane, top: float, room: float, ground: str) -> None:
        colours = self.colours
        for one in lane.spans:
            assert isinstance(one, _Alert)
            y = top + (one.row + 0.5) * _PITCH
            begin, end = in_days(one.begin), in_days(one.end or self.span[1])
            fired = end if one.fired is None else in_days(one.fired)
            if fired > begin:
                _box(axes, begin, fired, y, 0.1, facecolor=colours.surface, edgecolor=colours.muted, hatch="/////")
            if one.fired is not None:
                face, edge, hatch = self._look(one.status)
                _box(axes, fired, end, y, 0.12, facecolor=face, edgecolor=edge, hatch=hatch)
            at = begin if one.fired is None else fired
            if at >= in_days(self.span[0]):
                self._marker(one.status)(AxesPen(axes), at, y)
            if one.end is None:
                axes.scatter([end], [y], s=34, marker=">", color=colours.ink, linewidths=0, zorder=6, clip_on=False)
            _write(axes, one, y, room, self.span, ground, colours)

    def _look(self, status: str) -> tuple[str, str, str]:
        """Face, edge and hatch of a stretch in which an alert was on."""
        if status == "suppressed":
            return self.colours.surface, self.colours.green, "xxxx"
        return self.colours.orange, self.colours.ink, ""

    def _marker(self, status: str) -> Sample:
        colours = self.colours
        marker, face, edge = {
            "fired": ("v", colours.orange, colours.ink),
            "suppressed": ("s", colours.surface, colours.green),
            "pending_only": ("o", colours.surface, colours.muted),
        }[status]
        return marker_sample(marker, face, edge, 26)


# --- sweep ----------------------------------------------------------------------------------------------------------

_SIDE = 100  # cells in a row or a column up to which they are seen
_DEEPEST = 0.55  # how much of the hue the highest has, so that a number on it is read
_MEASURES = {
    "caught": "incidents caught", "missed": "incidents missed", "needless": "needless alerts",
    "fired": "alerts that fired",
    "suppressed": "alerts suppressed", "pages_per_week": "pages a week", "precision": "precision", "recall": "recall",
    "lead_time_s": "lead time (median)",
}  # fmt: skip


@styled
def sweep_map(frame: Any, *, measure: str = "caught", at: Any = None, theme: str = "light") -> Figure:
    """Draw what each threshold and duration of a sweep is worth: the deeper a cell, the more of *measure* it has.

    Args:
        frame: A frame of ``cep_sweep``: value, for, for_s, the measure, and on_front if there is one, which is marked:
            no other cell catches as much with fewer needless alerts.
        measure: caught, missed, needless, fired, suppressed, pages_per_week, precision, recall or lead_time_s.
        at: (value, for) of the rule as it is, to be marked.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: there is no such measure or theme, a column is missing, a cell is there twice, *at* is no cell,
            or there are more than 100 values or durations.
    """
    colours = palette(theme)
    if measure not in _MEASURES:
        raise BadParameter("measure", measure, "is no measure of a sweep", f"Choose one of {', '.join(_MEASURES)}")
    columns = {"value": True, "for": True, "for_s": True, measure: True, "on_front": False}
    rows = rows_of(frame, columns, "frame").sort("for_s", "value")
    if rows.is_empty():
        return nothing(EMPTY["sweep_map"], colours)
    if rows.select("value", "for_s").is_duplicated().any():
        raise BadParameter("frame", rows.height, "has a cell twice", "Give the sweep of one rule")
    values, holds = (rows[name].unique().sort().to_list() for name in ("value", "for_s"))
    if max(len(values), len(holds)) > _SIDE:
        size = f"{len(values)} x {len(holds)}"
        raise BadParameter("frame", size, f"is more than {_SIDE} cells wide or high", "Draw a part of it")
    return _Sweep(rows, values, holds, measure, _cell_of(at, values, holds), colours).draw()


def _cell_of(at: Any, values: Sequence[float], holds: Sequence[float]) -> tuple[int, int] | None:
    """The column and row of the cell that *at* means."""
    if at is None:
        return None
    if isinstance(at, str) or not isinstance(at, Sequence) or len(at) != 2:
        raise BadParameter("at", at, "is not a value and a duration", 'Give (800, "5m")')
    value, hold = at
    if isinstance(hold, str):
        hold = 0.0 if hold in ("0s", "0m") else parse_duration(hold, name="at")
    seconds = hold.total_seconds() if isinstance(hold, timedelta) else hold
    column, row = (
        next((i for i, one in enumerate(known) if _is_number(wanted) and math.isclose(one, wanted)), None)
        for wanted, known in ((value, values), (seconds, holds))
    )
    if column is None or row is None:
        raise BadParameter("at", at, "is no cell of this sweep", "Sweep it too, or leave it out")
    return column, row


@dataclass
class _Sweep:
    """One heat map."""

    rows: pl.DataFrame
    values: list[float]
    holds: list[float]
    measure: str
    now: tuple[int, int] | None
    colours: Palette

    def draw(self) -> Figure:
        colours = self.colours
        words = dict(self.rows.select("for_s", "for").iter_rows())
        heads = [visible(words[hold]) for hold in self.holds]
        names = [amount(value) for value in self.values]
        left = max(width_of(text, 7) for text in heads) + 0.75
        self.wide = min(0.85, (WIDTH - left - 0.25) / len(self.values))
        self.high = min(0.34, max(0.13, 7.0 / len(self.holds)))
        upright = max(width_of(name, 7) for name in names) + 0.06 > self.wide
        under = (max(width_of(name, 7) for name in names) if upright else 0.13) + 0.36
        width = max(7.5, left + self.wide * len(self.values) + 0.25)
        numbers = self._numbers()
        legend = self._legend(numbers, width)
        bottom = legend.height() + 0.25 + under
        height = bottom + self.high * len(self.holds) + 0.2
        figure, axes = blank_sheet(width, height, colours)
        self._cells(axes, left, bottom, numbers)
        every = max(1, math.ceil(0.11 / self.wide))
        style: dict[str, Any] = {"fontsize": 7, "color": colours.ink}
        for i, name in enumerate(names):
            if i % every == 0:
                x = left + (i + 0.5) * self.wide
                turned = {"rotation": 90, "va": "top"} if upright else {"va": "top"}
                axes.text(x, bottom - 0.05, name, ha="center", **turned, **style)
        for i, head in enumerate(heads):
            axes.text(left - 0.08, bottom + (i + 0.5) * self.high, head, ha="right", va="center_baseline", **style)
        style["color"] = colours.muted
        axes.text(left + self.wide * len(names) / 2, bottom - under + 0.18, "threshold", ha="center", **style)
        middle = bottom + self.high * len(heads) / 2
        axes.text(0.25, middle, "for", ha="center", va="center", **style)
        self._scale(axes, legend.height() + 0.2)
        legend.draw(AxesPen(axes), 0.2, legend.height(), colours)
        return figure

    def _numbers(self) -> list[str]:
        """What is written in each cell: nothing where there is no room, a dash where there is no number."""
        return [self._told(value) for value in self._measured()]

    def _measured(self) -> list[float]:
        values = self.rows[self.measure].cast(pl.Float64)
        return values.fill_null(math.nan).to_list()

    def _told(self, value: float) -> str:
        if math.isnan(value):
            return "–"
        if self.measure in ("precision", "recall"):
            return f"{amount(value * 100, digits=2)}%"
        return length_text(value) if self.measure == "lead_time_s" else amount(value, digits=3)

    def _fits(self, text: str) -> bool:
        return width_of(text, 6.5) <= self.wide and self.high >= 0.12

    def _legend(self, numbers: list[str], width: float) -> Legend:
        colours, legend = self.colours, Legend(width - 0.4)
        front = self.rows["on_front"].fill_null(value=False).cast(pl.Boolean)
        if front.any():
            legend.add("on the front: none catches as much with fewer needless alerts", self._star, 0.28)
        if self.now is not None:
            legend.add("the rule as it is", marker_sample("D", colours.surface, colours.ink, 26))
        if "–" in numbers:
            hatched = box_sample(colours.surface, colours.muted, "////")
            legend.add(f"no {_MEASURES[self.measure].removesuffix(' (median)')} to tell", hatched, 0.28)
        there = self.rows.height
        if lacking := len(self.values) * len(self.holds) - there:
            legend.notes.append(f"Where there is no cell, the frame has none: {lacking} of {lacking + there}.")
        if unwritten := sum(not self._fits(text) for text in numbers):
            legend.notes.append(f"The numbers of {unwritten} of {there} cells have no room; the scale tells.")
        return legend

    def _star(self, pen: Pen, x: float, y: float) -> None:
        box_sample(self.colours.surface, self.colours.vermillion)(pen, x, y)
        self._sign(pen, x + 0.13, y + 0.055, "*", self.colours.vermillion, 52)

    def _cells(self, axes: Axes, left: float, bottom: float, numbers: list[str]) -> None:
        colours, wide, high = self.colours, self.wide, self.high
        corners: dict[float, list[tuple[float, float]]] = {}
        for row, share, text in zip(self.rows.iter_rows(named=True), self._shares(), numbers, strict=True):
            column, line = self.values.index(row["value"]), self.holds.index(row["for_s"])
            x, y = left + column * wide, bottom + line * high
            corners.setdefault(-1.0 if math.isnan(share) else round(share * _DEEPEST, 2), []).append((x, y))
            if self._fits(text):
                middle = (x + wide / 2, y + high / 2)
                backing = {"facecolor": colours.surface, "edgecolor": "none", "pad": 1.2}
                style: dict[str, Any] = {"bbox": backing} if math.isnan(share) else {}
                style |= {"fontsize": 6.5, "color": colours.ink, "ha": "center", "va": "center_baseline"}
                axes.text(*middle, text, zorder=6, **style)
            if row["on_front"]:
                self._fill(axes, [(x, y)], 0.015, edgecolor=colours.vermillion, linewidth=1.6, zorder=4)
                self._sign(AxesPen(axes), x + wide, y + high, "*", colours.vermillion, 52)
            if self.now == (column, line):
                self._fill(
                    axes, [(x, y)], 0.035, edgecolor=colours.ink, linewidth=1.0, linestyle=(0, (2, 1.5)), zorder=5
                )
                self._sign(AxesPen(axes), x, y + high, "D", colours.surface, 26)
        for depth, some in sorted(corners.items()):
            if depth < 0:
                self._fill(axes, some, facecolor=colours.surface, edgecolor=colours.muted, hatch="////", linewidth=0)
            elif depth:
                self._fill(axes, some, facecolor=colours.blue, alpha=depth, linewidth=0)
        every = [corner for some in corners.values() for corner in some]
        self._fill(axes, sorted(every), edgecolor=colours.faint, linewidth=0.6, zorder=3)

    def _fill(self, axes: Axes, corners: Sequence[tuple[float, float]], inset: float = 0.0, **style: Any) -> None:
        """Cells as one shape, which takes a few bytes for each."""
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        a, wide, high = inset, self.wide - inset, self.high - inset
        ends = [(x + i, y + j) for x, y in corners for i, j in ((a, a), (wide, a), (wide, high), (a, high), (a, a))]
        codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(corners)
        style = {"facecolor": "none", "clip_on": False, "zorder": 2} | style
        axes.add_patch(PathPatch(Path(ends, codes), **style))

    def _sign(self, pen: Pen, x: float, y: float, marker: str, face: str, size: float) -> None:
        """A small sign on the corner of a cell, which leaves its number free."""
        pen.markers([(x, y)], marker, size, face, self.colours.ink, 0.5, layer=7)

    def _shares(self) -> list[float]:
        """How deep each cell is, from 0 to 1."""
        measured = np.array(self._measured())
        known = measured[np.isfinite(measured)]
        low, high = self._ends(known)
        with np.errstate(invalid="ignore"):
            shares = np.clip((measured - low) / ((high - low) or 1.0), 0, 1)
        found: list[float] = shares.tolist()
        return found

    def _ends(self, known: Any) -> tuple[float, float]:
        """Where the scale begins and ends: at nothing, unless it goes below."""
        return (min(0.0, float(known.min())), float(known.max())) if len(known) else (0.0, 0.0)

    def _scale(self, axes: Axes, top: float) -> None:
        from matplotlib.patches import Rectangle

        colours, measured = self.colours, np.array(self._measured())
        low, high = self._ends(measured[np.isfinite(measured)])
        style: dict[str, Any] = {"fontsize": 7.5, "color": colours.muted, "va": "center_baseline"}
        first = f"{_MEASURES[self.measure]}: {self._told(low)}"
        axes.text(0.2, top - 0.1, first, **style)
        x = 0.2 + width_of(first, 7.5) + 0.08
        for step in range(6):
            box: dict[str, Any] = {"facecolor": colours.blue, "alpha": step / 5 * _DEEPEST, "linewidth": 0}
            axes.add_patch(Rectangle((x + step * 0.22, top - 0.16), 0.22, 0.12, **box))
        frame: dict[str, Any] = {"facecolor": "none", "edgecolor": colours.faint, "linewidth": 0.8}
        axes.add_patch(Rectangle((x, top - 0.16), 6 * 0.22, 0.12, **frame))
        axes.text(x + 6 * 0.22 + 0.08, top - 0.1, self._told(high), **style)


# --- comparison -----------------------------------------------------------------------------------------------------

_COMPARED = {
    "state": True, "old_rule": False, "new_rule": False, "labels": False, "old_fired_at": True, "new_fired_at": True,
    "fired_later_s": False, "old_ended_at": True, "new_ended_at": True,
}  # fmt: skip
_STATES = ("both", "only_old", "only_new")
_PAIR = 0.34  # inches: two rows


@dataclass
class _Pair(_Span):
    """An alert of the old rule, one of the new one, or the two that are the same: when each fired and ended."""

    old: tuple[datetime, datetime | None] | None = None
    new: tuple[datetime, datetime | None] | None = None


@styled
def comparison(frame: Any, *, window: Any = None, theme: str = "light") -> Figure:
    """Draw what a new rule changes: for each CI the alerts of the old one above those of the new.

    Alerts that are the same are joined, and it is said which comes earlier. 40 lanes are drawn at most; the others are
    counted.

    Args:
        frame: A frame of ``cep_compare``, or of ``ciops.cep.compare``: state, ci_code (or ci), old_fired_at,
            new_fired_at, old_ended_at, new_ended_at, and old_rule and new_rule, if several were compared.
        window: (start, end) to draw; by default all of it. Alerts outside are counted.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, a state is none, *window* is not a pair, or no such theme.
        BadTimeRange: an end of *window* is not a time.
    """
    colours = palette(theme)
    found, shown = _pairs_of(frame), window_of(window)
    inside = {key: _within(ones, shown) if shown else ones for key, ones in found.items()}
    outside = sum(map(len, found.values())) - sum(map(len, inside.values()))
    every = [_Lane(rule, code, ones) for (rule, code), ones in inside.items() if ones]
    if not every:
        return nothing(EMPTY["comparison"], colours)
    kept = sorted(every, key=lambda lane: (-len(lane.spans), lane.code, lane.rule))[:_LANES]
    lanes = sorted(kept, key=lambda lane: (lane.code, lane.rule))
    span = padded(*(shown or _reach(inside, None)), 0.02)
    room = WIDTH - _LEFT - _RIGHT
    for lane in lanes:
        _place(lane, span, room)
    legend = _comparison_legend(lanes, len(every), colours)
    if outside:
        legend.notes.append(f"{outside} more alerts lie outside this window.")

    def fill(axes: Axes, lane: _Lane, top: float, deep: float, ground: str) -> None:
        for one in lane.spans:
            assert isinstance(one, _Pair)
            _draw_pair(axes, one, top + 0.06 + one.row * _PAIR, room, span, ground, colours)

    return _lane_sheet(lanes, _PAIR, span, legend, fill, colours)


def _pairs_of(frame: Any) -> dict[tuple[str, str], list[_Span]]:
    code = _code_column(frame)
    rows = rows_of(frame, {**_COMPARED, code: True}, "frame")
    unknown = sorted(set(rows["state"].cast(pl.String).fill_null("").to_list()) - set(_STATES))
    if unknown:
        raise BadParameter("frame", unknown[0], "is no state of a comparison", f"Give one of {', '.join(_STATES)}")
    alone = all(rows[name].drop_nulls().n_unique() <= 1 for name in ("old_rule", "new_rule"))
    found: dict[tuple[str, str], list[_Span]] = {}
    fired = pl.min_horizontal("old_fired_at", "new_fired_at")
    for row in rows.filter(fired.is_not_null()).sort(fired, code, "labels", "state").iter_rows(named=True):
        rule = "" if alone else visible(row["old_rule"] or row["new_rule"] or "")
        found.setdefault((rule, visible(row[code] or "")), []).append(_pair(row))
    return dict(sorted(found.items()))


def _pair(row: Mapping[str, Any]) -> _Pair:
    old, new = (
        None if row[f"{which}_fired_at"] is None else (row[f"{which}_fired_at"], row[f"{which}_ended_at"])
        for which in ("old", "new")
    )
    there = [one for one in (old, new) if one is not None]
    ends = [end for _, end in there if end is not None]
    end = max(ends) if len(ends) == len(there) else None
    if old and new:
        later = (new[0] - old[0]).total_seconds()
        said = f"{length_text(abs(later))} {'later' if later > 0 else 'earlier'}" if later else "at the same time"
    else:
        said = "only old" if old else "only new"
    begins = [begin for begin, _ in there]
    return _Pair(min(begins), end, said, 0 if old and new else 1, anchor=max(begins), old=old, new=new)


def _comparison_legend(lanes: Sequence[_Lane], every: int, colours: Palette) -> Legend:
    legend = Legend(WIDTH - 0.4)
    legend.add("the old rule fires (above)", box_sample(colours.orange, colours.ink), 0.28)
    legend.add("the new rule fires (below)", box_sample(colours.blue, colours.ink), 0.28)
    pairs = [one for lane in lanes for one in lane.spans if isinstance(one, _Pair)]
    if any(one.old and one.new for one in pairs):
        legend.add_line("the same alert", colours.ink, "-", 1.0)
    if any(not one.new for one in pairs):
        legend.add("only the old", marker_sample("X", colours.orange, colours.ink, 34))
    if any(not one.old for one in pairs):
        legend.add("only the new", marker_sample("P", colours.blue, colours.ink, 34))
    if any(one.end is None for one in pairs):
        legend.notes.append("An arrow at the end: still on when the replay ended.")
    legend.notes += _notes_of(lanes, every, "alerts and pairs of them")
    return legend


def _draw_pair(
    axes: Axes, one: _Pair, top: float, room: float, span: tuple[datetime, datetime], ground: str, colours: Palette
) -> None:
    sides = {"old": (one.old, top + 0.08, colours.orange), "new": (one.new, top + 0.24, colours.blue)}
    for stretch, y, colour in sides.values():
        if stretch is None:
            continue
        begin, end = in_days(stretch[0]), in_days(stretch[1] or span[1])
        _box(axes, begin, end, y, 0.1, facecolor=colour, edgecolor=colours.ink)
        if begin >= in_days(span[0]):
            if one.old is None or one.new is None:
                marker_sample("X" if one.old else "P", colour, colours.ink, 34)(AxesPen(axes), begin, y)
            else:
                axes.scatter([begin], [y], s=34, marker="|", color=colours.ink, linewidths=0.8, zorder=5)
        if stretch[1] is None:
            axes.scatter([end], [y], s=34, marker=">", color=colours.ink, linewidths=0, zorder=6, clip_on=False)
    if one.old and one.new:
        begins = [in_days(one.old[0]), in_days(one.new[0])]
        axes.plot(begins, [sides["old"][1], sides["new"][1]], color=colours.ink, linewidth=1.0, zorder=4)
    y = top + 0.16 if one.old and one.new else top + (0.08 if one.old else 0.24)
    _write(axes, one, y, room, span, ground, colours)
