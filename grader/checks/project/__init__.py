"""The files of a Python project: its metadata, locks, hooks and notes."""
