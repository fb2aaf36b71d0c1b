"""The exam: its YAML files read, validated and turned into frozen objects."""
