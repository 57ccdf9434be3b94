"""Speed and memory, each as a ratio against the usual way to do the same, both measured in one run."""
