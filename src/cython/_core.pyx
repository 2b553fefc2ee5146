# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The thin layer between NumPy and the kernels: arrays in, pointers down, nothing decided here.

Arguments were validated by the Python callers; what would read or write out of bounds is checked here once more.
"""
cimport cython
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t, intptr_t, uintptr_t
from libc.string cimport memcpy, memset
from libcpp.vector cimport vector

from _kernels cimport *

import os
from math import prod

import numpy as np

cnp.import_array()
cnp.import_ufunc()


# ---- Names and instruction sets ------------------------------------------------------------------------------------------------

cdef tuple strings(const char *const *list):
    names = []
    cdef int i = 0
    while list[i]:
        names.append(list[i].decode())
        i += 1
    return tuple(names)


ACTIVATIONS = strings(<const char *const *>activation_names_())
LAYER_ACTIVATIONS = ACTIVATIONS + strings(<const char *const *>parametric_activation_names_())  # of networks
FUNCTIONS = strings(<const char *const *>function_names_())
LOSSES = strings(<const char *const *>loss_names_())
PREDICTION_LOSSES = strings(<const char *const *>prediction_loss_names_())
OPTIMIZERS = strings(<const char *const *>optimizer_names_())


def built_instruction_sets():
    """Return the names of the instruction sets in this build, best first."""
    return tuple(instruction_sets_()[i].name.decode() for i in range(n_instruction_sets()))


def usable_instruction_sets():
    """Return those of them that this machine can run."""
    return tuple(instruction_sets_()[i].name.decode() for i in range(n_instruction_sets()) if instruction_sets_()[i].supported())


def current_instruction_set():
    """Return the instruction set in use, and the bytes of a vector as its code was compiled."""
    return instruction_set().name.decode(), instruction_set().float32.vector_bytes


cdef choose_instruction_set(str wanted):
    usable = usable_instruction_sets()
    if wanted and wanted not in usable:
        raise ImportError(f"FASTNN_ISA={wanted!r} can't be used: this build has {', '.join(built_instruction_sets())}, "
                          f"of which this machine runs {', '.join(usable)}")
    for i in range(n_instruction_sets()):
        if instruction_sets_()[i].name.decode() == (wanted or usable[0]):
            use_instruction_set(&instruction_sets_()[i])


choose_instruction_set(os.environ.get("FASTNN_ISA", ""))

OPTIMIZER_MOMENTS = {name: instruction_set().float64.optimizer_moments(kind) for kind, name in enumerate(OPTIMIZERS)}


cdef inline const Kernels *kernels(int dtype) noexcept:
    return instruction_set().float32 if dtype == cnp.NPY_FLOAT32 else instruction_set().float64


def get_max_threads():
    return max_threads()


def set_max_threads_(int n):
    set_max_threads(n)


def threads_decided():
    """How the number of threads was found, and what is wrong with an environment variable, or None."""
    error = threads_environment_error()
    return threads_decided_by().decode(), None if error is NULL else error.decode(errors="replace")


def usable_cpus_(str root):
    """The number of CPUs that this process may use, and what bounds it; the paths of /proc and /sys begin with root."""
    cdef bytes path = root.encode()
    cdef CpuCount cpus = usable_cpus(path)
    return cpus.count, cpus.decided_by.decode()


# ---- Arrays ----------------------------------------------------------------------------------------------------------

cdef int type_of(cnp.ndarray a) noexcept:
    """The kernels' number of the element type, -1 if they can't read it."""
    cdef int t = cnp.PyArray_TYPE(a)
    if not cnp.PyArray_ISNOTSWAPPED(a):
        return -1
    if t == cnp.NPY_FLOAT32:
        return <int>Type.float32
    if t == cnp.NPY_FLOAT64:
        return <int>Type.float64
    if t == cnp.NPY_BOOL:
        return <int>Type.boolean
    cdef int size = cnp.PyArray_ITEMSIZE(a)
    if cnp.PyTypeNum_ISSIGNED(t) and cnp.PyTypeNum_ISINTEGER(t):
        return <int>(Type.int8 if size == 1 else Type.int16 if size == 2 else Type.int32 if size == 4 else Type.int64)
    if cnp.PyTypeNum_ISUNSIGNED(t):
        return <int>(Type.uint8 if size == 1 else Type.uint16 if size == 2 else Type.uint32 if size == 4 else Type.uint64)
    return -1


def readable(cnp.ndarray a):
    """Whether the kernels can read this array where it stands."""
    return type_of(a) >= 0


@cython.final
cdef class SparseRows:
    """Rows of which only some elements are stored (CSR): those of row i are values[row_starts[i]:row_starts[i + 1]]."""

    cdef readonly cnp.ndarray values, columns, row_starts
    cdef readonly tuple shape
    cdef int64_t max_entries

    def __init__(self, values, columns, row_starts, n_columns):
        self.values = np.require(values, requirements=["C", "A", "E"])
        self.columns = np.require(columns, np.int32, ["C", "A", "E"])
        self.row_starts = np.array(row_starts, np.int64)  # a copy: what it says is not checked again
        n_rows, n_entries = len(self.row_starts) - 1, min(len(self.values), len(self.columns))
        lengths = np.diff(self.row_starts)
        if n_rows < 0 or self.row_starts[0] != 0 or self.row_starts[n_rows] > n_entries or (lengths < 0).any():
            raise ValueError("row_starts must rise from 0 to no more than the number of elements")
        used = self.columns[:self.row_starts[n_rows]]
        if len(used) and (used.min() < 0 or used.max() >= n_columns):
            raise ValueError(f"columns must be 0 to {n_columns - 1}")
        self.shape = (n_rows, n_columns)
        longest = lengths if n_rows <= chunk_rows else np.partition(lengths, n_rows - chunk_rows)[n_rows - chunk_rows:]
        self.max_entries = longest.sum()

    def __len__(self):
        return self.shape[0]

    cdef double mean_entries(self):
        n_rows = self.shape[0]
        return self.row_starts[n_rows] / max(1, n_rows)


cdef int fill_sparse_rows(Rows *rows, SparseRows a, str argument, int dtype_number, int64_t n_rows, int64_t n_columns) except -1:
    if a.shape != (n_rows, n_columns):
        raise ValueError(f"{argument}: got shape {a.shape}, expected ({n_rows}, {n_columns})")
    if cnp.PyArray_TYPE(a.values) != dtype_number or type_of(a.values) < 0:
        raise TypeError(f"{argument}: values of {a.values.dtype} must be converted before")
    rows.data = <const char *>cnp.PyArray_DATA(a.values)
    rows.columns = <const int32_t *>cnp.PyArray_DATA(a.columns)
    rows.row_starts = <const int64_t *>cnp.PyArray_DATA(a.row_starts)
    rows.max_entries = a.max_entries
    return 0


cdef int fill_rows(Rows *rows, cnp.ndarray a, str argument, int64_t n_rows, int64_t n_columns,
                   bint labels=False) except -1:
    """Checks shape and type once more: from here on, only strides and bounds count."""
    cdef int t = type_of(a)
    if t < 0:
        raise TypeError(f"{argument}: arrays of {a.dtype} must be converted before")
    cdef int ndim = cnp.PyArray_NDIM(a)
    if labels:
        if ndim != 1 or a.shape[0] != n_rows or a.dtype.kind not in "iu":
            raise ValueError(f"{argument}: got {a.dtype} of shape {(<object>a).shape}, expected {n_rows} integer labels")
    elif ndim == 1:
        if n_rows != 1 or a.shape[0] != n_columns:
            raise ValueError(f"{argument}: got shape {(<object>a).shape}, expected ({n_columns},) or (n, {n_columns})")
    elif ndim != 2 or a.shape[0] != n_rows or a.shape[1] != n_columns:
        raise ValueError(f"{argument}: got shape {(<object>a).shape}, expected ({n_rows}, {n_columns})")
    rows.data = <const char *>cnp.PyArray_DATA(a)
    rows.type = <Type>t
    rows.labels = labels
    rows.row_stride = a.strides[0] if ndim == 2 or labels else 0
    rows.column_stride = cnp.PyArray_STRIDE(a, ndim - 1)
    return 0


def aligned_zeros(shape, dtype):
    """Zeros that begin at a multiple of 64 bytes."""
    cdef int64_t bytes = (shape if isinstance(shape, int) else prod(shape)) * np.dtype(dtype).itemsize
    try:
        raw = np.zeros(bytes + 64, np.uint8)
    except MemoryError:
        raise MemoryError(f"there is no memory for {bytes / 2**20:.0f} MiB of parameters or workspace") from None
    cdef int64_t skip = -<int64_t><uintptr_t>cnp.PyArray_DATA(raw) % 64
    skip = skip + 64 if skip < 0 else skip
    return raw[skip:skip + bytes].view(dtype).reshape(shape)


def first_not_finite(cnp.ndarray a):
    """The flat index of the first NaN or infinity of a C-contiguous aligned float array, -1 if there is none."""
    if not cnp.PyArray_ISCARRAY_RO(a) or cnp.PyArray_TYPE(a) not in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64) or type_of(a) < 0:
        raise TypeError("a contiguous and aligned float32 or float64 array is expected")
    cdef const Kernels *k = kernels(cnp.PyArray_TYPE(a))
    cdef const void *data = cnp.PyArray_DATA(a)
    cdef int64_t n = cnp.PyArray_SIZE(a), found
    with nogil:
        found = k.first_not_finite(data, n)
    return found


include "_network.pxi"
include "_run.pxi"
include "_elementwise.pxi"
include "_dense.pxi"
include "_ufuncs.pxi"
include "_c_api.pxi"
include "_dispatch.pxi"
