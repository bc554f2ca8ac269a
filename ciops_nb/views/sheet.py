"""What all pictures are drawn on and with: sheets measured in inches, legends, axes of time, amounts as people read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from ciops_nb.errors import BadParameter
from ciops_nb.estate.times import parse_time
from ciops_nb.views.pens import AxesPen, Drawing, Pen
from ciops_nb.views.svg import EM, Palette, visible, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "EM", "WIDTH", "Legend", "Nothing", "Sample", "amount", "blank_sheet", "box_sample", "clock", "figure_of",
    "in_days", "length_text", "line_sample", "marker_sample", "moment_of", "nothing", "on_sheet", "padded", "rows_of",
    "span_text", "time_axis", "unit_of", "width_of", "window_of",
]  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WIDTH = 11.0  # inches: a page of a report


def figure_of(width: float, height: float, colours: Palette) -> Figure:
    from matplotlib.figure import Figure

    return Figure((width, height), facecolor=colours.surface, edgecolor=colours.surface)


def blank_sheet(width: float, height: float, colours: Palette) -> tuple[Figure, Axes]:
    """A figure with one invisible pair of axes whose unit is the inch."""
    figure = figure_of(width, height, colours)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    return figure, axes


def on_sheet(drawing: Drawing) -> Figure:
    """*drawing* on a sheet of its size."""
    figure, axes = blank_sheet(drawing.width, drawing.height, drawing.colours)
    drawing.draw(AxesPen(axes))
    return figure


@dataclass(frozen=True)
class Nothing:
    """The picture of an empty answer: a sentence."""

    text: str
    colours: Palette
    width: float = 7.0
    height: float = 1.1

    def draw(self, pen: Pen) -> None:
        pen.text(self.width / 2, self.height / 2, self.text, self.colours.muted, 10, anchor="center")


def nothing(text: str, colours: Palette) -> Figure:
    return on_sheet(Nothing(text, colours))


# --- legends --------------------------------------------------------------------------------------------------------


Sample: TypeAlias = Callable[[Pen, float, float], None]


@dataclass
class Legend:
    """Entries side by side, broken into lines: a sample, then a word; below them whole sentences."""

    width: float
    entries: list[tuple[str, float, Sample]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pitch: float = 0.2

    def add(self, text: str, draw: Sample, wide: float = 0.16) -> None:
        self.entries.append((visible(text), wide, draw))

    def add_line(self, text: str, colour: str, dashes: Any, width: float, arrow: bool = False) -> None:
        self.add(text, line_sample(colour, dashes, width, arrow), 0.34)

    def _places(self) -> list[tuple[float, int]]:
        places, x, line = [], 0.0, 0
        for text, wide, _ in self.entries:
            needed = wide + 0.1 + width_of(text, 7.5) + 0.18
            if x and x + needed > self.width:
                x, line = 0.0, line + 1
            places.append((x, line))
            x += needed
        return places

    def height(self) -> float:
        lines = self._places()[-1][1] + 1 if self.entries else 0
        return self.pitch * (lines + len(self.notes)) + 0.1

    def draw(self, pen: Pen, left: float, top: float, colours: Palette) -> None:
        line = -1
        for (text, wide, sample), (x, line) in zip(self.entries, self._places(), strict=True):
            y = top - self.pitch * (line + 0.5)
            sample(pen, left + x + wide / 2, y)
            pen.text(left + x + wide + 0.1, y, text, colours.muted)
        for i, note in enumerate(self.notes):
            y = top - self.pitch * (line + i + 1.5)
            pen.text(left, y, note, colours.muted)


def marker_sample(marker: str, face: str, edge: str, size: float = 38) -> Sample:
    def draw(pen: Pen, x: float, y: float) -> None:
        pen.markers([(x, y)], marker, size, face, edge, 1)

    return draw


def box_sample(face: str, edge: str, hatch: str = "") -> Sample:
    def draw(pen: Pen, x: float, y: float) -> None:
        pen.box(x - 0.13, y - 0.055, 0.26, 0.11, face, edge, 0.8, hatch=hatch)

    return draw


def line_sample(colour: str, dashes: Any, width: float, arrow: bool = False) -> Sample:
    def draw(pen: Pen, x: float, y: float) -> None:
        pen.line((x - 0.17, y), (x + 0.17, y), colour, width, dashes)
        if arrow:
            pen.markers([(x + 0.15, y)], ">", 18, colour, colour, 0, layer=1)

    return draw


# --- frames ---------------------------------------------------------------------------------------------------------


def rows_of(frame: Any, columns: Mapping[str, bool], name: str) -> pl.DataFrame:
    """The asked columns of a pandas or polars frame as polars; those that may be missing are filled with null."""
    present = [str(column) for column in getattr(frame, "columns", ())]
    lacking = [column for column, needed in columns.items() if needed and column not in present]
    if lacking or not hasattr(frame, "columns"):
        raise BadParameter(
            name, type(frame).__name__, f"has no column {', '.join(lacking) or 'at all'}",
            f"Give a frame with the columns {', '.join(columns)}",
        )  # fmt: skip
    wanted = [column for column in columns if column in present]
    rows = frame.select(wanted) if isinstance(frame, pl.DataFrame) else pl.from_pandas(frame[wanted])
    times = [column for column in wanted if column == "ts" or column.endswith("_at")]
    rows = rows.with_columns(_as_time(rows, column, name) for column in times)
    return rows.with_columns(pl.lit(None).alias(column) for column in columns if column not in present)


def _as_time(rows: pl.DataFrame, column: str, name: str) -> pl.Expr:
    kind = rows.schema[column]
    if isinstance(kind, pl.Datetime):
        zoned = (
            pl.col(column).dt.replace_time_zone("UTC")
            if kind.time_zone is None
            else pl.col(column).dt.convert_time_zone("UTC")
        )
        return zoned.cast(pl.Datetime("us", "UTC"))
    if rows[column].null_count() == rows.height:
        return pl.col(column).cast(pl.Datetime("us", "UTC"))
    raise BadParameter(name, column, f"holds {kind}, not times", "Give a column of datetimes")


def moment_of(value: Any) -> datetime | None:
    return None if value is None else parse_time(value, tz=UTC)


def window_of(value: Any) -> tuple[datetime, datetime] | None:
    if value is None:
        return None
    parts = value.split("/") if isinstance(value, str) else list(value)
    if len(parts) != 2:
        raise BadParameter("window", value, "is not a pair of times", "Give (start, end)")
    start, end = (parse_time(part, tz=UTC) for part in parts)
    return min(start, end), max(start, end)


def amount(value: float, largest: float | None = None, digits: int = 4) -> str:
    """A number as short as it is read, with k, M, G or T where *largest* of its kind needs it."""
    top = abs(value if largest is None else largest)
    for factor, sign in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if factor <= top / (10 if factor == 1e3 else 1) < 1e18:
            return f"{_rounded(value / factor, 3)}{sign}" if value else "0"
    return _rounded(value, digits)


def _rounded(value: float, digits: int) -> str:
    """*value* with so many digits that count, or as a whole number where it has more before the point."""
    return f"{value:.0f}" if 10 ** (digits - 1) <= abs(value) < 1e6 else f"{value:.{digits}g}"


def length_text(seconds: float) -> str:
    """``-1h 5m``, as short as it is read: of two units at most."""
    left, parts = round(abs(seconds)), []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return ("-" if seconds < 0 and parts else "") + (" ".join(parts[:2]) or "0s")


def unit_of(units: Mapping[str, str] | None, metric: str) -> str:
    return visible((units or {}).get(metric) or "")


def clock(moment: datetime, span: timedelta) -> str:
    """A time as long as it needs to be in a picture of *span*."""
    return f"{moment:%H:%M:%S}" if span < timedelta(days=1) else f"{moment:%m-%d %H:%M}"


def in_days(moment: datetime) -> float:
    """Days since 1970, the unit of matplotlib's axes of time."""
    return (moment - _EPOCH) / timedelta(days=1)


def time_axis(axes: Axes, start: datetime, end: datetime, colours: Palette, labels: bool = True, most: int = 9) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    axes.set_xlim(in_days(start), in_days(end))
    locator = AutoDateLocator(tz=UTC, minticks=4 if most >= 9 else 2, maxticks=most)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    # The day is said once in the label below, so midnight is shown with its date and nothing else needs it.
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC, show_offset=False))  # type: ignore[no-untyped-call]
    axes.tick_params(colors=colours.muted, labelsize=7, length=3, labelbottom=labels)
    for spine in axes.spines.values():
        spine.set_color(colours.faint)


def span_text(start: datetime, end: datetime) -> str:
    first, last = start.date(), end.date()
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


def padded(start: datetime, end: datetime, share: float = 0.02) -> tuple[datetime, datetime]:
    length = end - start
    if length <= timedelta(0):
        return start - timedelta(minutes=30), end + timedelta(minutes=30)
    return start - length * share, end + length * share
