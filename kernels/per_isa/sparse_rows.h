// Sparse rows as the first layer's input: only the weights of features with stored elements are read. Sums keep their order over
// k, so that, if parameters are finite, the results have the same bits as those of the same rows in dense form.
#pragma once

#include "input_rows.h"
#include "random.h"

namespace {

// Calls use(column, value) for the stored elements of one row that are within bounds. The bounds were checked before, but the
// caller's memory may have changed since.
template <class T, class Use> FASTNN_INLINE void for_each_entry(const Rows &rows, int64_t row, int64_t n_columns, Use use) {
    const T *values = reinterpret_cast<const T *>(rows.data);
    const int64_t end = rows.row_starts[row + 1];
    for (int64_t e = rows.row_starts[row]; e < end; e++)
        if (uint64_t(rows.columns[e]) < uint64_t(n_columns)) use(int64_t(rows.columns[e]), values[e]);
}

// A stored value after dropout of inputs.
template <class T> class DroppedInput {
  public:
    DroppedInput(const InputFactors<T> &factors, int64_t n_in)
        : drops_(factors.key),
          mask_(drops_ ? *factors.key : 0, input_layer, factors.probability),
          first_(factors.first_row),
          n_in_(n_in) {}

    // The row is counted from the chunk's first.
    T operator()(int64_t row, int64_t column, T value) const {
        return drops_ ? value * mask_((first_ + row) * n_in_ + column) : value;
    }

  private:
    const bool drops_;
    const Mask<T> mask_;
    const int64_t first_, n_in_;
};

}  // namespace
