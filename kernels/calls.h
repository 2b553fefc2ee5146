// Calls from outside, each with a workspace of its own: of Python, and of code that Numba or Cython have compiled.
#pragma once

#include "api.h"

namespace fastnn {

// Where memory for a workspace can't be had, nothing happens but that false is returned.
bool predict(const Prediction &, Type type);
bool linear(Linear &, Type type);  // fills in the layer's layout

// As many threads as so many floating-point operations pay for.
int threads_for(double operations);

}  // namespace fastnn
