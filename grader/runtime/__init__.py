"""How candidate code is run. Knows nothing of criteria and points."""
