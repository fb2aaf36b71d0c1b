"""Known defects and honest variants, and whether the grader tells them apart."""
