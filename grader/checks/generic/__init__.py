"""Checks of values, texts, programs and services that belong to no subject of their own."""
