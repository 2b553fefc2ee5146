// The gradient of the first layer's weights if its input is sparse.
#pragma once

#include <algorithm>

#include "sparse_rows.h"

namespace {

// A stored element of a chunk; its row is counted from the chunk's first.
template <class T> struct Entry {
    uint32_t column, row;
    T value;
};

// A thread's elements of a chunk: those in rows that count and in columns that the thread owns, sorted by column and then by row.
template <class T> class Entries {
  public:
    // max_count: of a chunk. If the arena has no memory, the object only counts the bytes that it needs.
    Entries(int64_t max_count, int64_t n_threads, Arena &arena)
        : max_count_(max_count),
          entries_(arena.take<Entry<T>>(max_count * n_threads)),
          spare_(arena.take<Entry<T>>(max_count * n_threads)) {}

    // Returns the entries of one thread, which owns these columns.
    Entries of_thread(int thread, Range columns) const {
        Entries own = *this;
        own.entries_ += thread * max_count_;
        own.spare_ += thread * max_count_;
        own.columns_ = columns;
        return own;
    }

    void gather(const Rows &x, const Batch &chunk) {
        count_ = 0;
        for (int64_t i = 0; i < chunk.size; i++)
            if (chunk.counts(i))
                for_each_entry<T>(x, chunk.own_row(i), columns_.end, [&](int64_t k, T value) {
                    if (k >= columns_.begin && count_ < max_count_) entries_[count_++] = {uint32_t(k), uint32_t(i), value};
                });
        for (int shift = 0; columns_.end >> shift; shift += digit_bits) sort_by_digit(shift);
    }

    // Replaces the value of each element by change(row, column, value).
    template <class Change> void change_values(Change change) {
        for (Entry<T> *e = entries_; e < entries_ + count_; e++) e->value = change(int64_t(e->row), int64_t(e->column), e->value);
    }

    // Calls use(column, first, end) for each column of the range with elements, which stand from first up to end.
    template <class Use> void for_each_column(Range range, Use use) const {
        const Entry<T> *end = entries_ + count_;
        const Entry<T> *first = std::lower_bound(entries_, const_cast<Entry<T> *>(end), range.begin,
                                                 [](const Entry<T> &entry, int64_t column) { return entry.column < column; });
        while (first < end && first->column < range.end) {
            const Entry<T> *next = first;
            while (next < end && next->column == first->column) next++;
            use(int64_t(first->column), first, next);
            first = next;
        }
    }

  private:
    static constexpr int digit_bits = 11;

    // The sort is stable, so that sorting by one digit after the other, the lowest first, sorts by all.
    void sort_by_digit(int shift) {
        constexpr uint32_t n_digits = 1u << digit_bits;
        int64_t starts[n_digits + 1] = {};
        const auto digit = [=](const Entry<T> &entry) { return entry.column >> shift & (n_digits - 1); };
        for (int64_t e = 0; e < count_; e++) starts[digit(entries_[e]) + 1]++;
        for (uint32_t d = 0; d < n_digits; d++) starts[d + 1] += starts[d];
        for (int64_t e = 0; e < count_; e++) spare_[starts[digit(entries_[e])]++] = entries_[e];
        std::swap(entries_, spare_);
    }

    int64_t max_count_, count_ = 0;
    Entry<T> *entries_, *spare_;
    Range columns_ = {0, 0};
};

// Sets to[j] to the sum over a column's elements of value * delta[row][j], or with `add` adds that to it.
template <class T>
void sparse_gradient_row(const Entry<T> *first, const Entry<T> *end, const T *delta, int64_t delta_row, int64_t n_out, bool add,
                         T *to) {
    for (const Entry<T> *e = first; e < end; e++, add = true) {
        const Vec<T> value = splat(e->value);
        const T *from = delta + e->row * delta_row;
        if (add)
            for (int64_t j = 0; j < n_out; j += lanes<T>) store(to + j, fma(value, load(from + j), load(to + j)));
        else
            for (int64_t j = 0; j < n_out; j += lanes<T>) store(to + j, fma(value, load(from + j), Vec<T>{}));
    }
}

// Does the same for one weight of a narrow layer, with the partial sums of multiply_narrow_gradient.
template <class T> T sparse_gradient_element(const Entry<T> *first, const Entry<T> *end, const T *delta, int64_t n_out) {
    T sums[4] = {};
    for (const Entry<T> *e = first; e < end; e++) {
        T &sum = sums[e->row % 4];
        sum = fma(splat(delta[e->row * n_out]), splat(e->value), splat(sum))[0];
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// Computes the gradient of some rows of the first layer's weights. Its elements start and finish like those of a product.
template <class T, Start START, Finish FINISH>
void sparse_weight_gradient(const Entries<T> &entries, const Layer &layer, const T *delta, Range weights_rows, T *gradient,
                            T learning_rate) {
    const int64_t to_row = layer.weights().row;
    if (START == Start::zero && FINISH == Finish::store)
        std::memset(gradient + weights_rows.begin * to_row, 0, size_t(weights_rows.size() * to_row) * sizeof(T));
    if (layer.narrow) {
        for (int64_t j = weights_rows.begin; j < weights_rows.end; j++)
            entries.for_each_column({0, layer.n_in}, [&](int64_t k, const Entry<T> *first, const Entry<T> *end) {
                T &to = gradient[j * to_row + k];
                const T sum = sparse_gradient_element(first, end, delta + j, layer.n_out);
                to = FINISH == Finish::store ? sum + to : fma(splat(-learning_rate), splat(sum), splat(to))[0];
            });
        return;
    }
    entries.for_each_column(weights_rows, [&](int64_t k, const Entry<T> *first, const Entry<T> *end) {
        T *to = gradient + k * to_row;
        if constexpr (FINISH == Finish::store) {
            sparse_gradient_row(first, end, delta, layer.row, layer.n_out, true, to);
        } else {
            for (int64_t j = 0; j < layer.n_out; j += lanes<T>) {
                T sum[lanes<T>] = {};
                sparse_gradient_row(first, end, delta + j, layer.row, 1, false, sum);
                finish<T, START, FINISH>(load(sum), to + j, learning_rate);
            }
        }
    });
}

}  // namespace
