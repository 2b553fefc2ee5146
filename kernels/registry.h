// The one list of names. A row is (name, C++ struct); the struct stands in the file of its noun, the oracle under the same
// name in src/fastnn/reference. The position in the list is the number that Python passes.
#pragma once

#define FASTNN_ACTIVATIONS(ROW)                                                                                         \
    ROW(identity, Identity)                                                                                            \
    ROW(tanh, Tanh)                                                                                                    \
    ROW(sigmoid, Sigmoid)                                                                                              \
    ROW(relu, Relu)                                                                                                    \
    ROW(leaky_relu, LeakyRelu)                                                                                         \
    ROW(elu, Elu)                                                                                                      \
    ROW(gelu, Gelu)                                                                                                    \
    ROW(silu, Silu)                                                                                                    \
    ROW(softplus, Softplus)                                                                                            \
    ROW(sin, Sin)                                                                                                      \
    ROW(exp, Exp)                                                                                                      \
    ROW(softmax, Softmax)

#define FASTNN_LOSSES(ROW)                                                                                              \
    ROW(mse, SquaredError)                                                                                             \
    ROW(mae, AbsoluteError)                                                                                            \
    ROW(huber, Huber)                                                                                                  \
    ROW(quantile, Quantile)                                                                                            \
    ROW(poisson, Poisson)                                                                                              \
    ROW(binary_cross_entropy, BinaryCrossEntropy)                                                                      \
    ROW(cross_entropy, CrossEntropy)

#define FASTNN_OPTIMIZERS(ROW)                                                                                          \
    ROW(sgd, GradientDescent)                                                                                          \
    ROW(momentum, Momentum)                                                                                            \
    ROW(nesterov, Nesterov)                                                                                            \
    ROW(adagrad, AdaGrad)                                                                                              \
    ROW(rmsprop, RMSProp)                                                                                              \
    ROW(adam, Adam)                                                                                                    \
    ROW(adamw, AdamW)
