"""``higan-fast explore``: a local page on which a sample is moved by hand, with its scores beside it."""
