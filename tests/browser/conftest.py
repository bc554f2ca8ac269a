"""The ground for tests in a real browser: they say what a person does and sees.

Tests here are plain functions, never coroutines: the browser's own loop runs in their thread.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("playwright.sync_api", reason="NO BROWSER TESTS: playwright is not installed")

from tests.browser import chromium
from tests.browser.chromium import Chromium, Visit
from tests.browser.notebook import Lab, Voila
from tests.browser.servers import Ground, Server, open_lab, open_voila
from tests.kernels import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

AXE = ROOT / "ciops_nb/views/js/node_modules/axe-core/axe.min.js"
SCREENSHOTS = "CIOPS_SCREENSHOTS"
_outcome = pytest.StashKey[pytest.TestReport]()


@pytest.fixture(scope="package")
def browser() -> Iterator[Chromium]:
    """One browser for all; it is gone after the tests of this folder, as its loop would be in the way of others."""
    if chromium.executable() is None:
        pytest.skip(f"NO BROWSER TESTS: none of {chromium.NAMES} is on the PATH (Debian: apt-get install chromium)")
    with chromium.open_chromium() as one:
        yield one


@pytest.fixture(scope="package")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="package")
def lab_server(browser: Chromium, ground: Ground) -> Iterator[Server]:
    with open_lab(ground) as server:
        yield server


@pytest.fixture(scope="package")
def voila_server(browser: Chromium, ground: Ground) -> Iterator[Server]:
    with open_voila(ground) as server:
        yield server


@pytest.fixture
def visits(browser: Chromium, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visit]]:
    """Opens fresh contexts; at the end each is photographed if the test failed, checked and closed."""
    opened: list[Visit] = []
    with contextlib.ExitStack() as stack:

        def visit(**options: Any) -> Visit:
            opened.append(stack.enter_context(browser.visit(**options)))
            return opened[-1]

        yield visit
        report = request.node.stash.get(_outcome, None)
        if report is not None and report.failed:
            for one in opened:
                _photograph(one, request.node.name)
    for one in opened:
        one.check()


@pytest.fixture
def visit(visits: Callable[..., Visit]) -> Visit:
    return visits()


@pytest.fixture
def lab(lab_server: Server, ground: Ground, visit: Visit) -> Iterator[Lab]:
    one = Lab(lab_server, ground, visit)
    yield one
    one.close()


@pytest.fixture
def voila(voila_server: Server, ground: Ground, visit: Visit) -> Voila:
    return Voila(voila_server, ground, visit)


@pytest.fixture
def static(visits: Callable[..., Visit]) -> Callable[[Path], Page]:
    """Opens an HTML file where scripts are off and the network is cut."""

    def open_file(path: Path) -> Page:
        page = visits(java_script_enabled=False, offline=True).page()
        page.goto(path.resolve().as_uri())
        return page

    return open_file


@pytest.fixture
def axe() -> Callable[[Locator], None]:
    """Checks what the locator finds with axe-core: nothing in it may be a serious or critical fault."""
    if not AXE.is_file():
        pytest.skip(f"NO TEST FOR ACCESSIBILITY: {AXE} is missing; 'python hatch_build.py' installs it")
    source = AXE.read_text(encoding="utf-8")

    def check(ours: Locator) -> None:
        element = ours.element_handle()
        if not ours.page.evaluate("() => 'axe' in window"):
            ours.page.evaluate(f"() => {{ {source} }}")
        found = element.evaluate("one => axe.run(one, { resultTypes: ['violations'] })")
        faults = [
            f"{one['impact']}: {one['help']}: {node['html']}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert not faults, "\n".join(faults)

    return check


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[misc]
    if report.when == "call":
        item.stash[_outcome] = report
    return report  # type: ignore[return-value]


def _photograph(visit: Visit, name: str) -> None:
    if folder := os.environ.get(SCREENSHOTS):
        Path(folder).mkdir(parents=True, exist_ok=True)
        stem = re.sub(r"[^\w.-]+", "-", name)
        for number, page in enumerate(visit.pages):
            page.screenshot(path=Path(folder) / f"{stem}-{number}.png")
