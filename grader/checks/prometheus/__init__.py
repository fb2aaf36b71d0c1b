"""Prometheus alerting rules, read or tested with promtool."""
