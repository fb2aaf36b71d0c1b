"""DVC: its configuration, its pipeline, and running it."""
