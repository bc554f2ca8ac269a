from __future__ import annotations

from collections.abc import Iterator

import pytest

from ciops_nb.cep.samples import Samples
from tests.cep.promql.server import Server, generated, started


@pytest.fixture(scope="session")
def known() -> list[Samples]:
    return generated()


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory, known: list[Samples]) -> Iterator[Server]:
    yield from started(tmp_path_factory.mktemp("prometheus"), known)
