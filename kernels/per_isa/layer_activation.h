// The activation of a layer and its dropout, on rows of sums that become outputs.
#pragma once

#include "kernel_tables.h"
#include "padding.h"
#include "parametric_activation.h"
#include "pass_inputs.h"
#include "random.h"

namespace {

// The arrays of some rows of a layer, from the first row on. Each row has `layer.row` elements.
template <class T> struct ActivatedRows {
    T *out;         // sums, which become outputs
    T *derivative;  // the activation's derivative; null where the output determines it
    T *by_slope;    // the output's derivative by the unit's slope or factor; null without slopes and factors
    int64_t count;  // of rows
};

template <class T> class LayerActivation {
  public:
    LayerActivation(const Layer &layer, const T *parameters) : layer_(layer), parameters_(parameters) {}

    // Whether the derivative must be kept, because the outputs do not determine it.
    static bool keeps_derivative(const Layer &layer) {
        return layer.dropout > 0 || layer.custom || layer.normalizes_outputs || layer.is_parametric || layer.scales_members ||
               !all_activations<T>[layer.activation].from_output ||
               (layer.residual_from >= 0 && !layer.adds_to_inputs && !all_activations<T>[layer.activation].is_identity);
    }

    // Whether each unit has a parameter of its own.
    static bool has_parameters(const Layer &layer) {
        return layer.is_parametric || all_activations<T>[layer.activation].has_slopes;
    }

    __attribute__((always_inline)) void activate(const ActivatedRows<T> &rows) const {
        const ActivationKernels<T> &kernels = all_activations<T>[layer_.activation];
        if (layer_.custom || layer_.is_parametric) activate_otherwise(rows);
        else if (kernels.has_slopes) activate_with_slopes(rows);
        else if (rows.derivative) kernels.value_and_derivative(rows.out, rows.derivative, rows.count, layer_.n_out, layer_.row);
        else if (!kernels.is_identity) kernels.value(rows.out, rows.count, layer_.n_out, layer_.row);
    }

    // Drops units of layer l, with their derivatives. first_row: that of the rows in the chunk. Not inlined, like the next functions:
    // the rest, which is all that most networks need, is then short enough to be inlined.
    __attribute__((noinline)) void drop(int64_t l, int64_t first_row, const Dropout &dropout, ActivatedRows<T> rows) const {
        const Mask<T> mask(*dropout.key, l, layer_.dropout * dropout.factor);
        for (int64_t i = 0; i < rows.count; i++) {
            const int64_t first = (dropout.first_row + first_row + i) * layer_.n_out;
            // A layer with slopes has derivatives too.
            if (rows.by_slope) drop_units(mask, first, layer_.n_out, rows.out, rows.derivative, rows.by_slope);
            else if (rows.derivative) drop_units(mask, first, layer_.n_out, rows.out, rows.derivative);
            else drop_units(mask, first, layer_.n_out, rows.out);
            rows.out += layer_.row;
            if (rows.derivative) rows.derivative += layer_.row;
            if (rows.by_slope) rows.by_slope += layer_.row;
        }
    }

  private:
    __attribute__((noinline)) void activate_with_slopes(ActivatedRows<T> rows) const {
        const ActivationKernels<T> &kernels = all_activations<T>[layer_.activation];
        const T *slopes = parameters_ + layer_.block(BlockKind::slopes)->offset;
        if (rows.derivative)
            kernels.derivatives(rows.out, slopes, rows.derivative, rows.by_slope, rows.count, layer_.n_out, layer_.row);
        else kernels.value_with_slopes(rows.out, slopes, rows.count, layer_.n_out, layer_.row);
    }

    __attribute__((noinline)) void activate_otherwise(ActivatedRows<T> rows) const {
        if (layer_.is_parametric)
            ParametricActivation<T>(layer_, parameters_).activate(rows.out, rows.derivative, rows.by_slope, rows.count);
        else activate_custom(rows);
    }

    // A user's function may turn the padding into anything.
    void activate_custom(const ActivatedRows<T> &rows) const {
        layer_.custom(rows.out, rows.out, rows.derivative, rows.count * layer_.row);
        clear_padding(rows.out, rows.count, layer_.n_out, layer_.row);
        if (rows.derivative) clear_padding(rows.derivative, rows.count, layer_.n_out, layer_.row);
    }

    const Layer &layer_;
    const T *const parameters_;
};

}  // namespace
