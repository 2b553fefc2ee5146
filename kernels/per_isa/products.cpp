// The kernels of matrix products.
#include "narrow_layer.h"
#include "packed.h"

namespace {

template <class T, Start START, Finish FINISH> constexpr ProductKernels<T> gradient_kernels() {
    return {multiply<T, START, FINISH>, nullptr, multiply_narrow_gradient<T, START, FINISH>, sum_columns<T, START, FINISH>,
            sum_columns_narrow<T, START, FINISH>};
}

template <class T> constexpr Products<T> own_products() {
    Products<T> own = {};
    own.from_zero = gradient_kernels<T, Start::zero, Finish::store>();
    own.from_zero.multiply_packed = multiply_packed<T, Start::zero, Finish::store>;
    own.from_bias.multiply = multiply<T, Start::bias, Finish::store>;
    own.from_previous = gradient_kernels<T, Start::previous, Finish::store>();
    own.from_previous.multiply_packed = multiply_packed<T, Start::previous, Finish::store>;
    own.descend = gradient_kernels<T, Start::zero, Finish::descend>();
    own.multiply_narrow = multiply_narrow<T>;
    own.transpose = transpose<T>;
    return own;
}

}  // namespace

FASTNN_DEFINE_TABLE(Products, products, own_products)
