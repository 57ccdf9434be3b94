"""How a place and its objects look from far above."""
