"""What runs inside a sandbox, with nothing but the standard library."""
