"""Dockerfiles, read and built."""
