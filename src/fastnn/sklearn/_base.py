"""The common base of both estimators: their methods on the fitted network, copies and pickles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from fastnn._checks.options import explained
from fastnn._storage.write_file import FilePath
from fastnn.sklearn import _fitted, _keeping, _members
from fastnn.sklearn._contradictions import is_lbfgs
from fastnn.sklearn._data import checked_inputs, thread_count
from fastnn.sklearn._overrides import check_overrides
from fastnn.sklearn._stored import StoredEstimator
from fastnn.sklearn._to_sklearn import to_sklearn

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def solver_has_epochs(estimator: Any) -> bool:
    if is_lbfgs(estimator):
        raise AttributeError(
            f"partial_fit is only available for solvers that go by epochs, not for solver={estimator.solver!r}."
        )
    return True


class BaseMLP(StoredEstimator):
    """The base of the two estimators, which is not for users."""

    @available_if(solver_has_epochs)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Train for one epoch on the given rows, and continue from the end of the previous call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights of either sign. The loss of a batch is divided by their sum; a sum of zero raises
            ZeroDivisionError. Samples of weight zero do not count.

        Returns
        -------
        self : object
            The trained estimator.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    # ---- The fitted network ----

    def _outputs(self, X: Any) -> NDArray[Any]:
        check_overrides(self)
        self._take_assigned()
        if "members_" in vars(self):
            return _members.mean_of_members(self._outputs_of_members(X))
        check_is_fitted(self, "network_")
        X = checked_inputs(self, X)
        outputs = self.network_.predict(X, n_threads=thread_count(self.n_jobs))
        return outputs.astype(np.result_type(X.dtype, outputs.dtype), copy=False)

    def _outputs_of_members(self, X: Any) -> NDArray[Any]:
        return _members.outputs_of_members(self, checked_inputs(self, X))

    def _mean_and_spread(self, X: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        check_overrides(self)
        self._take_assigned()
        if "members_" not in vars(self):
            check_is_fitted(self, "network_")
        _members.check_spread(self)
        outputs = self._outputs_of_members(X)
        return _members.mean_of_members(outputs), _members.spread_of_members(outputs)

    def predict(self, X: ArrayLike) -> Any:
        """Return the predictions of the fitted network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted classes or values.
        """
        return self._decode(self._outputs(X))

    def hidden_activations(self, X: ArrayLike) -> list[NDArray[Any]]:
        """Return the outputs of every hidden layer.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        activations : list of ndarray of shape (n_samples, n_units)
            The outputs, one array per hidden layer. With `shared`, those of all members, (n_samples, n_members, n_units).

        Raises
        ------
        ValueError
            If there are several networks. Call the method of each of the `members_`.
        """
        _members.refuse(self, "hidden_activations", "call the method of each of the members_")
        self._take_assigned()
        check_is_fitted(self, "network_")
        X = checked_inputs(self, X)
        return self.network_.hidden_activations(X)

    def input_gradients(self, X: ArrayLike) -> NDArray[Any]:
        """Return the derivatives of the outputs with respect to the inputs.

        The outputs are the predicted values or probabilities. A binary classifier has one: the probability of its second
        class. With `n_members`, they are those of the mean.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        gradients : ndarray of shape (n_samples, n_features) or (n_samples, n_outputs, n_features)
            The derivatives. The second shape applies if there is more than one output.
        """
        self._take_assigned()
        if "members_" in vars(self):
            check_overrides(self)
            X = checked_inputs(self, X)
            return _members.mean_of_members(np.stack([member._input_gradients(X) for member in self.members_]))
        check_is_fitted(self, "network_")
        return self._input_gradients(checked_inputs(self, X))

    def _input_gradients(self, X: Any) -> NDArray[Any]:
        self._take_assigned()
        return _fitted.input_gradients(self.network_, X)

    # ---- Conversion, copies and pickles ----

    def to_sklearn(self) -> Any:
        """Return scikit-learn's estimator with the same parameters, fitted attributes and predictions.

        Training can continue, with a new optimizer. `from_sklearn` converts back.

        Returns
        -------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            The estimator, which is unfitted if this one is.

        Raises
        ------
        ValueError
            If a parameter has a value that scikit-learn does not support, or there are several networks.

        Examples
        --------
        >>> from fastnn.sklearn import MLPClassifier
        >>> ours = MLPClassifier((8,), solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["no", "yes"])
        >>> theirs = ours.to_sklearn()
        >>> theirs.predict([[0.1], [0.8]])
        array(['no', 'yes'], dtype='<U3')
        """
        _members.refuse(self, "to_sklearn", "convert each of the members_")
        self._take_assigned()
        _fitted.refuse_embeddings(self, "to_sklearn")
        return to_sklearn(self)

    @explained
    def to_onnx(
        self,
        path: FilePath,
        *,
        input_name: str = "X",
        output_names: Sequence[str] | None = None,
        batch_size: int | None = None,
        opset: int | None = None,
    ) -> None:
        """Write the fitted estimator to an ONNX file, which computes its predictions in the network's dtype.

        A classifier has two outputs: "label", the class of each row, and "probabilities", as `predict_proba` returns them.
        Labels are texts or 64-bit integers; for multilabel targets, they are an indicator matrix. A regressor has the output
        "y" of shape (rows, n_outputs). The metadata have one entry, "fastnn", with the architecture, the classes and the
        feature names. For pipelines, use skl2onnx.

        The input has the columns of X, in the network's dtype. With `categorical_features`, columns whose categories are
        texts are an input of their own, whose name ends in "_text". If all columns have texts, there is no other input. A
        column without any category in the fit counts as one of numbers. For a missing number, pass NaN. For a missing text,
        pass any text that is not a category, for example an empty one.

        Parameters
        ----------
        path : str, bytes or path-like
            The file.
        input_name : str, default="X"
            The name of the input.
        output_names : sequence of str, default=None
            Other names of the outputs, in this order.
        batch_size : int, default=None
            The only number of rows that the file is to accept. None means any number.
        opset : int, default=None
            The version of ONNX's operators, from 13 on. The default, 20, needs ONNX Runtime 1.17 or newer.

        Raises
        ------
        ImportError
            If the package onnx is not installed; the extra "onnx" installs it.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError, ValueError
            If an option is wrong, there are several networks, ONNX can't express an activation or the classes, or
            the network's dtype can't tell a numeric category from other numbers.
        OSError
            If the file can't be written. An existing file is then unchanged.

        Examples
        --------
        >>> from fastnn.sklearn import MLPClassifier
        >>> classifier = MLPClassifier((8,), solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["no", "yes"])
        >>> classifier.to_onnx("model.onnx")
        >>> import numpy as np
        >>> import onnxruntime
        >>> session = onnxruntime.InferenceSession("model.onnx")
        >>> labels, probabilities = session.run(None, {"X": np.array([[0.1], [0.8]])})
        >>> labels
        array(['no', 'yes'], dtype=object)
        """
        check_overrides(self)
        _members.refuse(self, "to_onnx", "write each of the members_")
        self._take_assigned()
        check_is_fitted(self, "network_")
        from fastnn.sklearn._to_onnx import to_onnx

        to_onnx(self, path, input_name, output_names, batch_size=batch_size, opset=opset)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, except for the views of the network, as plain values."""
        self.__dict__.pop("_cache", None)  # it contains a random state, which shallow copies would share
        if "network_" not in self.__dict__:
            return dict(super().__getstate__())
        self._take_assigned()
        return _keeping.packed(dict(super().__getstate__()))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the attributes, with the network of the state."""
        if "network_" not in state:
            super().__setstate__(state)
            return
        super().__setstate__(_keeping.unpacked(state))

    def __sklearn_tags__(self) -> Any:
        """Declare that sparse matrices are accepted."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
