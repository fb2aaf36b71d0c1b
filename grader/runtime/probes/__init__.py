"""Programs for the candidate's Python, which import nothing of ours but each other."""
