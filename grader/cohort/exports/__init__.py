"""Marks as they leave the gradebook: in a platform's own file, as tables, as a page for each candidate."""
