// What the files of one instruction set share when they are linked: plain types, tables of kernels, and the functions of runs.h.
// They are in a namespace that is named after the instruction set, and everything else is in anonymous namespaces; so no two
// instruction sets have a symbol in common. A change in one file leaves most objects of an instruction set as they are.
#pragma once

// A member function of a type in that namespace. It is always inlined: otherwise it would be a weak symbol. (In other types, only for
// speed.)
#define FASTNN_MEMBER inline __attribute__((always_inline))

namespace fastnn::FASTNN_ISA_NAME {}

namespace {

using namespace fastnn;
using namespace fastnn::FASTNN_ISA_NAME;

template <class T, class Float, class Double> constexpr const auto &of_type(const Float &of_float, const Double &of_double) {
    if constexpr (sizeof(T) == sizeof(float)) return of_float;
    else return of_double;
}

}  // namespace

// Declares the table name<T>, of type Table<T>, for both dtypes. One file defines it as what its function own<T>() returns. A table is
// a constant, since no code of an instruction set may run when the library is loaded.
#define FASTNN_DECLARE_TABLE(Table, name)                                                           \
    namespace fastnn::FASTNN_ISA_NAME {                                                             \
    extern const Table<float> name##_float32 __attribute__((visibility("hidden")));                 \
    extern const Table<double> name##_float64 __attribute__((visibility("hidden")));                \
    }                                                                                               \
    namespace {                                                                                     \
    template <class T> constexpr const Table<T> &name = of_type<T>(name##_float32, name##_float64); \
    }
#define FASTNN_DEFINE_TABLE(Table, name, own)               \
    namespace fastnn::FASTNN_ISA_NAME {                     \
    constexpr Table<float> name##_float32 = own<float>();   \
    constexpr Table<double> name##_float64 = own<double>(); \
    }
