"""Many captures, and more than one processor: what is asked of them, and how the answer is brought together."""
