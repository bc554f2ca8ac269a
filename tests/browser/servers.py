"""JupyterLab and Voila on loopback, in folders of their own, with a kernel of each ipykernel that the tests know."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.browser.chromium import wait_until
from tests.kernels import NEST, OLDER, OLDEST_SUBSHELLS, ROOT, beside

NEWEST = ".".join(importlib.metadata.version("ipykernel").split(".")[:2])
BESIDE = {"6.31": (OLDER, NEST), "7.1": (OLDEST_SUBSHELLS, NEST), NEWEST: ()}
KERNELS = tuple(BESIDE)

# Nothing is fetched from the network, and nothing pops up over the page.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "checkForUpdates": False,
        "fetchNews": "false",
        "doNotDisturbMode": True,
    },
    "@jupyterlab/extensionmanager-extension:plugin": {"enabled": False},
}


class Ground:
    """The folders that the servers share, and the environment that keeps them in there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notebooks, self.runtime = folder / "notebooks", folder / "runtime"
        self.settings = folder / "settings"
        labconfig = folder / "config/labconfig"
        for made in (self.notebooks, self.runtime, self.settings, labconfig):
            made.mkdir(parents=True)
        (labconfig / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
        for version in KERNELS:
            self._write_kernel(version)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")},
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_PATH": str(ROOT / "ciops_nb/views/share"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTERLAB_SETTINGS_DIR": str(self.settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "IPYTHONDIR": str(folder / "ipython"),
            "PYTHONPATH": str(ROOT),
        }

    def _write_kernel(self, version: str) -> None:
        path = [*(str(ROOT / ".kernels" / name) for name in BESIDE[version]), str(ROOT)]
        spec = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": f"ipykernel {version}",
            "language": "python",
            "env": {"PYTHONPATH": os.pathsep.join(path)},
        }
        folder = self.folder / "data/kernels" / kernel_name(version)
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps(spec))

    def connection_file(self, kernel: str) -> Path:
        return self.runtime / f"kernel-{kernel}.json"


def kernel_name(version: str) -> str:
    return f"ipykernel-{version}"


def need_kernel(version: str) -> None:
    """A skip where that ipykernel is not installed."""
    for name in BESIDE[version]:
        beside(name)


class Server:
    """A server that runs, and how to ask it."""

    def __init__(self, url: str, token: str, log: Path) -> None:
        self.url, self.token, self.log = url, token, log

    def ask(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def end_kernels(self) -> None:
        for kernel in self.ask("/api/kernels"):
            with contextlib.suppress(urllib.error.HTTPError):  # it has ended by itself
                self.ask(f"/api/kernels/{kernel['id']}", "DELETE")


@contextlib.contextmanager
def open_lab(ground: Ground) -> Iterator[Server]:
    port, token = _free_port(), secrets.token_hex(16)
    command = [
        "jupyterlab",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.open_browser=False",
        "--ServerApp.allow_root=True",
        f"--ServerApp.root_dir={ground.notebooks}",
        f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with _run(ground, "lab", command, f"http://127.0.0.1:{port}", token, "/api/kernelspecs") as server:
        yield server


@contextlib.contextmanager
def open_voila(ground: Ground) -> Iterator[Server]:
    port, token = _free_port(), secrets.token_hex(16)
    command = [
        "voila",
        f"--port={port}",
        "--Voila.port_retries=0",
        "--Voila.ip=127.0.0.1",
        "--no-browser",
        f"--token={token}",
        "--template=ciops",
        f"--Voila.root_dir={ground.notebooks}",
    ]
    with _run(ground, "voila", command, f"http://127.0.0.1:{port}", token, "/") as server:
        yield server


@contextlib.contextmanager
def _run(ground: Ground, name: str, command: list[str], url: str, token: str, ready: str) -> Iterator[Server]:
    log = ground.folder / f"{name}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ground.notebooks,
            env=ground.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(url, token, log)

    def answers() -> bool:
        assert process.poll() is None, f"{name} ended:\n{log.read_text()[-4000:]}"
        with contextlib.suppress(OSError):
            request = urllib.request.Request(f"{url}{ready}", headers={"Authorization": f"token {token}"})
            with urllib.request.urlopen(request, timeout=10):
                return True
        return False

    try:
        wait_until(answers, seconds=90, why=f"{name} does not answer")
        yield server
    finally:
        process.send_signal(signal.SIGTERM)  # it ends its kernels
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
