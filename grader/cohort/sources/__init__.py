"""Where submissions come from: see `grader.cohort.sources.discover`."""
