"""Training in shards: fixed shares of the rows, in one process or on the ranks of MPI, with the same bits."""
