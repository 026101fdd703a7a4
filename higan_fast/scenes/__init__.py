"""The embedded world: rooms with known factors, and the networks that are trained on them."""
