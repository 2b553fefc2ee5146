// The ways of a chunk's rows through several layers, forward and back: each thread for rows of its own, or all threads together.
#pragma once

#include "layers.h"
#include "prefetch.h"

namespace {

// Prefetches the weights that other threads own, of layers in which each thread needs all.
template <class T> __attribute__((noinline)) void prefetch_weights(const Layers<T> &layers, bool sparse, const Team &team) {
    for (int64_t l = sparse ? 1 : 0; l < layers.network().n_layers; l++) {
        const Layer &layer = layers[l];
        if (layer.narrow || layers.splits_outputs(l, team)) continue;
        for_each_other(own_rows<T>(layer, layer.weights(), team), layer.n_in, [&](Range others) {
            prefetch_rows(layers.weights(layer), layer.weights().row, others, {0, layer.n_out});
            if (const T *transposed = layers.buffers(l).transposed)
                prefetch_rows(transposed, layers.transposed_row(layer), {0, layer.n_out}, others);
        });
    }
}

// Passes some rows of the chunk through the layers from the first given one on. packing: the thread's.
template <class T>
void forward(const Layers<T> &layers, int64_t first, const Input<T> &x, Range rows, const Dropout &dropout, T *packing) {
    for (int64_t l = first; l < layers.network().n_layers; l++) {
        layers.multiply_layer(l, x, rows, {0, layers[l].n_out}, packing);
        layers.finish_layer(l, x, rows, dropout);
    }
}

// Passes the last layer's delta, so far the loss's derivative by its outputs or logits, back through the layers from the first given
// one on, as far as the first whose gradients are needed.
template <class T> void backward(const Layers<T> &layers, int64_t first, Range rows, T *packing) {
    const int64_t last = layers.network().n_layers - 1;
    if (!layers.has_logits()) layers.times_derivative(last, rows);
    for (int64_t l = last; l > layers.needs().first_layer && l >= first; l--) {
        layers.pass_back_delta(l, rows, {0, layers[l].n_in}, packing);
        layers.pass_activation_back(l - 1, rows, packing);
    }
}

// Returns the number of layers up to the last one whose outputs are split.
template <class T> int64_t n_shared(const Layers<T> &layers, const Team &team) {
    if (team.size == 1) return 0;
    int64_t n = layers.network().n_layers;
    while (n > 0 && !layers.splits_outputs(n - 1, team)) n--;
    return n;
}

// All threads pass the chunk's rows through the first n layers together. own: the rows that are a thread's where outputs are not split.
template <class T>
__attribute__((noinline)) void forward_together(const Layers<T> &layers, int64_t n, const Input<T> &x, Range rows, Range own,
                                                const Dropout &dropout, const Team &team, T *packing) {
    for (int64_t l = 0; l < n; l++) {
        if (layers.splits_outputs(l, team)) {
            if (l > 0 || layers.is_copied(x)) team.wait();
            layers.multiply_own_outputs(l, x, rows, team, packing);
            team.wait();
        } else layers.multiply_layer(l, x, own, {0, layers[l].n_out}, packing);
        layers.finish_layer(l, x, own, dropout);
    }
}

// All threads pass the delta of layer n - 1 back to the layers before it, as in forward_together.
template <class T>
__attribute__((noinline)) void backward_together(const Layers<T> &layers, int64_t n, Range rows, Range own, const Team &team,
                                                 T *packing) {
    for (int64_t l = n - 1; l > layers.needs().first_layer; l--) {
        if (layers.splits_outputs(l, team)) {
            team.wait();
            layers.pass_back_delta(l, rows, share(layers[l].n_in, panel_columns<T>, team), packing, layers.in_panels(l, team));
            team.wait();
        } else layers.pass_back_delta(l, own, {0, layers[l].n_in}, packing);
        layers.pass_activation_back(l - 1, own, packing);
    }
}

}  // namespace
