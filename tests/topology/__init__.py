"""Tests of ``ciops_nb.topology``; ``worlds`` holds the small estates and the slow answers they are compared with."""
