"""The report of a probe: one self-contained HTML page."""

from higan_fast.report.page import write_report

__all__ = ["write_report"]
