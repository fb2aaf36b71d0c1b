"""Programs of the grader's own, held in as candidates' are."""
