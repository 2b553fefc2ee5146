// What a pass through the layers is asked for, and given.
#pragma once

#include "input_rows.h"

namespace {

// The gradients that a pass computes besides the outputs and the loss.
struct Needs {
    bool weight_gradient, input_gradient;
    bool derivatives = false;      // those of all activations
    int64_t first_layer = 0;       // no layer before it needs a gradient
    int64_t rows_to_share = 0;     // of a chunk, if threads may split outputs rather than rows; 0 if they may not
    const void *panels = nullptr;  // where the weights stand then, panel by panel; null if they are read from the parameters
    bool any() const { return weight_gradient || input_gradient; }
};

// Where the first layer's inputs stand for one chunk.
template <class T> struct InputRows {
    const T *dense = nullptr;  // the chunk's first row
    int64_t row = 0;           // elements from one row to the next
    const Rows *sparse = nullptr;
};

// The first layer's input for one chunk.
template <class T> struct Input : InputRows<T> {
    Batch chunk = {nullptr, 0, 0};  // of the sparse rows
    InputFactors<T> factors = {};   // of the sparse rows

    static Input of_dense(const T *first, int64_t row) { return {{first, row, nullptr}}; }
    static Input of_sparse(const Rows &x, const Batch &chunk, const InputFactors<T> &factors = {}) {
        return {{nullptr, 0, &x}, chunk, factors};
    }
};

// The masks that drop a chunk's units follow from the batch's key, and from a row's place in the batch.
struct Dropout {
    const uint64_t *key = nullptr;  // null: drops nothing
    int64_t first_row = 0;          // of the chunk in the batch
    double factor = 1;              // of the layers' probabilities
};

}  // namespace
