"""Shell source: words, commands, and where it stands in a submission."""
