// Losses of whole rows: several outputs for each target, or sums over a row.
//
// A struct has compute(loss, rows), which sets the rows' deltas and returns the sum of their weighted values.
#pragma once

#include "cross_entropy.h"

namespace {

// ---- Several outputs for each target: the k columns of one kind stand side by side ----

// Some targets that are computed together: the same columns of consecutive rows.
struct Part {
    int64_t first_row, rows, first_column, columns;
    int64_t size() const { return rows * columns; }
};

constexpr int64_t part_size = 256;

// Calls use(part) for all targets of some rows of k. Short rows make one part together.
template <class Use> void for_each_part(int64_t rows, int64_t k, Use use) {
    const int64_t together = k < part_size ? part_size / k : 1;
    for (int64_t i = 0; i < rows; i += together)
        for (int64_t j = 0; j < k; j += part_size)
            use(Part{i, rows - i < together ? rows - i : together, j, k - j < part_size ? k - j : part_size});
}

// The elements of a part, side by side, with zeros up to the end of a block.
template <class T> class Packed {
  public:
    // `from` is the first row of k columns, and `row` the distance to the next.
    void gather(const Part &part, const T *from, int64_t row) {
        from += part.first_row * row + part.first_column;
        for (int64_t i = 0; i < part.rows; i++)
            for (int64_t j = 0; j < part.columns; j++) at_[i * part.columns + j] = from[i * row + j];
        for (int64_t i = part.size(); i % block_lanes<T> != 0; i++) at_[i] = 0;
    }
    void scatter(const Part &part, T *to, int64_t row) const {
        to += part.first_row * row + part.first_column;
        for (int64_t i = 0; i < part.rows; i++)
            for (int64_t j = 0; j < part.columns; j++) to[i * row + j] = at_[i * part.columns + j];
    }
    Vec<T> read(int64_t i) const { return load(at_ + i); }
    void write(int64_t i, Vec<T> values) { store(at_ + i, values); }

  private:
    alignas(block_bytes) T at_[part_size];
};

// Calls use(i, v) for the vectors of a part, where v is a vector's place in its block.
template <class T, class Use> FASTNN_INLINE void for_each_packed(const Part &part, Use use) {
    for (int64_t i = 0; i < part.size(); i += block_lanes<T>)
#pragma GCC unroll 4
        for (int v = 0; v < block_vectors; v++) use(i + v * lanes<T>, v);
}

// Half of log_variance + (y - mean)^2 exp(-log_variance): the negative log-likelihood of a normal distribution, without its constant.
// Below the floor of log_variance, the loss goes on along its tangent there if that falls towards the floor, and is constant
// otherwise. So a variance that is too small for its error always grows, and nothing overflows.
template <class T> struct GaussianNLL : LossTraits {
    static constexpr bool takes_rows = true;

    static T compute(const Loss &loss, const LossRow<T> &r) {
        const int64_t k = r.n / 2;
        const Vec<T> floor = splat(T(loss.parameter));
        Vec<T> sums[block_vectors] = {};
        for_each_part(r.rows, k, [=, &sums](const Part &part) {
            Packed<T> mean, log_variance, target, weight;
            mean.gather(part, r.z, r.row);
            log_variance.gather(part, r.z + k, r.row);
            target.gather(part, r.y, r.target_row);
            weight.gather(part, r.scale, r.row);
            for_each_packed<T>(part, [&](int64_t i, int v) {
                const Vec<T> w = weight.read(i), s = log_variance.read(i), bounded = max(floor, s), below = s - bounded;
                const Vec<T> error = mean.read(i) - target.read(i), precision = exp(-bounded);
                const Vec<T> square = error * error * precision, derivative = T(0.5) * (T(1) - square);
                const Vec<T> falling = min(Vec<T>{}, derivative);
                const Vec<T> value = fma(falling, below, T(0.5) * (bounded + square));
                const Vec<T> stretch = T(1) - (derivative < Vec<T>{} ? below : Vec<T>{});
                sums[v] = fma(w, counted<T>(w, value), sums[v]);
                mean.write(i, w * counted<T>(w, error * precision * stretch));
                log_variance.write(i, w * counted<T>(w, s < floor ? falling : derivative));
            });
            mean.scatter(part, r.delta, r.row);
            log_variance.scatter(part, r.delta + k, r.row);
        });
        return sum_block<T>(sums);
    }
};

// The mean of the pinball losses at several quantiles, whose places are the parameters. If loss.parameter is not 0, each quantile
// but the first is the one before plus softplus(z), so that none is below the one before.
template <class T> struct MultiQuantile : LossTraits {
    static constexpr bool takes_rows = true;

    static T compute(const Loss &loss, const LossRow<T> &r) {
        const int64_t n_quantiles = loss.n_parameters, k = r.n / n_quantiles;
        const bool rising = loss.parameter != 0;
        const Vec<T> share = splat(T(1) / T(n_quantiles));
        Vec<T> sums[block_vectors] = {};
        for_each_part(r.rows, k, [=, &loss, &sums](const Part &part) {
            Packed<T> target, weight, quantile, values;
            target.gather(part, r.y, r.target_row);
            weight.gather(part, r.scale, r.row);
            for (int64_t q = 0; q < n_quantiles; q++) {
                const Vec<T> place = splat(T(loss.parameters[q]));
                values.gather(part, r.z + q * k, r.row);
                for_each_packed<T>(part, [&](int64_t i, int v) {
                    const Vec<T> z = values.read(i), w = share * weight.read(i), y = target.read(i);
                    const Vec<T> a = rising && q > 0 ? quantile.read(i) + softplus(z) : z;
                    quantile.write(i, a);
                    sums[v] = fma(w, counted<T>(w, Quantile<T>::value(a, y, place)), sums[v]);
                    values.write(i, w * counted<T>(w, Quantile<T>::gradient(a, y, place)));
                });
                values.scatter(part, r.delta + q * k, r.row);
            }
            if (rising) through_increments(part, r, n_quantiles, k);
        });
        return sum_block<T>(sums);
    }

  private:
    // The derivative, with respect to z, of the sum of the quantiles from its own on.
    static void through_increments(const Part &part, const LossRow<T> &r, int64_t n_quantiles, int64_t k) {
        Packed<T> sum, delta, z;
        for (int64_t q = n_quantiles - 1; q >= 0; q--) {
            delta.gather(part, r.delta + q * k, r.row);
            z.gather(part, r.z + q * k, r.row);
            for_each_packed<T>(part, [&](int64_t i, int) {
                const Vec<T> total = q < n_quantiles - 1 ? sum.read(i) + delta.read(i) : delta.read(i);
                sum.write(i, total);
                delta.write(i, q > 0 ? total * sigmoid(z.read(i)) : total);
            });
            delta.scatter(part, r.delta + q * k, r.row);
        }
    }
};

// ---- Sums over a row ----

// The sum over j of y_j (log(y_j) - log(softmax(z)_j)), with 0 log(0) = 0. Targets that are multiplied by weights of classes come with
// the logarithms of the weights as parameters, which do not belong to the value: w y log(y) = w y (log(w y) - log(w)).
template <class T> struct KLDivergence : LossTraits {
    static constexpr bool takes_rows = true;

    static T compute(const Loss &loss, const LossRow<T> &r) {
        Vec<T> sums[block_vectors] = {};
        add_vectors<T>(r.rows * r.row, [=, &sums](int64_t i, int v, auto access) {
            const Vec<T> y = access.load(r.y + i);
            sums[v] = fma(access.load(r.scale + i), y > Vec<T>{} ? y * log(y) : Vec<T>{}, sums[v]);
        });
        const T entropy = sum_block<T>(sums) - of_weights(loss, r);
        return entropy + cross_entropy_loss(r.z, r.y, r.scale, r.delta, r.rows, r.n, r.row, T(0));
    }

  private:
    static T of_weights(const Loss &loss, const LossRow<T> &r) {
        T sum = 0;
        for (int64_t i = 0; i < r.rows; i++)
            for (int64_t j = 0; j < loss.n_parameters; j++)
                sum += r.scale[i * r.row + j] * r.y[i * r.row + j] * T(loss.parameters[j]);
        return sum;
    }
};

// 1 - <a, y> / (|a| |y|), where each square of a length is increased by 1e-12.
template <class T> struct Cosine : LossTraits {
    static constexpr bool takes_rows = true;

    static T compute(const Loss &, const LossRow<T> &r) {
        Vec<T> sums[block_vectors] = {};
        if (r.row == r.n && r.n <= max_columns) narrow_rows(r, sums);
        else if (!with_short_row<T>(r.n, [=, &r, &sums](auto vectors) { short_rows<vectors()>(r, sums); }))
            for (int64_t i = 0; i < r.rows; i++)
                row(r.z + i * r.row, r.y + i * r.row, r.scale[i * r.row], r.delta + i * r.row, r.n, sums);
        return sum_block<T>(sums);
    }

  private:
    static constexpr T epsilon = T(1e-12);

    // The value and the coefficients of the gradient a * by_a + y * by_y, of one row per lane.
    struct Terms {
        Vec<T> value, by_a, by_y;
        Terms(Vec<T> product, Vec<T> a_squared, Vec<T> y_squared) {
            const Vec<T> a2 = a_squared + epsilon, lengths = sqrt(a2) * sqrt(y_squared + epsilon), cosine = product / lengths;
            value = T(1) - cosine;
            by_a = cosine / a2;
            by_y = T(-1) / lengths;
        }
    };

    static void row(const T *a, const T *y, T scale, T *delta, int64_t n, Vec<T> *sums) {
        Vec<T> products[block_vectors] = {}, a_squares[block_vectors] = {}, y_squares[block_vectors] = {};
        add_vectors<T>(n, [&](int64_t j, int v, auto access) {
            const Vec<T> aj = access.load(a + j), yj = access.load(y + j);
            products[v] = fma(aj, yj, products[v]);
            a_squares[v] = fma(aj, aj, a_squares[v]);
            y_squares[v] = fma(yj, yj, y_squares[v]);
        });
        const Terms terms(splat(sum_block<T>(products)), splat(sum_block<T>(a_squares)), splat(sum_block<T>(y_squares)));
        const Vec<T> weight = splat(scale);
        sums[0] += keep_lanes<T>(weight * counted<T>(weight, terms.value), 1, T(0));
        for_each_vector<T>(n, [=](int64_t j, auto access) {
            const Vec<T> gradient = fma(access.load(a + j), terms.by_a, access.load(y + j) * terms.by_y);
            access.store(delta + j, weight * counted<T>(weight, gradient));
        });
    }

    template <int V> static void short_rows(const LossRow<T> &r, Vec<T> *sums) {
        const bool padded = r.row >= V * lanes<T>;
        for (int64_t i = 0; i < r.rows; i++) {
            using Row = ShortRow<T, V>;
            const Row a = Row::read(r.z + i * r.row, r.n, padded, T(0)), y = Row::read(r.y + i * r.row, r.n, padded, T(0));
            const Terms terms(splat(a.dot(y)), splat(a.dot(a)), splat(y.dot(y)));
            const Vec<T> weight = splat(r.scale[i * r.row]);
            sums[0] += keep_lanes<T>(weight * counted<T>(weight, terms.value), 1, T(0));
            Row delta;
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) delta.at[v] = weight * counted<T>(weight, fma(a.at[v], terms.by_a, y.at[v] * terms.by_y));
            delta.write(r.delta + i * r.row, r.n, padded);
        }
    }

    // Each lane holds one row.
    static void narrow_rows(const LossRow<T> &r, Vec<T> *sums) {
        for (int64_t i = 0; i < r.rows; i += block_lanes<T>) {
            const int64_t count = r.rows - i < block_lanes<T> ? r.rows - i : block_lanes<T>, at = i * r.n;
            const Columns<T> as(r.z + at, count, r.n), ys(r.y + at, count, r.n), weights(r.scale + at, count, r.n);
            Columns<T> deltas;
            for (int v = 0; v < block_vectors; v++) {
                const ColumnVectors<T> a = as.read(v, r.n), y = ys.read(v, r.n);
                Vec<T> product = {}, a_squared = {}, y_squared = {};
                for (int64_t j = 0; j < r.n; j++) {
                    product = fma(a.at[j], y.at[j], product);
                    a_squared = fma(a.at[j], a.at[j], a_squared);
                    y_squared = fma(y.at[j], y.at[j], y_squared);
                }
                const Terms terms(product, a_squared, y_squared);
                const Vec<T> weight = weights.read(v, r.n).at[0];
                sums[v] = fma(weight, counted<T>(weight, terms.value), sums[v]);
                for (int64_t j = 0; j < r.n; j++) {
                    const Vec<T> gradient = fma(a.at[j], terms.by_a, y.at[j] * terms.by_y);
                    deltas.write(v, j, weight * counted<T>(weight, gradient));
                }
            }
            deltas.spread(r.delta + at, count, r.n);
        }
    }
};

// ---- Custom losses ----

template <class T> T custom_row_loss(const Loss &loss, const LossRow<T> &r) {
    constexpr int64_t together = 16;
    alignas(block_bytes) T values[together], weights[together];
    Vec<T> sums[block_vectors] = {};
    for (int64_t first = 0; first < r.rows; first += together) {
        const int64_t count = r.rows - first < together ? r.rows - first : together, at = first * r.row;
        const T *scale = r.scale + at;
        T *delta = r.delta + at;
        loss.custom_rows(r.y + first * r.target_row, r.z + at, values, delta, count, r.target_row, r.row);
        for_each_vector<T>(count * r.row, [=](int64_t j, auto access) {  // with the padding, whose scale is 0
            const Vec<T> weight = access.load(scale + j);
            access.store(delta + j, weight * counted<T>(weight, access.load(delta + j)));
        });
        for (int64_t i = 0; i < count; i++) weights[i] = scale[i * r.row];
        add_vectors<T>(count, [&](int64_t i, int v, auto access) {
            const Vec<T> weight = access.load(weights + i);
            sums[v] = fma(weight, counted<T>(weight, access.load(values + i)), sums[v]);
        });
    }
    return sum_block<T>(sums);
}

}  // namespace
