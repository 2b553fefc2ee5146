"""Residual connections in modules of PyTorch: both libraries then predict and train the same."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from _model_checks import with_values
from _residual import RESIDUAL, data_for

from fastnn import MLP, SGD, AdamW, Muon, Trainer, from_torch

torch = pytest.importorskip("torch")
NAMES = [name for name in RESIDUAL if name != "embedded"]


def model_of(name, **options):
    """Return a model whose activations PyTorch has."""
    sizes, activation, own = RESIDUAL[name]
    names = activation if isinstance(activation, str) else ["tanh" if each == "sin" else each for each in activation]
    return with_values(MLP(sizes, names, random_state=0, **{"dtype": np.float64} | own | options))


def assert_alike(module, model, rtol=1e-12, atol=1e-13):
    X, _, _ = data_for(model)
    with torch.no_grad():
        expected = copy.deepcopy(module).eval()(torch.tensor(X.astype(model.dtype))).numpy()
    np.testing.assert_allclose(model.predict(X), expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", NAMES)
def test_models_come_back_as_they_were(name, place, dtype):
    model = model_of(name, residual_place=place, dtype=dtype, dropout=0.2, input_dropout=0.1)
    module = model.to_torch()
    assert isinstance(module, torch.nn.Sequential)
    tolerance = {"rtol": 1e-12, "atol": 1e-13} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-4}
    assert_alike(module, model, **tolerance)
    again = from_torch(module)
    assert (again.residual, again.dropout, again.input_dropout) == (model.residual, model.dropout, 0.1)
    assert again.residual_place == (model.residual_place if name != "scalar" else again.residual_place)
    assert again.to_vector().tobytes() == model.to_vector().tobytes()
    assert_alike(module, again, **tolerance)
    assert from_torch(again.to_torch()).to_vector().tobytes() == model.to_vector().tobytes()
    assert "Keep(" in repr(module)
    assert "Add(" in repr(module)


@pytest.mark.parametrize("optimizer", [SGD(0.01, momentum=0.9), AdamW(0.01, weight_decay=0.1)], ids=repr)
@pytest.mark.parametrize("name", ["projection", "simba", "many"])
def test_trainings_continue_in_either_library(name, optimizer):
    model = model_of(name)
    X, y, _ = data_for(model)
    l2 = 0.05 if isinstance(optimizer, SGD) else 0.0
    trainer = Trainer(model, "mse", optimizer, l2=l2, shuffle=False, batch_size=64)
    trainer.run(X, y, 2)
    module, continued = trainer.to_torch()
    back = Trainer.from_torch(module, continued, "mse", shuffle=False, batch_size=64)
    assert back.l2 == l2
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(3):
        continued.zero_grad()
        torch.nn.functional.mse_loss(module(inputs), targets).backward()
        continued.step()
    trainer.run(X, y, 3)
    back.run(X, y, 3)
    expected = from_torch(module).to_vector()
    np.testing.assert_allclose(trainer.model.to_vector(), expected, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(back.model.to_vector(), expected, rtol=1e-7, atol=1e-10)
    with pytest.raises(ValueError, match="to_torch: expected an optimizer with one counterpart in PyTorch"):
        Trainer(model, "mse", Muon()).to_torch()


def parts():
    from fastnn._exports.pytorch_parts import Add, Keep, Residual, Scale

    return torch.nn, Residual, Keep, Add, Scale


def test_modules_in_other_orders_are_read():
    nn, Residual, Keep, Add, _ = parts()
    first, second, last = (nn.Linear(4, 4) for _ in range(3))
    for module, place in (
        (Residual(first, Keep(1), second, Add(1), nn.ReLU(), last), "before"),
        (Residual(first, Keep(1), second, nn.ReLU(), Add(1), last), "after"),
        (
            Residual(Keep(0), first, nn.Identity(), Keep(1), second, Add(1), nn.Dropout(0.5), last, Add(0)),
            "before",
        ),
        (Residual(first, Keep(1), second, nn.Dropout(0.5), Add(1), nn.LayerNorm(4), last), "after"),
        (
            Residual(first, nn.LayerNorm(4), Keep(1), second, nn.Tanh(), Add(1), Keep(2), nn.LayerNorm(4), last),
            "after",
        ),
        (Residual(first, nn.Tanh(), Keep(1), nn.LayerNorm(4), nn.Dropout(0.5), second, Add(1), last), "after"),
        (Residual(first, nn.Sequential(nn.ReLU(), nn.Dropout(0.5)), Keep(1), second, Add(1), last), "after"),
    ):
        model = from_torch(module)
        assert model.residual_place == place
        assert_alike(module, model, 1e-4, 1e-5)
        drops = [part.p for part in module.modules() if isinstance(part, nn.Dropout)]
        assert [rate for rate in model.dropout if rate] == drops


REFUSED = {
    r"Keep\(1\) behind 1 layers": lambda nn, Residual, Keep, Add, Scale: Residual(nn.Linear(2, 2), Keep(2)),
    "one Keep per Linear": lambda nn, Residual, Keep, Add, Scale: Residual(nn.Linear(2, 2), Keep(1), Keep(1)),
    "Keep before the normalization '2' of outputs": lambda nn, Residual, Keep, Add, Scale: Residual(
        nn.Linear(2, 2), nn.ReLU(), nn.LayerNorm(2), Keep(1), nn.Linear(2, 2)
    ),
    "expected a Linear first": lambda nn, Residual, Keep, Add, Scale: Residual(Keep(0), Add(0), nn.Linear(2, 2)),
    "one Add per Linear, got .* after '2'": lambda nn, Residual, Keep, Add, Scale: Residual(
        Keep(0), nn.Linear(2, 2), Add(0), Add(0)
    ),
    "one Add per Linear, got .* after the normalization": lambda nn, Residual, Keep, Add, Scale: Residual(
        Keep(0), nn.Linear(2, 2), nn.ReLU(), nn.LayerNorm(2), Add(0), nn.Linear(2, 2)
    ),
    r"a Keep\(0\) before an earlier Linear, got none": lambda nn, Residual, Keep, Add, Scale: Residual(
        nn.Linear(2, 2), Add(0)
    ),
    r"a Keep\(1\) before an earlier Linear, got none": lambda nn, Residual, Keep, Add, Scale: Residual(
        nn.Linear(2, 2), Add(1), Keep(1)
    ),
    r"a Keep\(-1\) before an earlier Linear": lambda nn, Residual, Keep, Add, Scale: Residual(nn.Linear(2, 2), Add(-1)),
    r"Add\(0\) for 2 and 2 units": lambda nn, Residual, Keep, Add, Scale: Residual(Keep(0), nn.Linear(2, 2), Add(0, 2, 2)),
    r"Add\(0, 2, 3\) for 2 and 3 units": lambda nn, Residual, Keep, Add, Scale: Residual(Keep(0), nn.Linear(2, 3), Add(0)),
    "Add before the last activation": lambda nn, Residual, Keep, Add, Scale: Residual(
        Keep(0), nn.Linear(2, 2), nn.ReLU(), Add(0)
    ),
    "all Add before activations or all after them": lambda nn, Residual, Keep, Add, Scale: Residual(
        Keep(0), nn.Linear(2, 2), nn.ReLU(), Add(0), nn.Linear(2, 2), Add(0), nn.ReLU(), nn.Linear(2, 2)
    ),
    "after the Add '3'": lambda nn, Residual, Keep, Add, Scale: Residual(
        Keep(0), nn.Linear(2, 2), nn.ReLU(), Add(0), nn.Dropout(0.5), nn.Linear(2, 2)
    ),
    "after its Keep": lambda nn, Residual, Keep, Add, Scale: Residual(nn.Linear(2, 2), Keep(1), nn.ReLU(), nn.Linear(2, 2)),
    "Dropout, Add and Keep in this order": lambda nn, Residual, Keep, Add, Scale: Residual(
        nn.Linear(2, 2), nn.ReLU(), Keep(1), nn.Dropout(0.5), nn.Linear(2, 2)
    ),
    "expected Add after '3', which an activation follows": lambda nn, Residual, Keep, Add, Scale: Residual(
        Keep(0), nn.Linear(2, 2), Add(0), nn.LayerNorm(2), nn.ReLU(), nn.Linear(2, 2)
    ),
    r"Keep\(0\) directly before the first Linear": lambda nn, Residual, Keep, Add, Scale: Residual(
        Keep(0), Scale(2), nn.Linear(2, 2)
    ),
    "parts of the whole Residual itself": lambda nn, Residual, Keep, Add, Scale: Residual(
        nn.Sequential(Keep(0), nn.Linear(2, 2)), Add(0)
    ),
    "expected Linear, .* got Residual": lambda nn, Residual, Keep, Add, Scale: nn.Sequential(
        Residual(Keep(0), nn.Linear(2, 2), Add(0))
    ),
    "expected modules without hooks": lambda nn, Residual, Keep, Add, Scale: with_hook(
        Residual(Keep(0), nn.Linear(2, 2), Add(0))
    ),
}


def with_hook(module):
    module[2].register_forward_hook(lambda *_: None)
    return module


@pytest.mark.parametrize("message", REFUSED)
def test_connections_that_no_network_has_are_refused(message):
    with pytest.raises(ValueError, match=message):
        from_torch(REFUSED[message](*parts()))


def test_a_sequential_does_not_hide_connections():
    nn, _, Keep, Add, _ = parts()
    with pytest.raises(ValueError, match="parts of the whole Residual"):
        from_torch(nn.Sequential(Keep(0), nn.Linear(2, 2), Add(0)))
