"""The report of a version: one page with everything that is kept with it, what follows from it, and what to improve."""

from fashion.pages.report.writing import KEPT_AS, Report, keep_report, write_report

__all__ = ["KEPT_AS", "Report", "keep_report", "write_report"]
