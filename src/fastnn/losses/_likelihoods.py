"""The negative log-likelihoods, which are computed from the inputs of the output activation."""

from __future__ import annotations

import math
from dataclasses import field
from typing import ClassVar

from fastnn._checks.option_classes import option_class
from fastnn._checks.scalars import real
from fastnn.losses._base import Loss
from fastnn.losses._options import TargetOptions, weights_of_positives


@option_class
class Poisson(Loss):
    """The negative log-likelihood of counts, given the logarithm of their rate: exp(z) - y * z.

    The output activation is "exp" (the model predicts rates) or "identity" (it predicts their logarithms).

    Examples
    --------
    >>> Poisson().links
    ('exp', 'identity')
    """

    name: ClassVar[str] = "poisson"
    links: ClassVar[tuple[str, ...]] = ("exp", "identity")
    domain: ClassVar[tuple[float, float]] = (0, math.inf)


@option_class
class BinaryCrossEntropy(Loss):
    """The negative log-likelihood of independent yes-or-no targets, given logits.

    The formula is max(z, 0) - z * y + log(1 + exp(-abs(z))). The output activation is "sigmoid" (the model predicts
    probabilities) or "identity" (it predicts logits). With the options, it is
    pos_weight * t * (1 - p)**gamma * (-log(p)) + (1 - t) * p**gamma * (-log(1 - p)), where p = sigmoid(z) and
    t = (1 - label_smoothing) * y + label_smoothing / 2.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        The fraction of each target that is replaced by 1/2, from 0 to 1.
    gamma : float, default 0.0
        The focusing parameter of the focal loss, >= 0. Elements that are predicted well count less.
    pos_weight : float or sequence of floats, optional
        The weight of the positive class, >= 0, for all outputs, or one weight per output. It is not part of the divisor.
    output_weights, missing : optional
        Options that every loss has; see `Loss`.

    Raises
    ------
    TypeError, ValueError
        If an option has the wrong type or is out of range.

    References
    ----------
    T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal loss for dense object detection", ICCV 2017.

    Examples
    --------
    >>> BinaryCrossEntropy().links
    ('sigmoid', 'identity')
    >>> BinaryCrossEntropy(pos_weight=3, gamma=2)
    BinaryCrossEntropy(gamma=2.0, pos_weight=3.0)
    """

    name: ClassVar[str] = "binary_cross_entropy"
    links: ClassVar[tuple[str, ...]] = ("sigmoid", "identity")
    domain: ClassVar[tuple[float, float]] = (0, 1)
    label_smoothing: float = field(default=0.0, kw_only=True)
    gamma: float = field(default=0.0, kw_only=True)
    pos_weight: float | tuple[float, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        _check_smoothing_and_gamma(self)
        object.__setattr__(self, "pos_weight", weights_of_positives("pos_weight", self.pos_weight))

    @property
    def parameters(self) -> tuple[float, ...]:
        """The number `gamma`, unless it is 0."""
        return (self.gamma,) if self.gamma else ()

    @property
    def target_options(self) -> TargetOptions:
        """The options that change targets and their weights, in the form for the engine."""
        return super().target_options._replace(label_smoothing=self.label_smoothing, pos_weight=self.pos_weight)


@option_class
class CrossEntropy(Loss):
    """The negative log-likelihood of one class per row, given logits. It is a mean over rows.

    The loss of a row is the sum over classes j of y_j * (logsumexp(z) - z_j). Targets are integer labels, or rows of
    probabilities. The output activation is "softmax" (the model predicts probabilities) or "identity" (it predicts
    logits). With the options, the loss of a row is the sum over classes j of
    output_weights_j * t_j * (1 - p_j)**gamma * (-log(p_j)), where p = softmax(z) and
    t = (1 - label_smoothing) * y + label_smoothing / n_classes.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        The fraction of each target that is spread evenly over all classes, from 0 to 1.
    gamma : float, default 0.0
        The focusing parameter of the focal loss, >= 0. Rows whose class is predicted well count less.
    output_weights : sequence of numbers >= 0, optional
        The weights of the classes. As in PyTorch, the mean over rows with labels is divided by the sum of the weights of
        their classes, and the mean over rows with probabilities by the number of rows.
    missing : {"raise", "ignore"}, default "raise"
        The treatment of missing targets. With "ignore", rows that contain NaN count as not observed. So do labels that are
        -1, or NaN in an array of floating-point numbers.

    Raises
    ------
    TypeError, ValueError
        If an option has the wrong type or is out of range.

    References
    ----------
    C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna, "Rethinking the Inception architecture for computer
    vision", CVPR 2016, for smoothed labels; T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal loss for dense
    object detection", ICCV 2017.

    Examples
    --------
    >>> CrossEntropy().links
    ('softmax', 'identity')
    >>> CrossEntropy(label_smoothing=0.1)
    CrossEntropy(label_smoothing=0.1)
    """

    name: ClassVar[str] = "cross_entropy"
    links: ClassVar[tuple[str, ...]] = ("softmax", "identity")
    per_row: ClassVar[bool] = True
    takes_labels: ClassVar[bool] = True
    weighs_classes: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (0, 1)
    label_smoothing: float = field(default=0.0, kw_only=True)
    gamma: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        _check_smoothing_and_gamma(self)

    @property
    def parameters(self) -> tuple[float, ...]:
        """The number `gamma`, unless it is 0."""
        return (self.gamma,) if self.gamma else ()

    @property
    def target_options(self) -> TargetOptions:
        """The options that change targets and their weights, in the form for the engine."""
        return super().target_options._replace(label_smoothing=self.label_smoothing)


# The logarithm of a power with a larger exponent may overflow in float32.
_MAX_GAMMA = 1e6


def _check_smoothing_and_gamma(loss: BinaryCrossEntropy | CrossEntropy) -> None:
    object.__setattr__(loss, "label_smoothing", real("label_smoothing", loss.label_smoothing, low=0.0, high=1.0))
    object.__setattr__(loss, "gamma", real("gamma", loss.gamma, low=0.0, high=_MAX_GAMMA))
