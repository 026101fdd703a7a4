"""Codes to images to scores, as fast as the device allows: shared prefixes, batches that fit, graphs."""
