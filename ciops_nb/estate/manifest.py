"""``estate.toml``: the name of an estate, its clock and what its relation types mean."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ciops_nb.errors import EstateInvalid
from ciops_nb.estate.schema import DEFAULT_RELATION_TYPES, SCHEMA_VERSION, Impact

__all__ = ["MANIFEST", "Manifest", "read_manifest", "write_manifest"]

MANIFEST = "estate.toml"

Clock = Literal["data", "wall"]


@dataclass(frozen=True)
class Manifest:
    """What ``estate.toml`` says.

    *clock* ``data``: the estate is frozen, and "now" is its newest data time; ``wall``: it is live.
    *relation_types* tells for each type who is hurt when the other end fails.
    """

    name: str
    clock: Clock = "data"
    schema_version: int = SCHEMA_VERSION
    relation_types: Mapping[str, Impact] = field(default_factory=lambda: dict(DEFAULT_RELATION_TYPES))


def read_manifest(path: Path) -> Manifest:
    """Read ``estate.toml``.

    Raises:
        EstateInvalid: the file is missing, is not TOML, or says something it may not.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EstateInvalid(
            str(path),
            "there is no such file",
            "An estate is a folder with an estate.toml; make one with `ciops-nb import tables` or `ciops-nb generate`",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise EstateInvalid(str(path), f"cannot be read ({error})", "Check the file and its permissions") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EstateInvalid(str(path), f"is not TOML ({error})", "Mend that line") from None
    return _manifest(path, data)


def _manifest(path: Path, data: dict[str, Any]) -> Manifest:
    def refuse(problem: str, hint: str) -> EstateInvalid:
        return EstateInvalid(str(path), problem, hint)

    version = data.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise refuse(
            f"schema_version = {version!r}, and this release reads {SCHEMA_VERSION}", "Import the tables again"
        )
    clock = data.get("clock", "data")
    if clock not in get_args(Clock):
        raise refuse(f"clock = {clock!r} is not a clock", 'Write clock = "data" (frozen) or clock = "wall" (live)')
    relation_types: dict[str, Impact] = {}
    given = data.get("relation_types", {})
    if not isinstance(given, dict):
        raise refuse("relation_types is not a table", 'Write [relation_types] and lines such as RUNS_ON = "both"')
    for name, entry in given.items():
        # [relation_types.RUNS_ON] with an impact key and RUNS_ON = "…" mean the same.
        impact: Any = entry.get("impact") if isinstance(entry, dict) else entry
        if impact not in get_args(Impact):
            raise refuse(
                f"relation type {name!r} has impact {impact!r}", f"Choose one of {', '.join(get_args(Impact))}"
            )
        relation_types[name] = impact
    return Manifest(
        name=str(data.get("name", path.parent.name)),
        clock=clock,
        schema_version=version,
        relation_types=dict(sorted((relation_types or DEFAULT_RELATION_TYPES).items())),
    )


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write ``estate.toml`` into *folder*."""
    quote = json.dumps  # a JSON string is a TOML basic string
    lines = [
        f"name = {quote(manifest.name)}",
        f"schema_version = {manifest.schema_version}",
        f'clock = "{manifest.clock}"  # data: now is the newest data time; wall: now is now',
        "",
        "# Who is hurt when the other end fails. The arrow of a relation runs from source to target.",
        "[relation_types]",
        *(f'{quote(name)} = "{impact}"' for name, impact in sorted(manifest.relation_types.items())),
    ]
    path = folder / MANIFEST
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
