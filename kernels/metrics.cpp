#include "metrics.h"

#include <cmath>

namespace fastnn {

template <class T>
double add_errors(const T *p, const double *y, const double *weight, const double *of_outputs, int64_t n_rows, int64_t n_out,
                  double *squared) {
    double absolute = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        const double w = weight ? weight[i] : 1.0;
        double of_row = 0;
        for (int64_t j = 0; j < n_out; j++) {
            const double target = y[i * n_out + j];
            if (std::isnan(target)) continue;
            const double error = double(p[i * n_out + j]) - target;
            squared[j] += w * (error * error);
            of_row += of_outputs ? of_outputs[j] * std::fabs(error) : std::fabs(error);
        }
        absolute += w * of_row;
    }
    return absolute;
}

template <class T> double right_classes(const T *p, const int64_t *classes, const double *weight, int64_t n_rows, int64_t n_out) {
    double right = 0;
    for (int64_t i = 0; i < n_rows; i++, p += n_out) {
        int64_t largest = 0;
        for (int64_t j = 1; j < n_out; j++) largest = p[j] > p[largest] ? j : largest;
        if (largest == classes[i]) right += weight ? weight[i] : 1.0;
    }
    return right;
}

template <class T>
double right_sides(const T *p, const unsigned char *sides, double threshold, const double *weight, const double *of_outputs,
                   int64_t n_rows, int64_t n_out) {
    double right = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        double count = 0;
        for (int64_t j = 0; j < n_out; j++)
            if (sides[i * n_out + j] == (double(p[i * n_out + j]) > threshold)) count += of_outputs ? of_outputs[j] : 1.0;
        right += (weight ? weight[i] : 1.0) * count;
    }
    return right;
}

template double add_errors(const float *, const double *, const double *, const double *, int64_t, int64_t, double *);
template double add_errors(const double *, const double *, const double *, const double *, int64_t, int64_t, double *);
template double right_classes(const float *, const int64_t *, const double *, int64_t, int64_t);
template double right_classes(const double *, const int64_t *, const double *, int64_t, int64_t);
template double right_sides(const float *, const unsigned char *, double, const double *, const double *, int64_t, int64_t);
template double right_sides(const double *, const unsigned char *, double, const double *, const double *, int64_t, int64_t);

}  // namespace fastnn
