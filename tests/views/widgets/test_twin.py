"""Each widget is shown live where a kernel runs, and by its twin everywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import pytest

from ciops_nb.errors import BadParameter
from ciops_nb.views.widgets import twin
from ciops_nb.views.widgets.twin import Twin, Twinned, asset, explained

VIEW = "application/vnd.jupyter.widget-view+json"


class Core(Twinned, ipywidgets.VBox):
    told: Any = Twin("two CIs", svg="<svg/>")

    def twin(self) -> Twin:
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


class Own(Twinned, anywidget.AnyWidget):
    _esm = "export default { render() {} }"

    def twin(self) -> Twin:
        return Twin("three CIs", html="<p>three</p>")


def test_the_bundle_has_the_live_view_and_the_twin() -> None:
    core, own = Core(), Own()

    assert {"text/plain": "two CIs", "image/svg+xml": "<svg/>"} == {
        kind: value for kind, value in core._repr_mimebundle_().items() if kind != VIEW
    }
    assert {"text/plain": "three CIs", "text/html": "<p>three</p>"} == {
        kind: value for kind, value in own._repr_mimebundle_().items() if kind != VIEW
    }
    assert [core.model_id, own.model_id] == [made._repr_mimebundle_()[VIEW]["model_id"] for made in (core, own)]
    assert "two CIs" == repr(core)


@pytest.mark.parametrize("base", [ipywidgets.VBox, anywidget.AnyWidget])
def test_the_twin_is_drawn_once_for_a_bundle(base: type) -> None:
    drawn = []

    class Counted(Twinned, base):
        _esm = "export default { render() {} }"

        def twin(self) -> Twin:
            drawn.append(1)
            return Twin(f"drawn {len(drawn)} times")

    made = Counted()

    assert "drawn 1 times" == made._repr_mimebundle_()["text/plain"]
    assert "drawn 2 times" == repr(made)


def test_a_twin_that_cannot_be_drawn_says_so_and_leaves_the_live_view() -> None:
    core = Core()
    core.told = LookupError("gone\u202e\nfor good")

    shown = core._repr_mimebundle_()

    assert "<Core: its picture could not be drawn: LookupError: gone⟨U+202E⟩ for good>" == shown["text/plain"]
    assert {"text/plain", VIEW} == set(shown)


def test_an_error_without_words_is_told_by_its_name() -> None:
    assert "KeyError" == explained(KeyError())


def test_a_checkout_without_bundles_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(twin, "__file__", str(tmp_path / "views" / "widgets" / "twin.py"))

    with pytest.raises(BadParameter, match="hatch_build"):
        asset("explorer.js")
