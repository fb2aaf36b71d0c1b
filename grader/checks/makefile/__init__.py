"""Makefiles, and what their recipes run."""
