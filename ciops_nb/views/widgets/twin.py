"""The static twin of a widget: what GitHub, nbconvert, a printed page and a notebook without a kernel show instead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ciops_nb.errors import BadParameter
from ciops_nb.views.svg import visible

__all__ = ["Twin", "Twinned", "asset", "explained"]

_VIEW = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Twin:
    """A widget as it stands now: exact *text*, and one picture of it, as *svg* or, for several and tables, as *html*.

    The same state gives the same bytes: nothing in it is measured, random or an address in this kernel.
    """

    text: str
    svg: str | None = None
    html: str | None = None

    def bundle(self) -> dict[str, str]:
        """By MIME type."""
        kinds = {"text/plain": self.text, "image/svg+xml": self.svg, "text/html": self.html}
        return {kind: value for kind, value in kinds.items() if value is not None}


class Twinned:
    """Puts the twin of a widget beside its live view; stands before ipywidgets' class among the bases."""

    def twin(self) -> Twin:
        """What to show of it where no kernel runs."""
        raise NotImplementedError

    _as_told: str | None = None  # while its bundle is made: the base class asks for its repr, which would draw it again

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        told = self._told()
        self._as_told = told.text
        try:
            shown = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        finally:
            self._as_told = None
        # ipywidgets gives the data, anywidget a pair of data and metadata, both nothing where there is no view.
        live = (shown[0] if isinstance(shown, tuple) else shown) or {}
        return {**told.bundle(), **{kind: live[kind] for kind in (_VIEW,) if kind in live}}

    def _told(self) -> Twin:
        try:
            return self.twin()
        except Exception as error:  # noqa: BLE001  the live view is not lost because its picture is
            return Twin(f"<{type(self).__name__}: its picture could not be drawn: {explained(error)}>")

    def __repr__(self) -> str:
        said = self._as_told
        return self._told().text if said is None else said


def explained(error: BaseException) -> str:
    """An error in one line, for those who look at a widget."""
    said = " ".join(visible(error, keep="\n").split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def asset(name: str) -> str:
    """The text of a file of ``views/static``, which is bundled when the package is built.

    Raises:
        BadParameter: this is a checkout, and nothing was bundled.
    """
    path = Path(__file__).parents[1] / "static" / name
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadParameter(
            "widget", name, "was not bundled in this checkout", "Run python hatch_build.py, or pip install -e ."
        ) from None
