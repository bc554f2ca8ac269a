"""Which pages are dark to what is styled from Python: what the host says counts, and else the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ciops_nb.views.widgets.host import dark

PAGES = {
    'data-jp-theme-light="true"': {"light": False, "dark": False},
    'data-jp-theme-light="false" class="theme-dark"': {"light": True, "dark": True},  # Voila
    'class="vscode-light"': {"light": False, "dark": False},
    'class="vscode-dark"': {"light": True, "dark": True},
    'class="vscode-high-contrast"': {"light": True, "dark": True},
    'class="vscode-high-contrast vscode-high-contrast-light"': {"light": False, "dark": False},
    "": {"light": False, "dark": True},
}


@pytest.mark.parametrize("machine", ["light", "dark"])
def test_a_page_is_as_its_host_says_and_else_as_the_machine_is_set(visits: Callable[..., Any], machine: str) -> None:
    page = visits(color_scheme=machine).page()
    found = {}
    for body in PAGES:
        page.set_content(f"<style>{dark('main p', 'color: rgb(1, 2, 3)')}</style><body {body}><main><p>it</p></main>")
        found[body] = "rgb(1, 2, 3)" == page.locator("p").evaluate("one => getComputedStyle(one).color")

    assert {body: told[machine] for body, told in PAGES.items()} == found
