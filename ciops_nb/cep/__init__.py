"""Rules and their replay on past data: pure functions of frames, in which time comes from the data.

``load`` reads rules, ``replay`` says when they would have fired, ``explain`` how far they got, ``sweep`` what other
thresholds would have been worth, and ``compare`` what a new rule changes; ``to_prometheus`` and ``to_promtool_test``
write for Prometheus. The estate is read elsewhere, by ``tools.cep``.
"""

from ciops_nb.cep.compare import compare
from ciops_nb.cep.explain import explain
from ciops_nb.cep.export import to_prometheus
from ciops_nb.cep.model import Rule
from ciops_nb.cep.promtool import to_promtool_test
from ciops_nb.cep.reading import load
from ciops_nb.cep.replay import replay
from ciops_nb.cep.sweep import sweep

__all__ = ["Rule", "compare", "explain", "load", "replay", "sweep", "to_prometheus", "to_promtool_test"]
