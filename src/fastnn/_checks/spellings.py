"""Names from Keras, PyTorch and scikit-learn, and fastnn's names for them. They serve only error messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Maps options of other libraries to the options of fastnn with the same effect. The first that the function has is used.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "x": ("X",),
    "inputs": ("X",),
    **dict.fromkeys(("Y", "target", "targets", "labels", "y_true"), ("y",)),
    **dict.fromkeys(("sample_weights", "weights"), ("sample_weight",)),
    **dict.fromkeys(("lr", "learning_rate_init", "eta", "eta0"), ("learning_rate",)),
    **dict.fromkeys(("n_epochs", "num_epochs", "nb_epoch", "epoch", "n_epoch", "max_epochs", "max_iter"), ("epochs",)),
    **dict.fromkeys(("n_iter", "iterations", "num_iterations"), ("epochs",)),
    **dict.fromkeys(("bs", "batch", "mini_batch_size", "minibatch_size", "batchsize"), ("batch_size",)),
    **dict.fromkeys(("criterion", "loss_fn", "loss_function", "objective", "cost"), ("loss",)),
    **dict.fromkeys(("solver", "optim", "optimiser"), ("optimizer",)),
    **dict.fromkeys(("seed", "random_seed", "rng", "generator"), ("random_state",)),
    **dict.fromkeys(("n_jobs", "workers", "num_workers", "num_threads", "threads", "nthreads"), ("n_threads",)),
    "use_multiprocessing": ("n_threads",),
    **dict.fromkeys(("max_grad_norm", "max_norm", "clipnorm", "global_clipnorm", "grad_clip"), ("clip_norm",)),
    **dict.fromkeys(("gradient_clip_val", "gradient_clip_norm", "clip_grad_norm"), ("clip_norm",)),
    **dict.fromkeys(("clipvalue", "clip_grad_value"), ("clip_value",)),
    "alpha": ("l2", "delta", "decay"),
    **dict.fromkeys(("kernel_regularizer", "l2_reg", "reg", "regularization"), ("l2",)),
    **dict.fromkeys(("validation", "val_data", "eval_set", "valid_data", "X_val", "y_val"), ("validation_data",)),
    **dict.fromkeys(("callback", "hooks"), ("callbacks",)),
    **dict.fromkeys(("metric", "weighted_metrics", "scoring", "eval_metric"), ("metrics",)),
    **dict.fromkeys(("hidden_layer_sizes", "hidden_sizes", "hidden_size", "layers", "units", "sizes"), ("layer_sizes",)),
    **dict.fromkeys(("input_dim", "input_shape", "input_size", "in_features", "n_inputs"), ("layer_sizes",)),
    **dict.fromkeys(("output_dim", "output_size", "out_features", "n_outputs", "num_classes"), ("layer_sizes",)),
    **dict.fromkeys(("activations", "act", "activation_function", "hidden_activation", "nonlinearity"), ("activation",)),
    **dict.fromkeys(("out_activation", "final_activation", "last_activation"), ("output_activation",)),
    **dict.fromkeys(("dropout_rate", "drop", "p"), ("dropout",)),
    **dict.fromkeys(("norm", "norm_layer", "normalize", "normalization_layer"), ("normalization",)),
    **dict.fromkeys(("dropout_in", "dropout_input", "input_drop", "dropout_inputs"), ("input_dropout",)),
    **dict.fromkeys(("scale_inputs", "add_front_scale", "scaling_layer"), ("input_scale",)),
    **dict.fromkeys(("use_parametric_act", "parametric", "parametric_act"), ("parametric_activation",)),
    **dict.fromkeys(("kernel_initializer", "initializer", "weight_init", "initialization"), ("init",)),
    **dict.fromkeys(("ema", "swa", "swa_start", "weight_averaging", "ema_decay"), ("averaging",)),
    **dict.fromkeys(("droplast", "drop_remainder"), ("drop_last",)),
    **dict.fromkeys(("ema_momentum", "ema_rate"), ("averaging", "decay")),
    "betas": ("beta_1", "beta_2"),
    "beta1": ("beta_1",),
    "beta2": ("beta_2",),
    "eps": ("epsilon",),
    **dict.fromkeys(("rho", "beta"), ("decay", "delta")),
    "nesterovs_momentum": ("nesterov",),
    **dict.fromkeys(("quantile", "tau"), ("q",)),
    **dict.fromkeys(("step_size", "period", "save_freq", "save_period", "decay_steps"), ("every", "steps")),
    **dict.fromkeys(("T_max", "T_0", "total_steps", "warmup_steps", "num_steps"), ("steps",)),
    **dict.fromkeys(("eta_min", "min_lr", "end_learning_rate"), ("minimum", "min_learning_rate")),
    **dict.fromkeys(("T_mult", "t_mul"), ("growth",)),
    **dict.fromkeys(("pct_start", "warmup"), ("rise", "flat")),
    "div_factor": ("start_factor",),
    "final_div_factor": ("final_factor",),
    **dict.fromkeys(("gamma", "decay_rate"), ("decay", "factor")),
    "loss_weights": ("output_weights",),
    **dict.fromkeys(("ignore_nan", "mask_value"), ("missing",)),
    "focal_gamma": ("gamma",),
    **dict.fromkeys(("initial_learning_rate", "base_lr", "max_lr"), ("learning_rate",)),
    "power_t": ("power",),
    **dict.fromkeys(("restore_best_weights", "load_best"), ("restore_best",)),
    **dict.fromkeys(("n_iter_no_change", "early_stopping_rounds", "early_stopping_patience"), ("patience",)),
    **dict.fromkeys(("tol", "threshold"), ("min_delta", "tolerance_grad")),
    **dict.fromkeys(("gtol", "pgtol", "tolerance"), ("tolerance_grad",)),
    **dict.fromkeys(("ftol", "factr"), ("tolerance_change",)),
    **dict.fromkeys(("maxcor", "memory", "m"), ("history_size",)),
    **dict.fromkeys(("maxfun", "max_eval"), ("max_evaluations",)),
    "maxiter": ("epochs",),
    **dict.fromkeys(("filepath", "filename", "dirpath", "file"), ("path",)),
    **dict.fromkeys(("max_seconds", "timeout", "max_time", "max_fun"), ("seconds", "max_evaluations")),
    "verbose": ("progress",),
    **dict.fromkeys(("verbosity", "show_progress", "progress_bar"), ("progress",)),
}

# Texts for options, where "…" as a value would not help.
VALUES: Mapping[str, str] = {
    "layer_sizes": "(n_in, hidden…, n_out)",
    "progress": "True",
    "validation_data": "(X_val, y_val)",
}

_SPLIT = "set rows apart, as sklearn.model_selection.train_test_split does, and use validation_data=(X_val, y_val) of fit()"
_SCHEDULE = "use optimizer=Adam(learning_rate=fastnn.schedules.Cosine(…)), or another schedule"
_DECAY = "use optimizer=AdamW(weight_decay=…) of fit() or Trainer(), or their l2=…"
_VARIANT = "fastnn has no such variant; leave it out"
_CLASS_WEIGHT = (
    "use CrossEntropy(output_weights=…) for the loss, one number per class, or sample_weight of fit(), one per row"
)
_SMOOTHING = "use loss=fastnn.losses.CrossEntropy(label_smoothing=…), or that of BinaryCrossEntropy"

# Options without a counterpart in fastnn, and the way out.
WAYS_OUT: Mapping[str, str] = {
    **dict.fromkeys(("validation_split", "validation_fraction", "val_split", "test_size"), _SPLIT),
    **dict.fromkeys(("class_weight", "class_weights", "weight"), _CLASS_WEIGHT),
    "weight_decay": _DECAY,
    "early_stopping": "use callbacks=[fastnn.callbacks.EarlyStopping()] of fit()",
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule", "learning_rate_schedule"), _SCHEDULE),
    **dict.fromkeys(
        ("steps_per_epoch", "validation_steps", "steps"), "an epoch takes all rows once; Trainer.step makes a single update"
    ),
    **dict.fromkeys(
        ("initial_epoch", "warm_start"), "leave it out; training goes on from the model's present weights in any case"
    ),
    **dict.fromkeys(("device", "gpu", "cuda", "use_gpu", "accelerator"), "leave it out; fastnn computes on the CPU"),
    **dict.fromkeys(
        ("dataset", "data", "train_data", "train_loader", "dataloader"), "use X and y, arrays with one row per sample"
    ),
    **dict.fromkeys(("params", "parameters", "model_parameters"), "leave it out; Trainer(model, …) knows the parameters"),
    **dict.fromkeys(
        ("amsgrad", "maximize", "foreach", "fused", "capturable", "differentiable", "centered", "dampening", "use_ema"),
        _VARIANT,
    ),
    **dict.fromkeys(
        ("batch_norm", "batch_normalization", "use_bias", "bias"),
        "fastnn's layers are a matrix product, a bias, a normalization over units, an activation and dropout; leave it out",
    ),
    **dict.fromkeys(("layer_norm", "use_layer_norm", "layernorm"), "use normalization='layer_norm'"),
    **dict.fromkeys(("rms_norm", "use_rms_norm", "rmsnorm"), "use normalization='rms_norm'"),
    "from_logits": (
        "leave it out; the loss takes logits itself, and output_activation says whether the model predicts logits "
        "('identity') or probabilities ('sigmoid', 'softmax')"
    ),
    **dict.fromkeys(("reduction", "size_average", "reduce"), "leave it out; losses are means"),
    "label_smoothing": _SMOOTHING,
    "pos_weight": "use loss=fastnn.losses.BinaryCrossEntropy(pos_weight=…)",
    **dict.fromkeys(
        ("ignore_index", "mask", "masks", "missing"), "use missing='ignore' of the loss, and NaN for missing targets"
    ),
    **dict.fromkeys(("baseline", "start_from_epoch"), "leave it out; patience and min_delta alone decide"),
    "save_best_only": "leave it out; EarlyStopping(restore_best=True) keeps the best parameters",
    "save_weights_only": "leave it out; a checkpoint holds the model and all that the next step depends on",
}

LOSSES: Mapping[str, str] = {
    **dict.fromkeys(("mean_squared_error", "squared_error", "l2", "quadratic"), "mse"),
    **dict.fromkeys(("mean_absolute_error", "absolute_error", "l1"), "mae"),
    "smooth_l1": "huber",
    **dict.fromkeys(("pinball", "mean_pinball"), "quantile"),
    "poisson_nll": "poisson",
    **dict.fromkeys(("bce", "bce_with_logits", "binary_log", "logistic", "binary"), "binary_cross_entropy"),
    **dict.fromkeys(("ce", "xent", "nll", "log", "softmax", "softmax_cross_entropy"), "cross_entropy"),
    **dict.fromkeys(("categorical_cross_entropy", "sparse_categorical_cross_entropy"), "cross_entropy"),
    **dict.fromkeys(("negative_log_likelihood", "multinomial"), "cross_entropy"),
}
OPTIMIZERS: Mapping[str, str] = {
    **dict.fromkeys(("gd", "gradient_descent", "momentum", "nesterov"), "sgd"),
    **dict.fromkeys(("l-bfgs-b", "bfgs", "limited_memory_bfgs"), "lbfgs"),
}
METRICS: Mapping[str, str] = {
    **dict.fromkeys(("acc", "accuracy_score", "binary_accuracy", "categorical_accuracy"), "accuracy"),
    **dict.fromkeys(("sparse_categorical_accuracy", "score"), "accuracy"),
    **dict.fromkeys(("r2_score", "r_squared", "coefficient_of_determination"), "r2"),
    **dict.fromkeys(("mean_absolute_error", "absolute_error", "l1"), "mae"),
    **dict.fromkeys(("mean_squared_error", "squared_error", "l2"), "mse"),
    "root_mean_squared_error": "rmse",
}
ACTIVATIONS: Mapping[str, str] = {
    **dict.fromkeys(("linear", "none"), "identity"),
    **dict.fromkeys(("logistic", "expit"), "sigmoid"),
    "swish": "silu",
    "rectifier": "relu",
    **dict.fromkeys(("lrelu", "leaky"), "leaky_relu"),
    "exponential": "exp",
    "sine": "sin",
    "hyperbolic_tangent": "tanh",
}
INITIALIZERS: Mapping[str, str] = {
    **dict.fromkeys(("xavier", "xavier_uniform", "glorot"), "glorot_uniform"),
    "xavier_normal": "glorot_normal",
    **dict.fromkeys(("kaiming", "kaiming_uniform"), "he_uniform"),
    **dict.fromkeys(("kaiming_normal", "he"), "he_normal"),
    "lecun": "lecun_normal",
    "zero": "zeros",
}


def named_here(name: str, names: Iterable[str], spellings: Mapping[str, str], *, similar: bool = True) -> str:
    """Return the end of a message about an unknown name: fastnn's name for it, a similar name, or an empty text."""
    known = {_plain(each): each for each in names}
    known = {_plain(other): each for other, each in spellings.items() if each in known.values()} | known
    plain = _plain(name)
    if plain in known:
        return f"; fastnn calls it {known[plain]!r}"
    import difflib

    found = difflib.get_close_matches(plain, known, n=1) if similar else []
    return f"; did you mean {known[found[0]]!r}?" if found else ""


def _plain(name: str) -> str:
    """Return a name without the differences between libraries: case, signs between words, and the word "loss"."""
    plain = "".join(filter(str.isalnum, name.lower()))
    return plain.removesuffix("loss") or plain
