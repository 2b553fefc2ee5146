// The kernels that read the caller's rows.
#include "read_rows.h"
#include "sparse_product.h"

namespace {

template <class T> constexpr Inputs<T> own_inputs() { return {read_any_rows<T>, multiply_sparse<T>}; }

}  // namespace

FASTNN_DEFINE_TABLE(Inputs, inputs, own_inputs)
