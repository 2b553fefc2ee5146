// The derivatives of a network's outputs by its inputs, for many rows.
//
// The derivatives of one row in one direction are a line. In reverse mode, lines go back from each output to all inputs. In
// forward mode, they go from each input to all outputs. The lines of several rows pass a layer in one matrix product. The
// network's sizes alone decide on the mode, so that the bits depend on nothing else.
#pragma once

#include <algorithm>

#include "layer_loops.h"

namespace {

// Returns whether reverse mode takes less arithmetic. An elementwise operation counts as several of a product.
inline bool prefers_reverse(const Network &network) {
    constexpr double elementwise = 4;
    const Layer &first = network.layers[0], &last = network.last();
    if (network.n_layers == 1 || network.stage) return true;
    double reverse = elementwise * double(first.n_in), forward = 0;
    for (int64_t l = 0; l < network.n_layers; l++) {
        const Layer &layer = network.layers[l];
        const double product = double(layer.n_in) * double(layer.n_out), outputs = elementwise * double(layer.n_out);
        if (l < network.n_layers - 1) reverse += product + outputs;
        forward += l ? product + outputs : outputs;
    }
    return double(last.n_out) * reverse <= double(first.n_in) * forward;
}

template <class T> class JacobianRun {
  public:
    // If the arena has no memory, the object only counts the bytes that it needs.
    JacobianRun(const Jacobian &call, Arena &arena)
        : call_(call),
          network_(call.network),
          reverse_(prefers_reverse(network_)),
          n_directions_(reverse_ ? network_.last().n_out : n_in()),
          directions_at_once_(std::min(n_directions_, lines_at_once)),
          n_needed_(reverse_ || !is_linear(last()) ? network_.n_layers : last()),
          strip_(std::min(call.n_rows, strip_rows)),
          rows_at_once_(std::min(strip_, lines_at_once / directions_at_once_)),
          layers_(network_, call.parameters, call.x, strip_ * call.n_threads, {false, reverse_, true}, nullptr, arena),
          derivatives_(arena.take<const T *>(network_.n_layers * call.n_threads)),
          line_(longest_line()),
          lines_(arena.take<T>(2 * rows_at_once_ * directions_at_once_ * line_ * call.n_threads)),
          means_(arena.take<T>(line_ * call.n_threads)) {}

    void run() {
        parallel(call_.n_threads, [](const Team &team, void *self) { static_cast<const JacobianRun *>(self)->run(team); }, this);
    }

  private:
    static constexpr int64_t strip_rows = 32;     // that pass forward at a time
    static constexpr int64_t lines_at_once = 64;  // their values stay in the cache

    // Some rows of a strip, and some directions of each: line (i - rows.begin) * directions.size() + d - directions.begin.
    struct Group {
        Range rows, directions;
        int64_t first;                // row of the data that is row 0 of the strip's buffers
        const T *const *derivatives;  // of the layers' activations; their first row is row 0 of the buffers
        T *from, *to, *mean;          // lines before and after a step; a mean of rows of weights

        int64_t n_lines() const { return rows.size() * directions.size(); }
        void swap() { std::swap(from, to); }

        // Calls use(line, row, direction) for all lines.
        template <class Use> void for_each_line(Use use) const {
            int64_t line = 0;
            for (int64_t i = rows.begin; i < rows.end; i++)
                for (int64_t d = directions.begin; d < directions.end; d++) use(line++, i, d);
        }
    };

    int64_t n_in() const { return network_.n_in(); }
    int64_t n_out() const { return network_.last().n_out; }
    int64_t last() const { return network_.n_layers - 1; }
    int64_t input_row() const { return padded_row(network_.layers[0].n_in, sizeof(T)); }

    int64_t longest_line() const {
        int64_t longest = input_row();
        for (int64_t l = 0; l < network_.n_layers; l++) longest = std::max(longest, network_.layers[l].row);
        return longest;
    }

    void run(const Team &team) const {
        if (reverse_) {
            layers_.transpose_weights(team);
            team.wait();
        }
        const Range own = share(call_.n_rows, 1, team);
        for (int64_t first = own.begin; first < own.end; first += strip_) {
            const int64_t begin = team.index * strip_;
            compute_strip({begin, begin + std::min(strip_, own.end - first)}, first - begin, team.index);
        }
    }

    void compute_strip(Range rows, int64_t first, int thread) const {
        const Input<T> x = layers_.read(call_.x, {nullptr, first, rows.end}, rows, Dropout());
        for (int64_t l = 0; l < n_needed_; l++) {
            layers_.multiply_layer(l, x, rows, {0, layers_[l].n_out}, nullptr);
            layers_.finish_layer(l, x, rows, Dropout());
        }
        const T **derivatives = derivatives_ + thread * network_.n_layers;
        for (int64_t l = 0; l < network_.n_layers; l++) derivatives[l] = has_derivative(l) ? layers_.derivatives(l, rows) : nullptr;
        const int64_t room = rows_at_once_ * directions_at_once_ * line_;
        T *lines = lines_ + 2 * room * thread;
        for (int64_t i = rows.begin; i < rows.end; i += rows_at_once_)
            for (int64_t d = 0; d < n_directions_; d += directions_at_once_) {
                const Range of_group = {i, std::min(rows.end, i + rows_at_once_)};
                const Range directions = {d, std::min(n_directions_, d + directions_at_once_)};
                Group group = {of_group, directions, first, derivatives, lines, lines + room, means_ + thread * line_};
                if (reverse_) compute_back(group);
                else compute_forward(group);
            }
    }

    // Returns whether the derivative of a layer's activation is one number per output. That of softmax is a matrix.
    bool has_derivative(int64_t l) const {
        const Layer &layer = network_.layers[l];
        return layer.custom || all_activations<T>[layer.activation].elementwise;
    }
    bool is_identity(int64_t l) const {
        const Layer &layer = network_.layers[l];
        return !layer.custom && all_activations<T>[layer.activation].is_identity;
    }

    // Returns whether the derivatives of a layer do not depend on its inputs.
    bool is_linear(int64_t l) const { return is_identity(l) && !network_.layers[l].normalization; }

    // to[j] = from[j] * by[j] for the elements of a row, padding included.
    static void multiply_row(const T *from, const T *by, T *to, int64_t n, int64_t row) {
        for_each_vector<T>(elements_of_row<T>(n, row),
                           [=](int64_t j, auto access) { access.store(to + j, access.load(from + j) * access.load(by + j)); });
    }

    // Passes the lines, which are derivatives of a layer's sums or by its outputs, through its activation and normalization.
    void pass_activation(const Group &group, int64_t l, T *lines, bool forward) const {
        const Layer &layer = network_.layers[l];
        const bool normalizes_first = layer.normalization && layer.normalizes_outputs != forward;
        if (normalizes_first) pass_normalization(group, l, lines, forward);
        times_derivative(group, l, lines);
        if (layer.normalization && !normalizes_first) pass_normalization(group, l, lines, forward);
    }

    void pass_normalization(const Group &group, int64_t l, T *lines, bool forward) const {
        const LayerNormalization<T> own = layers_.normalization(l);
        const int64_t row = network_.layers[l].row;
        group.for_each_line([&](int64_t line, int64_t i, int64_t) { own.pass_line(lines + line * row, i, forward); });
    }

    void times_derivative(const Group &group, int64_t l, T *lines) const {
        const Layer &layer = network_.layers[l];
        if (is_identity(l)) return;
        group.for_each_line([&](int64_t line, int64_t i, int64_t) {
            T *at = lines + line * layer.row;
            multiply_row(at, group.derivatives[l] + i * layer.row, at, layer.n_out, layer.row);
        });
    }

    // ---- Forward: the derivatives of a layer's outputs with respect to the inputs ----

    void compute_forward(Group &group) const {
        start_forward(group);
        for (int64_t l = 1; l < network_.n_layers; l++) {
            group.swap();
            multiply_forward(group, l);
            if (has_derivative(l)) pass_activation(group, l, group.to, true);
        }
        if (!has_derivative(last())) times_softmax(group);
        const int64_t row = network_.last().row, n = group.directions.size(), outputs = n_out(), inputs = n_in();
        T *to = static_cast<T *>(call_.jacobian);
        for (int64_t i = group.rows.begin; i < group.rows.end; i++) {
            const T *from = group.to + (i - group.rows.begin) * n * row;
            T *of_row = to + (group.first + i) * n_out() * n_in() + group.directions.begin;
            interleave<8>(from, row, n, of_row, inputs, outputs);
        }
        if (network_.layers[0].scales_inputs) scale_forward(group);
    }

    // to[o * inputs + d] = from[d * row + o] for n directions, N at a time.
    template <int N> static void interleave(const T *from, int64_t row, int64_t n, T *to, int64_t inputs, int64_t outputs) {
        for (; n >= N; n -= N, from += N * row, to += N)
            for (int64_t o = 0; o < outputs; o++)
                for (int d = 0; d < N; d++) to[o * inputs + d] = from[d * row + o];
        if constexpr (N > 1) interleave<N - 1>(from, row, n, to, inputs, outputs);
    }

    // The derivatives by the scaled inputs become those by the inputs.
    __attribute__((noinline)) void scale_forward(const Group &group) const {
        const Layer &first = network_.layers[0];
        const T *scales = static_cast<const T *>(call_.parameters) + first.block(BlockKind::scales)->offset;
        group.for_each_line([&](int64_t, int64_t i, int64_t d) {
            T *of_row = static_cast<T *>(call_.jacobian) + (group.first + i) * n_out() * n_in() + d;
            for (int64_t o = 0; o < n_out(); o++) of_row[o * n_in()] *= scales[d];
        });
    }

    // The first layer's weights of an input are the derivatives of its sums.
    void start_forward(const Group &group) const {
        const Layer &layer = network_.layers[0];
        if (layer.normalization) return start_normalized(group);
        group.for_each_line([&](int64_t line, int64_t i, int64_t d) {
            multiply_row(layers_.weights(layer) + d * layer.weights().row, group.derivatives[0] + i * layer.row,
                         group.to + line * layer.row, layer.n_out, layer.row);
        });
    }

    void start_normalized(const Group &group) const {
        const Layer &layer = network_.layers[0];
        group.for_each_line([&](int64_t line, int64_t, int64_t d) {
            std::memcpy(group.to + line * layer.row, layers_.weights(layer) + d * layer.weights().row,
                        size_t(layer.n_out) * sizeof(T));
        });
        clear_padding(group.to, group.n_lines(), layer.n_out, layer.row);
        pass_activation(group, 0, group.to, true);
    }

    void multiply_forward(const Group &group, int64_t l) const {
        const Layer &layer = network_.layers[l];
        const int64_t from_row = network_.layers[l - 1].row;
        const T *weights = layers_.weights(layer);
        const Range lines = {0, group.n_lines()};
        if (!layer.narrow)
            return multiply<T, Start::zero, Finish::store>(
                {layer.n_in, group.from, from_row, 1, weights, layer.weights().row, group.to, layer.row}, lines, {0, layer.n_out});
        constexpr T no_bias[max_columns] = {};
        clear_padding(group.from, lines.end, layer.n_in, from_row);  // dot products run over it
        multiply_narrow(lines, layer.n_in, layer.n_out, group.from, from_row, weights, layer.weights().row, no_bias, group.to);
    }

    void times_softmax(const Group &group) const {
        const Layer &layer = network_.last();
        const T *a = layers_.last_buffers().out;
        group.for_each_line([&](int64_t line, int64_t i, int64_t) {
            all_activations<T>[layer.activation].times_derivative(group.to + line * layer.row, a + i * layer.row, 1, layer.n_out,
                                                                  layer.row);
        });
    }

    // ---- Reverse: the derivatives of an output by a layer's inputs ----

    void compute_back(Group &group) const {
        const int64_t row = last() ? network_.layers[last() - 1].row : input_row();
        for (int64_t i = group.rows.begin; i < group.rows.end; i++)
            start_back(group, i, group.to + (i - group.rows.begin) * group.directions.size() * row, row);
        for (int64_t l = last() - 1; l >= 0; l--) {
            pass_activation(group, l, group.to, false);
            group.swap();
            const Layer &layer = network_.layers[l];
            const int64_t to_row = l ? network_.layers[l - 1].row : input_row();
            int64_t weights_row;
            const T *weights = layers_.weights_by_output(l, weights_row);
            multiply<T, Start::zero, Finish::store>({layer.n_out, group.from, layer.row, 1, weights, weights_row, group.to, to_row},
                                                    {0, group.n_lines()}, {0, layer.n_in});
        }
        T *to = static_cast<T *>(call_.jacobian);
        if (network_.stage) return pass_stage(group, to);
        group.for_each_line([&](int64_t line, int64_t i, int64_t d) {
            T *of_output = to + ((group.first + i) * n_out() + d) * n_in();
            std::memcpy(of_output, group.to + line * input_row(), size_t(n_in()) * sizeof(T));
            if (network_.layers[0].scales_inputs) layers_.changed_inputs().scale_row(0, of_output, of_output);
        });
    }

    // Passes the lines, which are derivatives by the first layer's inputs, through the input stage.
    void pass_stage(const Group &group, T *to) const {
        const int64_t n = group.directions.size();
        for (int64_t line = 0; network_.layers[0].scales_inputs && line < group.n_lines(); line++)
            layers_.changed_inputs().scale_row(0, group.to + line * input_row(), group.to + line * input_row());
        for (int64_t i = group.rows.begin; i < group.rows.end; i++)
            layers_.stage().pass_lines(i, n, group.to + (i - group.rows.begin) * n * input_row(), input_row(),
                                       to + ((group.first + i) * n_out() + group.directions.begin) * n_in(), n_in());
    }

    // The last layer's weights of an output, times the derivative of its activation. That of softmax is diag(a) - a a^T.
    void start_back(const Group &group, int64_t i, T *lines, int64_t row) const {
        const Layer &layer = network_.last();
        int64_t weights_row;
        const T *weights = layers_.weights_by_output(last(), weights_row);
        const bool elementwise = has_derivative(last());
        const T *factors = (elementwise ? group.derivatives[last()] : layers_.last_buffers().out) + i * layer.row;
        if (!elementwise)
            multiply<T, Start::zero, Finish::store>({layer.n_out, factors, layer.row, 1, weights, weights_row, group.mean, line_},
                                                    {0, 1}, {0, layer.n_in});
        for (int64_t o = group.directions.begin; o < group.directions.end; o++, lines += row) {
            const Vec<T> factor = splat(factors[o]);
            const T *from = weights + o * weights_row, *mean = group.mean;
            T *to = lines;
            for_each_vector<T>(elements_of_row<T>(layer.n_in, row), [=](int64_t j, auto access) {
                const Vec<T> w = access.load(from + j);
                access.store(to + j, factor * (elementwise ? w : w - access.load(mean + j)));
            });
        }
    }

    const Jacobian &call_;
    const Network &network_;
    const bool reverse_;
    const int64_t n_directions_, directions_at_once_;
    const int64_t n_needed_;  // layers whose outputs for the rows are needed
    const int64_t strip_, rows_at_once_;
    const Layers<T> layers_;
    const T **const derivatives_;
    const int64_t line_;  // elements of the longest line
    T *const lines_, *const means_;
};

}  // namespace
