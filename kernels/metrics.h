// Sums over predictions and targets, for the metrics of training. They are compiled once: every instruction set gives the same bits.
#pragma once

#include <cstdint>

namespace fastnn {

// Each adds up rows of n_out outputs p in double precision, in their order; no weights are weights of 1.

// Adds the squared errors of each output to `squared`, and returns the sum of the absolute errors of all.
template <class T>
double add_errors(const T *p, const double *y, const double *weight, int64_t n_rows, int64_t n_out, double *squared);
// Returns the weight of the rows whose largest output, the first of several, is that of their class.
template <class T> double right_classes(const T *p, const int64_t *classes, const double *weight, int64_t n_rows, int64_t n_out);
// Returns the sum over rows of the number of outputs that are above the threshold exactly where `above` says so.
template <class T>
double right_sides(const T *p, const unsigned char *above, double threshold, const double *weight, int64_t n_rows, int64_t n_out);

}  // namespace fastnn
