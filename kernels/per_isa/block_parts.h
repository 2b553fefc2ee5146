// The parts of blocks of parameters that each thread owns: rows, or panels.
#pragma once

#include <algorithm>

#include "kernel_tables.h"

namespace {

// The columns of two vectors, which a product computes side by side.
template <class T> constexpr int64_t panel_columns = 2 * lanes<T>;

// A part of one of a layer's blocks of parameters: whole rows, or some rows of a panel. Panels stand one after the other, each without
// gaps between its rows, and take no more memory than the block.
struct BlockPart {
    int64_t layer;
    const Block &block;
    Range rows, columns;
    int64_t row;    // elements from one row to the next
    int64_t start;  // place in the block of row 0, of which the part may begin at a later one

    FASTNN_MEMBER int64_t offset() const { return block.offset + start + rows.begin * row; }
    FASTNN_MEMBER int64_t count() const { return rows.size() * row; }
    FASTNN_MEMBER bool is_panel() const { return row < block.row; }
};

// Calls use(part) for the rows of a block that a thread owns, at most n_rows at a time.
template <class T, class Use>
void for_each_own_rows(int64_t l, const Layer &layer, const Block &block, const Team &team, int64_t n_rows, Use use) {
    const Range own = own_rows<T>(layer, block, team);
    for (int64_t k = own.begin; k < own.end; k += n_rows)
        use(BlockPart{l, block, {k, own.end - k < n_rows ? own.end : k + n_rows}, {0, block.columns}, block.row, 0});
}

// Calls use(part) for the panels of weights that a thread owns, with as many of their rows at a time as n_rows whole rows have elements.
template <class T, class Use> void for_each_own_panel(int64_t l, const Block &block, const Team &team, int64_t n_rows, Use use) {
    const Range own = share(block.columns, panel_columns<T>, team);
    const int64_t at_a_time = n_rows * (block.row / panel_columns<T>);
    for (int64_t j = own.begin; j < own.end; j += panel_columns<T>) {
        const int64_t row = std::min<int64_t>(panel_columns<T>, block.row - j);
        for (int64_t k = 0; k < block.rows; k += at_a_time)
            use(BlockPart{
                l, block, {k, std::min(k + at_a_time, block.rows)}, {j, std::min(j + row, own.end)}, row, block.rows * j});
    }
}

}  // namespace
