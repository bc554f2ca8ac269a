"""Fixtures for tests of many parts."""

from __future__ import annotations

import pytest

from ciops_nb import registry, tools
from ciops_nb.recipes import run


@pytest.fixture
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools and recipes that are defined in the test are gone after it: others go over all that there are."""
    assert tools
    monkeypatch.setattr(registry, "_tools", registry.all_tools())  # which loads them all first
    monkeypatch.setattr(run, "_recipes", run.all_recipes())
