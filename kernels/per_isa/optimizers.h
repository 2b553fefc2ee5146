// Optimizers, as PyTorch defines them, one vector at a time.
#pragma once

#include <limits>

#include "kernel_tables.h"
#include "penalties.h"

namespace {

// A struct's update(w, g, m, v, c) returns the new weights, and changes the moments m and v in place; c are coefficients of either
// kind. Each struct declares its number of moments.

// The traits that most structs share. A struct that differs declares its own.
struct OptimizerTraits {
    static constexpr bool is_plain_descent = false;          // w - learning_rate * g, which a product can compute at its end
    static constexpr bool keeps_velocity = false;            // the moment is a velocity, of gradients or of steps
    static constexpr bool corrects_moments = false;          // moments are corrected for their start at zero
    static constexpr bool looks_ahead = false;               // steps along the next mean and the gradient, by NAdam's schedule
    static constexpr bool is_noop_without_gradient = false;  // g = 0 changes neither weights nor moments
    static constexpr bool orthogonalizes = false;            // hidden matrices have another update
};

template <class T> struct GradientDescent : OptimizerTraits {
    static constexpr int moments = 0;
    static constexpr bool is_plain_descent = true, is_noop_without_gradient = true;
    template <class C> FASTNN_INLINE Vec<T> update(Vec<T> w, Vec<T> g, Vec<T> &, Vec<T> &, const C &c) {
        return fma(splat(-c.learning_rate), g, w);
    }
};

// Polyak 1964. The velocity is a sum of gradients, and one_minus_beta_1 is 1; or it is a sum of steps, and learning_rate is 1.
template <class T> struct Momentum : OptimizerTraits {
    static constexpr int moments = 1;
    static constexpr bool keeps_velocity = true;
    template <class C> FASTNN_INLINE Vec<T> update(Vec<T> w, Vec<T> g, Vec<T> &m, Vec<T> &, const C &c) {
        m = fma(splat(c.beta_1), m, c.one_minus_beta_1 * g);
        return fma(splat(-c.learning_rate), m, w);
    }
};

// Nesterov 1983, in the form of Sutskever et al. 2013.
template <class T> struct Nesterov : OptimizerTraits {
    static constexpr int moments = 1;
    static constexpr bool keeps_velocity = true;
    template <class C> FASTNN_INLINE Vec<T> update(Vec<T> w, Vec<T> g, Vec<T> &m, Vec<T> &, const C &c) {
        const Vec<T> step = c.one_minus_beta_1 * g;
        m = fma(splat(c.beta_1), m, step);
        return fma(splat(-c.learning_rate), fma(splat(c.beta_1), m, step), w);
    }
};

// Duchi, Hazan & Singer 2011.
template <class T> struct AdaGrad : OptimizerTraits {
    static constexpr int moments = 1;
    static constexpr bool is_noop_without_gradient = true;
    template <class C> FASTNN_INLINE Vec<T> update(Vec<T> w, Vec<T> g, Vec<T> &m, Vec<T> &, const C &c) {
        m = fma(g, g, m);
        return w - c.learning_rate * g / (sqrt(m) + c.epsilon);
    }
};

// Tieleman & Hinton 2012.
template <class T> struct RMSProp : OptimizerTraits {
    static constexpr int moments = 1;
    template <class C> FASTNN_INLINE Vec<T> update(Vec<T> w, Vec<T> g, Vec<T> &m, Vec<T> &, const C &c) {
        m = fma(splat(c.beta_1), m, c.one_minus_beta_1 * (g * g));
        return w - c.learning_rate * g / (sqrt(m) + c.epsilon);
    }
};

// Kingma & Ba 2014, arXiv:1412.6980. learning_rate and root_scale contain the corrections for the moments' start at zero.
template <class T> struct Adam : OptimizerTraits {
    static constexpr int moments = 2;
    static constexpr bool corrects_moments = true;
    template <class C> FASTNN_INLINE Vec<T> update(Vec<T> w, Vec<T> g, Vec<T> &m, Vec<T> &v, const C &c) {
        m = fma(splat(c.beta_1), m, c.one_minus_beta_1 * g);
        v = fma(splat(c.beta_2), v, c.one_minus_beta_2 * (g * g));
        return w - c.learning_rate * m / fma(sqrt(v), splat(c.root_scale), splat(c.epsilon));
    }
};

// Loshchilov & Hutter 2017, arXiv:1711.05101. The weights decay independently of the gradient.
template <class T> struct AdamW : OptimizerTraits {
    static constexpr int moments = 2;
    static constexpr bool corrects_moments = true;
    template <class C> FASTNN_INLINE Vec<T> update(Vec<T> w, Vec<T> g, Vec<T> &m, Vec<T> &v, const C &c) {
        return Adam<T>::update(w * c.decay_factor, g, m, v, c);
    }
};

// Dozat 2016, "Incorporating Nesterov momentum into Adam", with a momentum that grows: learning_rate and gradient_learning_rate
// contain its schedule.
template <class T> struct NAdam : OptimizerTraits {
    static constexpr int moments = 2;
    static constexpr bool corrects_moments = true, looks_ahead = true;
    template <class C> FASTNN_INLINE Vec<T> update(Vec<T> w, Vec<T> g, Vec<T> &m, Vec<T> &v, const C &c) {
        m = fma(splat(c.beta_1), m, c.one_minus_beta_1 * g);
        v = fma(splat(c.beta_2), v, c.one_minus_beta_2 * (g * g));
        return w -
               fma(splat(c.learning_rate), m, c.gradient_learning_rate * g) / fma(sqrt(v), splat(c.root_scale), splat(c.epsilon));
    }
};

// Chen et al. 2023, arXiv:2302.06675. Zero has no direction, so that padding stays zero; NaN stays NaN.
template <class T> struct Lion : OptimizerTraits {
    static constexpr int moments = 1;
    template <class C> FASTNN_INLINE Vec<T> update(Vec<T> w, Vec<T> g, Vec<T> &m, Vec<T> &, const C &c) {
        const Vec<T> mean = fma(splat(c.beta_1), m, c.one_minus_beta_1 * g);
        const Vec<T> direction = abs<T>(mean) > Vec<T>{} ? copysign<T>(splat(T(1)), mean) : mean;
        m = fma(splat(c.beta_2), m, c.one_minus_beta_2 * g);
        return fma(splat(-c.learning_rate), direction, w * c.decay_factor);
    }
};

// Jordan et al. 2024: the update of hidden matrices is in orthogonal_updates.h. All other parameters have that of AdamW.
template <class T> struct Muon : AdamW<T> {
    static constexpr bool orthogonalizes = true;
};

// Updates count elements. The padding among them stays zero, since its gradients are zero.
template <class T, template <class> class O, class C> void update(T *w, const T *g, T *m, T *v, int64_t count, const C &c) {
    for_each_vector<T>(count, [=](int64_t i, auto access) {
        Vec<T> mi = {}, vi = {};
        if constexpr (O<T>::moments >= 1) mi = access.load(m + i);
        if constexpr (O<T>::moments >= 2) vi = access.load(v + i);
        access.store(w + i, O<T>::update(access.load(w + i), access.load(g + i), mi, vi, c));
        if constexpr (O<T>::moments >= 1) access.store(m + i, mi);
        if constexpr (O<T>::moments >= 2) access.store(v + i, vi);
    });
}

// Makes n updates of N vectors in registers, with the gradient of the penalties alone. The bits are those of one update after the
// other. The vectors stand from element `at` of the arrays on; m or v may be null. The penalties of each update are added to its
// block of `penalties`, from the block's vector `first` on, unless that array is null. Most runs have neither L1 nor clipping;
// L2_ALONE takes two thirds of the time for them.
template <class T, template <class> class O, int N, bool L2_ALONE>
FASTNN_INLINE void replay_vectors(T *w, T *m, T *v, int64_t at, const Coefficients<T> *updates, int n, T clip_value,
                                  Vec<T> *penalties, int64_t first) {
    Vec<T> wi[N], mi[N] = {}, vi[N] = {};
#pragma GCC unroll 4
    for (int u = 0; u < N; u++) {
        wi[u] = load(w + at + u * lanes<T>);
        if constexpr (O<T>::moments >= 1) mi[u] = load(m + at + u * lanes<T>);
        if constexpr (O<T>::moments >= 2) vi[u] = load(v + at + u * lanes<T>);
    }
    for (int s = 0; s < n; s++) {
        const Coefficients<T> &c = updates[s];
#pragma GCC unroll 4
        for (int u = 0; u < N; u++) {
            if (penalties) {
                Vec<T> &sum = penalties[s * block_vectors + (first + u) % block_vectors];
                sum = L2_ALONE ? fma(T(0.5) * c.l2 * wi[u], wi[u], sum) : sum + penalty_value<T>(wi[u], c.l1, c.l2);
            }
            Vec<T> g = Vec<T>{} + (L2_ALONE ? c.l2 * wi[u] : penalty_derivative<T>(wi[u], c.l1, c.l2));
            if (!L2_ALONE) g = max(splat(-clip_value), min(splat(clip_value), g));
            wi[u] = O<T>::update(wi[u], g, mi[u], vi[u], c);
        }
    }
#pragma GCC unroll 4
    for (int u = 0; u < N; u++) {
        store(w + at + u * lanes<T>, wi[u]);
        if constexpr (O<T>::moments >= 1) store(m + at + u * lanes<T>, mi[u]);
        if constexpr (O<T>::moments >= 2) store(v + at + u * lanes<T>, vi[u]);
    }
}

template <class T, template <class> class O, bool L2_ALONE>
void replay_row(T *w, T *m, T *v, int64_t count, const Coefficients<T> *updates, int n, T clip_value, Vec<T> *penalties) {
    constexpr int panel = 4;
    int64_t i = 0;
    for (; i + panel * lanes<T> <= count; i += panel * lanes<T>)
        replay_vectors<T, O, panel, L2_ALONE>(w, m, v, i, updates, n, clip_value, penalties, 0);
    for (; i < count; i += lanes<T>) replay_vectors<T, O, 1, L2_ALONE>(w, m, v, i, updates, n, clip_value, penalties, i / lanes<T>);
}

// Makes n updates of a row of whole vectors.
template <class T, template <class> class O>
void replay(T *w, T *m, T *v, int64_t count, const Coefficients<T> *updates, int n, T clip_value, Vec<T> *penalties) {
    const bool l2_alone = updates[0].l1 == 0 && clip_value == std::numeric_limits<T>::infinity();
    (l2_alone ? replay_row<T, O, true> : replay_row<T, O, false>)(w, m, v, count, updates, n, clip_value, penalties);
}

template <class T, template <class> class O> constexpr OptimizerKernels<T> optimizer_kernels() {
    return {update<T, O, Coefficients<T>>,
            update<T, O, Coefficients<T, Vec<T>>>,
            replay<T, O>,
            O<T>::moments,
            O<T>::is_plain_descent,
            O<T>::keeps_velocity,
            O<T>::corrects_moments,
            O<T>::looks_ahead,
            O<T>::is_noop_without_gradient,
            O<T>::orthogonalizes};
}

}  // namespace
