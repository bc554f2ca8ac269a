"""The engine of a run that is replayed: it knows what data the run was of, and has none of them."""

from __future__ import annotations

from typing import cast

from ciops_nb.engines.protocol import Tables
from ciops_nb.errors import NotRecorded
from ciops_nb.estate.manifest import Manifest

__all__ = ["BundleEngine"]


class BundleEngine:
    """Stands for the engine that answered when the run was recorded.

    Args:
        source: What the answers are read from.
        estate: The name of the estate.
        engine: The engine that answered.
        data_version: Of the data it answered from.
        tenant: Whose they are.
    """

    def __init__(self, source: str, *, estate: str, engine: str, data_version: str | None, tenant: str) -> None:
        self.source, self.name = source, engine
        self._manifest = Manifest(estate)
        self._data_version, self._tenant = data_version, tenant

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def data_version(self) -> str:
        # None is what a session makes of a source that cannot say: the run is to have the same id.
        return cast(str, self._data_version)

    def tenants(self) -> tuple[str, ...]:
        return (self._tenant,)

    def tables(self, tenant: str) -> Tables:
        raise NotRecorded(self.source)

    def close(self) -> None:
        pass
