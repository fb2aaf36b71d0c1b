"""The candidate's own tests, run against the application with and without faults."""
