"""Alerting rules, read and tried with promtool."""
