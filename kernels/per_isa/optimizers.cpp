// The kernels of optimizers.
#include "optimizers.h"

namespace {

template <class T> constexpr Optimizers<T> own_optimizers() {
#define ROW(name, Struct) optimizer_kernels<T, Struct>(),
    return {{FASTNN_OPTIMIZERS(ROW)}};
#undef ROW
}

}  // namespace

FASTNN_DEFINE_TABLE(Optimizers, optimizers, own_optimizers)
