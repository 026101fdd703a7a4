"""The report of a probe: one self-contained HTML page."""

from higan_fast.report.page import made_from, write_report

__all__ = ["made_from", "write_report"]
