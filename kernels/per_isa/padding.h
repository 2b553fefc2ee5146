// Elementwise work on rows with padding.
#pragma once

#include "vec.h"

namespace {

template <class T> void clear_padding(T *z, int64_t rows, int64_t n, int64_t row) {
    if (n < row)
        for (int64_t i = 0; i < rows; i++) std::memset(z + i * row + n, 0, size_t(row - n) * sizeof(T));
}

// Returns the number of a row's elements in whole vectors. Padding counts; the rows of a narrow layer have none.
template <class T> int64_t elements_of_row(int64_t n, int64_t row) {
    const int64_t whole = (n + block_lanes<T> - 1) / block_lanes<T> * block_lanes<T>;
    return whole < row ? whole : row;
}

// delta *= f'(z), given the derivative itself.
template <class T> void multiply_by(T *delta, const T *derivative, int64_t count) {
    for_each_vector<T>(
        count, [=](int64_t i, auto access) { access.store(delta + i, access.load(delta + i) * access.load(derivative + i)); });
}

}  // namespace
