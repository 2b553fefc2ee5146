"""Classes of options: construction, errors, and what their objects can't do, for all of them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import re
import subprocess
import sys

import pytest

from fastnn import EMA, LBFGS, SWA, LayerSettings, embeddings, losses, optimizers, schedules
from fastnn._checks.option_classes import Options

VALUES = {
    "learning_rate": 0.1,
    "decay": 0.5,
    "factor": 0.5,
    "every": 3,
    "steps": 10,
    "schedule": schedules.Exponential(0.1, 0.9),
    "heads": [(0, "mse")],
    "n_categories": 3,  # None by default, which is refused: `columns` comes first, and has a default
    "bins": [0.0, 1.0],
}


def classes() -> list[type[Options]]:
    found = [EMA, LBFGS, SWA, LayerSettings, losses.Heads, *losses.LOSSES.values(), *optimizers.OPTIMIZERS.values()]
    found += [getattr(schedules, name) for name in schedules.__all__]
    found += embeddings.EMBEDDINGS.values()
    return found


def without_default(cls):
    parameters = inspect.signature(cls).parameters.values()
    return [each.name for each in parameters if each.default is each.empty]


def required(cls):
    """Return values for the options that an object needs."""
    names = {"n_categories", "bins"} & {*inspect.signature(cls).parameters}
    return {name: VALUES[name] for name in (*without_default(cls), *names)}


@pytest.fixture(params=classes(), ids=lambda cls: f"{cls.__module__.split('.')[1]}.{cls.__name__}")
def cls(request):
    return request.param


def test_signatures_are_those_of_fields(cls):
    parameters = inspect.signature(cls).parameters
    assert set(parameters) == {each.name for each in dataclasses.fields(cls)}
    kinds = [each.kind for each in parameters.values()]
    assert kinds == sorted(kinds)
    for each in dataclasses.fields(cls):
        assert (each.default is dataclasses.MISSING) == (parameters[each.name].default is inspect.Parameter.empty)


def test_objects_are_values(cls):
    made = cls(**required(cls))
    for same in (cls(**required(cls)), copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert same == made
        assert repr(same) == repr(made)
    assert dataclasses.replace(made) == made
    assert made != object()


def test_options_by_position_and_by_name_are_the_same(cls):
    made = cls(**required(cls))
    shown = inspect.signature(cls).parameters.values()
    positional = [getattr(made, each.name) for each in shown if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert cls(*positional) == made


def test_objects_do_not_change(cls):
    made = cls(**required(cls))
    for name in (*(each.name for each in dataclasses.fields(cls)), "something_else"):
        with pytest.raises(
            dataclasses.FrozenInstanceError, match=f"^{name}: the options of {cls.__name__} can't be changed"
        ):
            setattr(made, name, 1)
        with pytest.raises(
            dataclasses.FrozenInstanceError, match=f"^{name}: the options of {cls.__name__} can't be deleted"
        ):
            delattr(made, name)
    assert made == cls(**required(cls))


def test_errors_name_the_class_and_the_option(cls):
    call = re.escape(f"{cls.__name__}()")
    with pytest.raises(TypeError, match=f"^{call} got an unexpected keyword argument 'xyzzy'"):
        cls(**required(cls), xyzzy=1)
    parameters = inspect.signature(cls).parameters.values()
    positional = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    with pytest.raises(TypeError, match=f"^{call}: expected at most {len(positional)} arguments without a name"):
        cls(*[None] * (len(positional) + 1))
    if positional:
        with pytest.raises(TypeError, match=f"^{call} got multiple values for argument '{positional[0]}'"):
            cls(0.5, **{positional[0]: 0.5})
    for name in without_default(cls):
        with pytest.raises(TypeError, match=f"^{call} lacks {name}, expected a value, got none"):
            cls(**{other: value for other, value in required(cls).items() if other != name})


def test_importing_fastnn_loads_little_beyond_numpy():
    program = "import sys, numpy; before = {*sys.modules}; import fastnn; print(*{*sys.modules} - before)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    others = {name for name in loaded if name.partition(".")[0] not in ("fastnn", "cython_runtime") and "cython" not in name}
    assert others <= {"__future__", "copy", "dataclasses", "errno", "inspect"}
    lazy = {"callbacks", "dask", "embeddings", "jit", "ops", "reference", "schedules", "sklearn"}
    assert not {f"fastnn.{name}" for name in lazy} & {*loaded}
