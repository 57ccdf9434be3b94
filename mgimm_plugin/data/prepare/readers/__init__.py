"""One module for each family of foreign formats; importing this package registers them all."""
