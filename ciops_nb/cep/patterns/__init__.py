"""The patterns of the rule language: what is found at moments of its own."""

from ciops_nb.cep.patterns.base import Pattern

__all__ = ["Pattern"]
