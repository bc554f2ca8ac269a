"""Sigma is read where pySigma is installed, and asked for by name where it is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ciops_nb.cep import load
from ciops_nb.errors import BadRule


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "sigma" or name.startswith("sigma.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sigma", None)

    with pytest.raises(BadRule, match=r"needs pySigma, which is not installed. Run pip install 'ciops_nb\[sigma\]'"):
        load("title: x", format="sigma")


def test_reading_our_own_rules_loads_nothing_of_sigma() -> None:
    code = (
        "import sys; from ciops_nb.cep import load; load({'metric': 'm', 'op': '>', 'value': 1});"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'sigma']; assert 'ciops_nb.cep.sigma' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
