"""Many submissions, one gradebook: where they come from, who grades them, and what becomes of the marks."""
