"""The report of a probe: one self-contained HTML page."""

from higan_fast.report.dose_png import dose_png
from higan_fast.report.page import dose_figure, made_from, write_report

__all__ = ["dose_figure", "dose_png", "made_from", "write_report"]
