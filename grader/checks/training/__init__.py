"""Training, and what it logs."""
