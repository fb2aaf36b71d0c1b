"""Tracked runs: what is logged, and where it is stored."""
