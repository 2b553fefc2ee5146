// The choice of an instruction set, the names in the registry, and the layout of parameters, which is the same for all
// instruction sets.
#include <initializer_list>
#include <utility>

#include "registry.h"
#include "isa_kernels.h"
#include "threads.h"

namespace fastnn {
namespace {

bool always() { return true; }

#if defined(__x86_64__)
bool has_v3() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}
bool has_v4() {
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

}  // namespace

#define ISA(name) extern const Kernels float32_##name, float64_##name
#if defined(__x86_64__)
ISA(v4);
ISA(v3);
ISA(baseline);
#elif defined(__aarch64__)
ISA(neon);
#else
ISA(baseline);
#endif
#undef ISA

namespace {
const InstructionSet built[] = {
#if defined(__x86_64__)
    {"v4", has_v4, &float32_v4, &float64_v4},
    {"v3", has_v3, &float32_v3, &float64_v3},
    {"baseline", always, &float32_baseline, &float64_baseline},
#elif defined(__aarch64__)
    {"neon", always, &float32_neon, &float64_neon},
#else
    {"baseline", always, &float32_baseline, &float64_baseline},
#endif
};

#define KIND_NAME(name) #name,
const char *const block_kinds[] = {FASTNN_BLOCK_KINDS(KIND_NAME) nullptr};
#define NAME(name, Struct) #name,
const char *const activations[] = {FASTNN_ACTIVATIONS(NAME) nullptr};
const char *const sloped_activations[] = {FASTNN_SLOPED_ACTIVATIONS(NAME) nullptr};
const char *const normalizations[] = {FASTNN_NORMALIZATIONS(NAME) nullptr};
const char *const embeddings[] = {FASTNN_EMBEDDINGS(NAME) nullptr};
#define FUNCTION_NAME(name, member, Struct) #name,
const char *const functions[] = {FASTNN_FUNCTIONS(FUNCTION_NAME) nullptr};
const char *const losses[] = {FASTNN_LOSSES(NAME) nullptr};
const char *const prediction_losses[] = {FASTNN_PREDICTION_LOSSES(NAME) nullptr};
const char *const optimizers[] = {FASTNN_OPTIMIZERS(NAME) nullptr};

const InstructionSet *best() {
    const InstructionSet *found = built;
    while (!found->supported()) found++;  // every machine supports the last one
    return found;
}
const InstructionSet *in_use = best();

constexpr int64_t block_bytes = 64;        // rows of the storage are whole blocks
constexpr int64_t max_narrow_outputs = 4;  // up to this number of outputs, the last layer is narrow
}  // namespace

const InstructionSet *instruction_sets() { return built; }
int n_instruction_sets() { return int(sizeof built / sizeof built[0]); }
const InstructionSet *instruction_set() { return in_use; }
void use_instruction_set(const InstructionSet *chosen) { in_use = chosen; }
const char *const *block_kind_names() { return block_kinds; }
const char *const *activation_names() { return activations; }
const char *const *sloped_activation_names() { return sloped_activations; }
const char *const *normalization_names() { return normalizations; }
const char *const *embedding_names() { return embeddings; }
const char *const *function_names() { return functions; }
const char *const *loss_names() { return losses; }
const char *const *prediction_loss_names() { return prediction_losses; }
const char *const *optimizer_names() { return optimizers; }

// This is the only symbol that the library exports; threadpoolctl recognizes the library by it.
extern "C" __attribute__((visibility("default"))) int fastnn_max_threads() { return max_threads(); }

namespace {
int64_t whole_blocks(int64_t n, int64_t element_size) {
    const int64_t block = block_bytes / element_size;
    return (n + block - 1) / block * block;
}

// Adds a block to the layer, at an offset behind the other blocks. Returns the offset behind it.
int64_t add_block(Layer &layer, Block block, int64_t offset) {
    block.offset = offset;
    layer.blocks[layer.n_blocks++] = block;
    return block.end();
}
}  // namespace

int64_t padded_row(int64_t n, int64_t element_size) {
    const int64_t row = whole_blocks(n, element_size);
    return row * element_size % set_stride == 0 ? row + block_bytes / element_size : row;
}

int64_t lay_out(Layer *layers, int64_t n_layers, int64_t element_size, Embedding *embeddings, int64_t n_embeddings) {
    int64_t size = 0;
    for (int64_t e = 0; e < n_embeddings; e++) {
        const auto [rows, columns] = std::pair(embeddings[e].parameters.rows, embeddings[e].parameters.columns);
        // Neither penalties nor decay, like all parameters beside the layers' matrices.
        embeddings[e].parameters = {BlockKind::embedding_parameters,   size, rows, columns,
                                    padded_row(columns, element_size), 1,    0,    0};
        size = embeddings[e].parameters.end();
    }
    for (int64_t l = 0; l < n_layers; l++) {
        Layer &layer = layers[l];
        const bool has_few_outputs = l == n_layers - 1 && layer.n_out <= max_narrow_outputs;
        layer.narrow = has_few_outputs || layer.is_separate;
        layer.row = has_few_outputs ? layer.n_out : padded_row(layer.n_out, element_size);
        layer.n_blocks = 0;
        const int64_t rows = layer.narrow ? layer.n_columns() : layer.n_in, columns = layer.narrow ? layer.n_in : layer.n_columns();
        size = add_block(layer, {BlockKind::weights, 0, rows, columns, padded_row(columns, element_size), 1, 1, 1}, size);
        const int64_t units_row = whole_blocks(layer.n_out, element_size);
        // Rows of members are like rows of inputs and outputs.
        const int64_t biases_row = layer.scales_members ? layer.row : whole_blocks(layer.n_columns(), element_size);
        const int64_t biases_rows = layer.scales_members ? layer.n_members : 1;
        size = add_block(layer, {BlockKind::biases, 0, biases_rows, layer.n_columns(), biases_row, 1, 0, 1}, size);
        // Slopes have neither penalties nor decay, which would draw them towards ReLU's (He et al. 2015, section 2.1).
        if (instruction_set()->float64->activation_has(layer.activation, BlockKind::slopes))
            size = add_block(layer, {BlockKind::slopes, 0, 1, layer.n_out, units_row, 1, 0, 0}, size);
        // Nor have gains, shifts, alphas and scales, whose neutral values differ from 0, or matter as little as those of biases.
        for (const BlockKind kind : {BlockKind::gains, BlockKind::shifts})
            if (instruction_set()->float64->normalization_has(layer.normalization, kind))
                size = add_block(layer, {kind, 0, 1, layer.n_out, units_row, 1, 0, 0}, size);
        if (layer.is_parametric) size = add_block(layer, {BlockKind::alphas, 0, 1, layer.n_out, units_row, 1, 0, 0}, size);
        const int64_t inputs_row =
            layer.n_members > 1 ? padded_row(layer.n_in, element_size) : whole_blocks(layer.n_in, element_size);
        if (layer.scales_inputs || layer.scales_members)
            size = add_block(layer, {BlockKind::scales, 0, layer.n_members, layer.n_in, inputs_row, 1, 0, 0}, size);
        if (layer.scales_members)
            size = add_block(layer, {BlockKind::output_scales, 0, layer.n_members, layer.n_out, layer.row, 1, 0, 0}, size);
        // Where the widths agree, a residual connection is the identity. Otherwise, its matrix is treated like weights.
        const int64_t from = layer.residual_from, n_from = from > 0 ? layers[from - 1].n_out : layers[0].n_in;
        if (from >= 0 && n_from != layer.n_out) {
            const int64_t rows = layer.narrow ? layer.n_out : n_from, columns = layer.narrow ? n_from : layer.n_out;
            size = add_block(layer, {BlockKind::projections, 0, rows, columns, padded_row(columns, element_size), 1, 1, 1}, size);
        }
    }
    return size;
}

bool has_dropout(const Network &network) {
    for (int64_t l = 0; l < network.n_layers; l++)
        if (network.layers[l].drops()) return true;
    return false;
}

}  // namespace fastnn
