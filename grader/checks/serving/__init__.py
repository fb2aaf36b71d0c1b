"""The HTTP application, booted and asked."""
