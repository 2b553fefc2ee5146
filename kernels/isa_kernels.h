// The functions that each instruction set exports, in one table per dtype.
#pragma once

#include <cstddef>
#include <cstdint>

#include "api.h"

namespace fastnn {

// The training of many small networks of one shape at the same time, each in a lane of the vectors.
struct LaneKernels {
    int lanes;                                           // the maximal number of members in a group
    bool (*fits)(const Training &);                      // whether a training may be a member of a group
    bool (*same)(const Training &a, const Training &b);  // whether two that may are of the same shape, and at the same row
    int64_t (*bytes)(const Training &);                  // of the workspace of a group with this member
    // Trains up to `lanes` members until each has made its epochs, or the time slice is over. Each gets the bits of being trained
    // alone. The caller holds the locks of all random numbers; no two members share any.
    void (*train)(Training *const *members, Status *status, int n, void *workspace);
};

// The table decides whether arrays, passed as void, are of float or double. The functions named _bytes return the size of the
// workspace. The caller owns it: zeros at an address that is a multiple of 64.
struct Kernels {
    int vector_bytes;
    int64_t (*prediction_bytes)(const Prediction &);
    void (*predict)(const Prediction &, void *workspace);
    void (*predict_each)(const PredictionOfEach &, void *workspace);  // which is that of the first prediction
    int64_t (*linear_bytes)(const Linear &);
    void (*linear)(const Linear &, void *workspace);
    int64_t (*gradient_bytes)(Gradient &);
    void (*gradient)(Gradient &, void *workspace);
    int64_t (*jacobian_bytes)(const Jacobian &);
    void (*jacobian)(const Jacobian &, void *workspace);
    int64_t (*training_bytes)(Training &);
    Status (*train)(Training &, void *workspace);
    void (*function)(int32_t function, const void *x, void *y, int64_t n);  // elementwise; y may be x
    void (*activate)(int32_t activation, void *z, int64_t rows, int64_t n);
    void (*log_softmax)(void *z, int64_t rows, int64_t n);
    bool (*activation_derivative)(int32_t activation, void *z, void *derivative,
                                  int64_t n);  // z becomes the activation; false if the derivative is a matrix
    bool (*times_derivative)(int32_t activation, void *delta, const void *a, int64_t rows,
                             int64_t n);                                               // false if the output doesn't determine it
    double (*prediction_loss)(int32_t loss, const void *p, const void *y, int64_t n);  // the sum of n terms
    void (*update)(const Optimizer &, void *w, const void *g, void *m, void *v, int64_t n, double learning_rate, int64_t updates);
    bool (*activation_has)(int32_t activation, BlockKind kind);  // whether it has such parameters
    bool (*normalization_has)(int32_t normalization, BlockKind kind);
    int (*optimizer_moments)(int32_t optimizer);                 // the number of arrays of moments
    int64_t (*first_not_finite)(const void *values, int64_t n);  // -1 if all are finite
    double (*multiply_add)(int64_t rounds, void *sum);           // returns the operations done
    void (*copy)(const void *from, void *to, int64_t n);
    void (*blend)(void *own, const void *other, int64_t n, double tau);  // own += tau * (other - own)
    const LaneKernels *lanes;
};

struct InstructionSet {
    const char *name;
    bool (*supported)();
    const Kernels *float32, *float64;
};

// These return the instruction sets of this build, best first, and their number.
const InstructionSet *instruction_sets();
int n_instruction_sets();

// Returns the instruction set in use: the best that this machine supports, until another one is chosen.
const InstructionSet *instruction_set();
void use_instruction_set(const InstructionSet *chosen);
inline const Kernels &kernels_of(Type type) {
    return type == Type::float32 ? *instruction_set()->float32 : *instruction_set()->float64;
}

const char *const *block_kind_names();  // in the order of registry.h, with a null at the end, like all these lists
const char *const *activation_names();
const char *const *sloped_activation_names();  // their numbers follow
const char *const *normalization_names();      // their numbers begin with 1
const char *const *embedding_names();
const char *const *function_names();
const char *const *loss_names();
const char *const *prediction_loss_names();
const char *const *optimizer_names();

}  // namespace fastnn
