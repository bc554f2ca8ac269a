"""The recipe panel as a page of its own: Voila serves it to browsers of this machine, for people who want no notebook.

Voila's own template links to a font of icons on another host, which ours leaves out. And whatever else may be in a
page, now or in another version: the browser is told to load and to call nothing but what serves it.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciops_nb.errors import BadParameter
from ciops_nb.recipes.run import find_recipe
from ciops_nb.session import connect

if TYPE_CHECKING:
    from ciops_nb.views.widgets.panel import RecipePanel

__all__ = ["POLICY", "serve", "shown"]

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data:; worker-src 'self' blob:"
)
"""What pages may load. Voila's own scripts need ``eval``, and anywidget makes a module of a ``blob:``."""

_ASKED = "panel.json"
_CELL = "from ciops_nb.views.page import shown\n\nshown()"
_NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "id": "panel", "metadata": {}, "source": _CELL, "outputs": [], "execution_count": None}
    ],
    "metadata": {"title": "ciops_nb", "kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def serve(
    estate: str, *, tenant: str | None = None, recipe: str | None = None, port: int = 8866, theme: str = "light",
    open_browser: bool = True, tell: Callable[[str], object] = print,
) -> None:  # fmt: skip
    """Serve the panel on 127.0.0.1 until interrupted; every page that is opened has a kernel of its own.

    Args:
        estate: As for ``connect``.
        tenant: Where the estate has several.
        recipe: The one that is chosen at first.
        port: Where to listen; 0 takes a free one.
        theme: ``light`` or ``dark``.
        open_browser: Whether to open the page.
        tell: Is told the address, which holds a token: whoever else is on this machine has no other way in.

    Raises:
        ModuleNotFoundError: Voila is not installed.
        BadParameter: the port is taken.
        UnknownTool: there is no such recipe.
        TenantNeeded, EstateInvalid, EngineUnavailable: as ``connect``.
    """
    from tornado.ioloop import IOLoop
    from traitlets.config import Config
    from voila.app import Voila

    if recipe is not None:
        find_recipe(recipe)
    with connect(estate, tenant=tenant) as ops:
        place = str(Path(estate).resolve()) if Path(estate).exists() else estate
        asked = {"estate": place, "tenant": ops.tenant, "recipe": recipe}
    token, port = secrets.token_urlsafe(24), _free(port)
    with tempfile.TemporaryDirectory(prefix="ciops-panel-") as folder:
        for name, content in (("panel.ipynb", _NOTEBOOK), (_ASKED, asked)):
            (Path(folder) / name).write_text(json.dumps(content), encoding="utf-8")
        # Where Voila looks for templates is told by the environment, and by nothing else.
        ours, others = str(Path(__file__).with_name("share")), os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, (ours, others)))
        app = Voila.instance(
            config=Config(
                Voila={
                    "ip": "127.0.0.1",
                    "port": port,
                    "port_retries": 0,
                    "token": token,
                    "open_browser": False,
                    "tornado_settings": {"headers": {"Content-Security-Policy": POLICY}},
                },
                VoilaConfiguration={"template": "ciops", "theme": theme, "show_tracebacks": True},
            )
        )
        app.initialize([str(Path(folder) / "panel.ipynb")])
        address = f"http://127.0.0.1:{port}/?token={token}"
        tell(f"The panel is at {address} until Ctrl-C.")
        if open_browser:
            IOLoop.current().add_callback(webbrowser.open, address)
        app.start()


def _free(port: int) -> int:
    """*port*, or a free one for 0."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError as error:
            raise BadParameter("port", port, f"cannot be had ({error.strerror})", "Name another, or 0") from None
        return int(one.getsockname()[1])


def shown(asked: str | Path = _ASKED) -> RecipePanel:
    """The panel that ``serve`` was asked for; called in the kernel of a page."""
    from ciops_nb.views.widgets.panel import RecipePanel

    told: dict[str, Any] = json.loads(Path(asked).read_text(encoding="utf-8"))
    return RecipePanel(connect(told["estate"], tenant=told["tenant"]), told["recipe"])
