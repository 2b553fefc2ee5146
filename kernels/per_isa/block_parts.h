// The parts of blocks of parameters that each thread owns: rows, columns, or panels.
#pragma once

#include <algorithm>

#include "kernel_tables.h"

namespace {

// The columns of two vectors, which a product computes side by side.
template <class T> constexpr int64_t panel_columns = 2 * lanes<T>;

// Whether threads can share columns by panels: with 1.5 panels a thread, no share is larger than 4/3 of the mean.
template <class T> bool shares_columns_evenly(int64_t columns, const Team &team) {
    return 2 * columns >= 3 * panel_columns<T> * team.size;
}

// A part of one of a layer's blocks of parameters: whole rows, some columns of all rows, or some rows of a panel. Panels stand one after
// the other, each without gaps between its rows, and take no more memory than the block.
struct BlockPart {
    int64_t layer;
    const Block &block;
    Range rows, columns;
    int64_t row;    // elements from one row to the next
    int64_t start;  // place in the block of row 0, of which the part may begin at a later one
    int64_t width;  // the part's elements of a row, with the row's padding if they are its last ones

    FASTNN_MEMBER int64_t offset() const { return block.offset + start + rows.begin * row; }
    // Calls use(offset, count) for each piece of memory without gaps.
    template <class Use> FASTNN_MEMBER void for_each_piece(Use use) const {
        if (width == row) return use(offset(), rows.size() * row);
        for (int64_t i = 0; i < rows.size(); i++) use(offset() + i * row, width);
    }
    FASTNN_MEMBER bool is_panel() const { return row < block.row; }
};

// What a thread owns of a block: some rows or columns, or the panels of some columns. It is the same in all batches of a region.
struct OwnBlock {
    BlockPart part;  // of panels, it has the layout of the block
    bool is_in_panels;
};

// A thread, and what it owns of each block, in the order of the storage.
struct Owner {
    const Team &team;
    const OwnBlock *blocks;
    int64_t n_blocks;
};

template <class T> OwnBlock own_rows_of(int64_t l, const Layer &layer, const Block &block, const Team &team) {
    return {{l, block, own_rows<T>(layer, block, team), {0, block.columns}, block.row, 0, block.row}, false};
}

template <class T> OwnBlock own_columns_of(int64_t l, const Block &block, const Team &team) {
    const Range columns = share(block.columns, panel_columns<T>, team);
    const int64_t width = columns.end == block.columns ? block.row - columns.begin : columns.size();
    return {{l, block, {0, block.rows}, columns, block.row, columns.begin, width}, false};
}

template <class T> OwnBlock own_panels_of(int64_t l, const Block &block, const Team &team) {
    return {{l, block, {0, block.rows}, share(block.columns, panel_columns<T>, team), block.row, 0, block.row}, true};
}

// Calls use(part) for what a thread owns of a block: at most n_rows of its rows at a time, or as many rows of a panel as have the same
// number of elements. There is one call of `use`, so that it is inlined.
template <class T, class Use> void for_each_part(const OwnBlock &own, int64_t n_rows, Use use) {
    const Block &block = own.part.block;
    const Range rows = own.part.rows, columns = own.part.columns;
    const int64_t width = own.is_in_panels ? panel_columns<T> : columns.size();
    const int64_t at_a_time = own.is_in_panels ? n_rows * (block.row / panel_columns<T>) : n_rows;
    BlockPart part = own.part;
    for (int64_t j = columns.begin; j < columns.end; j += width) {
        if (own.is_in_panels) {
            part.row = part.width = std::min(width, block.row - j);
            part.columns = {j, std::min(j + part.row, columns.end)};
            part.start = block.rows * j;
        }
        for (int64_t k = rows.begin; k < rows.end; k += at_a_time) {
            part.rows = {k, std::min(k + at_a_time, rows.end)};
            use(part);
        }
    }
}

}  // namespace
