"""The elementwise functions as NumPy ufuncs. Included by _core.pyx."""

cdef enum:
    MAX_FUNCTIONS = 64

# NumPy keeps pointers to what describes the loops: float16, float32 and float64, in the order in which it looks for the
# first that an argument's type fits into.
cdef cnp.PyUFuncGenericFunction[3] LOOPS
cdef char[6] LOOP_TYPES
cdef void *LOOP_DATA[MAX_FUNCTIONS][3]

LOOPS[:] = [<cnp.PyUFuncGenericFunction>float16_loop, <cnp.PyUFuncGenericFunction>float32_loop, <cnp.PyUFuncGenericFunction>float64_loop]
LOOP_TYPES[:] = [cnp.NPY_FLOAT16, cnp.NPY_FLOAT16, cnp.NPY_FLOAT32, cnp.NPY_FLOAT32, cnp.NPY_FLOAT64, cnp.NPY_FLOAT64]

cdef list KEPT = []  # the bytes of names and docstrings, which NumPy points to


def make_ufunc(str name, str documentation):
    """The ufunc of a function of the registry."""
    cdef intptr_t number = FUNCTIONS.index(name)
    cdef int i
    cdef bytes name_bytes = name.encode(), documentation_bytes = documentation.encode()
    if number >= MAX_FUNCTIONS:
        raise ValueError(f"{name}: there is no room for it, expected at most {MAX_FUNCTIONS} functions")
    for i in range(3):
        LOOP_DATA[number][i] = <void *>number
    KEPT.append((name_bytes, documentation_bytes))
    return cnp.PyUFunc_FromFuncAndData(LOOPS, LOOP_DATA[number], LOOP_TYPES, 3, 1, 1, cnp.PyUFunc_None, name_bytes,
                                       documentation_bytes, 0)
