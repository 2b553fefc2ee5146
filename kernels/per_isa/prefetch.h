// Prefetches of what stands in other cores' caches. Products read it with strides, for which the hardware's own prefetches take four
// times as long.
#pragma once

#include "block_parts.h"

namespace {

// Prefetches some columns of rows that stand `row` elements apart, unless that would take much of the second-level cache.
template <class T> void prefetch_rows(const T *first, int64_t row, Range rows, Range columns) {
    constexpr int64_t line = 64 / int64_t(sizeof(T));
    if (rows.size() * columns.size() * int64_t(sizeof(T)) > fastnn::second_cache_bytes() / 4) return;
    for (int64_t i = rows.begin; i < rows.end; i++)
        for (int64_t j = columns.begin; j < columns.end; j += line) __builtin_prefetch(first + i * row + j);
}

// Calls use(range) for what stands before and behind a thread's own part of n.
template <class Use> void for_each_other(Range own, int64_t n, Use use) {
    use(Range{0, own.begin});
    use(Range{own.end, n});
}

}  // namespace
