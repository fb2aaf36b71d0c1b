"""The report as one page: no network, no script, as good on paper as on a screen."""

from grader.report.html.page import write_html

__all__ = ["write_html"]
