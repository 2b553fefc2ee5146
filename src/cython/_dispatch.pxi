"""The fast part of fastnn.ops._dispatch. Included by _core.pyx."""

# The types of most arguments; none of them overrides NumPy's functions.
cdef frozenset plain_types = frozenset((np.ndarray, list, tuple, dict, float, int, bool, str, type(None)))


cdef bint is_plain(a, bint lists):
    """Return whether `a` is of one of those types. With `lists`, the elements of a list or a tuple must be, too."""
    if cnp.PyArray_CheckExact(a):
        return True
    if type(a) not in plain_types:
        return False
    if lists and isinstance(a, (list, tuple)):
        for element in a:
            if not is_plain(element, False):
                return False
    return True


def dispatching(implementation, dispatch, bint lists):
    """Return a function that calls the implementation, or dispatch(arguments, keywords) if an argument is of another type."""
    def function(*args, **kwargs):
        for a in args:
            if not is_plain(a, lists):
                return dispatch(args, kwargs)
        for a in kwargs.values():
            if not is_plain(a, lists):
                return dispatch(args, kwargs)
        return implementation(*args, **kwargs)
    return function
