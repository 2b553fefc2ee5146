"""The losses of whole rows: several outputs per target, distributions, and directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn._checks.masks import unmasked
from fastnn._checks.option_classes import option_class
from fastnn._checks.scalars import flag, real
from fastnn.losses._base import Loss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@option_class
class GaussianNLL(Loss):
    """The negative log-likelihood of normal distributions: the network predicts a mean and a log-variance per target.

    For k columns of targets, the network has 2k outputs: first k means m, then k log-variances s. The loss is the
    mean over all targets of (s + (y - m)**2 * exp(-s)) / 2. The constant log(2 * pi) / 2 is left out.

    Parameters
    ----------
    min_variance : float, default 1e-6
        The smallest variance for which the formula holds, in [1e-30, 1e30]. Let b = log(min_variance). For s < b, the loss
        keeps its value at b if (y - m)**2 <= min_variance. Otherwise, it follows its tangent at b, and rises as s falls.
        Therefore the loss is bounded below, and training increases a variance that is too small for its error.

    Raises
    ------
    TypeError, ValueError
        If `min_variance` is not a number or out of range.

    References
    ----------
    D. A. Nix and A. S. Weigend, "Estimating the mean and variance of the target probability distribution", ICNN 1994.

    Examples
    --------
    >>> GaussianNLL().n_targets(4)
    2
    >>> mean, std = GaussianNLL().mean_and_std([[1.0, 0.0]])
    >>> mean, std
    (array([[1.]]), array([[1.]]))
    """

    name: ClassVar[str] = "gaussian_nll"
    one_output_per_target: ClassVar[bool] = False
    min_variance: float = 1e-6

    def __post_init__(self) -> None:
        """Check the parameter and the options."""
        super().__post_init__()
        checked = real("min_variance", self.min_variance, low=1e-30, high=1e30)  # finite in float32
        object.__setattr__(self, "min_variance", checked)

    @property
    def parameter(self) -> float:
        """The smallest log-variance for which the formula holds."""
        return math.log(self.min_variance)

    def n_targets(self, n_out: int) -> int:
        """Return half the number of outputs."""
        return _outputs_per_target(self, n_out, 2, "a mean and a log-variance for each target")

    def mean_and_std(self, outputs: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the means and the standard deviations, both (n, k), from the outputs (n, 2k) of `predict`."""
        array, k = _outputs(outputs), self.n_targets(np.shape(outputs)[-1])
        bounded = np.maximum(array[..., k:], array.dtype.type(self.parameter))
        return array[..., :k], np.exp(bounded / 2)


@option_class
class MultiQuantile(Loss):
    """The mean of the pinball losses of several quantiles: the network predicts all of them for each target.

    With Q quantiles and k columns of targets, a row has Q * k outputs: first the k outputs of the first quantile, then
    those of the next. The loss is the mean over all targets and quantiles of max(q * e, (q - 1) * e), with e = y - u and
    the predicted quantile u.

    Parameters
    ----------
    q : sequence of float, default (0.1, 0.5, 0.9)
        The quantiles, above 0 and below 1, in increasing order.
    non_crossing : bool, default False
        Whether quantiles must not cross. If False, the outputs are the quantiles, in any order. If True, the first outputs
        are the first quantile, and each other quantile is the previous one plus softplus(output), so that no quantile is
        below the previous one. `quantiles` computes them from the outputs in both cases.

    Raises
    ------
    TypeError, ValueError
        If `q` is not a sequence of numbers between 0 and 1 in increasing order, or if `non_crossing` is not a bool.

    References
    ----------
    R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46, 1978.

    Examples
    --------
    >>> MultiQuantile(q=(0.1, 0.9)).n_targets(4)
    2
    >>> MultiQuantile(q=(0.1, 0.9), non_crossing=True).quantiles([[1.0, 0.0]])
    array([[[1.        ],
            [1.69314718]]])
    """

    name: ClassVar[str] = "multi_quantile"
    one_output_per_target: ClassVar[bool] = False
    q: Sequence[float] = (0.1, 0.5, 0.9)
    non_crossing: bool = False

    def __post_init__(self) -> None:
        """Check the parameters and the options."""
        super().__post_init__()
        if isinstance(self.q, str) or not isinstance(self.q, Sequence | np.ndarray) or np.ndim(self.q) != 1:
            raise TypeError(f"q: expected a sequence of numbers, such as (0.1, 0.5, 0.9), got {self.q!r}")
        places = tuple(real("q", place, low=0.0, high=1.0, exclude_low=True, exclude_high=True) for place in self.q)
        if not places or any(a >= b for a, b in pairwise(places)):
            raise ValueError(f"q: expected at least one number, in rising order, got {places}")
        object.__setattr__(self, "q", places)
        object.__setattr__(self, "non_crossing", flag("non_crossing", self.non_crossing))

    @property
    def parameter(self) -> float:
        """1.0 if quantiles are sums of increments, and otherwise 0.0."""
        return float(self.non_crossing)

    @property
    def parameters(self) -> tuple[float, ...]:
        """The quantiles `q`."""
        return tuple(self.q)

    def n_targets(self, n_out: int) -> int:
        """Return the number of outputs divided by the number of quantiles."""
        return _outputs_per_target(self, n_out, len(self.q), "one for each quantile of each target")

    def quantiles(self, outputs: ArrayLike) -> NDArray[Any]:
        """Return the quantiles (n, Q, k) from the outputs (n, Q * k) of `predict`."""
        array, k = _outputs(outputs), self.n_targets(np.shape(outputs)[-1])
        parts = array.reshape(*array.shape[:-1], len(self.q), k).copy()
        if self.non_crossing:
            parts[..., 1:, :] = np.logaddexp(parts[..., 1:, :], 0)
            parts = np.cumsum(parts, axis=-2)
        return parts


@option_class
class KLDivergence(Loss):
    """The Kullback-Leibler divergence of predicted probabilities from target probabilities. It is a mean over rows.

    The loss of a row is the sum over classes j of w_j * y_j * (log(y_j) - log(softmax(z)_j)), where 0 * log(0) is 0, and w
    are the `output_weights`, which are 1 by default. The output activation is "softmax" (the model predicts probabilities)
    or "identity" (it predicts logits). The gradient is that of `CrossEntropy`. The value is 0 where the probabilities are
    equal.

    Examples
    --------
    >>> KLDivergence().links
    ('softmax', 'identity')
    >>> KLDivergence(output_weights=(1, 5))
    KLDivergence(output_weights=(1.0, 5.0))
    """

    name: ClassVar[str] = "kl_divergence"
    links: ClassVar[tuple[str, ...]] = ("softmax", "identity")
    per_row: ClassVar[bool] = True
    weighs_classes: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (0, 1)

    @property
    def parameters(self) -> tuple[float, ...]:
        """The logarithms of the weights of classes, if there are any; 0.0 for a weight of 0.

        The formula gets targets that are multiplied by the weights: w y log(y) is w y (log(w y) - log(w)).
        """
        return tuple(math.log(weight) if weight else 0.0 for weight in self.output_weights or ())


@option_class
class Cosine(Loss):
    """One minus the cosine of the angle between the targets and the predictions of a row. It is a mean over rows.

    The cosine is sum(y * p) / sqrt((sum(y**2) + 1e-12) * (sum(p**2) + 1e-12)), so that a row of zeros has a loss of 1.

    Examples
    --------
    >>> Cosine().name
    'cosine'
    """

    name: ClassVar[str] = "cosine"
    per_row: ClassVar[bool] = True


def _outputs(outputs: ArrayLike) -> NDArray[Any]:
    array = unmasked("outputs", outputs)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _outputs_per_target(loss: Loss, n_out: int, count: int, reason: str) -> int:
    """Return the number of targets of a model with n_out outputs, or raise ValueError if it is not a whole number."""
    if n_out % count:
        raise ValueError(
            f"loss: {loss.name!r} takes a model with {count} outputs per target, {reason}; got a model with {n_out} outputs"
            f", expected layer_sizes that end in a multiple of {count}"
        )
    return n_out // count
