"""The embedded world: rooms with known factors, and the networks trained on them."""
