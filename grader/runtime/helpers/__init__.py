"""The grader's own helper programs, sandboxed as candidate code is."""
