"""Samples: codes that depend on (seed, index) alone, their scores, and the store that keeps both."""
