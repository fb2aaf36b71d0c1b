"""What a candidate handed in: a safe copy, and where its deliverables are."""
