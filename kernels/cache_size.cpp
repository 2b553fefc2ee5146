#include "cache_size.h"

#include <algorithm>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <cstdio>
#endif

namespace fastnn {
namespace {

constexpr int64_t default_bytes = 512 << 10, least_bytes = 256 << 10, most_bytes = 2 << 20;

// Returns 0 if the system doesn't tell.
int64_t asked_bytes() {
#if defined(__APPLE__)
    int64_t bytes = 0;
    size_t size = sizeof bytes;
    return sysctlbyname("hw.l2cachesize", &bytes, &size, nullptr, 0) == 0 ? bytes : 0;
#elif defined(__linux__)
    // index0 and index1 are the first-level caches of data and instructions. The file has a line like "1024K".
    long long kilobytes = 0;
    if (std::FILE *file = std::fopen("/sys/devices/system/cpu/cpu0/cache/index2/size", "r")) {
        if (std::fscanf(file, "%lldK", &kilobytes) != 1) kilobytes = 0;
        std::fclose(file);
    }
    return kilobytes << 10;
#else
    return 0;
#endif
}

}  // namespace

int64_t second_cache_bytes() {
    static const int64_t bytes = [] {
        const int64_t asked = asked_bytes();
        return asked > 0 ? std::clamp(asked, least_bytes, most_bytes) : default_bytes;
    }();
    return bytes;
}

}  // namespace fastnn
