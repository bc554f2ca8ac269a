"""Rules and their replay on past data: pure functions of frames, in which time comes from the data.

``load`` reads rules, ``replay`` says when they would have fired; ``to_prometheus`` and ``to_promtool_test`` write both
for Prometheus. The estate is read elsewhere, by ``tools.cep``.
"""

from ciops_nb.cep.export import to_prometheus
from ciops_nb.cep.model import Rule
from ciops_nb.cep.promtool import to_promtool_test
from ciops_nb.cep.reading import load
from ciops_nb.cep.replay import replay

__all__ = ["Rule", "load", "replay", "to_prometheus", "to_promtool_test"]
