"""The regressor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import RegressorMixin

from fastnn._engine import arrays as _arrays
from fastnn._shared_ensemble import SharedEnsemble
from fastnn.losses import Loss
from fastnn.optimizers import Adam
from fastnn.sklearn import _parameters
from fastnn.sklearn._base import BaseMLP
from fastnn.sklearn._data import checked_pair, checked_weight, is_plain_vector
from fastnn.sklearn._definitions import regression_loss
from fastnn.sklearn._scorers import determination, overrides

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """Multi-layer perceptron regressor with the interface of `sklearn.neural_network.MLPRegressor`, and more.

    With the same data, parameters and `random_state`, it gives the same numbers. The parameters after `max_fun` are
    additions to those of scikit-learn.

    Parameters
    ----------
    loss : str, or loss of `fastnn.losses` or `fastnn.jit`, default="squared_error"
        "squared_error", "poisson"; beyond scikit-learn also "absolute_error", the other losses in `fastnn.losses.LOSSES` for
        targets that are not probabilities, such as "huber", and those of `fastnn.jit`. These are means over all elements.
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Numbers of units, one per hidden layer.
    activation : str, activation of `fastnn.jit`, or list with one per hidden layer, default="relu"
        "identity", "logistic" (or "sigmoid"), "tanh", "relu"; beyond scikit-learn also the others that `fastnn.MLP` has for
        hidden layers, such as "gelu".
    solver : str or optimizer of `fastnn.optimizers`, default="adam"
        "lbfgs", "sgd", "adam"; beyond scikit-learn also the others in `fastnn.optimizers.OPTIMIZERS`, such as "adamw". An
        object contains its own learning rate and other numbers, in place of the parameters here, and an object `LBFGS` its
        own tolerances and limit of evaluations.
    alpha : float, default=0.0001
        Strength of the L2 penalty ``alpha / 2 * sum(w**2)``, divided by the number of samples (of each batch).
    batch_size : int, default="auto"
        "auto" is ``min(200, n_samples)``.
    learning_rate : {"constant", "invscaling", "adaptive"} or schedule, default="constant"
        "invscaling" and "adaptive" are for the solver "sgd". A schedule of `fastnn.schedules`, or any callable that maps
        step numbers to rates, works with all solvers except "lbfgs".
    learning_rate_init : float, default=0.001
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Maximum number of epochs, or of iterations of lbfgs.
    shuffle : bool, default=True
    random_state : int, RandomState instance or None, default=None
        The source of random numbers for the initial weights, the choice of held-out rows, the order of rows, and dropout.
    tol : float, default=1e-4
        The smallest improvement of loss or score within `n_iter_no_change` epochs. For "lbfgs", its `gtol`.
    verbose : bool or int, default=False
    warm_start : bool, default=False
        Continue from the parameters of the last fit.
    momentum : float, default=0.9
        The momentum of "sgd", and that of the hidden matrices of "muon". Other solvers do not use it, as in scikit-learn.
    nesterovs_momentum : bool, default=True
        Whether "sgd" looks ahead. Other solvers do not use it.
    early_stopping : bool, default=False
        Hold out rows, stop when their score no longer improves, and keep the parameters with the best score.
    validation_fraction : float, default=0.1
    beta_1, beta_2, epsilon : float, default=0.9, 0.999 and 1e-8
        Parameters of "adam" and its relatives. Solvers without an epsilon have the betas of their classes.
    n_iter_no_change : int, default=10
    max_fun : int, default=15000
        Maximum number of evaluations of "lbfgs".
    dropout : float or list with one per hidden layer, default=0.0
        The probability of leaving a hidden unit out of a training step. Not for lbfgs.
    dropout_factor : float or schedule, default=1.0
        The factor of `dropout` and `input_dropout`, from 0 to 1, in each step. Not for lbfgs.
    normalization : {"layer_norm", "rms_norm"} or list with one per hidden layer, default=None
        The normalization of the hidden units over each row, with a trained gain per unit, and a shift for "layer_norm".
    normalization_place : {"before", "after"} or list with one per hidden layer, default="before"
        Whether the inputs or the outputs of the activation are normalized.
    parametric_activation : bool or list with one per hidden layer, default=False
        Make the activation f of hidden layers z + a (f(z) - z), with a trained alpha a per unit, which starts at 1.
    input_scale : bool, default=False
        Multiply each feature by a trained factor, which starts at 1.
    input_dropout : float, default=0.0
        The probability of leaving a feature out of a training step. Not for lbfgs.
    embeddings : embedding of `fastnn.embeddings`, or list of them, default=None
        What takes the place of columns of X before the first layer: periodic functions, bins, or vectors of categories. See
        `fastnn.MLP`. Columns in none of them pass as they are.
    categorical_features : "from_dtype" or array-like of int, str or bool, default=None
        The columns of categories: their numbers or names, or a mask. "from_dtype" takes the columns of a data frame that
        have categories or text. The other columns are numeric. Categories are text or numbers; those that are missing, or
        were not in the data of the fit, have a place of their own. They become `OneHot` or `Categorical` embeddings, which
        are added to `embeddings`.
    one_hot_max_size : int, default=8
        The largest number of categories of a column that becomes one-hot. Columns with more have trained vectors.
    embedding_width : int, default=8
        The length of these vectors.
    residual : bool, int or list of pairs of int, default=False
        Residual connections: pairs (from, to) of layers, whose outputs are added; the first hidden layer is 1, and the
        features are 0. A number k stands for blocks of k hidden layers behind the first one, and True for 1.
    residual_place : {"before", "after"}, default="after"
        Whether the inputs or the outputs of the activation are added.
    shared : `fastnn.SharedEnsemble`, default=None
        Members of one network that share most of its parameters (TabM): predictions are the means of the members'. Not for
        sparse features, `input_scale` and `residual`.
    clip_norm, clip_value : float, default=None
        Bounds of the gradient's norm and of its elements. Not for lbfgs.
    layer_settings : `fastnn.LayerSettings` or list of them and None, default=None
        Factors of learning rate, epsilon and weight decay, penalties, and frozen parameters: one for all layers, or one per
        layer, the output layer's last. Not for lbfgs.
    scoring : str or callable, default=None
        The score that `early_stopping` watches, without which it must be None: a name in
        `sklearn.metrics.get_scorer_names()`, or a function of estimator, X and y, and of
        sample_weight if it has such a parameter. If None, the coefficient of determination.
    resume : bool, default=False
        With `warm_start`, continue exactly where the last fit ended, with its moments, step count, random numbers,
        held-out rows and stopping rules. The result has the bits of a single longer fit.
    lazy_updates : bool, default=False
        For sparse inputs, and trained vectors of categories: see `fastnn.Trainer`.
    averaging : `fastnn.EMA`, `fastnn.SWA`, "ema" or "swa", default=None
        An average of the parameters over the training. The fitted network has the averaged parameters, and scores and losses
        of held-out rows are those of the average. `partial_fit` and `resume` continue both. Not for lbfgs.
    drop_last : bool, default=False
        Leave out the last batch of an epoch if it is smaller than the others. Not for lbfgs.
    ties : {"first", "last"}, default="first"
        Which of several epochs with the same best score `early_stopping` keeps. With ``n_iter_no_change=np.inf``, it keeps
        the best of all epochs.
    n_jobs : int, default=None
        The number of threads of a fit or prediction. None uses as many as the work justifies, and -1 uses all. The number
        does not change the results.
    progress : bool or `fastnn.callbacks.ProgressBar`, default=False
    n_members : int, default=1
        The number of networks, which are trained at once. They differ in their seeds, which are drawn from `random_state`,
        and predictions are the mean of their values. With `early_stopping`, each holds out rows of its own.
    bootstrap : bool, default=False
        Train each network on as many rows as there are, drawn with replacement (bagging). Otherwise, each network is
        trained on all rows.

    Attributes
    ----------
    network_ : fastnn.MLP
        The network.
    coefs_, intercepts_ : list of ndarray
        Contiguous weights (n_in, n_out) and biases (n_out,) of each layer. Writing into them, or assigning others, changes
        the network, and training changes them. If they are set by hand before a fit, the estimator can predict.
    loss_, best_loss_ : float
        The loss of the last epoch, and the lowest loss. The latter is None with early stopping.
    loss_curve_, validation_loss_curve_ : list of float
        The losses of the epochs: on the training rows, and, without the penalty, on held-out rows if there are any.
    validation_scores_, best_validation_score_ : list of float, and float
        The scores of the epochs on held-out rows, and the best of them. None without early stopping.
    n_iter_, t_ : int
        The number of epochs of the last fit, and the total number of samples seen.
    n_features_in_, n_layers_, n_outputs_ : int
    feature_names_in_ : ndarray of str
        Exists if the names of all columns of X are strings.
    categories_ : list of ndarray
        With columns of categories, the categories of each in ascending order, which are their codes for `network_`.
    is_categorical_ : ndarray of bool
        With columns of categories, which of the columns they are.
    out_activation_ : str
    members_ : list of estimators
        With `n_members` or `bootstrap`, the estimators with one network each. They have the attributes of the fits. Of
        these, the ensemble has only `loss_`, the mean, and `n_iter_`, the largest.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-2, 2, 200)[:, None]
    >>> regressor = MLPRegressor(hidden_layer_sizes=(20,), activation="tanh", solver="lbfgs", random_state=0)
    >>> regressor.fit(X, np.sin(2 * X.ravel())).score(X, np.sin(2 * X.ravel())) > 0.999
    True
    """

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: Any = Adam.beta_1,
        beta_2: float = Adam.beta_2,
        epsilon: float = Adam.epsilon,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        dropout_factor: Any = 1.0,
        normalization: Any = None,
        normalization_place: Any = "before",
        parametric_activation: Any = False,
        input_scale: bool = False,
        input_dropout: float = 0.0,
        embeddings: Any = None,
        categorical_features: Any = None,
        one_hot_max_size: int = 8,
        embedding_width: int = 8,
        residual: Any = False,
        residual_place: str = "after",
        shared: SharedEnsemble | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        layer_settings: Any = None,
        scoring: Any = None,
        resume: bool = False,
        lazy_updates: bool = False,
        averaging: Any = None,
        drop_last: bool = False,
        ties: str = "first",
        n_jobs: int | None = None,
        progress: Any = False,
        n_members: int = 1,
        bootstrap: bool = False,
    ) -> None:
        self._set_parameters(locals())

    _rules: Mapping[str, _parameters.Rule] = {**_parameters.RULES, "loss": _parameters.LOSS_RULE}

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> MLPRegressor:
        """Fit the network to X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights of either sign. The loss of a batch is divided by their sum; a sum of zero raises
            ZeroDivisionError. Samples of weight zero do not count.
        X_val, y_val, sample_weight_val : array-likes, default=None
            Rows for validation, which replace the rows of X that `early_stopping` would hold out.

        Returns
        -------
        self : MLPRegressor
            The fitted estimator.
        """
        held_out = (X_val, y_val, sample_weight_val)
        validation = None if all(part is None for part in held_out) else held_out
        fitted: MLPRegressor = self._fit(X, y, sample_weight, incremental=False, validation=validation)
        return fitted

    # ---- Predictions ----

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Return the predicted values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        return_std : bool, default=False
            Whether to return the spread of the predictions, too.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values.
        std : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            With `return_std`, their standard deviations over the `members_` (``ddof=0``).

        Raises
        ------
        ValueError
            If `return_std` is true, and there is only one network.
        """
        if not return_std:
            return super().predict(X)
        values, spread = self._mean_and_spread(X)
        return self._decode(values), self._decode(spread)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the coefficient of determination R² of the predictions, as a mean over outputs.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The true values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        score : float
            The score.
        """
        if sample_weight is None and is_plain_vector(y) and not overrides(self, "predict"):
            outputs = self._outputs(X)
            if outputs.shape == (len(y), 1) and len(y) > 1 and np.isfinite(outputs).all():
                return self._score_outputs(outputs, y, None)
        return float(super().score(X, y, sample_weight))

    # ---- Methods that the base calls ----

    def _check_target(self, X: Any, y: Any, *, reset: bool, incremental: bool) -> tuple[Any, Any]:
        if issparse(y):
            raise TypeError("y: expected an array, got a sparse matrix; .toarray() makes it one")
        return checked_pair(self, X, y, numeric=True, reset=reset)

    def _output(self) -> tuple[str, Loss]:
        loss = regression_loss(self.loss)
        return (loss.links[0] if loss.links else "identity"), loss

    def _count_outputs(self, y: NDArray[Any]) -> int:
        return 1 if y.ndim == 1 else y.shape[1]

    def _weight(self, y: NDArray[Any], sample_weight: Any) -> NDArray[np.float64] | None:
        weight = checked_weight(sample_weight, len(y))
        counted = y if weight is None or weight.all() else y[weight != 0]
        loss = regression_loss(self.loss)
        if np.isfinite(loss.domain[0]) and (counted < loss.domain[0]).any():
            raise ValueError(f"y: expected values >= {loss.domain[0]} for loss={loss.name!r}, got {counted.min()}")
        return weight

    def _native_target(self, y: NDArray[Any]) -> NDArray[Any]:
        target = _arrays.real_array("y", y)
        return target[:, None] if target.ndim == 1 else target

    def _decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    def _score_outputs(self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
        return determination(outputs, self._native_target(y), weight) if np.isfinite(outputs).all() else np.nan
