"""What a changed exam or grader makes it necessary to grade again, and what moved by it."""
