"""Running a program so that it reaches nothing but its own."""
