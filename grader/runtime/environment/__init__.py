"""The Python environment of a submission, from its lock."""
