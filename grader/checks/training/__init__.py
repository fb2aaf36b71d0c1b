"""Training scripts, and what they log."""
