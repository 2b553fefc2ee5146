// The tables of kernels that an instruction set exports, and their functions of arrays.
#include "blend.h"
#include "coefficients.h"
#include "isa_kernels.h"
#include "peak_flops.h"
#include "runs.h"
#include "softmax.h"

namespace {

template <class T> void function_of_array(int32_t function, const void *x, void *y, int64_t n) {
    functions<T>.of[function](static_cast<const T *>(x), static_cast<T *>(y), n);
}

template <class T> void activate_array(int32_t activation, void *z, int64_t rows, int64_t n) {
    all_activations<T>[activation].value(static_cast<T *>(z), rows, n, n);
}

template <class T> void log_softmax_array(void *z, int64_t rows, int64_t n) { log_softmax(static_cast<T *>(z), rows, n); }

template <class T> bool activation_derivative(int32_t activation, void *z, void *derivative, int64_t n) {
    const auto kernel = all_activations<T>[activation].value_and_derivative;
    if (kernel) kernel(static_cast<T *>(z), static_cast<T *>(derivative), 1, n, n);
    return kernel;
}

template <class T> bool times_derivative_array(int32_t activation, void *delta, const void *a, int64_t rows, int64_t n) {
    const auto kernel = all_activations<T>[activation].times_derivative;
    if (kernel) kernel(static_cast<T *>(delta), static_cast<const T *>(a), rows, n, n);
    return kernel;
}

template <class T> double prediction_loss(int32_t loss, const void *p, const void *y, int64_t n) {
    return losses<T>.of_predictions[loss](static_cast<const T *>(p), static_cast<const T *>(y), n);
}

template <class T>
void update_array(const Optimizer &o, void *w, const void *g, void *m, void *v, int64_t n, double learning_rate, int64_t updates) {
    all_optimizers<T>[o.kind].update(static_cast<T *>(w), static_cast<const T *>(g), static_cast<T *>(m), static_cast<T *>(v), n,
                                     CoefficientSchedule<T>(o)(&learning_rate, updates));
}

inline bool activation_has(int32_t activation, BlockKind kind) { return all_activations<float>[activation].has(kind); }
inline bool normalization_has(int32_t normalization, BlockKind kind) { return all_normalizations<float>[normalization].has(kind); }
inline int optimizer_moments(int32_t optimizer) { return all_optimizers<float>[optimizer].moments; }

template <class T> int64_t first_not_finite_of(const void *values, int64_t n) {
    return first_not_finite(static_cast<const T *>(values), n);
}

template <class T> double multiply_add_chains(int64_t rounds, void *sum) {
    store(static_cast<T *>(sum), multiply_add<T>(rounds));
    return 2.0 * double(rounds) * fma_chains * lanes<T>;
}

template <class T> void copy_array(const void *from, void *to, int64_t n) {
    copy(static_cast<const T *>(from), static_cast<T *>(to), n);
}

template <class T> void blend_arrays(void *own, const void *other, int64_t n, double tau) {
    blend(static_cast<T *>(own), static_cast<const T *>(other), n, T(tau));
}

template <class T>
constexpr Kernels kernels = {FASTNN_VECTOR_BYTES,
                             Runs<T>::prediction_bytes,
                             Runs<T>::predict,
                             Runs<T>::predict_each,
                             Runs<T>::linear_bytes,
                             Runs<T>::linear,
                             Runs<T>::gradient_bytes,
                             Runs<T>::gradient,
                             Runs<T>::jacobian_bytes,
                             Runs<T>::jacobian,
                             Runs<T>::training_bytes,
                             Runs<T>::train,
                             function_of_array<T>,
                             activate_array<T>,
                             log_softmax_array<T>,
                             activation_derivative<T>,
                             times_derivative_array<T>,
                             prediction_loss<T>,
                             update_array<T>,
                             activation_has,
                             normalization_has,
                             optimizer_moments,
                             first_not_finite_of<T>,
                             multiply_add_chains<T>,
                             copy_array<T>,
                             blend_arrays<T>,
                             &lane_kernels<T>};

}  // namespace

#define JOIN(a, b) a##b
#define TABLE(prefix, isa) JOIN(prefix, isa)

namespace fastnn {
extern const Kernels TABLE(float32_, FASTNN_ISA_NAME), TABLE(float64_, FASTNN_ISA_NAME);
constexpr Kernels TABLE(float32_, FASTNN_ISA_NAME) = kernels<float>;
constexpr Kernels TABLE(float64_, FASTNN_ISA_NAME) = kernels<double>;
}  // namespace fastnn
