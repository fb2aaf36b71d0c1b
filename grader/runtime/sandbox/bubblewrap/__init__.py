"""A sandbox of namespaces."""
