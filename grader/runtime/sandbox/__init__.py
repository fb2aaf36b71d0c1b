"""Running untrusted programs in isolation."""
