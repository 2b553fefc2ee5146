// Sparse rows as the first layer's input: only the weights of features with stored elements are read. Sums keep their order over
// k, so that, if parameters are finite, the results have the same bits as those of the same rows in dense form.
#pragma once

#include "input_rows.h"

namespace {

// Calls use(column, value) for the stored elements of one row that are within bounds. The bounds were checked before, but the
// caller's memory may have changed since.
template <class T, class Use> FASTNN_INLINE void for_each_entry(const Rows &rows, int64_t row, int64_t n_columns, Use use) {
    const T *values = reinterpret_cast<const T *>(rows.data);
    const int64_t end = rows.row_starts[row + 1];
    for (int64_t e = rows.row_starts[row]; e < end; e++)
        if (uint64_t(rows.columns[e]) < uint64_t(n_columns)) use(int64_t(rows.columns[e]), values[e]);
}

}  // namespace
