"""What GitHub is told of a grade: by a step of a workflow, by a comment, by a check run."""
