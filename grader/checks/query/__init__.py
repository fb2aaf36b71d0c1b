"""Finding the best tracked runs."""
