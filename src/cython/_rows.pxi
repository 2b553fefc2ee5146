"""Rows of the caller's arrays, as the kernels read them. Included by _core.pyx."""

cdef Rows rows_of(cnp.ndarray a) noexcept:
    """Return the rows of a matrix; a vector is one row."""
    cdef int last = cnp.PyArray_NDIM(a) - 1
    return dense_rows(cnp.PyArray_DATA(a), <Type>type_of(a), cnp.PyArray_STRIDE(a, 0) if last else 0, cnp.PyArray_STRIDE(a, last))


cdef Rows transposed(Rows matrix) noexcept:
    cdef int64_t row_stride = matrix.row_stride
    matrix.row_stride, matrix.column_stride = matrix.column_stride, row_stride
    return matrix


cdef bint is_matrix(object a, int ndim, int64_t columns) noexcept:
    """Return whether `a` is an array of ndim dimensions, or a single row instead of a matrix, of a type that the kernels read."""
    if not cnp.PyArray_CheckExact(a) or type_of(a) < 0:
        return False
    cdef int n = cnp.PyArray_NDIM(a)
    return (n == ndim or n == ndim - 1 == 1) and cnp.PyArray_DIM(a, n - 1) == columns


cdef int fill_rows(Rows *rows, cnp.ndarray a, str argument, int64_t n_rows, int64_t n_columns,
                   bint labels=False) except -1:
    """Fill in rows, after a second check of shape and type: the kernels check neither."""
    cdef int t = type_of(a)
    if t < 0:
        raise TypeError(f"{argument}: arrays of {a.dtype} must be converted before")
    cdef int ndim = cnp.PyArray_NDIM(a)
    if labels:
        if ndim != 1 or a.shape[0] != n_rows or a.dtype.kind not in "iu":
            raise ValueError(f"{argument}: expected {n_rows} integer labels, got {a.dtype} of shape {(<object>a).shape}")
    elif ndim == 1:
        if n_rows != 1 or a.shape[0] != n_columns:
            raise ValueError(f"{argument}: expected shape ({n_columns},) or (n, {n_columns}), got {(<object>a).shape}")
    elif ndim != 2 or a.shape[0] != n_rows or a.shape[1] != n_columns:
        raise ValueError(f"{argument}: expected shape ({n_rows}, {n_columns}), got {(<object>a).shape}")
    rows[0] = rows_of(a)
    rows.labels = labels
    if labels:
        rows.row_stride = rows.column_stride
    return 0


@cython.final
cdef class SparseRows:
    """Hold rows with only some elements stored (CSR): those of row i are values[row_starts[i]:row_starts[i + 1]]."""

    cdef readonly cnp.ndarray values, columns, row_starts
    cdef readonly tuple shape
    cdef int64_t max_entries, longest  # elements: in any chunk_rows of the rows, and in one row

    def __init__(self, values, columns, row_starts, n_columns):
        self.values = np.require(values, requirements=["C", "A", "E"])
        self.columns = np.require(columns, np.int32, ["C", "A", "E"])
        self.row_starts = np.array(row_starts, np.int64)  # a copy, since it is not checked again
        n_rows, n_entries = len(self.row_starts) - 1, min(len(self.values), len(self.columns))
        lengths = np.diff(self.row_starts)
        if n_rows < 0 or self.row_starts[0] != 0 or self.row_starts[n_rows] > n_entries or (lengths < 0).any():
            raise ValueError("row_starts must rise from 0 to no more than the number of elements")
        used = self.columns[:self.row_starts[n_rows]]
        if len(used) and (used.min() < 0 or used.max() >= n_columns):
            raise ValueError(f"columns must be 0 to {n_columns - 1}")
        self.shape = (n_rows, n_columns)
        most = lengths if n_rows <= chunk_rows else np.partition(lengths, n_rows - chunk_rows)[n_rows - chunk_rows:]
        self.max_entries, self.longest = most.sum(), most.max(initial=0)

    def __len__(self):
        return self.shape[0]

    cdef double mean_entries(self):
        n_rows = self.shape[0]
        return self.row_starts[n_rows] / max(1, n_rows)


cdef int fill_sparse_rows(Rows *rows, SparseRows a, str argument, int dtype_number, int64_t n_rows, int64_t n_columns) except -1:
    if a.shape != (n_rows, n_columns):
        raise ValueError(f"{argument}: expected shape ({n_rows}, {n_columns}), got {a.shape}")
    if cnp.PyArray_TYPE(a.values) != dtype_number or type_of(a.values) < 0:
        raise TypeError(f"{argument}: values of {a.values.dtype} must be converted before")
    rows.data = <const char *>cnp.PyArray_DATA(a.values)
    rows.columns = <const int32_t *>cnp.PyArray_DATA(a.columns)
    rows.row_starts = <const int64_t *>cnp.PyArray_DATA(a.row_starts)
    rows.max_entries = a.max_entries
    return 0


cdef const int64_t *order_of_batch(cnp.ndarray order, int64_t first, int64_t n_rows, int64_t n_all) except NULL:
    """Return the start of an order of rows, of which those of the batch exist."""
    if not cnp.PyArray_ISCARRAY_RO(order) or cnp.PyArray_TYPE(order) != cnp.NPY_INT64:
        raise ValueError("the order of rows must be contiguous int64")
    cdef const int64_t *rows = <const int64_t *>cnp.PyArray_DATA(order)
    cdef int64_t i
    for i in range(first, first + n_rows):
        if rows[i] < 0 or rows[i] >= n_all:
            raise ValueError(f"the order of rows must have numbers from 0 to {n_all - 1}")
    return rows


cdef const double *weights_of(cnp.ndarray sample_weight, int64_t n_rows) except? NULL:
    if sample_weight is None:
        return NULL
    if (not cnp.PyArray_ISCARRAY_RO(sample_weight) or cnp.PyArray_TYPE(sample_weight) != cnp.NPY_FLOAT64
            or cnp.PyArray_SIZE(sample_weight) != n_rows):
        raise ValueError(f"sample_weight must be {n_rows} contiguous float64")
    return <const double *>cnp.PyArray_DATA(sample_weight)
