"""``ciops-nb panel``: the panel as a page of this machine, for whoever has its address."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from ciops_nb.views.page import POLICY
from tests.browser.servers import Ground
from tests.kernels import ROOT

COMMAND = "from ciops_nb.cli import main; main()"


@pytest.fixture(scope="module")
def address(ground: Ground) -> Iterator[str]:
    words = ["panel", "--estate", str(ROOT / "data/demo"), "--recipe", "lookup", "--port", "0", "--no-browser"]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words],
        env={**ground.environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", told)
        assert found, told
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        process.stdout.close()


def test_the_page_runs_a_recipe_and_may_load_nothing_from_elsewhere(address, visit):
    page = visit.page()
    answer = page.goto(address)

    page.get_by_label("text").first.fill("erp database 1")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("db-erp-01").first).to_be_visible()
    assert POLICY == answer.headers["content-security-policy"]


def test_without_the_token_there_is_no_way_in(address, visit):
    place = address.partition("?")[0]
    page = visit.page()
    for part in ("", "api/kernels", "files/panel.json"):
        page.goto(f"{place}{part}")

        assert "/login" in page.url


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--estate", "nowhere"], "nowhere"),
        (["--estate", str(ROOT / "data/demo"), "--recipe", "triag"], "triage"),
    ],
)
def test_what_cannot_be_shown_is_said_before_anything_is_served(words, said):
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "panel", *words, "--port", "0", "--no-browser"],
        capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
    )  # fmt: skip

    assert 1 == done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr
