// The kernels of activations and normalizations, and those of elementwise functions of arrays.
#include "activations.h"
#include "functions.h"
#include "normalizations.h"

namespace {

template <class T> constexpr Activations<T> own_activations() {
#define ROW(name, Struct) activation_kernels<T, Struct>(),
    return {{FASTNN_ACTIVATIONS(ROW) FASTNN_SLOPED_ACTIVATIONS(ROW)}};
#undef ROW
}

template <class T> constexpr Normalizations<T> own_normalizations() {
#define ROW(name, Struct) , normalization_kernels<T, Struct<T>>()
    return {{NormalizationKernels<T>{} FASTNN_NORMALIZATIONS(ROW)}};
#undef ROW
}

template <class T> constexpr Functions<T> own_functions() {
#define ROW(name, member, Struct) member##_of<T, Struct>,
    return {{FASTNN_FUNCTIONS(ROW)}};
#undef ROW
}

}  // namespace

FASTNN_DEFINE_TABLE(Activations, activations, own_activations)
FASTNN_DEFINE_TABLE(Normalizations, normalizations, own_normalizations)
FASTNN_DEFINE_TABLE(Functions, functions, own_functions)
