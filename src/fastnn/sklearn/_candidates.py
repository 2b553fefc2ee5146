"""The estimators of a search: placeholders that turn into the estimators of a plan when scikit-learn fits them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sklearn.base import clone

if TYPE_CHECKING:
    from fastnn.sklearn._plans import Plan

_OWN = ("_template", "_plan", "_parameters")


class Candidate:
    """A placeholder for an estimator in scikit-learn's loop over settings and folds.

    Its fit takes the next estimator of the plan, which was trained together with others. The placeholder then becomes this
    estimator: it gets its class and its attributes. If the plan has none, the placeholder becomes a clone of the template
    with the parameters that it was given, and fits it.

    Parameters
    ----------
    template : estimator
        The estimator of the user.
    plan : Plan
        The plan.
    """

    def __init__(self, template: Any, plan: Plan) -> None:
        self._template, self._plan = template, plan
        self._parameters: dict[str, Any] = {}

    def __sklearn_clone__(self) -> Candidate:
        """Return another placeholder with the same parameters."""
        other = Candidate(self._template, self._plan)
        other._parameters = clone(self._parameters, safe=False)
        return other

    def __sklearn_tags__(self) -> Any:
        """Return the tags of the template."""
        return self._template.__sklearn_tags__()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the template, for which scikit-learn looks before a fit."""
        if name.startswith("__") or "_template" not in vars(self):
            raise AttributeError(name)
        return getattr(self._template, name)

    def __repr__(self) -> str:
        """Return the text of the template."""
        return repr(self._template)

    def get_params(self, deep: bool = True) -> Mapping[str, Any]:
        """Return the parameters of the template."""
        parameters: Mapping[str, Any] = self._template.get_params(deep=deep)
        return parameters

    def set_params(self, **parameters: Any) -> Candidate:
        """Record parameters for the fit."""
        self._plan.check_names(parameters)
        self._parameters |= parameters
        return self

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Become the next estimator of the plan, or a new one, and return it fitted."""
        plan, begun = self._plan, time.perf_counter()
        planned = plan.take(X, self._parameters)
        if planned is not None:
            self.turn_into(planned.estimator)
            planned.end()
            plan.fit_seconds.append(planned.seconds)
            return self
        self.turn_into(clone(self._template).set_params(**self._parameters))
        try:
            return self.fit(X, y, **fit_params)
        finally:
            plan.fit_seconds.append(time.perf_counter() - begun)

    def turn_into(self, estimator: Any) -> None:
        """Become an estimator."""
        attributes = vars(estimator)
        attributes |= {name: value for name, value in vars(self).items() if name not in _OWN}  # of scikit-learn's loop
        self.__class__ = type(estimator)
        self.__dict__ = attributes  # shared, so that the end of the fit sets attributes of both
