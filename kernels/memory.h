// Arrays of zeros that begin at a multiple of 64 bytes.
#pragma once

#include <cstdint>

namespace fastnn {

void *allocate_zeros(int64_t bytes);  // null without memory
void free_zeros(void *memory);

}  // namespace fastnn
