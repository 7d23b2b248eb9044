"""Datasets: collections of recordings with their frames."""
