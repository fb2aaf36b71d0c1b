"""Languages and formats that submissions are written in; no check and no process is known here."""
