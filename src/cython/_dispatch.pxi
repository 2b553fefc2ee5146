"""The quick part of fastnn.ops._dispatch. Included by _core.pyx."""

# What most arguments are; none of these types overrides NumPy's functions.
cdef frozenset plain_types = frozenset((np.ndarray, list, tuple, dict, float, int, bool, str, type(None)))


cdef bint is_plain(a, bint lists):
    """Whether `a` is of one of those types, with `lists` also its elements if it is a list or a tuple."""
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
    """A function that calls the implementation, or where an argument is of no plain type dispatch(arguments, keywords)."""
    def function(*args, **kwargs):
        for a in args:
            if not is_plain(a, lists):
                return dispatch(args, kwargs)
        for a in kwargs.values():
            if not is_plain(a, lists):
                return dispatch(args, kwargs)
        return implementation(*args, **kwargs)
    return function
