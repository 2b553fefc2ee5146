// Many networks at once: predictions and parameters of populations, means and spreads of ensembles.
#pragma once

#include "calls.h"

namespace fastnn {

struct ManyPredictions {
    const Model *const *models;  // at least one; of one type, with the same numbers of inputs and of outputs
    int64_t n_models;
    Rows x;            // of the first model
    int64_t x_stride;  // bytes from the rows of one model to those of the next; 0 if all have the same rows
    int64_t n_rows;    // of each model
    void *out;         // n_models x n_rows x n_out
    int n_threads;     // 0: as many as are worthwhile
};

// Sets the number of threads if it is 0, and returns the floating-point operations.
double choose_threads(ManyPredictions &);
// Computes the outputs of all models, with the bits of `predict`. Returns false if there is no memory for workspaces.
bool predict_many(const ManyPredictions &);

// Computes the mean and the standard deviation of each of `size` elements over n_models arrays, which stand side by side. Sums are
// in double, in the order of the models. mean or deviation may be null; `divisor` is that of the mean square deviation.
template <class T> void spread_over_models(const T *values, int64_t n_models, int64_t size, double divisor, T *mean, T *deviation);

}  // namespace fastnn
