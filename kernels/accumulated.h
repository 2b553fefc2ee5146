// The gradients of several batches, which are collected for one update.
#pragma once

#include <mutex>

#include "api.h"

namespace fastnn {

// Each gradient has the elements of the storage. One thread at a time adds batches; another one may read with `get`.
class Accumulated {
  public:
    Accumulated() = default;
    ~Accumulated();
    Accumulated(const Accumulated &) = delete;
    Accumulated &operator=(const Accumulated &) = delete;

    // Makes room for gradients of this size, and returns whether there is memory. The other functions need it.
    bool reserve(int64_t size, Type);
    bool is_empty() const { return is_empty_; }
    // Returns the place for the gradient of the next batch.
    void *batch() { return part(2); }
    // Add batch(): as the gradient of a mean over rows of this total weight, or unscaled. If the weight is 0, nothing counts.
    void add_mean(double weight);
    void add_given();
    // Returns the sum of the mean and the unscaled gradients, which takes the place of batch().
    void *sum();
    void discard();

    // For files and copies. `get` returns false if nothing was accumulated.
    bool get(void *mean, void *given, double *weight);
    void set(const void *mean, const void *given, double weight);

  private:
    void *part(int64_t number) { return static_cast<char *>(memory_) + number * bytes(); }
    int64_t bytes() const { return size_ * element_size(type_); }
    void start();  // with zeros, unless something was accumulated
    // Sets part `to` = a * first + b * second, element by element.
    void combine(int64_t to, int64_t first, double a, int64_t second, double b);

    std::mutex mutex_;
    void *memory_ = nullptr;  // the gradient of the mean loss so far, the sum of unscaled gradients, and that of the next batch
    int64_t size_ = 0;
    Type type_ = Type::float64;
    bool is_empty_ = true;
    double weight_ = 0;  // of all rows in the mean
};

}  // namespace fastnn
