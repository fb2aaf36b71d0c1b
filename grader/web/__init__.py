"""The page: a gradebook in a browser."""
