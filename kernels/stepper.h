// Single steps of training, on batches that the caller brings one at a time.
#pragma once

#include <atomic>

#include "api.h"

namespace fastnn {

enum class StepStatus : int32_t { done, diverged, weightless, no_memory };

// Keeps from one step to the next what a run keeps from one batch to the next.
class Stepper {
  public:
    Stepper() = default;
    ~Stepper();
    Stepper(const Stepper &) = delete;
    Stepper &operator=(const Stepper &) = delete;

    // Network, parameters, moments, loss, optimizer, updates and the source of random numbers are the caller's to fill in. The
    // loss before a step stands in batch_loss.
    Training training = {};
    ThreadTimings *timings = nullptr;
    double learning_rate = 0;
    Type type = Type::float64;
    int n_threads = 0;        // 0: as many as pay
    double work_per_row = 0;  // floating-point operations of a step
    bool takes_labels = false;

    // Only one caller at a time may step, or read and write what training points to.
    bool acquire() { return !busy_.exchange(true, std::memory_order_acquire); }
    void release() { busy_.store(false, std::memory_order_release); }

    // To be called, by who has acquired it, after a change of anything above between two steps.
    void change() { rows_ = -1; }

    // By who has acquired it. After any but `done` nothing has changed.
    StepStatus step(const Rows &x, const Rows &y, const double *sample_weight, int64_t n_rows);

  private:
    bool lay_out(const Rows &x, int64_t n_rows);

    std::atomic<bool> busy_{false};
    void *snapshot_ = nullptr, *workspace_ = nullptr;
    int64_t snapshot_bytes_ = 0, workspace_bytes_ = 0;
    int64_t rows_ = -1, threads_ = 0;  // of dense batches for which the workspace is laid out
};

}  // namespace fastnn
