"""Training many networks at once: the arguments of each, the shared data, and the loop over time slices."""
