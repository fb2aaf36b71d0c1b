"""DVC: its settings, its pipeline, and running it."""
