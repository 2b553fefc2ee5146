"""Models from and to modules of PyTorch, if it is installed: both libraries then predict the same."""

from __future__ import annotations

import sys
from collections import OrderedDict

import numpy as np
import pytest
from _helpers import data

from fastnn import MLP, from_torch
from fastnn._checks.layers import OUTPUT_ONLY
from fastnn._engine import core as _core

WITHOUT_COUNTERPART = ("sin", "exp")
ACTIVATIONS = [name for name in _core.LAYER_ACTIVATIONS if name not in WITHOUT_COUNTERPART]
TOLERANCES = {"float32": 2e-6, "float64": 1e-14}


def assert_alike(torch, module, model):
    """Assert that a module and a model predict the same, also for large inputs."""
    X = data(40, model.layer_sizes[0], 1)[0].astype(model.dtype) * np.geomspace(0.1, 50, 40, dtype=model.dtype)[:, None]
    with torch.no_grad():
        expected = module.eval()(torch.tensor(X)).numpy()
    got = model.predict(X)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=10 * TOLERANCES[model.dtype.name], atol=50 * TOLERANCES[model.dtype.name])


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_models_come_back_as_they_were(torch, activation, dtype):
    hidden = "tanh" if activation in OUTPUT_ONLY else activation
    model = MLP((4, 7, 5, 3), ["relu", hidden], activation, dropout=[0.25, 0.0], dtype=dtype, random_state=0)
    for i, parameter in enumerate(model.parameters):
        parameter += 0.01 * np.arange(1, parameter.size + 1).reshape(parameter.shape) + 0.1 * i
    before = model.to_vector()
    module = model.to_torch()
    assert isinstance(module, torch.nn.Sequential)
    assert not module.training
    assert_alike(torch, module, model)
    again = from_torch(module)
    assert (repr(again), again.dropout) == (repr(model), model.dropout)
    assert again.to_vector().tobytes() == before.tobytes()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert again.to_vector().tobytes() == model.to_vector().tobytes() == before.tobytes()


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("place", ["before", "after", ["after", "before"]])
def test_normalizations_come_back_as_they_were(torch, place, dtype):
    model = MLP(
        (4, 7, 5, 3),
        ["relu", "prelu"],
        normalization=["rms_norm", "layer_norm"],
        normalization_place=place,
        dropout=[0.25, 0.0],
        dtype=dtype,
        random_state=0,
    )
    for i, parameter in enumerate(model.parameters):
        parameter += 0.01 * np.arange(1, parameter.size + 1).reshape(parameter.shape) + 0.1 * i
    module = model.to_torch()
    assert_alike(torch, module, model)
    again = from_torch(module)
    assert repr(again) == repr(model)
    assert again.to_vector().tobytes() == model.to_vector().tobytes()


def test_normalizations_without_parameters_get_ones_and_zeros(torch):
    nn = torch.nn
    module = nn.Sequential(
        nn.Linear(3, 4),
        nn.LayerNorm(4, elementwise_affine=False),
        nn.Tanh(),
        nn.Linear(4, 5),
        nn.LayerNorm(5, bias=False),
        nn.Linear(5, 2),
    ).double()
    model = from_torch(module)
    assert model.normalization == ("layer_norm", "layer_norm")
    assert model.gains[0].tolist() == [1.0] * 4
    assert not model.shifts[1].any()
    assert_alike(torch, module, model)


def test_modules_in_many_forms_are_read(torch):
    nn = torch.nn
    act = nn.ReLU(inplace=True)
    for module, expected in [
        (nn.Linear(3, 2), "MLP((3, 2), output_activation='identity', dtype=float64)"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False)),
            "MLP((3, 2), output_activation='identity', dtype=float64)",
        ),
        (
            nn.Sequential(nn.Linear(3, 4), act, nn.Linear(4, 4), act, nn.Identity(), nn.Linear(4, 2), nn.Softmax(dim=1)),
            "MLP((3, 4, 4, 2), activation='relu', output_activation='softmax', dtype=float64)",
        ),
        (
            nn.Sequential(
                nn.Sequential(nn.Linear(3, 4)), nn.Sequential(nn.Sequential(nn.PReLU()), nn.Linear(4, 2)), nn.GELU()
            ),
            "MLP((3, 4, 2), activation='prelu', output_activation='gelu', dtype=float64)",
        ),
        (
            nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Softplus()),
            "MLP((3, 4, 2), activation='identity', output_activation='softplus', dtype=float64)",
        ),
    ]:
        model = from_torch(module)
        assert repr(model) == expected
        if "softplus" not in expected:  # whose threshold of 20 changes values by up to 2e-9
            assert_alike(torch, module, model)


def test_names_of_a_dict_and_subclasses_are_read(torch):
    class Wide(torch.nn.Linear):
        pass

    parts = {"first": Wide(3, 4), "act": torch.nn.SiLU(), "last": Wide(4, 1)}
    module = torch.nn.Sequential(OrderedDict(parts))
    assert_alike(torch, module, from_torch(module))


def test_dropout_before_and_after_the_activation_is_read(torch):
    nn = torch.nn
    after = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 4), nn.Dropout(0.0), nn.Linear(4, 2))
    before = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.25), nn.ReLU(), nn.Linear(4, 2))
    assert from_torch(after).dropout == (0.5, 0.0)
    assert from_torch(before).dropout == (0.25,)


def test_training_draws_from_the_random_state(torch):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2))
    models = [from_torch(module, random_state=7) for _ in range(2)]
    for model in models:
        model.fit(*data(20, 3, 2), epochs=2)
    assert models[0].to_vector().tobytes() == models[1].to_vector().tobytes()


def test_exporting_draws_no_random_numbers_of_pytorch(torch):
    before = torch.random.get_rng_state()
    MLP((3, 4, 2), "prelu", dropout=0.5).to_torch()
    assert torch.equal(torch.random.get_rng_state(), before)


def modules_without_a_counterpart(torch):
    """Yield modules, and regular expressions for the message of each."""
    nn = torch.nn

    def dense(*parts):
        return nn.Sequential(nn.Linear(3, 4), *parts)

    class Own(nn.Module):
        pass

    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    class Residual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    for part in (
        nn.ReLU6(),
        nn.LogSoftmax(dim=1),
        nn.BatchNorm1d(4),
        nn.Conv1d(4, 4, 1),
        nn.GroupNorm(1, 4),
        nn.AlphaDropout(),
    ):
        yield dense(nn.Sequential(part)), rf"got {type(part).__name__}\(.*\) as submodule '1.0'"
    for part in (Own(), Doubled(4, 4), Residual(nn.Linear(4, 4))):
        yield dense(part), f"expected Linear, ReLU, .* got {type(part).__name__}.* as submodule '1'"
    for part in (
        nn.LeakyReLU(0.2),
        nn.ELU(0.5),
        nn.GELU("tanh"),
        nn.Softplus(2.0),
        nn.Softplus(threshold=5),
        nn.Softmax(dim=0),
    ):
        yield dense(part), rf"expected {type(part).__name__}\(.*, got {type(part).__name__}\(.* as submodule '1'"
    yield dense(nn.Flatten(0)), "expected Flatten.*'1'"
    yield dense(nn.ReLU(), nn.Tanh()), "one activation per Linear, got Tanh.*'2' after relu"
    yield dense(nn.Softmax(dim=-1), nn.Linear(4, 2)), "Softmax after the last Linear alone, got one after '0'"
    yield dense(nn.ReLU(), nn.Dropout(0.5)), "got one after the last Linear, '0'"
    yield dense(nn.Dropout(0.5), nn.Dropout(0.5), nn.Linear(4, 2)), "one Dropout per Linear.*'2'"
    yield dense(nn.Dropout(1.0), nn.Linear(4, 2)), "probability below 1.*'1'"
    yield dense(nn.Dropout(0.5), nn.Tanh(), nn.Linear(4, 2)), "Dropout after the activation, got Tanh.*'2'"
    yield dense(nn.PReLU(3)), "one slope or 4"
    yield (
        dense(nn.LayerNorm(3), nn.Linear(4, 2)),
        r"expected LayerNorm\(4, eps=1e-05\), got LayerNorm\(\(3,\).* as submodule '1'",
    )
    yield dense(nn.LayerNorm(4, eps=1e-6), nn.Linear(4, 2)), r"expected LayerNorm\(4, eps=1e-05\)"
    yield dense(nn.RMSNorm(4), nn.Linear(4, 2)), r"expected RMSNorm\(4, eps=1e-05\), got RMSNorm\(\(4,\), eps=None"
    yield dense(nn.LayerNorm(4)), "normalizations of hidden layers, got '1' after the last Linear"
    yield dense(nn.LayerNorm(4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2)), "one normalization per Linear.*'3'.* after"
    yield dense(nn.Tanh(), nn.Dropout(0.5), nn.LayerNorm(4), nn.Linear(4, 2)), "after a Dropout"
    yield nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2)), "a Linear first, got LayerNorm.*'0'"
    yield dense(nn.Linear(5, 2)), "in_features=4, the outputs of '0', got .*'1'"
    yield nn.Sequential(nn.ReLU(), nn.Linear(3, 2)), "a Linear first, got ReLU.*'0'"
    yield nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2)), "a Linear first, got LayerNorm.*'0'"
    yield nn.Sequential(), "at least one Linear"
    twice = nn.Linear(3, 3)
    yield nn.Sequential(twice, nn.ReLU(), twice), "got '2.weight' as '0.weight' too"
    yield dense(nn.ReLU(), nn.Linear(4, 2, dtype=torch.float32)), "one dtype, got torch.float64 in .* torch.float32"
    yield nn.Sequential(nn.Linear(3, 2, dtype=torch.bfloat16)), "float32 or float64 in '0.weight', got torch.bfloat16"
    yield nn.Sequential(nn.Linear(3, 2, device="meta")), "without values"
    hooked = dense()
    hooked[0].register_forward_hook(lambda *_: None)
    yield hooked, "without hooks.*'0'"
    yield nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))), "parametrizations"
    patched = dense()
    patched[0].forward = lambda x: x
    yield patched, "got Linear.*'0'"


def test_modules_without_a_counterpart_are_refused(torch):
    for module, message in modules_without_a_counterpart(torch):
        with pytest.raises(ValueError, match=f"^module: .*{message}"):
            from_torch(module)


@pytest.mark.parametrize("given", [None, 3, "model.pt", [], MLP((2, 2))])
def test_other_objects_are_refused(given):
    with pytest.raises(TypeError, match=f"module: expected torch.nn.Sequential, got {type(given).__name__}"):
        from_torch(given)


def test_other_modules_are_refused(torch):
    with pytest.raises(TypeError, match=r"module: expected torch\.nn\.Sequential, got ReLU"):
        from_torch(torch.nn.ReLU())


@pytest.mark.parametrize("activation", WITHOUT_COUNTERPART)
def test_activations_without_a_counterpart_are_refused(activation):
    with pytest.raises(ValueError, match=f"to_torch: .*got '{activation}' in layer 2"):
        MLP((3, 4, 2), "tanh", activation).to_torch()


def test_a_missing_pytorch_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"fastnn-cpu\[torch\]"):
        MLP((3, 2)).to_torch()
