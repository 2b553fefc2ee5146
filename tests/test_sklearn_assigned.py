"""Values that users assign to fitted attributes and to parameters, in both libraries."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")

from _sklearn_pairs import DATA
from scipy import sparse
from sklearn import neural_network

from fastnn.sklearn import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = DATA["iris"]


def test_layers_may_be_pruned():
    pairs = [cls((6,), max_iter=3, random_state=0).fit(X, y) for cls in (neural_network.MLPClassifier, MLPClassifier)]
    for estimator in pairs:
        estimator.coefs_ = [estimator.coefs_[0][:, :4], estimator.coefs_[1][:4]]
        estimator.intercepts_ = [estimator.intercepts_[0][:4], estimator.intercepts_[1]]
    np.testing.assert_allclose(pairs[1].predict_proba(X), pairs[0].predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("wrong", [np.ones(6), np.ones((4, 5)), np.ones((1, 6))], ids=np.shape)
def test_layers_that_do_not_fit_raise(wrong):
    fitted = MLPClassifier((6,), max_iter=3, random_state=0).fit(X, y)
    fitted.coefs_[0] = wrong
    with pytest.raises(ValueError, match=r"coefs_, intercepts_: expected the shapes of .*, got \["):
        fitted.predict(X)


def test_sparse_indicators_are_accepted():
    labels = sparse.csr_matrix(np.column_stack([y == 0, y == 1, y > 0]).astype(int))
    pairs = [cls((6,), max_iter=3, random_state=0).fit(X, labels) for cls in (neural_network.MLPClassifier, MLPClassifier)]
    theirs, ours = (estimator.predict(X) for estimator in pairs)
    assert type(ours) is type(theirs)
    np.testing.assert_array_equal(ours.toarray(), theirs.toarray())


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_parameters_may_change_between_calls(solver):
    pairs = [cls((6,), solver=solver, random_state=0) for cls in (neural_network.MLPClassifier, MLPClassifier)]
    for estimator in pairs:
        estimator.partial_fit(X, y, classes=[0, 1, 2])
        estimator.set_params(alpha=5.0, shuffle=False, learning_rate_init=0.5, learning_rate="invscaling", momentum=0.1)
        for _ in range(3):
            estimator.partial_fit(X, y)
    np.testing.assert_allclose(pairs[1].loss_curve_, pairs[0].loss_curve_, rtol=1e-9)
