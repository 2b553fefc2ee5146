// The size of the processor's caches.
#pragma once

#include <cstdint>

namespace fastnn {

// Returns the bytes of a core's second-level cache: 512 KiB if the system doesn't tell, and at most 2 MiB, since larger ones are
// shared by several cores.
int64_t second_cache_bytes();

}  // namespace fastnn
