"""The pens that a picture is drawn with: one draws on matplotlib's axes, one writes SVG and needs no matplotlib.

Places and lengths are in inches from the lower left corner; sizes of text and widths of lines are in points, and the
size of a marker in square points, as matplotlib has them. What has the higher layer lies above, and of the same layer
what was drawn later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import cos, pi, sin, sqrt
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from xml.sax.saxutils import escape

from ciops_nb.views.svg import Palette, short, svg_element, visible, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Anchor", "AxesPen", "Drawing", "Pen", "Place", "SvgPen", "written"]

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


# --- in SVG ---------------------------------------------------------------------------------------------------------

_Look: TypeAlias = dict[str, str | float | None]
_MIDDLE = 0.38  # em from the baseline to half the height of an "l" in DejaVu Sans, by which matplotlib centres
_ASCENT, _HIGH = 0.76, 1.0  # em of a line of text above its baseline, and in all
_AIR = 0.6  # points around a text that has a backing
_ANCHORS = {"left": None, "center": "middle", "right": "end"}


def _ring(corners: int, *radii: float, turned: float = 0.0) -> list[Place]:
    """A regular polygon with a corner on top, turned by so many corners; with two radii a star."""
    angles = [2 * pi * (number + turned) / corners for number in range(corners)]
    return [(sin(angle) * radii[i % len(radii)], cos(angle) * radii[i % len(radii)]) for i, angle in enumerate(angles)]


_POINTED = [(0.0, 0.5), (-0.5, -0.5), (0.5, -0.5)]
_PLUS = [(-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1), (1, 3), (-1, 3), (-1, 1), (-3, 1), (-3, -1), (-1, -1)]
_CROSS = [(-1, -2), (0, -1), (1, -2), (2, -1), (1, 0), (2, 1), (1, 2), (0, 1), (-1, 2), (-2, 1), (-1, 0), (-2, -1)]
_SHAPES: dict[str, list[Place]] = {  # y upwards, of the size for which matplotlib takes 1
    "s": [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)],
    "D": _ring(4, sqrt(0.5)),
    "h": _ring(6, 0.5),
    "p": _ring(5, 0.5),
    "8": _ring(8, 0.5, turned=0.5),
    "*": _ring(10, 0.5, 0.190983),  # where the sides of a pentagram cross
    "^": _POINTED,
    "v": [(x, -y) for x, y in _POINTED],
    ">": [(y, x) for x, y in _POINTED],
    "<": [(-y, x) for x, y in _POINTED],
    "P": [(x / 6, y / 6) for x, y in _PLUS],
    "X": [(x / 4, y / 4) for x, y in _CROSS],
}


class SvgPen:
    """Writes SVG of so many inches."""

    def __init__(self, width: float, height: float, colours: Palette) -> None:
        self._width, self._height = width * 72, height * 72
        self._drawn: list[tuple[float, str]] = []
        self._put(float("-inf"), "rect", {"width": self._width, "height": self._height, "fill": colours.surface})

    def svg(self, title: str, *, description: str = "", prefix: str = "p") -> str:
        """What was drawn, as one element; see ``svg.to_svg``."""
        body = "".join(drawn for _, drawn in sorted(self._drawn, key=lambda pair: pair[0]))
        return svg_element(body, self._width, self._height, title, description=description, prefix=prefix)

    def text(
        self, x: float, y: float, text: str, colour: str, points: float = 7.5, *, anchor: Anchor = "left",
        bold: bool = False, backing: str = "", layer: float = 3,
    ) -> None:  # fmt: skip
        if not text:
            return
        left, middle = self._at((x, y))
        base = middle + _MIDDLE * points
        if backing:
            wide = width_of(text, points) * 72 + 2 * _AIR
            shift = {"left": _AIR, "center": wide / 2, "right": wide - _AIR}[anchor]
            ground: _Look = {"x": left - shift, "y": base - _ASCENT * points - _AIR, "width": wide}
            ground |= {"height": _HIGH * points + 2 * _AIR, "fill": backing, "fill-opacity": 0.8}
            self._put(layer, "rect", ground)
        look: _Look = {"x": left, "y": base, "font-size": points, "font-weight": "bold" if bold else None}
        look |= {"text-anchor": _ANCHORS[anchor], "fill": colour}
        self._put(layer, "text", look, escape(visible(text)))

    def line(self, start: Place, end: Place, colour: str, width: float, dashes: Any = "-", *, layer: float = 2) -> None:
        (x0, y0), (x1, y1) = self._at(start), self._at(end)
        look: _Look = {"x1": x0, "y1": y0, "x2": x1, "y2": y1, **_stroke(colour, width, dashes)}
        self._put(layer, "line", look | {"stroke-linecap": "square" if dashes == "-" else None})

    def curves(
        self, curves: Iterable[Sequence[Place]], colour: str, width: float, dashes: Any, *, alpha: float, layer: float
    ) -> None:
        found = (list(map(self._pair, curve)) for curve in curves)
        path = "".join(f"M{start}C{' '.join(others)}" for start, *others in found)
        self._put(layer, "path", {"d": path, "fill": "none", **_stroke(colour, width, dashes), "opacity": alpha})

    def polygons(self, polygons: Iterable[Sequence[Place]], colour: str, *, alpha: float, layer: float) -> None:
        path = "".join(f"M{'L'.join(map(self._pair, polygon))}z" for polygon in polygons)
        self._put(layer, "path", {"d": path, "fill": colour, "fill-opacity": alpha})

    def box(
        self, left: float, bottom: float, width: float, height: float, face: str, edge: str, line: float, *,
        rounding: float = 0, hatch: str = "", layer: float = 1,
    ) -> None:  # fmt: skip
        (x, y), wide, high = self._at((left, bottom + height)), width * 72, height * 72
        look: _Look = {"x": x, "y": y, "width": wide, "height": high, "rx": rounding * 72 or None}
        corners: _Look = {"stroke-linejoin": None if rounding else "miter"}
        self._put(layer, "rect", look | {"fill": face, **_stroke(edge, line)} | corners)
        if hatch:
            lines = _hatched(hatch, wide, high)
            path = "".join(f"M{_pair(x + a, y + b)}L{_pair(x + c, y + d)}" for a, b, c, d in lines)
            self._put(layer, "path", {"d": path, **_stroke(edge, 1)})

    def markers(
        self, places: Iterable[Place], shape: str, size: float, face: str, edge: str, line: float, *, layer: float = 5
    ) -> None:
        wide = sqrt(size)
        path = "".join(_marker(shape, *self._at(place), wide) for place in places)
        self._put(layer, "path", {"d": path, "fill": face, **(_stroke(edge, line) if line else {})})

    def _put(self, layer: float, tag: str, look: _Look, inside: str = "") -> None:
        told = "".join(
            f' {name}="{value if isinstance(value, str) else short(value)}"'
            for name, value in look.items()
            if value is not None
        )
        self._drawn.append((layer, f"<{tag}{told}>{inside}</{tag}>" if inside else f"<{tag}{told}/>"))

    def _at(self, place: Place) -> Place:
        return place[0] * 72, self._height - place[1] * 72

    def _pair(self, place: Place) -> str:
        return _pair(*self._at(place))


def written(drawing: Drawing, title: str, *, description: str = "", prefix: str = "p") -> str:
    """*drawing* as one ``<svg>`` element, the same bytes for the same drawing; see ``svg.to_svg``."""
    pen = SvgPen(drawing.width, drawing.height, drawing.colours)
    drawing.draw(pen)
    return pen.svg(title, description=description, prefix=prefix)


def _pair(x: float, y: float) -> str:
    return f"{short(x)} {short(y)}"


def _stroke(colour: str, width: float, dashes: Any = "-") -> _Look:
    dashed = None if dashes == "-" else " ".join(short(length * width) for length in dashes[1])
    return {"stroke": colour, "stroke-width": None if width == 1 else width, "stroke-dasharray": dashed}


def _marker(shape: str, x: float, y: float, wide: float) -> str:
    if shape == "o":
        half = round(wide / 2, 2)  # rounded apart from the whole, the two arcs would make no circle
        radius, whole = short(half), short(2 * half)
        return f"M{_pair(x - half, y)}a{radius} {radius} 0 1 0 {whole} 0a{radius} {radius} 0 1 0 -{whole} 0z"
    return f"M{'L'.join(_pair(x + wide * dx, y - wide * dy) for dx, dy in _SHAPES[shape])}z"


def _hatched(hatch: str, width: float, height: float) -> Iterator[tuple[float, float, float, float]]:
    """The slanted lines of a hatch within a box, as far apart as matplotlib has them."""
    for sign in "/\\":
        count = hatch.count(sign) + hatch.count("x")
        for number in range(1, int((width + height) * count / 24) + 1):
            foot = number * 24 / count - height  # where the line begins, within the box or left of it
            low, high = max(0.0, -foot), min(height, width - foot)
            a, b = (height - low, height - high) if sign == "/" else (low, high)
            yield foot + low, a, foot + high, b
