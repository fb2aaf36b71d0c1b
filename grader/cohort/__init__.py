"""Many submissions of one sitting: where they come from, what became of them, what goes out."""
