"""What is said about a scene: a grammar kept as data, and a reader that turns its texts back into claims."""
