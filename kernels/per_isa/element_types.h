// The element types of the caller's arrays.
#pragma once

#include "api.h"
#include "shared.h"

namespace {

// To NumPy, any byte except 0 is True.
struct Boolean {
    uint8_t byte;
    template <class T> explicit operator T() const { return T(byte != 0); }
};

// Calls use with a zero of the type.
template <class Use> auto with_element_type(Type type, Use use) {
    switch (type) {
        case Type::float32: return use(float());
        case Type::float64: return use(double());
        case Type::int8: return use(int8_t());
        case Type::uint8: return use(uint8_t());
        case Type::int16: return use(int16_t());
        case Type::uint16: return use(uint16_t());
        case Type::int32: return use(int32_t());
        case Type::uint32: return use(uint32_t());
        case Type::int64: return use(int64_t());
        case Type::uint64: return use(uint64_t());
        case Type::boolean: break;
    }
    return use(Boolean());
}

}  // namespace
