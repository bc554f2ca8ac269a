"""Rules and their replay on past data: pure functions of frames, in which time comes from the data.

``load`` reads rules, ``replay`` says when they would have fired. The estate is read elsewhere, by ``tools.cep``.
"""

from ciops_nb.cep.model import Rule
from ciops_nb.cep.reading import load
from ciops_nb.cep.replay import replay

__all__ = ["Rule", "load", "replay"]
