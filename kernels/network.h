// Networks: their layers, and the places of their parameters. Plain structures, like those of api.h.
#pragma once

#include <cstdint>

#include "registry.h"

namespace fastnn {

constexpr int64_t chunk_rows = 512;  // rows in a chunk: larger batches pass chunk by chunk, and their gradients are added up

// Takes n values of the network's type, float or double. Sets a = f(z), and derivative = f'(z) if derivative is not null. a may
// be z.
using CustomActivation = void (*)(const void *z, void *a, void *derivative, int64_t n);

#define KIND(name) name,
enum class BlockKind : int32_t { FASTNN_BLOCK_KINDS(KIND) };
#undef KIND
#define PLUS_ONE(name) +1
constexpr int64_t n_block_kinds = 0 FASTNN_BLOCK_KINDS(PLUS_ONE);
#undef PLUS_ONE

// Parameters of one kind: consecutive rows of the storage. Offsets count the storage's elements. Rows are padded to whole cache
// lines of 64 bytes, with zeros that stay zero.
struct Block {
    BlockKind kind;
    int64_t offset;
    int64_t rows, columns;
    int64_t row;                  // elements from one row to the next
    double learning_rate_factor;  // of the learning rate
    double penalty_factor;        // of l1 and l2
    double decay_factor;          // of the optimizer's weight decay
    // Settings of the trainer for this block alone. Without them, the others are those of the layout.
    bool has_settings = false;
    bool is_frozen = false;     // no update changes it, or its moments, and no penalties act on it
    double epsilon_factor = 1;  // of the optimizer's epsilon
    double l1 = -1, l2 = -1;    // penalties of its own, in place of the optimizer's; below 0 for none

    // Whether its updates need coefficients of their own. Without penalties, their coefficients are not used.
    bool has_own_factors() const {
        return has_settings || learning_rate_factor != 1 || decay_factor != 1 || (penalty_factor != 0 && penalty_factor != 1);
    }
    int64_t size() const { return rows * row; }
    int64_t end() const { return offset + size(); }
};

// A dense layer. It has at most one block of parameters of each kind, the weights and biases first. Rows of outputs are padded
// like rows of parameters. Those of a narrow layer have no padding, so that elementwise work is one flat loop; with separate
// outputs, only if these are as few as those of any other narrow layer.
struct Layer {
    int64_t n_in, n_out;
    int64_t n_blocks;
    Block blocks[n_block_kinds];
    int64_t row;                      // elements from one row of outputs to the next
    int32_t activation;               // number in registry.h
    int32_t normalization = 0;        // number in registry.h; 0 for none. The last layer has none
    bool normalizes_outputs = false;  // the normalization is that of the activation's outputs, rather than of its inputs
    bool narrow;                      // the weights are stored transposed: n_columns() rows of n_in
    bool is_parametric = false;       // the activation f is z + a (f(z) - z), with a trained a for each unit
    bool scales_inputs = false;       // each of its inputs has a trained factor; of the first layer alone
    double dropout;                   // probability that an output is dropped in training
    CustomActivation custom;          // null if the activation is built in
    double input_dropout = 0;         // probability that an input is dropped in training; of the first layer alone
    // A residual connection ends here: it begins behind as many layers, at the inputs if 0. -1 if none ends here.
    int64_t residual_from = -1;
    bool adds_to_inputs = false;  // its sum is that of the activation's inputs, rather than of its outputs; so in the last layer
    // Of a shared ensemble: row i of a pass is that of member i % n_members.
    int64_t n_members = 1;  // rows of scales, one per member
    // Each member has n_out outputs of its own, by weights and biases of its own; of the last layer alone.
    bool is_separate = false;
    // Each member has scales of the inputs and of the products with the weights, and biases; of all layers but the last, or none.
    bool scales_members = false;

    // Whether its outputs are f(x @ W + b) with a built-in activation f, outside of training, and nothing else.
    bool is_plain() const { return n_blocks == 2 && !is_separate && residual_from < 0 && !normalization && !custom; }
    bool drops() const { return dropout > 0 || input_dropout > 0; }  // in training

    bool has_own_sums() const { return is_separate || scales_members; }  // members differ in their sums of equal inputs

    int64_t n_columns() const { return is_separate ? n_members * n_out : n_out; }  // of the weights as a matrix with n_in rows

    const Block &weights() const { return blocks[0]; }
    const Block &biases() const { return blocks[1]; }
    // Returns null if the layer has no block of this kind.
    const Block *block(BlockKind kind) const {
        for (int64_t b = 0; b < n_blocks; b++)
            if (blocks[b].kind == kind) return &blocks[b];
        return nullptr;
    }
    bool is_transposed(const Block &block) const {
        return narrow && (block.kind == BlockKind::weights || block.kind == BlockKind::projections);
    }
};

constexpr int64_t max_layers = 64;
constexpr int64_t max_members = 512;  // of a shared ensemble: a chunk has a row of each
constexpr int64_t max_embeddings = 64;
constexpr int64_t max_wave_outputs = 256;  // of a periodic embedding for a column

// A column of X that an input stage turns into other numbers.
struct EmbeddedColumn {
    int64_t of_x = 0;               // its number in X
    int64_t place = 0;              // of its first output among all outputs of the stage
    int64_t width = 1;              // the number of its outputs, which stand side by side
    int64_t first_row = 0;          // of its parameters, if they have several rows
    const double *edges = nullptr;  // of bins, width + 1; null for an embedding without bins
};

// Columns of X that are embedded in the same way.
struct Embedding {
    int32_t kind = 0;  // number in registry.h
    int64_t n_columns = 0;
    const EmbeddedColumn *columns = nullptr;
    int64_t n_frequencies = 0;              // of periodic embeddings
    const int64_t *n_categories = nullptr;  // of each column, if the columns have codes
    Block parameters = {};                  // of the kind embedding_parameters; without any, it has no rows
};

// What stands between the rows of X and the first layer: it turns a row of n_in columns into the first layer's n_in inputs.
struct InputStage {
    int64_t n_in = 0;
    int64_t n_embeddings = 0;  // all columns of X are in one of them
    const Embedding *embeddings = nullptr;
};

struct Network {
    int64_t n_layers;  // 1 to max_layers
    const Layer *layers;
    int64_t size;                       // elements of the parameter storage
    const InputStage *stage = nullptr;  // null if X's rows are the first layer's inputs
    const Layer &last() const { return layers[n_layers - 1]; }
    int64_t n_members() const { return layers[0].n_members; }               // 1, or those of a shared ensemble
    int64_t passed_rows(int64_t rows) const { return rows * n_members(); }  // rows of a pass for some rows of X
    int64_t rows_at_once() const { return chunk_rows / n_members(); }       // rows of X in a whole chunk
    int64_t n_in() const { return stage ? stage->n_in : layers[0].n_in; }   // columns of X
    // Returns the number of units where a residual connection begins.
    int64_t n_from(int64_t from) const { return from ? layers[from - 1].n_out : layers[0].n_in; }
    bool has_residual() const {
        for (int64_t l = 0; l < n_layers; l++)
            if (layers[l].residual_from >= 0) return true;
        return false;
    }
    // Returns whether a residual connection begins behind that number of layers.
    bool has_residual_from(int64_t from) const {
        for (int64_t l = from; l < n_layers; l++)
            if (layers[l].residual_from == from) return true;
        return false;
    }
};

// Calls visit(layer number, layer, block) for all parameters, in the order of the storage. The blocks of embeddings come first, as
// those of the first layer.
template <class Visit> void for_each_block(const Network &network, Visit visit) {
    if (network.stage)
        for (int64_t e = 0; e < network.stage->n_embeddings; e++)
            if (const Block &block = network.stage->embeddings[e].parameters; block.rows > 0)
                visit(int64_t(0), network.layers[0], block);
    for (int64_t l = 0; l < network.n_layers; l++)
        for (int64_t b = 0; b < network.layers[l].n_blocks; b++) visit(l, network.layers[l], network.layers[l].blocks[b]);
}

// Returns the distance, in elements, from one row of n to the next: whole cache lines. One more is added if rows would be a
// multiple of 1 KiB apart, where they compete for the same few sets of the cache.
int64_t padded_row(int64_t n, int64_t element_size);

// Sets offsets and strides, given n_in, n_out and the element's size, and the rows and columns of the embeddings' parameters.
// Returns the number of elements in the storage.
int64_t lay_out(Layer *layers, int64_t n_layers, int64_t element_size, Embedding *embeddings = nullptr, int64_t n_embeddings = 0);

// Returns whether training drops inputs, or outputs of some layer.
bool has_dropout(const Network &);

}  // namespace fastnn
