"""A plain shell of IPython's, as a terminal has it, with the extension."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from ciops_nb import extension


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.ipython_dir = str(tmp_path_factory.mktemp("ipython"))
    return InteractiveShell(config=config)


@pytest.fixture
def shell(plain: Any) -> Iterator[Any]:
    with pytest.warns(RuntimeWarning, match="leaves cells as they are here"):
        extension.load_ipython_extension(plain)
    yield plain
    extension.unload_ipython_extension(plain)
    plain.user_ns.clear()


@pytest.fixture(scope="session")
def demo() -> Path:
    return Path(__file__).parents[2] / "data/demo"
