"""The number of threads. Included by _core.pyx."""

def get_max_threads():
    return max_threads()


def set_max_threads_(int n):
    set_max_threads(n)


def threads_decided():
    """Return the origin of the number of threads, and the error in an environment variable, or None."""
    error = threads_environment_error()
    return threads_decided_by().decode(), None if error is NULL else error.decode(errors="replace")


def usable_cpus_(str root):
    """Return the number of CPUs that this process may use, and the limit that decides it.

    root is a prefix of the paths of /proc and /sys.
    """
    cdef bytes path = root.encode()
    cdef CpuCount cpus = usable_cpus(path)
    return cpus.count, cpus.decided_by.decode()


cdef int wanted_threads(n_threads) except -1:
    """Return the number of threads, within bounds; 0 lets the kernels choose."""
    return 0 if n_threads is None else max(1, min(n_threads, thread_limit))


cdef int threads_for(n_threads, double work) except -1:
    return wanted_threads(n_threads) or native_threads_for(work)
