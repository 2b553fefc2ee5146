#include "memory.h"

#include <cstdlib>
#include <cstring>

namespace fastnn {

// calloc gets large arrays from the system as zeros, without writing to them. Its result is kept before the array.
void *allocate_zeros(int64_t bytes) {
    char *raw = static_cast<char *>(std::calloc(size_t(bytes) + 64 + sizeof(void *), 1));
    if (!raw) return nullptr;
    const uintptr_t earliest = reinterpret_cast<uintptr_t>(raw) + sizeof raw;
    char *memory = raw + sizeof raw + (64 - earliest % 64) % 64;
    std::memcpy(memory - sizeof raw, &raw, sizeof raw);
    return memory;
}

void free_zeros(void *memory) {
    if (!memory) return;
    void *raw;
    std::memcpy(&raw, static_cast<char *>(memory) - sizeof raw, sizeof raw);
    std::free(raw);
}

bool KeptArray::grow(int64_t bytes) {
    if (bytes <= bytes_) return true;
    free_zeros(start_);
    start_ = allocate_zeros(bytes);
    bytes_ = start_ ? bytes : 0;
    return start_;
}

bool KeptArray::lay_out(int64_t bytes, uint64_t layout) {
    if (bytes > bytes_) {
        if (!grow(bytes)) return false;
    } else if (layout != layout_ || layout == 0) {
        std::memset(start_, 0, size_t(bytes));
    }
    layout_ = layout;
    return true;
}

}  // namespace fastnn
