"""Small probes whose results are kept: a change of any figure or claim is seen, and gets a note."""
