"""Interpreters that have imported much ahead, and fork."""
