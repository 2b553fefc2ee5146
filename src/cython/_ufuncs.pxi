"""The elementwise functions as NumPy ufuncs. Included by _core.pyx."""

cdef enum:
    MAX_FUNCTIONS = 64

# NumPy keeps pointers to these descriptions of the loops, for float16, float32 and float64. It takes the first one that an
# argument's type can be cast to.
cdef cnp.PyUFuncGenericFunction[3] LOOPS
cdef char[6] LOOP_TYPES
cdef void *LOOP_DATA[MAX_FUNCTIONS][3]

LOOPS[:] = [<cnp.PyUFuncGenericFunction>float16_loop, <cnp.PyUFuncGenericFunction>float32_loop, <cnp.PyUFuncGenericFunction>float64_loop]
LOOP_TYPES[:] = [cnp.NPY_FLOAT16, cnp.NPY_FLOAT16, cnp.NPY_FLOAT32, cnp.NPY_FLOAT32, cnp.NPY_FLOAT64, cnp.NPY_FLOAT64]

cdef list KEPT = []  # the bytes of names and docstrings, since NumPy keeps pointers to them


def make_ufunc(str name, str documentation):
    """Return the ufunc of a function in the registry."""
    cdef intptr_t number = FUNCTIONS.index(name)
    cdef int i
    cdef bytes name_bytes = name.encode(), documentation_bytes = documentation.encode()
    if number >= MAX_FUNCTIONS:
        raise ValueError(f"{name}: expected a number below {MAX_FUNCTIONS}, got {number}")
    for i in range(3):
        LOOP_DATA[number][i] = <void *>number
    KEPT.append((name_bytes, documentation_bytes))
    return cnp.PyUFunc_FromFuncAndData(LOOPS, LOOP_DATA[number], LOOP_TYPES, 3, 1, 1, cnp.PyUFunc_None, name_bytes,
                                       documentation_bytes, 0)
