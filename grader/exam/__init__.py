"""The exam: YAML in, frozen objects out, and every complaint about it."""
