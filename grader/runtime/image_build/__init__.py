"""Building an image with Docker, and tidying up after it."""
