"""What pictures of one axis of time share: records of history as marks, and lines of values with their gaps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ciops_nb.views.sheet import amount, rows_of
from ciops_nb.views.svg import Palette, shorten, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DASHES", "KINDS", "Mark", "kind_look", "marks_of", "thinned", "value_axis", "with_gaps"]

DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5)), (0, (2.5, 1.2)), (0, (8, 2)))
_POINTS = 700  # of one line: more than two per pixel column tell nothing
KINDS = {
    "incident": ("*", "vermillion", 1.7),
    "change": ("D", "purple", 0.8),
    "maintenance": ("s", "green", 0.9),
    "event": ("o", "orange", 0.8),
}
_HISTORY = {
    "start_at": True, "end_at": False, "kind": True, "type": False, "ci_code": False, "severity": False, "title": False,
    "record_id": False,
}  # fmt: skip


@dataclass
class Mark:
    """One record of history in a picture: where it starts and ends, and what it is called."""

    kind: str
    code: str
    start: datetime
    end: datetime | None
    severity: int | None
    title: str
    row: int = 0
    label: str = ""
    leftward: bool = False
    over: bool = False

    @property
    def open(self) -> bool:
        return self.kind == "incident" and self.end is None

    @property
    def weight(self) -> int:
        """How much it matters: an incident or a change is something to see, an event by its severity."""
        return {"incident": 9, "change": 7, "maintenance": 6}.get(self.kind, self.severity or 0)

    @property
    def minor(self) -> bool:
        return self.kind == "event" and (self.severity or 0) < 4

    def name(self) -> str:
        grade = f"S{self.severity} " if self.severity else ""
        return shorten(f"{grade}{' · '.join(text for text in (self.code, self.title) if text)}", 52)


def marks_of(history: Any, name: str = "history") -> list[Mark]:
    rows = (
        rows_of(history, _HISTORY, name)
        .filter(pl.col("start_at").is_not_null())
        .sort("start_at", "kind", "record_id", "ci_code")
    )
    return [
        Mark(
            str(r["kind"]), visible(r["ci_code"] or ""), r["start_at"], r["end_at"],
            None if r["severity"] is None else int(r["severity"]),
            visible(r["title"] or r["type"] or r["record_id"] or ""),
        )
        for r in rows.iter_rows(named=True)
    ]  # fmt: skip


def kind_look(kind: str, colours: Palette) -> tuple[str, str, float]:
    marker, role, scale = KINDS.get(kind, ("P", "blue", 0.9))
    return marker, getattr(colours, role), scale


def with_gaps(ts: pl.Series, value: pl.Series) -> tuple[Any, Any]:
    """x in days and y, with a NaN wherever a step is longer than one and a half times the usual one."""
    x = ts.dt.epoch("us").to_numpy() / 86_400e6
    y = value.to_numpy().astype(np.float64)
    steps = np.diff(x)
    if len(steps) < 2:
        return x, y
    breaks = np.flatnonzero(steps > 1.5 * np.median(steps)) + 1
    return np.insert(x, breaks, (x[breaks - 1] + x[breaks]) / 2), np.insert(y, breaks, np.nan)


def thinned(x: Any, y: Any) -> tuple[Any, Any]:
    """First, lowest, highest and last point of each stretch and every gap: the same line to the eye.

    After Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation" (VLDB 2014).
    """
    if len(x) <= 2 * _POINTS:
        return x, y
    keep: set[int] = set(np.flatnonzero(~np.isfinite(y))[:_POINTS].tolist())
    for stretch in np.array_split(np.arange(len(x)), _POINTS // 4 * 2):
        known = stretch[np.isfinite(y[stretch])]
        if len(known):
            keep |= {int(known[0]), int(known[-1]), int(known[np.argmin(y[known])]), int(known[np.argmax(y[known])])}
    chosen = np.array(sorted(keep))
    return x[chosen], y[chosen]


def value_axis(axes: Axes, colours: Palette) -> None:
    """An axis of values with a few lines across, and their numbers as short as they are read."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.grid(visible=True, axis="y", color=colours.faint, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.margins(y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value, max(map(abs, axes.get_ylim())))))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
