// Products of large matrices, block by block.
//
// Each row of a large B stands on another page, and its panels come from the third-level cache anew for every tile. So a block of B
// that fits into the second-level cache is copied into panels without gaps, which all tiles of rows read from end to end; a
// transposed A is copied tile by tile (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM
// Transactions on Mathematical Software 34, 2008). A further block of rows of B goes on from the sums in C, so that the order of
// each sum is that of an undivided product.
#pragma once

#include <algorithm>

#include "dense.h"
#include "packing.h"

namespace {

// The rows of B in a block: as many elements of a tile's rows of A take half of a first-level cache of 32 KiB.
template <class T> constexpr int64_t block_depth = 2048 / int64_t(sizeof(T));

template <class T> bool is_transposed(const Product<T> &p) { return p.a_row == 1; }

// Copies some columns of a transposed B, which stand in its rows, or in rows of its panels.
template <class T> void pack_transposed(const Product<T> &p, int64_t column, int64_t n_columns, T *to) {
    if (!p.b_panel_rows) return transpose(p.b + column * p.b_row, p.b_row, to, panel_columns<T>, {0, n_columns}, p.depth);
    for (int64_t k = 0; k < p.depth; k += panel_columns<T>) {
        const int64_t row = std::min<int64_t>(panel_columns<T>, p.b_row - (p.b_first + k));
        transpose(p.b + p.b_panel_rows * (p.b_first + k) + column * row, row, to + k * panel_columns<T>, panel_columns<T>,
                  {0, n_columns}, std::min<int64_t>(panel_columns<T>, p.depth - k));
    }
}

// Copies a block of B, panel by panel. Rows of a panel are whole, even if only their first vector is used.
template <class T> void pack_panels(const Product<T> &p, Range columns, T *to) {
    if (p.b_is_transposed) {
        for (int64_t j = columns.begin; j < columns.end; j += lanes<T>) {
            const int64_t panel = (j - columns.begin) / panel_columns<T>, half = (j - columns.begin) % panel_columns<T>;
            pack_transposed(p, j, std::min<int64_t>(lanes<T>, columns.end - j), to + panel * p.depth * panel_columns<T> + half);
        }
        return;
    }
    for (int64_t k = 0; k < p.depth; k++)
        for (int64_t j = columns.begin; j < columns.end; j += lanes<T>) {
            const int64_t panel = (j - columns.begin) / panel_columns<T>, half = (j - columns.begin) % panel_columns<T>;
            store(to + (panel * p.depth + k) * panel_columns<T> + half, load(p.b + k * p.b_row + j));
        }
}

// Copies rows of a transposed A, tile by tile: each has tile_rows elements for every k.
template <class T> void pack_tiles(const Product<T> &p, Range rows, T *to) {
    for (int64_t i = rows.begin; i < rows.end; i += tile_rows) {
        const size_t bytes = size_t(std::min<int64_t>(tile_rows, rows.end - i)) * sizeof(T);
        T *tile = to + (i - rows.begin) * p.depth;
        for (int64_t k = 0; k < p.depth; k++) std::memcpy(tile + k * tile_rows, p.a + i + k * p.a_column, bytes);
    }
}

// Multiplies tiles of A's rows by the panels of a block of B. p.ahead: the next block, of which a tile fetches one cache line of
// each row; n_ahead: the number of these lines.
template <class T, Start START, Finish FINISH>
void multiply_panels(const Product<T> &p, Range rows, Range columns, const T *panels, const T *tiles, int64_t n_ahead) {
    Product<T> t = p;
    t.b_row = panel_columns<T>;
    if (tiles) t.a_row = 1, t.a_column = tile_rows;
    for (int64_t i = rows.begin; i < rows.end; i += tile_rows) {
        const Range height = {0, std::min<int64_t>(tile_rows, rows.end - i)};
        t.a = tiles ? tiles + (i - rows.begin) * p.depth : p.a + i * p.a_row;
        for (int64_t j = columns.begin; j < columns.end; j += panel_columns<T>) {
            t.b = panels + (j - columns.begin) * p.depth;
            t.c = p.c + i * p.c_row + j;
            t.bias = p.bias ? p.bias + j : nullptr;
            // C comes from afar while the sums are computed.
            for (int64_t q = 0; q < height.end; q++)
                for (int64_t line = 0; line < panel_columns<T>; line += block_lanes<T>)
                    __builtin_prefetch(t.c + q * t.c_row + line, 1);
            if (columns.end - j <= lanes<T>) panel<T, 1, 2 * tile_rows, START, FINISH>(t, height, 0);
            else if (n_ahead == 0 || height.end < tile_rows) panel<T, 2, tile_rows, START, FINISH>(t, height, 0);
            else {
                tile<T, tile_rows, 2, START, FINISH, true>(t, 0, 0);
                t.ahead += block_lanes<T>;
                n_ahead--;
            }
        }
    }
}

// Computes C's rows and columns of the given ranges from all rows of a block of B.
template <class T, Start START, Finish FINISH> void multiply_block(const Product<T> &p, Range rows, Range columns, T *memory) {
    T *const panels = memory, *const tiles = is_transposed(p) ? memory + PackingSizes<T>::panels() : nullptr;
    if (tiles) pack_tiles(p, rows, tiles);
    const int64_t width = PackingSizes<T>::panels() / p.depth / panel_columns<T> * panel_columns<T>;
    Product<T> block = p;
    block.ahead_row = p.b_row;
    for (int64_t j = columns.begin; j < columns.end; j += width) {
        const Range own = {j, std::min(j + width, columns.end)};
        const int64_t n_ahead =
            p.b_is_transposed ? 0 : (std::min(width, columns.end - own.end) + block_lanes<T> - 1) / block_lanes<T>;
        block.ahead = p.b + own.end;
        pack_panels(p, own, panels);
        multiply_panels<T, START, FINISH>(block, rows, own, panels, tiles, n_ahead);
    }
}

template <class T, Start START, Finish FINISH>
__attribute__((noinline)) void multiply_packed(const Product<T> &p, Range rows, Range columns, T *memory) {
    const int64_t n_blocks = FINISH == Finish::store ? (p.depth + block_depth<T> - 1) / block_depth<T> : 1;
    const int64_t depth = round_up((p.depth + n_blocks - 1) / n_blocks, panel_columns<T>);  // whole panels, if B stands in them
    const int64_t height = is_transposed(p) ? PackingSizes<T>::tiles() / depth / tile_rows * tile_rows : rows.size();
    for (int64_t i = rows.begin; i < rows.end; i += height) {
        const Range own = {i, std::min(i + height, rows.end)};
        for (int64_t k = 0; k < p.depth; k += depth) {
            Product<T> block = p;
            block.depth = std::min(depth, p.depth - k);
            block.a += k * p.a_column;
            if (p.b_panel_rows) block.b_first = k;
            else block.b += p.b_is_transposed ? k : k * p.b_row;
            if (k == 0) multiply_block<T, START, FINISH>(block, own, columns, memory);
            else if constexpr (FINISH == Finish::store) multiply_block<T, Start::previous, FINISH>(block, own, columns, memory);
        }
    }
}

// As in dense.h. memory: a thread's, or null.
template <class T, Start START, Finish FINISH> void multiply(const Product<T> &p, Range rows, Range columns, T *memory) {
    if (memory && pays_packing<T>(rows.size(), p.depth, columns.size()))
        multiply_packed<T, START, FINISH>(p, rows, columns, memory);
    else multiply<T, START, FINISH>(p, rows, columns);
}

}  // namespace
