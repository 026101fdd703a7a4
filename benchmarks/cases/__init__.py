"""Benchmark cases: one module for each kind, and the networks that they need."""
