"""What a rule looks at, and when it fired, as an SVG in two layers: what is drawn once, and what moves with the rule.

A layer is text, made without matplotlib: a threshold that is turned is a few lines drawn anew. Both have the same size,
so that one lies on the other; ``whole`` is both as one picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import polars as pl

from ciops_nb.cep.sweep import Levels
from ciops_nb.estate.times import micros
from ciops_nb.views.marks import DASHES
from ciops_nb.views.sheet import amount
from ciops_nb.views.svg import THEMES, shorten, text_columns, visible

__all__ = ["PAGE", "STRETCHES", "RulePicture"]

PAGE = 8  # CIs that are drawn together
STRETCHES = 480  # of time in a line: two of the narrower panels' pixels
_WIDE, _LEFT, _GAP, _RIGHT = 960, 46, 56, 10
_VALUES, _STRIP, _TITLE, _AXIS, _LEGEND = 92, 14, 20, 18, 26
_INK = THEMES["light"]  # ``themed`` turns these into variables
_FONT = "DejaVu Sans, Verdana, Segoe UI, Helvetica, Arial, sans-serif"
_STEPS = [
    timedelta(**{unit: number})
    for unit, numbers in (
        ("minutes", (1, 2, 5, 10, 15, 30)), ("hours", (1, 2, 3, 6, 12)), ("days", (1, 2, 3, 4, 7, 14, 30, 90, 365)),
    )
    for number in numbers
]  # fmt: skip
_SERIES = 6  # of one panel that are told apart by their colours


@dataclass(frozen=True)
class _Panel:
    """Where the values of one CI stand, in pixels, and what a value is there."""

    code: str | None
    x: float
    y: float
    wide: float
    low: float
    high: float

    def at(self, value: float) -> float:
        return self.y + _VALUES * (1 - (value - self.low) / (self.high - self.low))


class RulePicture:
    """The panels of some CIs over one axis of time.

    Args:
        levels: What the rule compares.
        codes: The CIs to draw, in this order, PAGE of them at most.
        incidents: incident, ci, opened_at, resolved_at.
        maintenance: id, ci, start_at, end_at; None where nothing is known of it.
        threshold: The rule's own, which the axes have room for where it is near.
        name: What the picture shows, for those who hear it.
    """

    def __init__(
        self, levels: Levels, codes: Sequence[str | None], *, incidents: pl.DataFrame,
        maintenance: pl.DataFrame | None, threshold: float, name: str,
    ) -> None:  # fmt: skip
        self._levels, self._name, self._codes = levels, name, list(codes)
        first = int(levels.moments[0]) if len(levels.moments) else levels.end
        self._span = first, max(levels.end, first + 1)
        self._columns = 1 if len(codes) <= 3 else 2
        lines = -(-len(codes) // self._columns)
        pitch = _TITLE + _VALUES + _STRIP + 8
        wide = (_WIDE - _LEFT - _RIGHT - _GAP * (self._columns - 1)) / self._columns
        self._panels = []
        for place, code in enumerate(codes):
            low, high = self._reach(code, threshold)
            x = _LEFT + place // lines * (wide + _GAP)
            self._panels.append(_Panel(code, x, _TITLE + place % lines * pitch, wide, low, high))
        self._foot = lines * pitch
        self.height = self._foot + _AXIS + _LEGEND
        self._under = self._values(incidents, maintenance)

    def _reach(self, code: str | None, threshold: float) -> tuple[float, float]:
        mine = self._of(code)
        low, high = self._levels.low[mine], self._levels.high[mine]
        known = np.concatenate([low[np.isfinite(low)], high[np.isfinite(high)]])
        if not len(known):
            return threshold - 1, threshold + 1
        least, most = float(known.min()), float(known.max())
        room = (most - least) or abs(most) * 0.1 or 1.0
        if least - room <= threshold <= most + room:
            least, most = min(least, threshold), max(most, threshold)
        margin = (most - least or room) * 0.08
        return least - margin, most + margin

    def _of(self, code: str | None) -> list[int]:
        return [number for number, one in enumerate(self._levels.ci) if one == code]

    # ── layers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def base(self) -> str:
        """The layer that stays: values, axes, incidents and maintenance."""
        return self._svg(self._under, self._name)

    def over(self, alerts: pl.DataFrame, threshold: float) -> str:
        """The layer that moves: the threshold, and when the rule was pending and fired.

        Args:
            alerts: A frame of ``cep_simulate``.
            threshold: What the values are held against.
        """
        return self._svg(self._moving(alerts, threshold), f"Alerts at a threshold of {amount(threshold)}")

    def whole(self, alerts: pl.DataFrame, threshold: float) -> str:
        """Both layers in one."""
        return self._svg(self._under + self._moving(alerts, threshold), self._name)

    def _svg(self, body: str, name: str) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label={quoteattr(visible(name))} '
            f'viewBox="0 0 {_WIDE} {self.height}" width="{_WIDE}" height="{self.height}" font-family="{_FONT}" '
            f'font-size="11">{body}</svg>'
        )

    # ── what stays ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _values(self, incidents: pl.DataFrame, maintenance: pl.DataFrame | None) -> str:
        found = [f'<rect width="{_WIDE}" height="{self.height}" fill="{_INK.surface}"/>']
        calm = pl.DataFrame() if maintenance is None else maintenance
        for panel in self._panels:
            found.append(self._frame(panel))
            for begin, end in self._times(calm, panel.code, "start_at", "end_at"):
                found.append(self._band(panel, begin, end, _INK.green, 0.16))
            for begin, end in self._times(incidents, panel.code, "opened_at", "resolved_at"):
                found.append(self._band(panel, begin, end, _INK.vermillion, 0.1))
            found.append(self._lines(panel))
            for begin, _ in self._times(incidents, panel.code, "opened_at", "resolved_at"):
                if self._span[0] <= begin <= self._span[1]:
                    found.append(self._incident(panel, begin))
        found += [self._axis(panel) for panel in self._lowest()]
        found.append(self._legend(calm, incidents))
        return "".join(found)

    def _lowest(self) -> list[_Panel]:
        """The last panel of each column, under which the times are written."""
        last: dict[float, _Panel] = {}
        for panel in self._panels:
            last[panel.x] = panel
        return list(last.values())

    def _frame(self, panel: _Panel) -> str:
        y, right = panel.y, panel.x + panel.wide
        mine = self._of(panel.code)
        title = visible(panel.code) if panel.code is not None else "no CI"
        if len(mine) > 1:
            title += f" · {len(mine)} series"
        parts = [_text(panel.x, y - 6, shorten(title, panel.wide * 0.6 / 6.4), "font-weight='bold'")]
        parts.append(_rect(panel.x, y + _VALUES, panel.wide, _STRIP, _INK.faint, 'fill-opacity="0.45"'))
        for value in _nice(panel.low, panel.high):
            at = panel.at(value)
            parts.append(_line(panel.x, at, right, at, _INK.faint))
            label = amount(value, max(abs(panel.low), abs(panel.high)))
            parts.append(_text(panel.x - 5, at + 4, label, f"text-anchor='end' font-size='10' fill='{_INK.muted}'"))
        return "".join(parts)

    def _lines(self, panel: _Panel) -> str:
        """Each series as one path: of a stretch with several values the lowest and the highest."""
        found, hues = [], _INK.hues()
        for number, series in enumerate(self._of(panel.code)):
            low, high = self._levels.low[series], self._levels.high[series]
            parts: list[str] = []
            pen = "M"
            for place in range(len(low)):
                if not math.isfinite(low[place]):
                    pen = "M"
                    continue
                x = self._x(panel, int(self._levels.moments[place]))
                for value in (low[place],) if low[place] == high[place] else (low[place], high[place]):
                    parts.append(f"{pen}{x:.1f} {panel.at(float(value)):.1f}")
                    pen = "L"
            if parts:
                dash = DASHES[min(number // _SERIES, len(DASHES) - 1)]
                drawn = "" if dash == "-" else f' stroke-dasharray="{" ".join(f"{part:g}" for part in dash[1])}"'
                found.append(
                    f'<path d="{"".join(parts)}" fill="none" stroke="{hues[number % len(hues)]}" stroke-width="1.2"'
                    f' stroke-linejoin="round" stroke-linecap="round"{drawn}/>'
                )
        if not found:
            found.append(_text(panel.x + panel.wide / 2, panel.y + _VALUES / 2, "only gaps", _MIDDLE))
        return "".join(found)

    def _x(self, panel: _Panel, moment: int) -> float:
        first, last = self._span
        return panel.x + panel.wide * (min(max(moment, first), last) - first) / (last - first)

    def _times(self, frame: pl.DataFrame, code: str | None, begin: str, end: str) -> list[tuple[int, int]]:
        """From when to when things of one CI go on within the picture, in microseconds."""
        if not frame.height or code is None:
            return []
        found = []
        for start, stop in frame.filter(pl.col("ci") == code).select(begin, end).sort(begin, end).iter_rows():
            if start is not None:
                since, until = micros(start), self._span[1] if stop is None else micros(stop)
                if since <= self._span[1] and until >= self._span[0]:
                    found.append((since, until))
        return found

    def _band(self, panel: _Panel, begin: int, end: int, colour: str, deep: float) -> str:
        x = self._x(panel, begin)
        return _rect(x, panel.y, max(1.0, self._x(panel, end) - x), _VALUES, colour, f'fill-opacity="{deep}"')

    def _incident(self, panel: _Panel, begin: int) -> str:
        x = self._x(panel, begin)
        line = _line(x, panel.y, x, panel.y + _VALUES, _INK.vermillion, 'stroke-dasharray="4 3"')
        return line + _star(x, panel.y)

    def _axis(self, panel: _Panel) -> str:
        foot, parts = panel.y + _VALUES + _STRIP, []
        span = timedelta(microseconds=self._span[1] - self._span[0])
        step = next((one for one in _STEPS if span / one <= panel.wide / 54), _STEPS[-1])
        width = step // timedelta(microseconds=1)
        for moment in range(-(-self._span[0] // width) * width, self._span[1] + 1, width):
            x, when = self._x(panel, moment), datetime.fromtimestamp(moment / 1e6, UTC)
            midnight = (when.hour, when.minute) == (0, 0)
            parts.append(_line(x, foot, x, foot + 4, _INK.muted))
            label = f"{when:%m-%d}" if midnight else f"{when:%H:%M}"
            side = "middle" if x < panel.x + panel.wide - 14 else "end"
            parts.append(_text(x, foot + 15, label, f"text-anchor='{side}' font-size='10' fill='{_INK.muted}'"))
        return "".join(parts)

    def _legend(self, calm: pl.DataFrame, incidents: pl.DataFrame) -> str:
        y, x, parts = self.height - 9, float(_LEFT), []
        known = {code for code in self._codes if code is not None}

        def entry(sample: str, wide: float, word: str) -> None:
            nonlocal x
            parts.append(f'<g transform="translate({x:.0f} {y})">{sample}</g>')
            parts.append(_text(x + wide + 5, y, word, f"fill='{_INK.muted}' font-size='10'"))
            x += wide + 5 + text_columns(word) * 5.7 + 16

        entry(_line(0, -4, 18, -4, _INK.ink, 'stroke-dasharray="6 3" stroke-width="1.4"'), 18, "threshold")
        entry(_pending(0, -9, 16, 10), 16, "pending")
        entry(_firing(0, -9, 16, 10) + _mark(0, -4, "fired"), 16, "firing")
        entry(_suppressed(0, -9, 16, 10), 16, "suppressed: in maintenance")
        if any(self._times(incidents, code, "opened_at", "resolved_at") for code in known):
            entry(_star(6, -4), 12, "incident")
        if any(self._times(calm, code, "start_at", "end_at") for code in known):
            entry(_rect(0, -9, 16, 10, _INK.green, 'fill-opacity="0.3"'), 16, "maintenance")
        parts.append(_text(_WIDE - _RIGHT, y, self._days(), f"text-anchor='end' font-size='10' fill='{_INK.muted}'"))
        return "".join(parts)

    def _days(self) -> str:
        first, last = (datetime.fromtimestamp(moment / 1e6, UTC) for moment in self._span)
        return f"{first:%Y-%m-%d} UTC" if first.date() == last.date() else f"{first:%Y-%m-%d} to {last:%Y-%m-%d} UTC"

    # ── what moves ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _moving(self, alerts: pl.DataFrame, threshold: float) -> str:
        mine: dict[str | None, list[Mapping[str, Any]]] = {}
        columns = ("ci_code", "status", "active_at", "fired_at", "ended_at")
        for row in alerts.select(columns).iter_rows(named=True):
            mine.setdefault(row["ci_code"], []).append(row)
        parts = []
        for panel in self._panels:
            parts.append(self._threshold(panel, threshold))
            found = mine.get(panel.code, [])
            parts += [self._alert(panel, row) for row in found]
            said = _counted(found)
            where = panel.x + panel.wide
            parts.append(_text(where, panel.y - 6, said, f"text-anchor='end' font-size='10' fill='{_INK.muted}'"))
        return "".join(parts)

    def _threshold(self, panel: _Panel, threshold: float) -> str:
        right = panel.x + panel.wide
        if panel.low <= threshold <= panel.high:
            y = panel.at(threshold)
            return _line(panel.x, y, right, y, _INK.ink, 'stroke-dasharray="6 3" stroke-width="1.4"')
        above = threshold > panel.high
        y = panel.y + 11 if above else panel.y + _VALUES - 4
        said = f"{'▲' if above else '▼'} threshold {amount(threshold)}"
        return _text(right - 3, y, said, f"text-anchor='end' font-size='10' fill='{_INK.ink}'")

    def _alert(self, panel: _Panel, row: Mapping[str, Any]) -> str:
        last = self._span[1]
        begin = micros(row["active_at"])
        end = last if row["ended_at"] is None else micros(row["ended_at"])
        fired = None if row["fired_at"] is None else micros(row["fired_at"])
        x, until = self._x(panel, begin), self._x(panel, end)
        y, high = panel.y + _VALUES + 2, _STRIP - 4
        parts = []
        since = until if fired is None else self._x(panel, fired)
        if since > x or fired is None:
            parts.append(_pending(x, y, max(2.0, since - x), high))
        if fired is not None:
            wide = max(2.5, until - since)
            if row["status"] == "fired":
                parts.append(_rect(since, panel.y, wide, _VALUES, _INK.orange, 'fill-opacity="0.22"'))
                parts.append(_firing(since, y, wide, high))
            else:
                parts.append(_suppressed(since, y, wide, high))
            parts.append(_mark(since, y + high / 2, row["status"]))
        said = _alert_words(row)
        return f"<g><title>{escape(said)}</title>{''.join(parts)}</g>"


def _counted(found: Sequence[Mapping[str, Any]]) -> str:
    words = {"fired": "fired", "suppressed": "suppressed", "pending_only": "did not last"}
    counts = {status: sum(row["status"] == status for row in found) for status in words}
    return " · ".join(f"{words[status]} {count}" for status, count in counts.items() if count) or "quiet"


def _alert_words(row: Mapping[str, Any]) -> str:
    def told(moment: datetime | None) -> str:
        return "–" if moment is None else f"{moment:%m-%d %H:%M}"

    if row["fired_at"] is None:
        return f"pending from {told(row['active_at'])}, did not last"
    ended = "still on" if row["ended_at"] is None else f"ended {told(row['ended_at'])}"
    return f"{row['status']}: pending from {told(row['active_at'])}, fired {told(row['fired_at'])}, {ended}"


def _nice(low: float, high: float) -> list[float]:
    """Three or so round values between *low* and *high*."""
    rough = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


# ── shapes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_MIDDLE = f"text-anchor='middle' fill='{_INK.muted}'"


def _text(x: float, y: float, words: str, style: str = "") -> str:
    fill = "" if "fill=" in style else f' fill="{_INK.ink}"'
    return f'<text x="{x:.1f}" y="{y:.1f}"{fill} {style.replace(chr(39), chr(34))}>{escape(words)}</text>'


def _rect(x: float, y: float, wide: float, high: float, fill: str, more: str = "") -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{fill}" {more}/>'


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, more: str = "") -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}" {more}/>'


def _pending(x: float, y: float, wide: float, high: float) -> str:
    return _rect(x, y + 2, wide, high - 4, "none", f'stroke="{_INK.muted}" stroke-dasharray="2 2"')


def _firing(x: float, y: float, wide: float, high: float) -> str:
    return _rect(x, y, wide, high, _INK.orange, f'stroke="{_INK.ink}" stroke-width="0.8"')


def _suppressed(x: float, y: float, wide: float, high: float) -> str:
    middle = y + high / 2
    box = _rect(x, y, wide, high, "none", f'stroke="{_INK.green}" stroke-width="1.2"')
    return box + _line(x, middle, x + wide, middle, _INK.green)


def _mark(x: float, y: float, status: str) -> str:
    """What an alert begins with: a triangle if it fired, a square if it was suppressed."""
    if status == "suppressed":
        return _rect(x - 3, y - 3, 6, 6, _INK.surface, f'stroke="{_INK.green}"')
    points = f"{x - 4:.1f},{y - 4:.1f} {x + 4:.1f},{y - 4:.1f} {x:.1f},{y + 4:.1f}"
    return f'<polygon points="{points}" fill="{_INK.orange}" stroke="{_INK.ink}" stroke-width="0.8"/>'


def _star(x: float, y: float) -> str:
    spokes = []
    for number in range(10):
        long, turn = (6.0, 2.5)[number % 2], math.pi * number / 5
        spokes.append(f"{x + long * math.sin(turn):.1f},{y - long * math.cos(turn):.1f}")
    return f'<polygon points="{" ".join(spokes)}" fill="{_INK.vermillion}" stroke="{_INK.ink}" stroke-width="0.6"/>'
