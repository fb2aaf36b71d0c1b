"""How a candidate's script is called."""
