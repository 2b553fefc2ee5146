// Memory that is zero and begins at a multiple of 64 bytes.
#pragma once

#include <cstdint>

namespace fastnn {

void *allocate_zeros(int64_t bytes);  // null if there is none
void free_zeros(void *memory);

}  // namespace fastnn
