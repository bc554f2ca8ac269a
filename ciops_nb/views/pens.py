"""The pen that a picture is drawn with, so that what it shows is said apart from how it comes on matplotlib's axes.

Places and lengths are in inches from the lower left corner; sizes of text and widths of lines are in points, and the
size of a marker in square points, as matplotlib has them. What has the higher layer lies above, and of the same layer
what was drawn later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from ciops_nb.views.svg import Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Anchor", "AxesPen", "Drawing", "Pen", "Place"]

Place: TypeAlias = tuple[float, float]
Anchor: TypeAlias = Literal["left", "center", "right"]


class Pen(Protocol):
    """What can be drawn. Dashes are "-" or (0, lengths in widths of the line), as matplotlib takes them."""

    def text(
        self, x: float, y: float, text: str, colour: str, points: float = 7.5, *, anchor: Anchor = "left",
        bold: bool = False, backing: str = "", layer: float = 3,
    ) -> None:  # fmt: skip
        """*text* with its middle at the height *y*; *backing* is the colour of what keeps lines away from it."""

    def line(self, start: Place, end: Place, colour: str, width: float, dashes: Any = "-", *, layer: float = 2) -> None:
        """A straight line."""

    def curves(
        self, curves: Iterable[Sequence[Place]], colour: str, width: float, dashes: Any, *, alpha: float, layer: float
    ) -> None:
        """Cubic Bézier curves, each of four points, as one stroke: where they cross they are not darker."""

    def polygons(self, polygons: Iterable[Sequence[Place]], colour: str, *, alpha: float, layer: float) -> None:
        """Filled areas without an edge."""

    def box(
        self, left: float, bottom: float, width: float, height: float, face: str, edge: str, line: float, *,
        rounding: float = 0, hatch: str = "", layer: float = 1,
    ) -> None:  # fmt: skip
        """A rectangle, its corners rounded or its face hatched with ``/``, ``\\`` or ``x``: the more, the closer."""

    def markers(
        self, places: Iterable[Place], shape: str, size: float, face: str, edge: str, line: float, *, layer: float = 5
    ) -> None:
        """One of the shapes ``o s D h p 8 * ^ v > < P X`` at each place."""


class Drawing(Protocol):
    """A picture that a pen draws."""

    @property
    def width(self) -> float: ...
    @property
    def height(self) -> float: ...
    @property
    def colours(self) -> Palette: ...

    def draw(self, pen: Pen) -> None: ...


# --- on axes --------------------------------------------------------------------------------------------------------


class AxesPen:
    """Draws on *axes* whose unit is the inch; samples of a legend can be drawn on any."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes

    def text(
        self, x: float, y: float, text: str, colour: str, points: float = 7.5, *, anchor: Anchor = "left",
        bold: bool = False, backing: str = "", layer: float = 3,
    ) -> None:  # fmt: skip
        style: dict[str, Any] = {"ha": anchor, "va": "center_baseline", "weight": "bold" if bold else "normal"}
        if backing:
            style["bbox"] = {"facecolor": backing, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
        self.axes.text(x, y, text, fontsize=points, color=colour, zorder=layer, **style)

    def line(self, start: Place, end: Place, colour: str, width: float, dashes: Any = "-", *, layer: float = 2) -> None:
        (x0, y0), (x1, y1) = start, end
        self.axes.plot([x0, x1], [y0, y1], color=colour, linewidth=width, linestyle=dashes, zorder=layer)

    def curves(
        self, curves: Iterable[Sequence[Place]], colour: str, width: float, dashes: Any, *, alpha: float, layer: float
    ) -> None:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        vertices = [point for curve in curves for point in curve]
        codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4] * (len(vertices) // 4)
        style: dict[str, Any] = {"linewidth": width, "linestyle": dashes, "alpha": alpha, "zorder": layer}
        self.axes.add_patch(PathPatch(Path(vertices, codes), facecolor="none", edgecolor=colour, **style))

    def polygons(self, polygons: Iterable[Sequence[Place]], colour: str, *, alpha: float, layer: float) -> None:
        from matplotlib.collections import PolyCollection

        style: dict[str, Any] = {"facecolors": colour, "edgecolors": "none", "alpha": alpha, "zorder": layer}
        self.axes.add_collection(PolyCollection(list(polygons), **style), autolim=False)

    def box(
        self, left: float, bottom: float, width: float, height: float, face: str, edge: str, line: float, *,
        rounding: float = 0, hatch: str = "", layer: float = 1,
    ) -> None:  # fmt: skip
        from matplotlib.patches import FancyBboxPatch, Rectangle

        style: dict[str, Any] = {"facecolor": face, "edgecolor": edge, "linewidth": line, "zorder": layer}
        style["hatch"] = hatch
        if rounding:
            style["boxstyle"] = f"round,pad=0,rounding_size={rounding}"
        shape = FancyBboxPatch if rounding else Rectangle
        self.axes.add_patch(shape((left, bottom), width, height, **style))

    def markers(
        self, places: Iterable[Place], shape: str, size: float, face: str, edge: str, line: float, *, layer: float = 5
    ) -> None:
        xs, ys = zip(*places, strict=True)
        style: dict[str, Any] = {"facecolors": face, "edgecolors": edge, "linewidths": line, "zorder": layer}
        self.axes.scatter(xs, ys, s=size, marker=shape, **style)
