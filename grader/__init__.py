"""Grades submissions to a hands-on MLOps exam."""

__version__ = "0.1.0"
