"""Interpreters that import common modules in advance and fork for each run."""
