"""Debian's Chromium without a way out: whatever leaves this machine is refused, noted, and fails the test."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import shutil
import socketserver
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, WebError, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 30.0

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-pings",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    # What it would ask of its maker's servers it asks of a closed port.
    "--gaia-url=http://127.0.0.1:9",
    "--autofill-server-url=http://127.0.0.1:9",
    "--component-updater=url-source=http://127.0.0.1:9",
    "--apps-gallery-update-url=http://127.0.0.1:9",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",  # or WebRTC would go past the proxy
)

# Whom Chromium calls on its own account in spite of that: its maker's servers. It does not get through, and a page that
# asked there would still be seen by what the page asked for.
OWN = re.compile(r"^(CONNECT |[A-Z]+ http://)([\w-]+\.)*(google|googleapis|gstatic|gvt1)\.com[:/]")

# What JupyterLab and Voila themselves say in the console of a page where all is well.
NOISE = ()


def executable() -> str | None:
    """Where the browser is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def is_abroad(url: str) -> bool:
    """Whether asking for *url* would leave this machine."""
    there = urlsplit(url)
    if there.scheme not in ("http", "https", "ws", "wss"):
        return False
    if there.hostname == "localhost":
        return False
    try:
        return not ipaddress.ip_address(there.hostname or "").is_loopback
    except ValueError:
        return True


class Border:
    """A proxy that Chromium takes for every address but loopback: it lets nothing through, and notes what was asked."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        noted = self.noted

        class Refuse(socketserver.StreamRequestHandler):
            timeout = 5

            def handle(self) -> None:
                words = self.rfile.readline(65536).decode("latin-1").split()
                noted.append(" ".join(words[:2]))
                self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuse)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="border")
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Visit:
    """One fresh context of the browser: its pages, what they asked for, and what went wrong in them."""

    def __init__(self, context: BrowserContext, border: Border) -> None:
        self.context = context
        self.abroad: list[str] = []
        self.errors: list[str] = []
        self._border, self._noted = border, len(border.noted)
        context.on("request", lambda request: self._ask(request.url))  # those of workers too
        context.on("page", lambda page: page.on("websocket", lambda socket: self._ask(socket.url)))
        context.on("console", self._say)
        context.on("weberror", self._fail)
        context.set_default_timeout(SECONDS * 1000)

    def page(self) -> Page:
        return self.context.new_page()

    @property
    def pages(self) -> list[Page]:
        return self.context.pages

    def take_abroad(self) -> list[str]:
        """What left loopback, as the pages and as the proxy saw it, and forget it."""
        noted, self._noted = self._border.noted[self._noted :], len(self._border.noted)
        seen, self.abroad = [*self.abroad, *(one for one in noted if not OWN.match(one))], []
        return sorted(set(seen))

    def take_errors(self) -> list[str]:
        seen, self.errors = self.errors, []
        return seen

    def check(self) -> None:
        """Fail where a page left loopback, or where an error was thrown or logged in it."""
        abroad, errors = self.take_abroad(), self.take_errors()
        assert not abroad, f"requests left this machine: {abroad}"
        assert not errors, f"errors in the browser: {errors}"

    def _ask(self, url: str) -> None:
        if is_abroad(url):
            self.abroad.append(url)

    def _say(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(f"{message.text} ({message.location.get('url', '')})")

    def _fail(self, error: WebError) -> None:
        self._note(str(error.error))

    def _note(self, text: str) -> None:
        if not any(re.search(noise, text) for noise in NOISE):
            self.errors.append(text)


class Chromium:
    """The browser of a session. Everything of it belongs to the thread that opened it, which has a running loop then."""

    def __init__(self, browser: Browser, border: Border) -> None:
        self.browser, self._border = browser, border

    @contextlib.contextmanager
    def visit(self, **options: Any) -> Iterator[Visit]:
        """A fresh context, closed at the end; it is for the caller to ``check()``."""
        options = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        context = self.browser.new_context(**options)
        try:
            yield Visit(context, self._border)
        finally:
            context.close()


@contextlib.contextmanager
def open_chromium() -> Iterator[Chromium]:
    border = Border()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=executable(),
                # Playwright's own option for a proxy would take loopback there too.
                args=[*FLAGS, f"--proxy-server=http://127.0.0.1:{border.port}"],
            )
            yield Chromium(browser, border)
            browser.close()
    finally:
        border.close()


def wait_until(what: Any, *, seconds: float = SECONDS, why: str = "") -> Any:
    """The first true answer of *what*, for what happens outside of a page."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {why or what}"
        time.sleep(0.02)
    return answer
