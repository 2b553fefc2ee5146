"""Modules of PyTorch for shared ensembles: the same predictions, and gradients of the members' losses."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import MLP, SharedEnsemble, from_torch
from fastnn.embeddings import PBLD

torch = pytest.importorskip("torch")

DTYPES = {"float32": 2e-6, "float64": 1e-13}
OPTIONS = {
    "deep": ((3, 7, 5, 2), {"activation": ["prelu", "tanh"], "output_activation": "softmax"}),
    "linear": ((4, 1), {}),
    "normalized": ((4, 12, 3), {"normalization": "layer_norm", "normalization_place": "after", "dropout": 0.3}),
    "embedded": ((3, 9, 1), {"embeddings": PBLD((0, 2)), "parametric_activation": True, "input_dropout": 0.2}),
}


def model_of(name, kind, dtype):
    sizes, options = OPTIONS[name]
    model = MLP(sizes, shared=SharedEnsemble(4, kind=kind), dtype=dtype, random_state=0, **options)
    rng = np.random.default_rng(0)
    for parameter in model.parameters:
        parameter += 0.2 * rng.normal(size=parameter.shape)
    return model, rng.normal(size=(20, sizes[0])).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["mini", "full"])
@pytest.mark.parametrize("name", OPTIONS)
def test_modules_compute_the_same(name, kind, dtype):
    model, X = model_of(name, kind, dtype)
    module, tolerance = model.to_torch(), DTYPES[dtype]
    y = module(torch.tensor(X))
    assert not module.training
    np.testing.assert_allclose(y.detach().numpy(), model.predict(X), rtol=tolerance, atol=tolerance)
    assert sum(parameter.numel() for parameter in module.parameters()) == model.n_parameters


@pytest.mark.parametrize("kind", ["mini", "full"])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_step_on_the_mean_of_the_members_losses(name, kind):
    model, X = model_of(name, kind, "float64")
    targets = np.random.default_rng(1).normal(size=(20, model.layer_sizes[-1]))
    module = model.to_torch()
    module[-1].train()  # and nothing else, so that nothing is dropped
    outputs = module(torch.tensor(X))
    assert outputs.shape == (20, 4, model.layer_sizes[-1])
    own = torch.mean((outputs - torch.tensor(targets)[:, None]) ** 2)
    own.backward()
    loss, gradients = model.gradient(X, targets)
    np.testing.assert_allclose(own.item(), loss, rtol=1e-12)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter -= 0.5 * parameter.grad
    for parameter, gradient in zip(model.parameters, gradients, strict=True):
        parameter -= 0.5 * gradient
    after = module(torch.tensor(X)).mean(dim=1).detach().numpy()
    np.testing.assert_allclose(after, model.predict(X), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["embedded", "normalized"])
def test_members_drop_inputs_and_units_of_their_own(name):
    model, X = model_of(name, "mini", "float64")
    values, found = torch.tensor(X), 0
    torch.manual_seed(0)
    for part in model.to_torch().train():
        values = part(values)
        if isinstance(part, torch.nn.Dropout):
            dropped = values == 0
            assert (dropped != dropped[:, :1]).any()
            found += 1
    assert found == 1


def test_each_part_has_a_module():
    module = model_of("deep", "full", "float32")[0].to_torch()
    kinds = ["ScaledMembers", "ScaledLinear", "ByMember", "ScaledMembers", "ScaledLinear", "Tanh", "LinearOfMembers"]
    assert [type(part).__name__ for part in module] == [*kinds, "Softmax", "MeanOfMembers"]
    assert repr(module[0]) == "ScaledMembers(weight=(4, 3))"
    with pytest.raises(ValueError, match="ScaledMembers"):
        from_torch(module)


def test_no_random_numbers_of_pytorch_are_drawn():
    before = torch.get_rng_state()
    model_of("deep", "full", "float32")[0].to_torch()
    assert torch.equal(before, torch.get_rng_state())
