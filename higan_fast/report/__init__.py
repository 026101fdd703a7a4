"""The report of a probe: one self-contained HTML page."""

from higan_fast.report.page import dose_figure, made_from, write_report

__all__ = ["dose_figure", "made_from", "write_report"]
