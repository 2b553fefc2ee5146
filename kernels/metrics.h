// Sums over predictions and targets, for the metrics of training. They are compiled once: every instruction set gives the same bits.
#pragma once

#include <cstdint>

namespace fastnn {

// Each adds up rows of n_out outputs p in double precision, in their order. `weight` has the weights of rows, and of_outputs those
// of outputs; null stands for weights of 1.

// Adds the squared errors of each output to `squared`, and returns the sum of the absolute errors of all, which alone is weighted
// with of_outputs. Targets that are NaN add nothing.
template <class T>
double add_errors(const T *p, const double *y, const double *weight, const double *of_outputs, int64_t n_rows, int64_t n_out,
                  double *squared);
// Returns the weight of the rows whose largest output, the first of several, is that of their class. Class -1 is none.
template <class T> double right_classes(const T *p, const int64_t *classes, const double *weight, int64_t n_rows, int64_t n_out);
// Returns the weight of the outputs that are on the right side of the threshold: above it where `sides` is 1, and otherwise where
// it is 0. No side is right where it is 2.
template <class T>
double right_sides(const T *p, const unsigned char *sides, double threshold, const double *weight, const double *of_outputs,
                   int64_t n_rows, int64_t n_out);

}  // namespace fastnn
