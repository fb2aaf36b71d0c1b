"""What runs the attempts: agents, which are processes of their own, and who hands them their jobs."""
