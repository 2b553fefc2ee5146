// Calls of the kernels of products.cpp. The names and arguments are theirs; dense.h, narrow_layer.h and packed.h describe them.
#pragma once

#include "product.h"

namespace {

template <class T, Start START, Finish FINISH> constexpr const ProductKernels<T> &product_kernels() {
    if constexpr (FINISH == Finish::descend) return products<T>.descend;
    else if constexpr (START == Start::bias) return products<T>.from_bias;
    else if constexpr (START == Start::previous) return products<T>.from_previous;
    else return products<T>.from_zero;
}

// memory: a thread's, for packed blocks, or null.
template <class T, Start START, Finish FINISH> void multiply(const Product<T> &p, Range rows, Range columns, T *memory = nullptr) {
    product_kernels<T, START, FINISH>().multiply(p, rows, columns, memory);
}

template <class T, Start START, Finish FINISH> void multiply_packed(const Product<T> &p, Range rows, Range columns, T *memory) {
    product_kernels<T, START, FINISH>().multiply_packed(p, rows, columns, memory);
}

template <class T>
void multiply_narrow(Range rows, int64_t n_in, int64_t n_out, const T *x, int64_t x_row, const T *weights, int64_t weights_row,
                     const T *bias, T *out) {
    products<T>.multiply_narrow(rows, n_in, n_out, x, x_row, weights, weights_row, bias, out);
}

template <class T, Start START, Finish FINISH>
void multiply_narrow_gradient(Range outputs, int64_t n_rows, int64_t n_in, int64_t n_out, const T *delta, const T *x, int64_t x_row,
                              T *to, int64_t to_row, T learning_rate) {
    product_kernels<T, START, FINISH>().multiply_narrow_gradient(outputs, n_rows, n_in, n_out, delta, x, x_row, to, to_row,
                                                                 learning_rate);
}

template <class T, Start START, Finish FINISH>
void sum_columns(const T *in, int64_t in_row, int64_t n_rows, int64_t n_columns, T *out, T learning_rate) {
    product_kernels<T, START, FINISH>().sum_columns(in, in_row, n_rows, n_columns, out, learning_rate);
}

template <class T, Start START, Finish FINISH>
void sum_columns_narrow(const T *in, int64_t n_rows, int64_t n_columns, T *out, T learning_rate) {
    product_kernels<T, START, FINISH>().sum_columns_narrow(in, n_rows, n_columns, out, learning_rate);
}

template <class T> void transpose(const T *in, int64_t in_row, T *out, int64_t out_row, Range rows, int64_t columns) {
    products<T>.transpose(in, in_row, out, out_row, rows, columns);
}

}  // namespace
