"""scikit-learn's definitions of losses, optimizers and initial weights, in fastnn's form."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import optimizers
from fastnn._block_settings import Blocks
from fastnn._checks import seeds as _seeds
from fastnn._checks.scalars import flag, real
from fastnn._engine import losses as _engine_losses
from fastnn._engine.losses import NativeLoss
from fastnn._engine.training_data import TrainingData, apart_from
from fastnn._layer_settings import check_layer_settings
from fastnn._model import MLP
from fastnn._native import network_of
from fastnn._rates import LearningRate
from fastnn._setting_checks import FACTORS
from fastnn._storage.describe import described, optimizer_of
from fastnn._trainer import Trainer
from fastnn._views import carry_over
from fastnn.losses import Loss, resolve
from fastnn.optimizers import Optimizer
from fastnn.schedules import InverseScaling
from fastnn.sklearn._parameters import ACTIVATIONS, LOSSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._rates import Setting

# scikit-learn's names of output activations.
OUTPUT_ACTIVATIONS = {"identity": "identity", "exp": "exp", "logistic": "sigmoid", "softmax": "softmax"}


def regression_loss(loss: str | Loss) -> Loss:
    """Return the loss object for a regressor's parameter."""
    return resolve(LOSSES.get(loss, loss) if isinstance(loss, str) else loss)


def native_loss(loss: Loss, n_outputs: int, dtype: np.dtype[Any]) -> NativeLoss:
    """Return the loss in the engine's form, with scikit-learn's definition.

    - The log loss clips probabilities to [eps, 1 - eps] for its value, but not for its gradient.
    - The squared error is halved. With several outputs, its value is the mean over them, but its gradient is that of the
      sum.
    - The Poisson loss is half the deviance.
    - Losses that scikit-learn lacks are means over all elements.
    - Weights of either sign are divided by their sum.
    """
    native = _engine_losses.native_loss(loss, (*loss.links, "identity")[0], n_outputs)
    if loss.name in ("cross_entropy", "binary_cross_entropy"):
        native = native._replace(parameter=float(np.finfo(dtype).eps), per_row=True)
    elif loss.name == "poisson":
        native = native._replace(parameter=1.0, per_row=True)
    elif loss.name == "mse":
        native = native._replace(per_row=True, factor=0.5, value_factor=1 / n_outputs)
    weights = native.targets.output_weights
    if weights is not None:  # of mean 1, so that they do not change what penalties are divided by
        mean = sum(weights) / len(weights)
        native = native._replace(targets=native.targets._replace(output_weights=tuple(w / mean for w in weights)))
    return native._replace(signed_mean=True)


def activation_of(activation: Any) -> Any:
    """Return fastnn's name of an activation, and a custom activation or its name unchanged."""
    return ACTIVATIONS.get(activation, activation) if isinstance(activation, str) else activation


def draw_weights(
    sizes: Sequence[int], activations: Sequence[Any], random_state: np.random.RandomState, n_members: int = 1
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return initial weights and biases, uniform within sqrt(6 / (n_in + n_out)), or sqrt(2 / …) for the sigmoid.

    The bound depends on the activation of the layer; the last of `activations` is that of the output layer. The list is
    never empty, even without hidden layers. Each member of a shared ensemble has an output layer of its own, which are drawn
    one after the other and stand side by side.
    """
    drawn, last = [], len(sizes) - 2
    each = zip(pairwise(sizes), [*activations, activations[-1]][-len(sizes) + 1 :], strict=True)
    for layer, ((n_in, n_out), activation) in enumerate(each):
        bound = np.sqrt((2.0 if activation == "sigmoid" else 6.0) / (n_in + n_out))
        own = [
            (random_state.uniform(-bound, bound, (n_in, n_out)), random_state.uniform(-bound, bound, n_out))
            for _ in range(n_members if layer == last else 1)
        ]
        weights, biases = own[0] if len(own) == 1 else map(np.hstack, zip(*own, strict=True))
        drawn.append((weights, biases))
    return drawn


def draw_embeddings(network: MLP, random_state: np.random.RandomState) -> None:
    """Set the parameters of embeddings to their initial values."""
    for embedding, view in zip(network.embeddings, network.embedding_parameters, strict=True):
        if view is not None:
            view[...] = embedding.initial(_seeds.generator(random_state))


def draw_projection(view: NDArray[Any], random_state: np.random.RandomState) -> None:
    """Set the projection of a residual connection to initial values, uniform within sqrt(6 / (n_from + n_out))."""
    bound = np.sqrt(6.0 / sum(view.shape))
    view[...] = random_state.uniform(-bound, bound, view.shape)


def make_optimizer(estimator: Any, learning_rate: LearningRate) -> Optimizer:
    """Return the optimizer that an estimator's parameters describe."""
    solver = estimator.solver
    if isinstance(solver, Optimizer):
        return solver
    if solver == "sgd":
        # The native loop receives the momentum itself, which may be 1.
        momentum = min(float(estimator.momentum), np.nextafter(1.0, 0.0))
        return optimizers.SGD(learning_rate, momentum, nesterov=bool(estimator.nesterovs_momentum) and momentum > 0)
    kind = optimizers.OPTIMIZERS[solver]
    of_adam = ("beta_1", "beta_2", "epsilon")
    if not all(hasattr(kind, name) for name in of_adam):  # Adam and its relatives. The betas of others differ.
        return kind(learning_rate)
    names = (*of_adam, "momentum") if hasattr(kind, "momentum") else of_adam
    return kind(learning_rate, **{name: float(getattr(estimator, name)) for name in names})


def factors_of(estimator: Any) -> dict[str, Any]:
    """Return the factors of dropout and label smoothing, of which a regressor has the first."""
    return {name: getattr(estimator, name) for name in FACTORS if hasattr(estimator, name)}


def _is_permutation(order: NDArray[np.int64]) -> bool:
    """Return whether each row occurs once, which rows drawn with replacement do not."""
    return bool(np.array_equal(np.sort(order), np.arange(order.size)))


@dataclass
class RateRule:
    """The change of an estimator's learning rate from epoch to epoch.

    Attributes
    ----------
    inverse_scaling, adaptive : bool
        Whether the rate falls by `after`, or when the loss stops falling. At most one of them is true.
    after : InverseScaling
        The rate after a number of samples; scikit-learn counts samples here, and not steps.
    """

    inverse_scaling: bool
    adaptive: bool
    after: InverseScaling

    @classmethod
    def of(cls, estimator: Any) -> RateRule:
        """Return the rule by the present parameters of an estimator."""
        rule = estimator.learning_rate if estimator.solver == "sgd" else "constant"
        after = InverseScaling(float(estimator.learning_rate_init), float(estimator.power_t))
        return cls(rule == "invscaling", rule == "adaptive", after)


class EstimatorTrainer(Trainer):
    """A trainer with scikit-learn's definitions, for data that an estimator has prepared.

    Parameters
    ----------
    model : MLP
        The model, which is trained in place.
    loss : Loss
        The loss. `native_loss` returns scikit-learn's definition of it.
    estimator : estimator
        The estimator whose parameters describe everything else.
    learning_rate : float or callable
        The initial learning rate.
    generator : numpy.random.Generator
        The source of random numbers for shuffling and dropout.
    n_threads : int, optional
        The number of threads, by default as many as the work justifies.
    batch_size : int, default 32
        The number of rows in a batch.
    """

    def __init__(
        self,
        model: MLP,
        loss: Loss,
        estimator: Any,
        learning_rate: LearningRate,
        generator: np.random.Generator,
        n_threads: int | None,
        batch_size: int = 32,
    ) -> None:
        self._solver, self._momentum = estimator.solver, float(estimator.momentum)
        self.rate_rule = RateRule.of(estimator)
        self.order: NDArray[np.int64] | None = None  # the rows in their order, which every epoch shuffles again
        super().__init__(
            model,
            loss,
            make_optimizer(estimator, learning_rate),
            batch_size=batch_size,
            shuffle=bool(estimator.shuffle),
            l2=float(estimator.alpha),
            clip_norm=estimator.clip_norm,
            clip_value=estimator.clip_value,
            layer_settings=check_layer_settings("layer_settings", estimator.layer_settings),
            lazy_updates=bool(estimator.lazy_updates),
            **factors_of(estimator),
            drop_last=bool(estimator.drop_last),
            averaging=estimator.averaging,
            random_state=generator,
            n_threads=n_threads,
        )

    def _native_loss(self) -> NativeLoss:
        return native_loss(self.loss, self.model.layer_sizes[-1], self.model.dtype)

    def _native_optimizer(self, scheduled: tuple[Setting, ...]) -> dict[str, Any]:
        native = super()._native_optimizer(scheduled) | {"penalty_per_weight": True}
        if self._solver == "adam":
            native["epsilon_hat"] = True
        if self._solver == "sgd":
            native |= {"rate_in_velocity": True, "beta_1": self._momentum}
        return native

    def _check_penalties(self, blocks: Blocks) -> None:
        """Accept penalties that act on no weights, because `alpha` is above 0 by default."""

    def rows_per_epoch(self, n_rows: int) -> int:
        """Return the number of the rows that are in the batches of an epoch."""
        return n_rows - n_rows % self.batch_size if self.drop_last else n_rows

    def follow(self, estimator: Any, loss: Loss, n_threads: int | None, batch_size: int) -> None:
        """Adopt the parameters that may change from one call of `partial_fit` to the next.

        As in scikit-learn, the optimizer stays the same: a new `solver` takes effect with the next fit.
        """
        self.take(
            loss=loss,
            batch_size=batch_size,
            shuffle=bool(estimator.shuffle),
            l2=float(estimator.alpha),
            clip_norm=estimator.clip_norm,
            clip_value=estimator.clip_value,
            layer_settings=check_layer_settings("layer_settings", estimator.layer_settings),
            lazy_updates=bool(estimator.lazy_updates),
            **factors_of(estimator),
            drop_last=bool(estimator.drop_last),
            averaging=estimator.averaging,
            n_threads=n_threads,
        )

    def for_network(self, model: MLP) -> EstimatorTrainer:
        """Return a trainer that continues from this one's state with another network of the same sizes."""
        state = self.__getstate__()
        network_before, network = network_of(self.model), network_of(model)
        moments = np.zeros((len(state["moments"]), network.storage.size), model.dtype)
        for row, row_before in zip(moments, state["moments"], strict=True):
            carry_over(network_before.views(row_before), network.views(row))
        state["moments"] = moments
        if "average" in state:
            before, counts = state["average"]
            average = np.zeros_like(network.storage)
            carry_over(network_before.views(before), network.views(average))
            state["average"] = average, counts
        other = EstimatorTrainer.__new__(EstimatorTrainer)
        other.__setstate__(state | {"attributes": state["attributes"] | {"model": model}})
        return other

    def stored(self, learning_rate: float) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the trainer in the form for files: the metadata, and the arrays by name.

        `learning_rate` takes the place of rates that fall from epoch to epoch. Every fit begins with it anyway.
        """
        if self.order is not None and not _is_permutation(self.order):
            raise ValueError(
                "save: expected a network trained on all rows, got one with bootstrap and resume; pickle holds it"
            )
        optimizer: Any = self.optimizer
        if self.rate_rule.inverse_scaling and callable(optimizer.learning_rate):
            optimizer = dataclasses.replace(optimizer, learning_rate=learning_rate)
        config, arrays = self._contents(optimizer)
        rule = vars(self.rate_rule) | {"after": described(self.rate_rule.after)}
        own = {"rng": None, "solver": described(self._solver), "momentum": self._momentum, "rate_rule": rule}
        return config | own, arrays | ({} if self.order is None else {"order": self.order})

    def become(
        self, model: MLP, config: dict[str, Any], arrays: dict[str, NDArray[Any]], losses: Sequence[Any], generator: Any
    ) -> None:
        """Initialize as the trainer that `stored` described, with a generator that it shares with its estimator."""
        self._solver, self._momentum = (
            optimizer_of(config["solver"]),
            real("momentum", config["momentum"], low=0.0, high=1.0),
        )
        rule, self.order = config["rate_rule"], arrays.get("order")
        after = optimizer_of(rule["after"])
        if not isinstance(after, InverseScaling):
            raise ValueError(f"rate_rule: {after!r}")
        self.rate_rule = RateRule(flag("rate_rule", rule["inverse_scaling"]), flag("rate_rule", rule["adaptive"]), after)
        self._become(model, config, arrays, losses)
        kind = optimizers.OPTIMIZERS[self._solver] if isinstance(self._solver, str) else type(self._solver)
        if type(self.optimizer) is not kind:
            raise ValueError(f"{self.optimizer!r} for solver {self._solver!r}")
        if self.order is not None and not _is_permutation(self.order):
            raise ValueError("order: not a permutation")
        self.random_state = generator

    def take(self, **settings: Any) -> None:
        """Assign only the settings that have changed, because an assignment costs more than a comparison."""
        for name, value in settings.items():
            if getattr(self, name) != value:
                setattr(self, name, value)

    def prepared(self, X: Any, y: Any, sample_weight: Any) -> TrainingData:
        """Return data that the estimator has checked in the engine's form."""
        return apart_from(TrainingData(X, y, y.ndim == 1, sample_weight), network_of(self.model).storage)

    def _data(self, X: Any, y: Any, sample_weight: Any, prefix: str = "", *, is_part: bool = False) -> TrainingData:
        return self.prepared(X, y, sample_weight)

    def _conventions(self) -> dict[str, Any]:
        return {"order": self.order, "loss_by_rows": True}
