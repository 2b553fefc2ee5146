// Reading rows for many networks at once: each lane reads the rows of its own batch.
#pragma once

#include "input_rows.h"
#include "lanes_product.h"

namespace {

constexpr int64_t lane_units = 16;   // the maximal width of a layer whose networks run across lanes
constexpr int64_t lane_inputs = 32;  // the maximal number of their inputs

// The batches of all lanes: the same place in the order of the rows, of which each may have its own.
template <class T> struct LaneBatch {
    Batch of_lane[size_t(lanes<T>)];
    bool same_rows;  // without weights, all lanes have the same rows
    int64_t first() const { return of_lane[0].first; }
    int64_t size() const { return of_lane[0].size; }
    // Goes on to as many rows from row `first` on. Without sample weights, nothing else depends on them.
    void move(int64_t first) {
        for (Batch &batch : of_lane) batch.first = first;
    }
};

// Sets out[k] of all lanes to column k of their rows, by squares of some columns: lane q of a row is copied to row q % width of square
// number q / width, for a whole strip first, since vectors that were just written in parts are slow to read. Then the squares are
// transposed.
template <class T> class LaneRows {
  public:
    LaneRows(const Rows &rows, int64_t columns, Arena &arena)
        : rows_(rows),
          columns_(columns),
          plain_(has_plain_rows<T>(rows) && !rows.labels),
          zero_(arena.take<T>(lane_inputs)),
          converted_(arena.take<T>(lane_inputs)) {
        if (zero_) std::memset(zero_, 0, size_t(lane_inputs) * sizeof(T));
    }

    void read(const LaneBatch<T> &batch, Range range, T *out) const {
        if (batch.same_rows) return repeat(batch.of_lane[0], range, out);
        for_each_square([&](auto width, int64_t column) {
            T *const to = out + column * lanes<T>;
            for (int q = 0; q < lanes<T>; q++) copy_lane<width()>(batch.of_lane[q], range, q, column, to);
            for (int64_t i = 0; i < range.size(); i++) transpose<width()>(to + i * columns_ * lanes<T>);
        });
    }

  private:
    // Returns the place of a row in the caller's memory, or of its conversion. A row of a batch in which none counts is 0.
    const T *row_of(const Batch &batch, int64_t i, T *converted) const {
        if (!batch.any_counts()) return zero_;
        if (plain_) return reinterpret_cast<const T *>(rows_.data + batch.row(i) * rows_.row_stride);
        read_rows<T>(rows_, batch, {i, i + 1}, columns_, converted - i * lane_inputs, lane_inputs);
        return converted;
    }

    // `to` is the first row's square.
    template <int WIDTH> void copy_lane(const Batch &batch, Range range, int q, int64_t column, T *to) const {
        const int64_t row = columns_ * lanes<T>;
        to += q % WIDTH * lanes<T> + q / WIDTH * WIDTH;
        if (plain_ && batch.order && !batch.weights) {  // the most frequent case
            const char *const from = rows_.data + column * int64_t(sizeof(T));
            const int64_t *const order = batch.order + batch.first, stride = rows_.row_stride;
            for (int64_t i = range.begin; i < range.end; i++, to += row)
                std::memcpy(to, from + order[i] * stride, WIDTH * sizeof(T));
        } else {
            for (int64_t i = range.begin; i < range.end; i++, to += row)
                std::memcpy(to, row_of(batch, i, converted_) + column, WIDTH * sizeof(T));
        }
    }

    void repeat(const Batch &batch, Range range, T *out) const {
        for (int64_t i = range.begin; i < range.end; i++) {
            const T *from = row_of(batch, i, converted_);
            for (int64_t k = 0; k < columns_; k++, out += lanes<T>) store(out, splat(from[k]));
        }
    }

    // Divides the columns into squares whose width is a power of two.
    template <int WIDTH = lanes<T>, class Use> FASTNN_INLINE void for_each_square_from(int64_t column, int64_t columns, Use use) {
        for (; columns - column >= WIDTH; column += WIDTH) use(std::integral_constant<int, WIDTH>(), column);
        if constexpr (WIDTH > 1) for_each_square_from<WIDTH / 2>(column, columns, use);
    }
    template <class Use> __attribute__((always_inline)) void for_each_square(Use use) const {
        for_each_square_from(0, columns_, use);
    }

    template <int WIDTH> FASTNN_INLINE void transpose(T *at) {
        if constexpr (WIDTH > 1) {
            Vec<T> square[size_t(WIDTH)];
#pragma GCC unroll 16
            for (int w = 0; w < WIDTH; w++) square[w] = load(at + w * lanes<T>);
            transpose_square<T, WIDTH>(square);
#pragma GCC unroll 16
            for (int w = 0; w < WIDTH; w++) store(at + w * lanes<T>, square[w]);
        }
    }

    const Rows &rows_;
    const int64_t columns_;
    const bool plain_;
    T *const zero_, *const converted_;
};

}  // namespace
