"""The checks that rubrics call by name."""
