"""Benchmarks: they report, they never assert on wall-clock time."""
