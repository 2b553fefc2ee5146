// The arguments of the kernels: plain structures, which the caller owns, the same for every instruction set and both dtypes.
#pragma once

#include <cstdint>

#include "network.h"
#include "numpy/random/bitgen.h"

namespace fastnn {

// The element types that the kernels read. NumPy converts arrays of any other type before.
enum class Type : int32_t { float32, float64, int8, uint8, int16, uint16, int32, uint32, int64, uint64, boolean };

// Returns the bytes of an element.
constexpr int64_t element_size(Type type) {
    switch (type) {
        case Type::int8:
        case Type::uint8:
        case Type::boolean: return 1;
        case Type::int16:
        case Type::uint16: return 2;
        case Type::float32:
        case Type::int32:
        case Type::uint32: return 4;
        case Type::float64:
        case Type::int64:
        case Type::uint64: break;
    }
    return 8;
}

// Rows of an array in the caller's memory, with any strides in bytes. Labels are one column; each becomes a one-hot row. Sparse
// rows (CSR) have row_starts. Their data are the stored values, of the network's type, side by side. The values of row i, and
// their columns, are the elements from row_starts[i] to row_starts[i + 1].
struct Rows {
    const char *data = nullptr;
    int64_t row_stride = 0, column_stride = 0;
    Type type = Type::float32;
    bool labels = false;
    const int64_t *row_starts = nullptr;
    const int32_t *columns = nullptr;
    int64_t max_entries = 0;  // the maximum in any chunk_rows of the rows

    bool sparse() const { return row_starts; }
};

constexpr int64_t set_stride = 1024;  // bytes: rows at multiples of it compete for the same few sets of the cache
constexpr int64_t few_rows = 8;       // of up to 8 rows, threads share each layer's outputs rather than the rows

// Takes n elements of a target y and a prediction p. Sets value = f(y, p), and gradient to its derivative with respect
// to p. No arrays overlap.
using CustomLoss = void (*)(const void *y, const void *p, void *value, void *gradient, int64_t n);

// Takes rows of targets y and of predictions p, y_row and p_row elements apart; rows of up to 4 elements stand side by side. Sets
// value[i] = f(y_i, p_i) for each row, and the rows of gradient, which are p_row elements apart, to its derivative with
// respect to p_i. No arrays overlap. The numbers of targets and predictions in a row are fixed in the function.
using CustomRowLoss = void (*)(const void *y, const void *p, void *value, void *gradient, int64_t rows, int64_t y_row,
                               int64_t p_row);

struct Head;

struct Loss {
    int32_t kind;  // number in registry.h
    double parameter;
    const double *parameters;  // of a loss with any number of them
    int64_t n_parameters;
    int64_t n_targets;          // columns of the targets; 0 if they are as many as the outputs
    bool from_logits;           // the loss takes the inputs of the output activation
    bool per_row;               // the mean is over rows, not over elements
    double factor;              // of loss and gradient
    double value_factor;        // of the loss alone
    CustomLoss custom;          // null if the loss is not custom
    bool signed_mean;           // the divisor is the sum of the weights, which may be below 0, rather than of their magnitudes
    CustomRowLoss custom_rows;  // null if the loss is not a custom one of whole rows
    const Head *heads;          // losses of parts of the outputs, whose weighted sum this one is
    int64_t n_heads;
    // Options of the targets.
    bool whole_rows;               // a row is observed as a whole, and its weights are those of classes
    bool ignores_missing;          // targets that are NaN, and labels out of range, are not observed
    const double *output_weights;  // of each column of targets in the mean, or of each class; >= 0; null if all are 1
    const double *pos_weight;      // of a target of 1 rather than 0, for each column; >= 0; null if all are 1
    double label_smoothing;        // the share of targets that is spread evenly over the classes
    bool given;  // the targets are the gradient with respect to the outputs, summed over rows; the value is 0 for finite outputs

    int64_t columns(int64_t n_out) const { return n_targets ? n_targets : n_out; }
};

// A loss of some of the outputs, from `first` on, and of the targets from first_target on. Labels are one column of targets.
struct Head {
    int64_t first, n_out, first_target;
    bool labels;
    double weight;
    Loss loss;
};

// The settings that may follow schedules, besides the learning rate. The factors multiply all probabilities of dropout, and the label
// smoothing of the loss.
enum class Scheduled : int32_t { beta_1, decay, l2, dropout_factor, label_smoothing_factor };
constexpr int max_scheduled = 5;

struct Optimizer {
    int32_t kind;     // number in registry.h
    int32_t moments;  // the number of arrays of moments, each like the parameter storage
    double beta_1, beta_2, epsilon;
    double decay;  // of the weights (AdamW, Lion, Muon), or of the distance to the full momentum (NAdam)
    double l1, l2;
    double clip_value, clip_norm;  // infinity turns clipping off
    bool lazy;                     // sparse inputs: an update leaves out the weights of features that are not in the batch
    // Definitions of scikit-learn and Keras that differ from PyTorch's:
    bool epsilon_hat;         // Adam adds epsilon before v is corrected for its start at zero
    bool rate_in_velocity;    // momentum adds up steps rather than gradients, which differs if the learning rate changes
    bool penalty_per_weight;  // penalties are divided by the sum of the batch's sample weights
    int32_t n_scheduled = 0;  // settings that have a value of their own in each step, behind the learning rate
    Scheduled scheduled[max_scheduled] = {};
    double momentum = 0;  // of hidden matrices (Muon)

    bool has_penalty() const { return l1 > 0 || l2 > 0 || place_of(Scheduled::l2) >= 0; }

    // Returns the place of a setting among those that follow schedules, or -1.
    int place_of(Scheduled setting) const {
        for (int i = 0; i < n_scheduled; i++)
            if (scheduled[i] == setting) return i;
        return -1;
    }
};

// A forward pass over n_rows rows. outputs[l] receives the activations of layer l, n_out per row, unless it is null.
struct Prediction {
    Network network;
    const void *parameters;
    Rows x;
    int64_t n_rows;
    void *const *outputs;
    int n_threads;
};

// Predictions of several networks with the same layers, one after the other on one thread. `first` is that of the first network,
// with an output of the last layer alone. The inputs and outputs of each further one stand these numbers of bytes behind.
struct PredictionOfEach {
    Prediction first;
    const void *const *parameters;  // of each network
    int64_t n_networks;
    int64_t x_stride, output_stride;
};

// activation(x @ w + b) for n_rows rows. b has one row; without data, it is zero. out has n_rows rows of n_out, side by side, and
// overlaps none of the others.
struct Linear {
    Layer layer;  // the caller sets n_in, n_out and activation
    Rows x, w, b;
    int64_t n_rows;
    void *out;
    int n_threads;
};

// The loss and the gradients of n_rows rows.
struct Gradient {
    Network network;
    const void *parameters;
    Loss loss;
    Rows x, y;
    const double *sample_weight;  // null if all are 1
    int64_t n_rows;
    const int64_t *order = nullptr;  // the rows of the batch are order[first], order[first + 1], …; null stands for 0, 1, 2, …
    int64_t first = 0;
    void *gradient;        // like the parameter storage, or null
    void *input_gradient;  // n_rows x n_in, or null
    int n_threads;
    const uint64_t *dropout_key;  // of a batch in training; null drops nothing
    double value;                 // out: the loss
    double weight;                // out: the weight of all rows in a mean
    double dropout_factor = 1;    // of all probabilities of dropout

    // A long computation is made part by part, with the numbers of a single one. A part has whole chunks, unless it is the last one. The
    // gradient of all but the first part is added to that of the parts before.
    int64_t begin = 0, end = 0;  // the rows of the batch that are passed; 0 and 0 stand for all
    double sum = 0;              // in: of the losses of the rows before; out: with those of the part
    void *outputs = nullptr;     // the predictions for the part, (end - begin) x n_out; null with a gradient, or without need
};

// The derivatives of the outputs with respect to the inputs, for n_rows rows: n_rows x n_out x n_in elements.
struct Jacobian {
    Network network;
    const void *parameters;
    Rows x;
    int64_t n_rows;
    void *jacobian;
    int n_threads;
};

// The times that one thread and several have recently taken in trainings of one shape, kept from one run to the next. One run
// owns them at a time.
struct ThreadTimings {
    bool taken;  // by a run; read and written atomically
    uint64_t shape;
    double one, several;  // seconds per row; 0 if not known
    double since_trial;   // seconds since the number of threads that is not preferred was tried
    double trial_loss;    // seconds by which that made the run longer
    double awake;         // seconds for which several threads have been at work
};

// An average of the parameters, over the updates of all runs, or over their epochs.
struct Averaging {
    void *average;       // like the parameter storage; null without an average
    int64_t *counts;     // the parameters in the average so far, and the epochs so far
    bool of_epochs;      // the mean over the ends of epochs, rather than an exponential average over all updates
    double decay;        // of the exponential average: the weight of the average before, for each update
    bool corrects_bias;  // the exponential average is divided by the sum of its weights
    int64_t start;       // the number of epochs before the first one whose end enters a mean
    bool ends_epochs;    // the last batch of an epoch is the end of one: not if it is a single step
    int64_t snapshot_counts[2];
};

enum class Status : int32_t { paused, finished, diverged, weightless };  // weightless: the weights of a signed mean sum to 0

// What the runs and single steps of a trainer have in common.
struct TrainingSettings {
    Network network;
    void *parameters;
    void *moments[2];
    Averaging averaging;
    Loss loss;
    Optimizer optimizer;
    bitgen_t *random;

    // Returns the number of arrays that updates change: the parameters, the moments, and the average.
    int n_state_arrays() const { return 1 + optimizer.moments + (averaging.average ? 1 : 0); }
};

// A run of many epochs in time slices: its settings, and its position between slices.
struct Training : TrainingSettings {
    // n_state_arrays() storages, of the beginning of the last epoch, when the loss was finite. Null for a single step whose caller
    // restores the state itself.
    void *snapshot;
    Rows x, y;
    const double *sample_weight;
    void *gradient;  // like the storage: updates take it rather than that of a batch, and may change it; null otherwise
    int64_t n_rows, batch_size;
    int64_t epoch_rows;  // of the n_rows rows, those in the batches of an epoch: all of them, or those of complete batches
    int64_t n_epochs;
    bool is_single_step;  // one epoch of one batch, now and ever
    const int64_t *rows;  // the n_rows rows of x, y and sample_weight to train on, perhaps repeated; null for the first n_rows
    bool shuffle;
    bool reshuffle;                // every order is a permutation of the one before; the first is a permutation of `order`
    bool loss_by_rows;             // a batch's weight in the epoch's loss is its number of rows rather than their weight
    bool checks_numbers;           // in epoch 0, numbers of x and y that are not finite make the loss NaN; not of a tiny network
    int64_t *order;                // n_rows elements, in use if shuffle is set
    const double *learning_rates;  // one per step of the run, or a single one if learning_rate_stride is 0
    int64_t learning_rate_stride;  // otherwise 1, and 1 more for each scheduled setting of the optimizer, which follow the rate
    int n_threads;                 // if timings is null or taken
    int max_threads;
    ThreadTimings *timings;
    uint64_t shape;    // of these timings
    double step_work;  // floating-point operations of a step
    double seconds;    // length of a time slice
    uint64_t layout;   // of the workspace, set by training_bytes: see Arena; 0 if it must begin with zeros

    char apart[64];            // each batch changes what follows, and all threads read what precedes: they never share a cache line
    int64_t epoch, row, step;  // the next batch
    int64_t updates;           // of the optimizer, over all runs
    double loss_sum, weight_sum;  // of the epoch in progress
    double *epoch_loss, *epoch_seconds;
    double batch_loss;         // of the last batch
    int64_t snapshot_updates;  // `updates` when the snapshot was taken; -1 without a snapshot
    int64_t epochs_stamped;    // epochs whose seconds are set
    double elapsed;            // seconds that are not yet assigned to an epoch

    int64_t last_batch() const { return (epoch_rows - 1) / batch_size * batch_size; }  // the first row of an epoch's last batch
};

}  // namespace fastnn
