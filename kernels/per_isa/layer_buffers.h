// The workspace of a layer, for the rows of one chunk.
#pragma once

#include <cstring>

#include "layer_activation.h"
#include "layer_normalization.h"
#include "member_scales.h"
#include "residual_connection.h"

namespace {

// A row has `layer.row` elements.
template <class T> struct LayerBuffers {
    T *out;         // outputs; of the last layer, logits where the loss contains the activation
    T *delta;       // the loss's derivative by the layer's sums z
    T *derivative;  // the activation's derivative; null where the output determines it
    T *by_slope;    // the output's derivative by a parameter of the unit's activation, later the loss's; null without one
    T *transposed;  // weights, n_out rows of n_in, for the input gradient; null where nothing needs them, or they are packed
    NormalizationBuffers<T> *normalization;  // null without one
    ResidualBuffers<T> *residual;            // null if no residual connection begins or ends here
    MemberBuffers<T> *members;               // null unless members have scales in this layer
    // The activation, where the sums become outputs by it alone, and deltas pass back by the outputs; null where more happens.
    const ActivationKernels<T> *alone;

    ActivatedRows<T> activated(const Layer &layer, Range rows) const {
        const int64_t first = rows.begin * layer.row;
        const auto from = [first](T *values) { return values ? values + first : nullptr; };
        return {out + first, from(derivative), from(by_slope), rows.size()};
    }

    // Sets outputs, deltas, and what gradients are summed from, to 0.
    void clear(const Layer &layer, Range rows) const {
        const auto clear = [&](T *values) {
            if (values) std::memset(values + rows.begin * layer.row, 0, size_t(rows.size() * layer.row) * sizeof(T));
        };
        for (T *values : {out, delta, by_slope}) clear(values);
        if (normalization)
            for (T *values : {normalization->by_gain, normalization->by_shift}) clear(values);
        if (residual)
            for (T *values : {residual->stream, residual->delta}) clear(values);
        if (members)
            for (T *values : {members->unscaled, members->sums, members->by_bias}) clear(values);
    }
};

}  // namespace
