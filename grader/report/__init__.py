"""Translators of one grade: each takes the finished grade and a stream, and decides nothing."""
