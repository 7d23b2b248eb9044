"""Evaluation: metrics, how far they can be trusted, and whether models differ.

Pure functions on arrays; every module has its conventions and references first. Which statistic
answers which question is in ``docs/statistics.md``.
"""
