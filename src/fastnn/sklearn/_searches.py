"""Searches and cross-validation with scikit-learn's results, whose networks are trained together."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import joblib
import numpy as np
from sklearn import model_selection
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv

from fastnn.sklearn._candidates import Candidate
from fastnn.sklearn._data import thread_count
from fastnn.sklearn._plans import Plan, RecordedSplits, can_plan

# The attributes that a search by a plan has only until its end.
_OF_PLAN = ("estimator", "cv", "_plan")


class _Planning:
    """A base of the searches: a fit by a plan, and otherwise by scikit-learn alone."""

    estimator: Any
    cv: Any
    n_jobs: int | None
    _plan: Plan

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit the estimator with all settings, and then with the best.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets.
        params : dict
            Arguments for the estimator's `fit`, such as `sample_weight`, and `groups` for the splitter.

        Returns
        -------
        self : object
            The fitted search.
        """
        fit_params = {name: value for name, value in params.items() if name != "groups"}
        ours = type(self)._run_search is _Planning._run_search and not vars(self).get("_skl_callbacks")
        if not ours or not can_plan(self.estimator, X, y, fit_params, self._searched()):
            return super().fit(X, y, **params)  # type: ignore[misc]
        search = object.__new__(type(self))
        vars(search).update(vars(self))
        search._plan = plan = Plan(self.estimator, fit_params, thread_count(self.n_jobs))
        search.estimator = template = Candidate(self.estimator, plan)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        search.cv = RecordedSplits(cv, plan)
        try:
            with joblib.parallel_config(backend="sequential"):
                super(_Planning, search).fit(X, y, **params)  # type: ignore[misc]
        finally:
            template.turn_into(clone(self.estimator))  # scorers may refer to it
            fitted = {name: value for name, value in vars(search).items() if name not in _OF_PLAN}
            vars(self).update(fitted)
            if "_checked_cv_orig" in fitted:
                self._checked_cv_orig = cv
        return self

    def _searched(self) -> list[str]:
        """Return the names of the parameters that are searched, as far as they are known."""
        given = vars(self).get("param_grid", vars(self).get("param_distributions", {}))
        several = given if isinstance(given, list | tuple) else [given]
        return [str(name) for one in several if isinstance(one, Mapping) for name in one]

    def _run_search(self, evaluate_candidates: Callable[..., Any], *, callback_ctx: Any = None) -> None:
        options = {} if callback_ctx is None else {"callback_ctx": callback_ctx}
        plan = vars(self).get("_plan")
        evaluate = evaluate_candidates if plan is None else functools.partial(_evaluate, plan, evaluate_candidates)
        super()._run_search(evaluate, **options)  # type: ignore[misc]


def _evaluate(plan: Plan, evaluate: Callable[..., Any], candidate_params: Any, *args: Any, **kwargs: Any) -> Any:
    """Evaluate settings by scikit-learn's function, with the estimators of a plan."""
    settings = list(candidate_params)
    plan.begin(settings)
    try:
        results = evaluate(settings, *args, **kwargs)
    finally:
        plan.begin([])
    n_settings = len(results["params"])
    if n_settings and len(plan.fit_seconds) % n_settings == 0:
        seconds = np.array(plan.fit_seconds).reshape(n_settings, -1)
        results["mean_fit_time"], results["std_fit_time"] = seconds.mean(axis=1), seconds.std(axis=1)
    return results


class GridSearchCV(_Planning, model_selection.GridSearchCV):  # type: ignore[misc]
    """scikit-learn's `GridSearchCV`, with the same parameters, attributes and results, which trains networks together.

    If the estimator is `fastnn.sklearn.MLPClassifier` or `MLPRegressor`, alone or as the last step of a `Pipeline`, then the
    networks of all settings and folds are trained together on all cores. Each fold is copied and checked once. The
    transformers of a pipeline are fitted once per fold and setting of their own. `n_jobs` is the number of threads; None
    uses as many as the work justifies, and -1 uses all. All other searches are left to scikit-learn, with its meaning of
    `n_jobs`.

    See `sklearn.model_selection.GridSearchCV` for the parameters and attributes.

    Notes
    -----
    scikit-learn alone fits estimators with the solver "lbfgs", with `verbose`, with other arguments of `fit` than
    `sample_weight`, or with metadata routing. If `random_state` is None, each fit has a generator of its own, whose seed
    comes from NumPy's global generator. Ctrl-C ends the training of all networks at once, with a warning for each, and
    their scores are then those of the networks so far. "mean_fit_time" is that of the preparation and training of each
    estimator; several are trained at the same time.

    Examples
    --------
    >>> from fastnn.sklearn import GridSearchCV, MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier((8,), learning_rate_init=0.02, max_iter=60, tol=0.0, n_iter_no_change=60, random_state=0)
    >>> search = GridSearchCV(classifier, {"alpha": [1e-4, 1e-2], "activation": ["tanh", "gelu"]}, cv=3)
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # of networks that have not converged
    ...     fitted = search.fit(X, y)
    >>> bool(search.best_score_ > 0.9)
    True
    """


class RandomizedSearchCV(_Planning, model_selection.RandomizedSearchCV):  # type: ignore[misc]
    """scikit-learn's `RandomizedSearchCV`, with the same parameters, attributes and results, which trains networks together.

    See `GridSearchCV` for the searches that are faster than scikit-learn's, and
    `sklearn.model_selection.RandomizedSearchCV` for the parameters and attributes.

    Examples
    --------
    >>> from fastnn.sklearn import MLPRegressor, RandomizedSearchCV
    >>> import numpy as np
    >>> from scipy.stats import loguniform
    >>> X = np.linspace(-1, 1, 60)[:, None]
    >>> regressor = MLPRegressor(hidden_layer_sizes=(20,), max_iter=100, tol=0.0, n_iter_no_change=100, random_state=0)
    >>> distributions = {"learning_rate_init": loguniform(1e-3, 1e-1), "alpha": [0.0, 1e-3]}
    >>> search = RandomizedSearchCV(regressor, distributions, n_iter=5, cv=3, random_state=0)
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # of networks that have not converged
    ...     fitted = search.fit(X, X[:, 0] ** 2)
    >>> len(search.cv_results_["params"])
    5
    """


def cross_validate(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    cv: Any = None,
    n_jobs: int | None = None,
    params: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate an estimator by cross-validation: scikit-learn's `cross_validate`, which trains networks together.

    See `GridSearchCV` for the estimators that are faster than with scikit-learn's function.

    Parameters
    ----------
    estimator : estimator
        The estimator, which is not changed.
    X, y : array-likes
        The inputs and the targets.
    cv : int, splitter or iterable, default=None
        The folds.
    n_jobs : int, default=None
        The number of threads for an estimator of fastnn, and otherwise that of scikit-learn's processes.
    params : dict, default=None
        Arguments for `fit`, such as `sample_weight`.
    options
        The other parameters of `sklearn.model_selection.cross_validate`.

    Returns
    -------
    scores : dict
        The arrays "test_score", "fit_time" and "score_time", and others, as from scikit-learn's function.

    Examples
    --------
    >>> from fastnn.sklearn import MLPRegressor, cross_validate
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 60)[:, None]
    >>> regressor = MLPRegressor(hidden_layer_sizes=(20,), solver="adamw", learning_rate_init=0.02, random_state=0)
    >>> scores = cross_validate(regressor, X, X[:, 0], cv=3, scoring="neg_mean_squared_error")
    >>> sorted(scores)
    ['fit_time', 'score_time', 'test_score']
    """
    shared = {"n_jobs": n_jobs, **({} if params is None else {"params": params}), **options}
    if not can_plan(estimator, X, y, params or {}):
        return dict(model_selection.cross_validate(estimator, X, y, cv=cv, **shared))
    plan = Plan(estimator, params or {}, thread_count(n_jobs))
    template = Candidate(estimator, plan)
    plan.begin([{}])
    splits = RecordedSplits(check_cv(cv, y, classifier=is_classifier(estimator)), plan)
    with joblib.parallel_config(backend="sequential"):
        scores = dict(model_selection.cross_validate(template, X, y, cv=splits, **shared))
    template.turn_into(clone(estimator))  # scorers may refer to it
    if len(plan.fit_seconds) == len(scores["fit_time"]):
        scores["fit_time"] = np.array(plan.fit_seconds)
    return scores
