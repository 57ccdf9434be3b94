"""What is where: a plan of the place, and objects put where they belong."""
