"""The fits of both estimators, from checked parameters and data to a trained network."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state

from fastnn._native import copied_parameters
from fastnn.sklearn import _by_hand, _categories, _parameters
from fastnn.sklearn._before import Before
from fastnn.sklearn._checked import Checked
from fastnn.sklearn._contradictions import is_lbfgs
from fastnn.sklearn._data import Rows, check_mean, native_rows, thread_count
from fastnn.sklearn._definitions import (
    EstimatorTrainer,
    activation_of,
    draw_embeddings,
    draw_projection,
    draw_weights,
    native_loss,
)
from fastnn.sklearn._fit_checks import FitChecks
from fastnn.sklearn._member_fits import begin_members, summarize, train_members
from fastnn.sklearn._members import explain_missing, is_ensemble
from fastnn.sklearn._seeding import seeded
from fastnn.sklearn._stochastic import BatchFit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.sklearn._lbfgs import SearchFit


class Fitting(FitChecks):
    """A base of the estimators, with the preparations and attributes of a fit."""

    # Fitting sets these attributes, and copies and pickles contain them. The functions of this folder read and set them.
    _random_state: np.random.RandomState  # of the last fit
    _network_made_of: tuple[Any, ...]  # the parameters that the network was made of, see `_by_hand`
    _learning_rate: float  # of the next epoch
    _no_improvement_count: int  # epochs since loss or score last improved
    _best_parameters: NDArray[Any] | None  # with early stopping, those with the best score
    # With an average, or with early stopping and `resume`: those of the last epoch, with which the training continues.
    _last_parameters: NDArray[Any] | None
    _split_state: Any  # with `resume`, the state of the random numbers that chose the held-out rows
    _trainer: EstimatorTrainer  # of the last fit by batches
    _category_columns: _categories.CategoryColumns  # with columns of categories

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        incremental: bool,
        validation: tuple[Any, Any, Any] | None = None,
        classes: Any = None,
    ) -> Any:
        before = Before(self)
        fits: list[BatchFit | SearchFit] = []
        try:
            if incremental:
                self._take_classes(y, classes)
            fits = self._begin_fits(self._checked(X, y, sample_weight, incremental, validation))
            self._run_fits(fits)
        except BaseException as error:
            # After Ctrl-C, a search by L-BFGS has left the parameters of its last iteration.
            if not (fits and is_lbfgs(self) and isinstance(error, KeyboardInterrupt)):
                before.restore()
            raise
        self._end_fits(fits)
        return self

    def _run_fits(self, fits: list[BatchFit | SearchFit]) -> None:
        try:
            if is_ensemble(self):
                train_members(self, fits)
            else:
                fits[0].run()
        except BaseException:
            self._take_trained(fits)
            raise

    def _begin_fits(self, data: Checked, random_state: np.random.RandomState | None = None) -> list[BatchFit | SearchFit]:
        """Return the fits of all networks to checked data, which others run; `_end_fits` ends them."""
        if is_ensemble(self):
            return begin_members(self, data)
        self.__dict__.pop("members_", None)
        return [self._begin_fit(data, random_state=random_state)]

    def _end_fits(self, fits: list[BatchFit | SearchFit]) -> None:
        """End the fits of all networks, and raise the error of the first that failed."""
        try:
            for fit in fits:
                fit.end()
        finally:
            self._take_trained(fits)
        if is_ensemble(self):
            summarize(self)

    @staticmethod
    def _take_trained(fits: list[BatchFit | SearchFit]) -> None:
        for fit in fits:  # so that arrays of coefs_ to which users refer are the trained ones
            fit.estimator._take_assigned()

    def _begin_fit(
        self, data: Checked, *, bootstrap: bool = False, random_state: np.random.RandomState | None = None
    ) -> BatchFit | SearchFit:
        """Return a fit to checked data, which others run and end.

        Parameters
        ----------
        data : Checked
            The data.
        bootstrap : bool
            Whether to train on rows that are drawn with replacement.
        random_state : RandomState, optional
            A source of random numbers for this fit instead of that of the parameter.
        """
        held_out, first, incremental = data.held_out, data.first, data.incremental
        resumes = self.warm_start and not first and not incremental and self._can_resume(splits=held_out is None)
        if random_state is None:
            random_state = self._random_state if resumes else self._new_random_state(again=incremental and not first)
        if first:
            self._begin_network(data.X, data.y, data.hidden, random_state)
        else:
            _by_hand.check_sizes(self, data.hidden)
        self._random_state = random_state
        arrays = data.X, data.y, data.weight
        try:
            if is_lbfgs(self):
                return self._new_search(*arrays, bootstrap)
            return BatchFit(self, *arrays, held_out, incremental=incremental, resumes=resumes, bootstrap=bootstrap)
        except BaseException:
            self._take_assigned()
            raise

    def __getattr__(self, name: str) -> Any:
        """Explain that each network of an ensemble has its own value of an attribute."""
        members = self.__dict__.get("members_")
        if members and name.endswith("_") and not name.startswith("_") and hasattr(members[0], name):
            explain_missing(self, name)
        return object.__getattribute__(self, name)  # which raises the error with its text

    def _new_random_state(self, *, again: bool) -> np.random.RandomState:
        """Return the random state with which a fit begins.

        With `again`, seed the stored one again, because making a new one takes longer than a step.
        """
        seed = self.random_state
        if not isinstance(seed, Integral):
            state: np.random.RandomState = check_random_state(seed)
            return state
        if not again:
            return seeded(int(seed))
        cache = _parameters.cache_of(self)
        kept: np.random.RandomState | None = cache.get("random_state")
        if kept is None:
            kept = cache["random_state"] = seeded(int(seed))
        else:
            kept.seed(int(seed))
        return kept

    def _begin_network(self, X: Any, y: Any, hidden: list[int], random_state: np.random.RandomState) -> None:
        """Make the network with its initial weights, and set the attributes of an untrained estimator."""
        self.out_activation_, _ = self._output()
        self.n_outputs_ = self._count_outputs(y)
        sizes = (X.shape[1], *hidden, self.n_outputs_)
        self.n_layers_ = len(sizes)
        self.network_ = _by_hand.new_network(self, sizes, X.dtype, random_state)
        self._forget_assigned()
        activations = _by_hand.hidden_activations(self, len(hidden)) or [activation_of(self.activation)]
        draw_embeddings(self.network_, random_state)
        widths = (len(self.network_.weights[0]), *sizes[1:])
        n_members = 1 if self.shared is None else self.shared.n_members
        drawn = draw_weights(widths, activations, random_state, n_members)
        for (weights, bias), to_weights, to_bias in zip(drawn, self.network_.weights, self.network_.biases, strict=True):
            to_weights[...], to_bias[...] = weights, bias
        for projection in self.network_.projections:
            if projection is not None:
                draw_projection(projection, random_state)
        self._begin_account()

    def _network_of_assigned(self) -> None:
        _by_hand.network_of_assigned(self)

    def _follow_parameters(self) -> None:
        _by_hand.follow(self)

    def _adopt_classes(self) -> None:
        """Take the classes from attributes that a program set."""

    def _begin_account(self) -> None:
        """Set the attributes of an untrained estimator."""
        self.__dict__.pop("_trainer", None)  # it belongs to another network
        self.__dict__.update(self._new_account())

    def _new_account(self) -> dict[str, Any]:
        """Return the attributes of an untrained estimator."""
        epochs = {} if is_lbfgs(self) else self._account_of_no_epochs()
        return {"n_iter_": 0, "t_": 0, **epochs}

    def _account_of_no_epochs(self) -> dict[str, Any]:
        """Return the attributes of an estimator before its first epoch."""
        by_score = bool(self.early_stopping)
        return {
            "loss_curve_": [],
            "validation_loss_curve_": [],
            "_no_improvement_count": 0,
            "_best_parameters": copied_parameters(self.network_) if by_score else None,
            "best_loss_": None if by_score else np.inf,
            "validation_scores_": [] if by_score else None,
            "best_validation_score_": -np.inf if by_score else None,
        }

    def _can_resume(self, *, splits: bool) -> bool:
        """Return whether an exact continuation of the last fit is possible. `splits` says whether it holds out rows."""
        needed = ["_trainer"]
        if self.early_stopping:
            needed += ["_last_parameters", "_split_state"] if splits else ["_last_parameters"]
        return bool(self.resume) and all(getattr(self, name, None) is not None for name in needed)

    def _new_search(self, X: Any, y: Any, sample_weight: Any, bootstrap: bool) -> SearchFit:
        from fastnn.sklearn._lbfgs import SearchFit

        if bootstrap:
            drawn = self._random_state.randint(0, X.shape[0], X.shape[0], np.int64)
            X, y, sample_weight = X[drawn], y[drawn], None if sample_weight is None else sample_weight[drawn]
            check_mean("sample_weight", sample_weight)
        rows = Rows(native_rows(X, self.network_.dtype), self._native_target(y), sample_weight)
        loss = native_loss(self._output()[1], self.n_outputs_, self.network_.dtype)
        return SearchFit(self, loss, rows, thread_count(self.n_jobs))
