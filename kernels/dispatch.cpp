// What no instruction set changes: the levels of this build, the names, and how parameters are laid out.
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

#define LEVEL(name) extern const Kernels float32_##name, float64_##name
#if defined(__x86_64__)
LEVEL(v4);
LEVEL(v3);
LEVEL(baseline);
#elif defined(__aarch64__)
LEVEL(neon);
#else
LEVEL(baseline);
#endif
#undef LEVEL

namespace {
const Level built[] = {
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

#define NAME(name, Struct) #name,
const char *const activations[] = {FASTNN_ACTIVATIONS(NAME) nullptr};
#define FUNCTION_NAME(name, part, Struct) #name,
const char *const functions[] = {FASTNN_FUNCTIONS(FUNCTION_NAME) nullptr};
const char *const losses[] = {FASTNN_LOSSES(NAME) nullptr};
const char *const prediction_losses[] = {FASTNN_PREDICTION_LOSSES(NAME) nullptr};
const char *const optimizers[] = {FASTNN_OPTIMIZERS(NAME) nullptr};

const Level *best() {
    const Level *found = built;
    while (!found->supported()) found++;  // the last one is supported everywhere
    return found;
}
const Level *in_use = best();

constexpr int64_t block_bytes = 64;    // rows of storage are whole blocks
constexpr int64_t narrow_outputs = 4;  // up to so many, the last layer is a few dot products
}  // namespace

const Level *levels() { return built; }
int n_levels() { return int(sizeof built / sizeof built[0]); }
const Level *level() { return in_use; }
void use_level(const Level *chosen) { in_use = chosen; }
const char *const *activation_names() { return activations; }
const char *const *function_names() { return functions; }
const char *const *loss_names() { return losses; }
const char *const *prediction_loss_names() { return prediction_losses; }
const char *const *optimizer_names() { return optimizers; }

// The one symbol that is exported: by it threadpoolctl knows this library.
extern "C" __attribute__((visibility("default"))) int fastnn_max_threads() { return max_threads(); }

namespace {
int64_t whole_blocks(int64_t n, int64_t element_size) {
    const int64_t block = block_bytes / element_size;
    return (n + block - 1) / block * block;
}
}  // namespace

int64_t padded_row(int64_t n, int64_t element_size) {
    const int64_t row = whole_blocks(n, element_size);
    return row * element_size % set_stride == 0 ? row + block_bytes / element_size : row;
}

int64_t lay_out(Layer *layers, int64_t n_layers, int64_t element_size) {
    int64_t size = 0;
    for (int64_t l = 0; l < n_layers; l++) {
        Layer &layer = layers[l];
        layer.narrow = l == n_layers - 1 && layer.n_out <= narrow_outputs;
        layer.row = layer.narrow ? layer.n_out : padded_row(layer.n_out, element_size);
        layer.weights_row = padded_row(layer.narrow ? layer.n_in : layer.n_out, element_size);
        layer.weights = size;
        size += layer.weights_rows() * layer.weights_row;
        layer.bias = size;
        size += whole_blocks(layer.n_out, element_size);
    }
    return size;
}

}  // namespace fastnn
