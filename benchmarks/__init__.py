"""Benchmarks: speed as ratios to a reference in the same run; see ``python -m benchmarks.run``."""
