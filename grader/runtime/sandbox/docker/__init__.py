"""A sandbox of containers."""
