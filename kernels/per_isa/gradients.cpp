// Losses, gradients and Jacobians of many rows.
#include "gradient_run.h"
#include "jacobian.h"
#include "runs.h"

FASTNN_DEFINE_RUN(gradient_bytes, void, gradient, GradientRun, Gradient)
FASTNN_DEFINE_RUN(jacobian_bytes, void, jacobian, JacobianRun, const Jacobian)
