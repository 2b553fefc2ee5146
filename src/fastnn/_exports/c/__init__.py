"""Models as C: one source file without allocations, whose results have the bits of the kernels."""
