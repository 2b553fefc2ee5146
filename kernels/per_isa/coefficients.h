// The coefficients of each update: learning rates, and the corrections of moments that start at zero.
#pragma once

#include <cmath>

#include "kernel_tables.h"

namespace {

// base to a whole power, by squaring: the same on every machine.
inline double power(double base, int64_t exponent) {
    double result = 1;
    for (; exponent; exponent >>= 1, base *= base)
        if (exponent & 1) result *= base;
    return result;
}

// Successive powers of a base, with one multiplication each. A power depends on its exponent alone, not on those computed before:
// each begins at the last multiple of `restart`, whose power is found by squaring.
class Powers {
  public:
    explicit Powers(double base) : base_(base) {}
    double base() const { return base_; }
    double operator()(int64_t exponent) {
        const int64_t start = exponent / restart * restart;
        if (exponent == start || exponent != exponent_ + 1) {
            exponent_ = start;
            value_ = power(base_, start);
        }
        for (; exponent_ < exponent; exponent_++) value_ *= base_;
        return value_;
    }

  private:
    static constexpr int64_t restart = 64;
    double base_, value_ = 1;
    int64_t exponent_ = 0;
};

// The momentum of NAdam's update t, beta_1 (1 - 0.96^(t decay) / 2) (Dozat 2016; PyTorch's form).
class MomentumSchedule {
  public:
    MomentumSchedule(double beta_1, double decay) : beta_1_(beta_1), base_(std::pow(0.96, decay)), power_(base_) {}

    double operator()(int64_t t) { return beta_1_ * (1 - 0.5 * power_(t)); }

    // Returns the product of the first t. It is below beta_1^t, and 0 where 1 - beta_1^t rounds to 1.
    double product(int64_t t) {
        if (double(t) * std::log(beta_1_) < -40) return 0;
        if (t < counted_) product_ = 1, base_power_ = 1, counted_ = 0;
        for (; counted_ < t; counted_++) product_ *= beta_1_ * (1 - 0.5 * (base_power_ *= base_));
        return product_;
    }

  private:
    double beta_1_, base_;
    Powers power_;
    int64_t counted_ = 0;
    double base_power_ = 1, product_ = 1;
};

// How an update corrects moments that start at zero (Adam, section 3; the form with epsilon hat is at its end).
struct MomentCorrections {
    double numerator, divisor, root_scale;
    FASTNN_MEMBER double learning_rate(double given) const { return given * numerator / divisor; }
};

// The coefficients of successive updates. It remembers powers: each thread has one of its own.
template <class T> class CoefficientSchedule {
  public:
    explicit CoefficientSchedule(const Optimizer &optimizer)
        : o_(&optimizer),
          kernels_(all_optimizers<T>[optimizer.kind]),
          power_1_(optimizer.beta_1),
          power_2_(optimizer.beta_2),
          momentum_(optimizer.beta_1, optimizer.decay) {}
    CoefficientSchedule(const CoefficientSchedule &) = delete;
    CoefficientSchedule &operator=(const CoefficientSchedule &) = delete;

    // learning_rates: that of the update, and behind it the values of the optimizer's scheduled settings. updates: the number of
    // updates before. batch_weight: the sum of the batch's sample weights, not 0 where penalties are divided by it.
    // The result is valid until the next call. Without corrections and schedules, it changes with the rate and the weight alone.
    const Coefficients<T> &operator()(const double *learning_rates, int64_t updates, double batch_weight = 1) {
        const double share = o_->penalty_per_weight ? 1 / batch_weight : 1;
        if (o_->n_scheduled > 0) follow_schedules(learning_rates + 1);
        else if (!kernels_.corrects_moments && *learning_rates == learning_rate_ && share == share_) return last_;
        learning_rate_ = *learning_rates;
        share_ = share;
        return last_ = compute(*learning_rates, updates, share);
    }

    MomentCorrections corrections(int64_t updates) {
        const double root = std::sqrt(1 - power_2_(updates + 1)), divisor = 1 - power_1_(updates + 1);
        return o_->epsilon_hat ? MomentCorrections{root, divisor, 1} : MomentCorrections{1, divisor, 1 / root};
    }

  private:
    Coefficients<T> compute(double learning_rate, int64_t updates, double share) {
        Coefficients<T> c = {T(learning_rate),  T(o_->beta_1),
                             T(1 - o_->beta_1), T(o_->beta_2),
                             T(1 - o_->beta_2), T(1),
                             T(o_->epsilon),    T(1 - learning_rate * o_->decay),
                             T(o_->l1 * share), T(o_->l2 * share),
                             T(learning_rate),  T(learning_rate * o_->decay),
                             T(share)};
        if (kernels_.keeps_velocity) {
            c.one_minus_beta_1 = o_->rate_in_velocity ? T(learning_rate) : T(1);
            c.learning_rate = o_->rate_in_velocity ? T(1) : T(learning_rate);
        }
        if (kernels_.corrects_moments) {
            const MomentCorrections own = corrections(updates);
            c.learning_rate = T(own.learning_rate(learning_rate));
            c.root_scale = T(own.root_scale);
            if (kernels_.looks_ahead) look_ahead(c, learning_rate * own.numerator, updates + 1);
        }
        return c;
    }

    // The corrections of moments for their start at zero are those of the present beta_1, as in PyTorch.
    __attribute__((noinline)) void follow_schedules(const double *values) {
        own_ = *o_;
        o_ = &own_;
        for (int i = 0; i < own_.n_scheduled; i++) switch (own_.scheduled[i]) {
                case Scheduled::beta_1: own_.beta_1 = values[i]; break;
                case Scheduled::decay: own_.decay = values[i]; break;
                case Scheduled::l2: own_.l2 = values[i]; break;
                case Scheduled::dropout_factor:  // these are no settings of updates
                case Scheduled::label_smoothing_factor: break;
            }
        if (own_.beta_1 != power_1_.base()) power_1_ = Powers(own_.beta_1);
    }

    // Not inlined: the rest, which is all that other optimizers need, is then short enough to be inlined.
    __attribute__((noinline)) void look_ahead(Coefficients<T> &c, double numerator, int64_t t) {
        const double now = momentum_(t), next = momentum_(t + 1), product = momentum_.product(t);
        c.gradient_learning_rate = T(numerator * (1 - now) / (1 - product));
        c.learning_rate = T(numerator * next / (1 - product * next));
    }

    const Optimizer *o_;
    Optimizer own_;  // in its place, with the values of a step, if settings follow schedules
    const OptimizerKernels<T> &kernels_;
    Powers power_1_, power_2_;
    MomentumSchedule momentum_;
    double learning_rate_ = NAN, share_ = NAN;  // of the last coefficients; equal to none at first
    Coefficients<T> last_;
};

}  // namespace
