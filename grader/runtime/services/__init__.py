"""Servers that candidates' programs talk to."""
