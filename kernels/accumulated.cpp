#include "accumulated.h"

#include <cstring>

#include "memory.h"

namespace fastnn {
namespace {

template <class T> void combine(T *to, const T *first, T a, const T *second, T b, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = first[i] * a + second[i] * b;
}

}  // namespace

Accumulated::~Accumulated() { free_zeros(memory_); }

bool Accumulated::reserve(int64_t size, Type type) {
    if (memory_) return true;  // the network of a trainer keeps its size
    const std::lock_guard<std::mutex> lock(mutex_);
    memory_ = allocate_zeros(3 * size * element_size(type));
    size_ = size, type_ = type;
    return memory_;
}

void Accumulated::start() {
    if (!is_empty_) return;
    std::memset(memory_, 0, size_t(2 * bytes()));
    weight_ = 0;
    is_empty_ = false;
}

void Accumulated::combine(int64_t to, int64_t first, double a, int64_t second, double b) {
    void *const out = part(to);
    const void *const x = part(first), *const y = part(second);
    if (type_ == Type::float32)
        fastnn::combine(static_cast<float *>(out), static_cast<const float *>(x), float(a), static_cast<const float *>(y), float(b),
                        size_);
    else fastnn::combine(static_cast<double *>(out), static_cast<const double *>(x), a, static_cast<const double *>(y), b, size_);
}

void Accumulated::add_mean(double weight) {
    const std::lock_guard<std::mutex> lock(mutex_);
    start();
    if (weight == 0) return;
    const double total = weight_ + weight;
    combine(0, 0, weight_ / total, 2, weight / total);
    weight_ = total;
}

void Accumulated::add_given() {
    const std::lock_guard<std::mutex> lock(mutex_);
    start();
    combine(1, 1, 1, 2, 1);
}

void *Accumulated::sum() {
    combine(2, 0, 1, 1, 1);
    return part(2);
}

void Accumulated::discard() {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_empty_ = true;
}

bool Accumulated::get(void *mean, void *given, double *weight) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_empty_) return false;
    std::memcpy(mean, part(0), size_t(bytes()));
    std::memcpy(given, part(1), size_t(bytes()));
    *weight = weight_;
    return true;
}

void Accumulated::set(const void *mean, const void *given, double weight) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::memcpy(part(0), mean, size_t(bytes()));
    std::memcpy(part(1), given, size_t(bytes()));
    weight_ = weight;
    is_empty_ = false;
}

}  // namespace fastnn
