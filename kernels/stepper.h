// Single steps of training, on one batch after the other from the caller.
#pragma once

#include <atomic>

#include "accumulated.h"
#include "calls.h"
#include "memory.h"

namespace fastnn {

enum class StepStatus : int32_t { done, diverged, weightless, no_memory, nothing_accumulated };

// Keeps the state of training from one step to the next, like a run from one batch to the next.
class Stepper {
  public:
    Stepper() = default;
    Stepper(const Stepper &) = delete;
    Stepper &operator=(const Stepper &) = delete;

    // The caller sets network, parameters, moments, loss, optimizer, updates and the source of random numbers. A step stores the
    // loss before it in batch_loss.
    Training training = {};
    const Model *model = nullptr;                   // the same network and parameters
    double learning_rates[1 + max_scheduled] = {};  // of the next step, as in a run
    Type type = Type::float64;
    int n_threads = 0;        // 0 if the kernels choose
    double work_per_row = 0;  // floating-point operations of a step
    bool takes_labels = false;

    // Only the caller that has acquired it may step, or use the memory that training points to.
    bool acquire() { return !busy_.exchange(true, std::memory_order_acquire); }
    void release() { busy_.store(false, std::memory_order_release); }

    // The caller that has acquired it calls this after changing any member above between two steps.
    void change() { rows_ = -1; }
    // The same after a change of its settings, or with numbers in the workspace that are not finite.
    void forget() {
        change();
        workspace.forget();
    }

    // For the caller that has acquired it. Nothing has changed if the result is not `done`.
    StepStatus step(const Rows &x, const Rows &y, const double *sample_weight, int64_t n_rows);
    // The same with the gradient of any loss with respect to the outputs, summed over rows as it is.
    StepStatus step_gradient(const Rows &x, const Rows &gradient, int64_t n_rows);
    // Adds the gradient of a batch to those of earlier batches, and stores its loss without penalties in batch_loss.
    StepStatus accumulate(const Rows &x, const Rows &y, const double *sample_weight, int64_t n_rows);
    // The same with the gradient of any loss with respect to the outputs, which is added unscaled.
    StepStatus accumulate_gradient(const Rows &x, const Rows &gradient, int64_t n_rows);
    // Makes an update with the accumulated gradients, and discards them unless there is no memory.
    StepStatus apply();
    // Makes an update with this gradient, which has the elements of the storage, and is changed. batch_loss is the penalty then.
    // ends_epoch: for an average over epochs. Without `restores`, the state is changed even if the result is `diverged`.
    StepStatus apply_gradient(void *gradient, bool ends_epoch = false, bool restores = true);
    Accumulated accumulated;
    // Of the step or the run in hand: both are kept for the next one. Whoever uses them between two steps calls change().
    KeptArray snapshot, workspace;
    double dropout_factor = 1, label_smoothing_factor = 1;  // of the batches that are accumulated

  private:
    // Where an update comes from: a loss, its gradient with respect to the outputs, or the gradient of all parameters.
    enum class Source { loss, output_gradient, gradient };

    StepStatus run(const Rows &x, const Rows &y, const double *sample_weight, int64_t n_rows);
    bool lay_out(const Rows &x, int64_t n_rows);
    StepStatus compute_gradient(const Loss &loss, const Rows &x, const Rows &y, const double *sample_weight, int64_t n_rows,
                                double *weight);

    std::atomic<bool> busy_{false};
    int64_t rows_ = -1, threads_ = 0;  // of the dense batches that the workspace is laid out for
    Source source_ = Source::loss;     // of the updates that it is laid out for
    bool restores_ = true;             // whether the state is restored if the step in hand diverges
};

}  // namespace fastnn
