// The one list of names. Most rows are (name, C++ struct). The struct is in the file of its noun, and the reference has the same
// name in src/fastnn/reference. The position in the list is the number that Python passes, and that users' compiled programs
// contain: new rows go to the end.
#pragma once

#define FASTNN_ACTIVATIONS(ROW) \
    ROW(identity, Identity)     \
    ROW(tanh, Tanh)             \
    ROW(sigmoid, Sigmoid)       \
    ROW(relu, Relu)             \
    ROW(leaky_relu, LeakyRelu)  \
    ROW(elu, Elu)               \
    ROW(gelu, Gelu)             \
    ROW(silu, Silu)             \
    ROW(softplus, Softplus)     \
    ROW(sin, Sin)               \
    ROW(exp, Exp)               \
    ROW(softmax, Softmax)       \
    ROW(selu, Selu)             \
    ROW(mish, Mish)

// Activations with a trained slope per unit, for networks alone. Their numbers follow.
#define FASTNN_SLOPED_ACTIVATIONS(ROW) ROW(prelu, Prelu)

// Normalizations of a hidden layer's units. Their numbers begin with 1, since 0 stands for none.
#define FASTNN_NORMALIZATIONS(ROW) \
    ROW(layer_norm, LayerNorm)     \
    ROW(rms_norm, RmsNorm)

// Embeddings: what stands in the place of some columns of X before the first layer. The first kind passes columns on as they are.
#define FASTNN_EMBEDDINGS(ROW)    \
    ROW(columns, PassedColumns)   \
    ROW(pbld, Pbld)               \
    ROW(plr, Plr)                 \
    ROW(one_hot, OneHot)          \
    ROW(categorical, Categorical) \
    ROW(piecewise_linear, PiecewiseLinear)

// The kinds of parameters. Every layer has the first two. The last kind is that of embeddings, which stand before all layers.
#define FASTNN_BLOCK_KINDS(ROW) \
    ROW(weights)                \
    ROW(biases)                 \
    ROW(slopes) ROW(gains) ROW(shifts) ROW(alphas) ROW(scales) ROW(output_scales) ROW(projections) ROW(embedding_parameters)

// Elementwise functions of arrays: (name, member of the struct, struct).
#define FASTNN_FUNCTIONS(ROW)                   \
    ROW(tanh, value, Tanh)                      \
    ROW(tanh_grad, derivative, Tanh)            \
    ROW(sigmoid, value, Sigmoid)                \
    ROW(sigmoid_grad, derivative, Sigmoid)      \
    ROW(relu, value, Relu)                      \
    ROW(relu_grad, derivative, Relu)            \
    ROW(leaky_relu, value, LeakyRelu)           \
    ROW(leaky_relu_grad, derivative, LeakyRelu) \
    ROW(elu, value, Elu)                        \
    ROW(elu_grad, derivative, Elu)              \
    ROW(gelu, value, Gelu)                      \
    ROW(gelu_grad, derivative, Gelu)            \
    ROW(silu, value, Silu)                      \
    ROW(silu_grad, derivative, Silu)            \
    ROW(softplus, value, Softplus)              \
    ROW(softplus_grad, derivative, Softplus)    \
    ROW(sin, value, Sin)                        \
    ROW(cos, derivative, Sin)                   \
    ROW(exp, value, Exp)                        \
    ROW(expm1, value, Expm1)                    \
    ROW(log, value, Log)                        \
    ROW(log1p, value, Log1p)                    \
    ROW(selu, value, Selu)                      \
    ROW(selu_grad, derivative, Selu)            \
    ROW(mish, value, Mish)                      \
    ROW(mish_grad, derivative, Mish)

#define FASTNN_LOSSES(ROW)                        \
    ROW(mse, SquaredError)                        \
    ROW(mae, AbsoluteError)                       \
    ROW(huber, Huber)                             \
    ROW(quantile, Quantile)                       \
    ROW(poisson, Poisson)                         \
    ROW(binary_cross_entropy, BinaryCrossEntropy) \
    ROW(cross_entropy, CrossEntropy)              \
    ROW(gaussian_nll, GaussianNLL)                \
    ROW(multi_quantile, MultiQuantile)            \
    ROW(kl_divergence, KLDivergence)              \
    ROW(cosine, Cosine)                           \
    ROW(hinge, Hinge)                             \
    ROW(squared_hinge, SquaredHinge)

// Losses of predictions, for functions of arrays.
#define FASTNN_PREDICTION_LOSSES(ROW)              \
    ROW(mse_loss, SquaredDistance)                 \
    ROW(binary_cross_entropy, BinaryLogLikelihood) \
    ROW(cross_entropy, LogLikelihood)

#define FASTNN_OPTIMIZERS(ROW) \
    ROW(sgd, GradientDescent)  \
    ROW(momentum, Momentum)    \
    ROW(nesterov, Nesterov)    \
    ROW(adagrad, AdaGrad)      \
    ROW(rmsprop, RMSProp)      \
    ROW(adam, Adam)            \
    ROW(adamw, AdamW)          \
    ROW(nadam, NAdam)          \
    ROW(lion, Lion)            \
    ROW(muon, Muon)
