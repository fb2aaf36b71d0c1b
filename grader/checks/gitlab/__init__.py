"""GitLab pipelines."""
