"""From what ``connect`` was given to an engine."""

from __future__ import annotations

import os
import re

from ciops_nb.engines.protocol import Engine
from ciops_nb.errors import BadParameter

__all__ = ["open_engine"]

# One letter before a colon is a drive of Windows, not a scheme.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):(?://)?(.*)\Z", re.DOTALL)


def open_engine(source: str | os.PathLike[str]) -> Engine:
    """The engine for *source*: a folder, an ``estate.toml``, ``polars:FOLDER`` or ``duckdb:FOLDER``.

    Raises:
        BadParameter: no engine has that scheme.
        EstateInvalid: the folder is not an estate.
        EngineUnavailable: the library of the engine is not installed.
    """
    text = os.fspath(source) if isinstance(source, (str, os.PathLike)) else source
    if not isinstance(text, str):
        raise BadParameter("source", source, "is not a place", "Give a folder, polars:FOLDER or duckdb:FOLDER")
    match = _URL.match(text)
    scheme, place = match.groups() if match else ("polars", text)
    if scheme == "polars":
        from ciops_nb.engines.polars import PolarsEngine

        return PolarsEngine(place)
    if scheme == "duckdb":
        from ciops_nb.engines.duckdb import DuckDBEngine

        return DuckDBEngine(place)
    raise BadParameter(
        "source", text, f"no engine is called {scheme!r}", "Give a folder, polars:FOLDER or duckdb:FOLDER"
    )
