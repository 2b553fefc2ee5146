// All kernels of one instruction set: the build compiles this file once per instruction set. Everything except its two tables is
// in anonymous namespaces; otherwise the linker would merge functions of different instruction sets into one.
#include "blend.h"
#include "functions.h"
#include "jacobian.h"
#include "linear.h"
#include "peak_flops.h"
#include "isa_kernels.h"
#include "lanes_training.h"
#include "training_loop.h"

namespace {

template <class T> int64_t prediction_bytes(const Prediction &call) {
    Arena arena(nullptr);
    Predictor<T> counted(call, arena);
    return arena.used();
}

template <class T> void predict(const Prediction &call, void *workspace) {
    Arena arena(workspace);
    Predictor<T>(call, arena).run();
}

template <class T> void predict_each(const PredictionOfEach &call, void *workspace) {
    Arena arena(workspace);
    Predictor<T>(call.first, arena).run_each(call);
}

template <class T> int64_t linear_bytes(const Linear &call) {
    Arena arena(nullptr);
    LinearRun<T> counted(call, arena);
    return arena.used();
}

template <class T> void linear(const Linear &call, void *workspace) {
    Arena arena(workspace);
    LinearRun<T>(call, arena).run();
}

template <class T> int64_t gradient_bytes(Gradient &call) {
    Arena arena(nullptr);
    GradientRun<T> counted(call, arena);
    return arena.used();
}

template <class T> void gradient(Gradient &call, void *workspace) {
    Arena arena(workspace);
    GradientRun<T>(call, arena).run();
}

template <class T> int64_t jacobian_bytes(const Jacobian &call) {
    Arena arena(nullptr);
    JacobianRun<T> counted(call, arena);
    return arena.used();
}

template <class T> void jacobian(const Jacobian &call, void *workspace) {
    Arena arena(workspace);
    JacobianRun<T>(call, arena).run();
}

template <class T> int64_t training_bytes(Training &training) {
    Arena arena(nullptr);
    TrainingLoop<T> counted(training, arena);
    return arena.used();
}

template <class T> Status train(Training &training, void *workspace) {
    Arena arena(workspace);
    return TrainingLoop<T>(training, arena).run();
}

template <class T> void function_of_array(int32_t function, const void *x, void *y, int64_t n) {
    all_functions<T>[function](static_cast<const T *>(x), static_cast<T *>(y), n);
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
    return all_prediction_losses<T>[loss](static_cast<const T *>(p), static_cast<const T *>(y), n);
}

template <class T>
void update_array(const Optimizer &o, void *w, const void *g, void *m, void *v, int64_t n, double learning_rate, int64_t updates) {
    all_optimizers<T>[o.kind].update(static_cast<T *>(w), static_cast<const T *>(g), static_cast<T *>(m), static_cast<T *>(v), n,
                                     CoefficientSchedule<T>(o)(learning_rate, updates));
}

inline bool activation_has(int32_t activation, BlockKind kind) { return all_activations<float>[activation].has(kind); }
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

template <class T> int64_t lanes_bytes(const Training &training) {
    Arena arena(nullptr);
    Training *member = const_cast<Training *>(&training);
    LaneTraining<T> counted(&member, 1, arena);
    return arena.used();
}

template <class T> void train_lanes(Training *const *members, Status *status, int n, void *workspace) {
    Arena arena(workspace);
    LaneTraining<T>(members, n, arena).run(status);
}

template <class T> constexpr LaneKernels lane_kernels = {lanes<T>, fits_lanes<T>, same_lanes, lanes_bytes<T>, train_lanes<T>};

template <class T>
constexpr Kernels kernels = {FASTNN_VECTOR_BYTES,
                             prediction_bytes<T>,
                             predict<T>,
                             predict_each<T>,
                             linear_bytes<T>,
                             linear<T>,
                             gradient_bytes<T>,
                             gradient<T>,
                             jacobian_bytes<T>,
                             jacobian<T>,
                             training_bytes<T>,
                             train<T>,
                             function_of_array<T>,
                             activate_array<T>,
                             log_softmax_array<T>,
                             activation_derivative<T>,
                             times_derivative_array<T>,
                             prediction_loss<T>,
                             update_array<T>,
                             activation_has,
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
const Kernels TABLE(float32_, FASTNN_ISA_NAME) = kernels<float>;
const Kernels TABLE(float64_, FASTNN_ISA_NAME) = kernels<double>;
}  // namespace fastnn
