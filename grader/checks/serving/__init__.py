"""The HTTP application, started and sent requests."""
