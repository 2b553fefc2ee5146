// The kernels of activations, and those of elementwise functions of arrays.
#include "activations.h"
#include "functions.h"

namespace {

template <class T> constexpr Activations<T> own_activations() {
#define ROW(name, Struct) activation_kernels<T, Struct>(),
    return {{FASTNN_ACTIVATIONS(ROW) FASTNN_PARAMETRIC_ACTIVATIONS(ROW)}};
#undef ROW
}

template <class T> constexpr Functions<T> own_functions() {
#define ROW(name, member, Struct) member##_of<T, Struct>,
    return {{FASTNN_FUNCTIONS(ROW)}};
#undef ROW
}

}  // namespace

FASTNN_DEFINE_TABLE(Activations, activations, own_activations)
FASTNN_DEFINE_TABLE(Functions, functions, own_functions)
