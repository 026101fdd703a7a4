"""Pickles and torch files, read by an interpreter that never executes what is in them."""
