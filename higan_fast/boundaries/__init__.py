"""Boundaries: what they are, how they are fitted, how a step along one moves the codes, and their files."""
