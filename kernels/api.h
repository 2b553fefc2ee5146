// What Python hands to the kernels: plain structures, owned by the caller, the same for every instruction set and both dtypes.
#pragma once

#include <cstdint>

#include "numpy/random/bitgen.h"

namespace fastnn {

// Element types that rows are read from; any other is converted by NumPy before.
enum class Type : int32_t { float32, float64, int8, uint8, int16, uint16, int32, uint32, int64, uint64, boolean };

// Rows of an array in the caller's memory, any strides (in bytes). Labels are one column that becomes a one-hot row.
// Sparse rows (CSR): data has the values that are stored, of the network's type, side by side; those of row i, and their
// columns, are the elements from row_starts[i] to row_starts[i + 1].
struct Rows {
    const char *data = nullptr;
    int64_t row_stride = 0, column_stride = 0;
    Type type = Type::float32;
    bool labels = false;
    const int64_t *row_starts = nullptr;
    const int32_t *columns = nullptr;
    int64_t max_entries = 0;  // that any chunk_rows of them have

    bool sparse() const { return row_starts; }
};

constexpr int64_t chunk_rows = 512;   // larger batches go through in pieces of this many, their gradients added up
constexpr int64_t set_stride = 1024;  // bytes: rows at multiples of it compete for the same few sets of the cache
constexpr int64_t few_rows = 8;       // of as many or fewer, threads share each layer's outputs, not the rows

// n values of float or double, as the network has: a = f(z), and derivative = f'(z) if derivative is not null. a may be z.
using CustomActivation = void (*)(const void *z, void *a, void *derivative, int64_t n);

// n elements of a target y and a prediction p: value = f(y, p), and gradient = its derivative by p. All are apart.
using CustomLoss = void (*)(const void *y, const void *p, void *value, void *gradient, int64_t n);

enum class BlockKind : int32_t { weights, biases, slopes };
constexpr int64_t n_block_kinds = 3;

// Parameters of one kind: rows that stand one after the other in the storage, whose elements offsets count. Rows are padded to
// whole cache lines of 64 bytes, with zeros that stay zero.
struct Block {
    BlockKind kind;
    int64_t offset;
    int64_t rows, columns;
    int64_t row;                  // elements from one row to the next
    double initial_value;         // of what is not drawn at random
    double learning_rate_factor;  // of the learning rate
    double penalty_factor;        // of l1 and l2
    double decay_factor;          // of the optimizer's weight decay

    // Whether its updates take other coefficients than most blocks'. Without penalties none of theirs is used.
    bool has_own_factors() const {
        return learning_rate_factor != 1 || decay_factor != 1 || (penalty_factor != 0 && penalty_factor != 1);
    }
    int64_t size() const { return rows * row; }
    int64_t end() const { return offset + size(); }
};

// A dense layer: its blocks of parameters, each kind at most once, the weights and biases first. Rows of outputs are padded as
// those of parameters, except a narrow layer's: those stand without padding, so that elementwise work is one flat loop.
struct Layer {
    int64_t n_in, n_out;
    int64_t n_blocks;
    Block blocks[n_block_kinds];
    int64_t row;              // elements from one row of outputs to the next
    int32_t activation;       // number in registry.h
    bool narrow;              // the weights are stored transposed: n_out rows of n_in
    double dropout;           // probability that an output is dropped in training
    CustomActivation custom;  // the user's own, if not null

    const Block &weights() const { return blocks[0]; }
    const Block &biases() const { return blocks[1]; }
    // Null if the layer has none of this kind.
    const Block *block(BlockKind kind) const {
        for (int64_t b = 0; b < n_blocks; b++)
            if (blocks[b].kind == kind) return &blocks[b];
        return nullptr;
    }
};

constexpr int64_t max_layers = 64;

struct Network {
    int64_t n_layers;  // 1 to max_layers
    const Layer *layers;
    int64_t size;  // elements of the parameter storage
    const Layer &last() const { return layers[n_layers - 1]; }
};

// Elements from one row of n to the next: whole blocks, and one more where rows would be whole KiB apart and so compete for
// the same few sets of the cache.
int64_t padded_row(int64_t n, int64_t element_size);

// Fills in offsets and strides from n_in, n_out and the element's size; returns the elements of the storage.
int64_t lay_out(Layer *layers, int64_t n_layers, int64_t element_size);

struct Loss {
    int32_t kind;  // number in registry.h
    double parameter;
    bool from_logits;     // the loss contains the output activation
    bool per_row;         // the mean is over rows, not over elements
    double factor;        // of loss and gradient
    double value_factor;  // of the loss alone
    CustomLoss custom;    // the user's own, if not null
    bool signed_mean;     // weights are divided by their sum, which may be below 0; else by the sum of their magnitudes
};

struct Optimizer {
    int32_t kind;     // number in registry.h
    int32_t moments;  // arrays of state, each like the parameter storage
    double beta_1, beta_2, epsilon;
    double decay;  // of the weights by AdamW, or towards the full momentum by NAdam
    double l1, l2;
    double clip_value, clip_norm;  // infinity: none
    bool lazy;                     // sparse inputs: weights of features that are not in the batch are left alone
    // Where scikit-learn's and Keras's definitions are not PyTorch's:
    bool epsilon_hat;         // Adam adds epsilon before v is corrected for its start at zero
    bool rate_in_velocity;    // momentum adds up steps, not gradients: it differs where the rate changes
    bool penalty_per_weight;  // penalties are divided by the sum of the batch's sample weights
};

// A forward pass over n_rows rows. outputs[l] receives layer l's activations, n_out to a row, where it isn't null.
struct Prediction {
    Network network;
    const void *parameters;
    Rows x;
    int64_t n_rows;
    void *const *outputs;
    int n_threads;
};

// activation(x @ w + b) for n_rows rows; b has one row, or no data for zeros. out is n_rows rows of n_out side by side, and
// apart from the others.
struct Linear {
    Layer layer;  // of which n_in, n_out and activation are given
    Rows x, w, b;
    int64_t n_rows;
    void *out;
    int n_threads;
};

// Loss and gradients of n_rows rows.
struct Gradient {
    Network network;
    const void *parameters;
    Loss loss;
    Rows x, y;
    const double *sample_weight;  // null: all 1
    int64_t n_rows;
    void *gradient;        // like the parameter storage, or null
    void *input_gradient;  // n_rows x n_in, or null
    int n_threads;
    double value;  // out: the loss
};

// What one thread and several have lately taken in training; kept from one run to the next. It is one run's at a time, though
// runs of two threads may be of one network.
struct ThreadTimings {
    bool taken;  // by a run; read and written atomically
    int64_t batch_size;
    double one, several;  // seconds a row; 0: not known
    double since_trial;   // seconds since the one that is not preferred was tried
    double awake;         // seconds for which several have been at work
};

enum class Status : int32_t { paused, finished, diverged, weightless };  // the last: a signed mean's weights sum to 0

// A run of many epochs in slices of time: what is to be done, and where it stands between slices.
struct Training {
    Network network;
    void *parameters;
    void *moments[2];
    void *snapshot;  // 1 + optimizer.moments storages: the last epoch's beginning, whose loss was finite
    Loss loss;
    Optimizer optimizer;
    Rows x, y;
    const double *sample_weight;
    int64_t n_rows, batch_size;
    int64_t n_epochs;
    bool shuffle;
    bool reshuffle;     // every order is a permutation of the one before, the first of what `order` has
    bool loss_by_rows;  // a batch counts in the epoch's loss by its rows, not by their weights
    bitgen_t *random;
    int64_t *order;                // n_rows, in use where shuffle
    const double *learning_rates;  // one per step of the run, or a single one if learning_rate_stride is 0
    int64_t learning_rate_stride;
    int n_threads;  // if timings is null or taken; else a run begins with one
    int max_threads;
    ThreadTimings *timings;
    double seconds;  // length of a slice

    int64_t epoch, row, step;     // the next batch
    int64_t updates;              // of the optimizer, over all runs
    double loss_sum, weight_sum;  // of the epoch in progress
    double *epoch_loss, *epoch_seconds;
    double batch_loss;         // of the last batch
    int64_t snapshot_updates;  // `updates` when the snapshot was taken; -1: there is none
    int64_t epochs_stamped;    // epochs that have their seconds
    double elapsed;            // seconds that no epoch has yet
};

}  // namespace fastnn
