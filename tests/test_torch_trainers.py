"""Trainers from and to PyTorch's optimizers, if PyTorch is installed: both libraries then make the same steps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from _helpers import data, optimizer_of
from test_pytorch import of_torch

from fastnn import MLP, SGD, Adam, AdamW, LayerSettings, NAdam, Trainer
from fastnn._engine import core as _core
from fastnn.schedules import Cosine

ROWS = [row for row in _core.OPTIMIZERS if row not in ("lion", "muon")]  # PyTorch lacks the one, and divides the other


def steps_of_torch(torch, module, optimizer, X, y, count):
    """Make steps of PyTorch, each on all rows."""
    inputs, targets = torch.tensor(X), torch.tensor(y)
    for _ in range(count):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(module(inputs), targets).backward()
        optimizer.step()


def vector_of(module):
    """Return the parameters of a module in the order and layout of `MLP.to_vector`."""
    return np.concatenate([p.detach().numpy().T.ravel() for p in module.parameters()])


def module_for(torch, dtype, activation=None):
    torch.manual_seed(0)
    nn = torch.nn
    module = nn.Sequential(
        nn.Linear(3, 8), activation or nn.Tanh(), nn.Sequential(nn.Linear(8, 5), nn.ELU()), nn.Linear(5, 2)
    )
    return module.to(getattr(torch, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("before", [0, 1, 7])
@pytest.mark.parametrize("row", ROWS)
def test_a_trainer_continues_where_pytorch_stopped(torch, row, before, dtype):
    X, y = (array.astype(dtype) for array in data(20, 3, 2))
    module = module_for(torch, dtype)
    optimizer = of_torch(torch, row, module.parameters())
    steps_of_torch(torch, module, optimizer, X, y, before)
    trainer = Trainer.from_torch(module, optimizer, batch_size=20)
    assert trainer.optimizer == optimizer_of(row)
    assert trainer.updates == (0 if isinstance(trainer.optimizer, SGD) else before)
    for _ in range(5):
        trainer.step(X, y)
    steps_of_torch(torch, module, optimizer, X, y, 5)
    tolerance = 1e-10 if dtype == "float64" else 2e-4
    np.testing.assert_allclose(trainer.model.to_vector(), vector_of(module), rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("before", [0, 1, 7])
@pytest.mark.parametrize("row", ROWS)
def test_pytorch_continues_where_a_trainer_stopped(torch, row, before, dtype):
    X, y = data(20, 3, 2)
    l2 = 0.0 if row == "adamw" else 0.01
    normalization = ["layer_norm", "rms_norm"]
    options = {"normalization": normalization, "normalization_place": ["before", "after"], "dtype": dtype}
    model = MLP((3, 8, 5, 2), ["tanh", "prelu"], **options, random_state=0)
    trainer = Trainer(model, "mse", optimizer_of(row), l2=l2, batch_size=20)
    for _ in range(before):
        trainer.step(X, y)
    module, optimizer = trainer.to_torch()
    assert module.training
    steps_of_torch(torch, module, optimizer, X.astype(dtype), y.astype(dtype), 5)
    again = Trainer.from_torch(module, optimizer, batch_size=20)
    assert (again.optimizer, again.l2) == (trainer.optimizer, trainer.l2)
    for _ in range(5):
        trainer.step(X, y)
    tolerance = 1e-10 if dtype == "float64" else 2e-4
    for got in (vector_of(module), again.model.to_vector()):
        np.testing.assert_allclose(got, trainer.model.to_vector(), rtol=tolerance, atol=tolerance / 10)
    for trained in (again, trainer):
        trained.step(X, y)
    np.testing.assert_allclose(again.model.to_vector(), trainer.model.to_vector(), rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize("row", ROWS)
def test_settings_of_layers_become_groups(torch, row):
    X, y = data(20, 3, 2)
    optimizer, decays = optimizer_of(row), {"weight_decay_factor": {"biases": 0.0, "slopes": 2.0}} if row == "adamw" else {}
    epsilon = {"epsilon_factor": 1e4} if "epsilon" in optimizer.coefficient_names() else {}
    settings = [
        LayerSettings({"weights": 2.0, "biases": 0.1, "slopes": 0.5}, **decays, **epsilon),
        LayerSettings(frozen={"weights": True}),
        LayerSettings(l2=None if row == "adamw" else 0.1),
    ]
    model = MLP((3, 8, 5, 2), "prelu", dtype=np.float64, random_state=0)
    trainer = Trainer(model, "mse", optimizer, l2=0.0 if row == "adamw" else 0.01, batch_size=20, layer_settings=settings)
    for _ in range(3):
        trainer.step(X, y)
    module, optimizer = trainer.to_torch()
    steps_of_torch(torch, module, optimizer, X, y, 5)
    for _ in range(5):
        trainer.step(X, y)
    np.testing.assert_allclose(vector_of(module), trainer.model.to_vector(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("row", ["momentum", "nesterov", "adam", "adamw"])
def test_scheduled_settings_are_those_of_groups(torch, row):
    X, y = data(20, 3, 2)
    momentum, decay = Cosine(0.95, 6, 0.8), Cosine(0.3, 6)
    scheduled = {"beta_1" if row.startswith("adam") else "momentum": momentum}
    scheduled |= {"weight_decay": decay} if row == "adamw" else {}
    model = MLP((3, 8, 2), "tanh", dtype=np.float64, random_state=0)
    l2 = 0.0 if row == "adamw" else decay
    trainer = Trainer(model, "mse", dataclasses.replace(optimizer_of(row), **scheduled), l2=l2, batch_size=20)
    module, optimizer = Trainer(model.copy(), "mse", optimizer_of(row), l2=0.0 if row == "adamw" else 1.0).to_torch()
    for step in range(8):
        for group in optimizer.param_groups:
            if "betas" in group:
                group["betas"] = float(momentum(step)), group["betas"][1]
            else:
                group["momentum"] = float(momentum(step))
            if row == "adamw" or group["params"][0].ndim > 1:
                group["weight_decay"] = float(decay(step))
        steps_of_torch(torch, module, optimizer, X, y, 1)
        trainer.step(X, y)
    np.testing.assert_allclose(vector_of(module), model.to_vector(), rtol=1e-10, atol=1e-11)
    with pytest.raises(ValueError, match="to_torch: expected a number as"):
        trainer.to_torch()


def test_penalties_of_layers_that_pytorch_lacks_are_refused(torch):
    for optimizer, own in ((Adam(), LayerSettings(l1=0.1)), (AdamW(), LayerSettings(l2=0.1))):
        with pytest.raises(ValueError, match="to_torch: expected l"):
            Trainer(MLP((3, 4, 2)), optimizer=optimizer, layer_settings=[None, own]).to_torch()


def test_objects_share_no_memory(torch):
    trainer = Trainer(MLP((3, 4, 2), dtype=np.float64), optimizer=Adam())
    trainer.step(*data(8, 3, 2))
    module, optimizer = trainer.to_torch()
    again = Trainer.from_torch(module, optimizer)
    states = [t.model.to_vector().tobytes() + t._moments.tobytes() for t in (trainer, again)]
    assert states[0] == states[1]
    steps_of_torch(torch, module, optimizer, *data(8, 3, 2), 1)
    assert [t.model.to_vector().tobytes() + t._moments.tobytes() for t in (trainer, again)] == states


def test_options_reach_the_trainer(torch):
    module = module_for(torch, "float64", torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Dropout(0.5)))
    made = [
        Trainer.from_torch(module, torch.optim.Adam(module.parameters()), "huber", batch_size=5, random_state=3)
        for _ in "ab"
    ]
    assert (made[0].batch_size, made[0].loss.name, made[0].model.dropout) == (5, "huber", (0.5, 0.0))
    for trainer in made:
        trainer.run(*data(20, 3, 2), 2)
    assert made[0].model.to_vector().tobytes() == made[1].model.to_vector().tobytes()
    with pytest.raises(TypeError, match="batch_sise"):
        Trainer.from_torch(module, torch.optim.Adam(module.parameters()), batch_sise=5)


def test_adam_with_decoupled_decay_is_adamw(torch):
    module = module_for(torch, "float64")
    optimizer = torch.optim.Adam(module.parameters(), 0.01, weight_decay=0.1, decoupled_weight_decay=True)
    assert Trainer.from_torch(module, optimizer).optimizer == AdamW(0.01, weight_decay=0.1)


REFUSED = [
    ("Rprop", {}, "SGD, Adagrad.*got Rprop"),
    ("LBFGS", {}, "got LBFGS"),
    ("SGD", {"momentum": 0.9, "dampening": 0.5}, "dampening"),
    ("SGD", {"maximize": True}, "maximize"),
    ("Adagrad", {"lr_decay": 0.1}, "lr_decay"),
    ("RMSprop", {"centered": True}, "centered"),
    ("RMSprop", {"momentum": 0.5}, "momentum"),
    ("Adam", {"amsgrad": True}, "amsgrad"),
    ("Adam", {"weight_decay": 0.1}, "weights alone"),
    ("NAdam", {"decoupled_weight_decay": True}, "decoupled_weight_decay"),
]


@pytest.mark.parametrize(("name", "options", "message"), REFUSED)
def test_optimizers_without_a_counterpart_are_refused(torch, name, options, message):
    module = module_for(torch, "float64")
    optimizer = getattr(torch.optim, name)(module.parameters(), **options)
    with pytest.raises((TypeError, ValueError), match=f"optimizer: .*{message}"):
        Trainer.from_torch(module, optimizer)


def test_parameters_that_would_be_trained_otherwise_are_refused(torch):
    nn, adam = torch.nn, torch.optim.Adam
    module = module_for(torch, "float64")
    first, *rest = module.parameters()
    cases = [
        (module, adam(rest), "one without 0.weight"),
        (module, adam([first, *rest, nn.Parameter(torch.zeros(2))]), "got 7, of which the module has 6"),
        (module, adam([{"params": [first], "lr": 0.1}, {"params": rest}]), "same lr .* 0.1 for '0.weight'"),
        (module, adam([{"params": [first], "betas": (0.5, 0.5)}, {"params": rest}]), "same betas"),
    ]
    unbiased = nn.Sequential(nn.Linear(3, 2, bias=False))
    cases.append((unbiased, adam(unbiased.parameters()), "'0' without a bias"))
    shared = nn.Sequential(nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 2))
    cases.append((shared, adam(shared.parameters()), "'1' with a slope that units share"))
    frozen = module_for(torch, "float64")
    frozen[2][0].weight.requires_grad_(False)
    cases.append((frozen, adam(frozen.parameters()), "'2.0.weight' that does not"))
    ungained = module_for(torch, "float64", nn.LayerNorm(8, elementwise_affine=False))
    cases.append((ungained, adam(ungained.parameters()), "a weight of '1'"))
    normalized = module_for(torch, "float64", nn.LayerNorm(8))
    cases.append((normalized, torch.optim.AdamW(normalized.parameters()), "weights and biases alone"))
    slopes = module_for(torch, "float64", nn.PReLU(8))
    cases.append((slopes, torch.optim.AdamW(slopes.parameters()), "weights and biases alone"))
    for given, optimizer, message in cases:
        with pytest.raises(ValueError, match=message):
            Trainer.from_torch(given, optimizer)
    late = module_for(torch, "float64")
    optimizer = adam(late.parameters())
    late[0](torch.zeros(2, 3)).sum().backward()
    optimizer.step()
    with pytest.raises(ValueError, match="same number of steps .* 1 for '0.weight' and 0 for '2.0.weight'"):
        Trainer.from_torch(late, optimizer)


def test_changed_momenta_of_nadam_are_refused(torch):
    module = module_for(torch, "float64")
    optimizer = torch.optim.NAdam(module.parameters())
    steps_of_torch(torch, module, optimizer, *data(8, 3, 2), 3)
    assert Trainer.from_torch(module, optimizer).optimizer == NAdam(0.002)
    optimizer.param_groups[0]["momentum_decay"] = 0.5
    with pytest.raises(ValueError, match="mu_product"):
        Trainer.from_torch(module, optimizer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "lbfgs"}, "'lbfgs'; model.to_torch"),
        ({"optimizer": Adam(Cosine(0.1, 10))}, "learning_rate"),
        ({"optimizer": "adamw", "l2": 0.1}, "l2=0.0 for AdamW"),
        ({"optimizer": "muon"}, "an optimizer with one counterpart in PyTorch, one of SGD, .* NAdam, got Muon"),
        ({"optimizer": "lion"}, "an optimizer with one counterpart in PyTorch, one of SGD, .* NAdam, got Lion"),
        ({"l1": 0.1}, "l1=0.0"),
        ({"clip_norm": 0.1}, "clip_norm=None"),
        ({"clip_value": 0.1}, "clip_value=None"),
    ],
)
def test_settings_without_a_counterpart_are_refused(options, message):
    with pytest.raises(ValueError, match=f"to_torch: .*{message}"):
        Trainer(MLP((3, 2)), **options).to_torch()


def test_accumulated_gradients_are_refused():
    trainer = Trainer(MLP((3, 2)))
    trainer.accumulate(*data(8, 3, 2))
    with pytest.raises(ValueError, match="apply"):
        trainer.to_torch()


def test_a_penalty_beside_the_decay_of_the_optimizer_is_refused(torch):
    module, optimizer = Trainer(MLP((3, 2)), l2=0.1).to_torch()
    with pytest.raises(ValueError, match="l2: "):
        Trainer.from_torch(module, optimizer, l2=0.2)
