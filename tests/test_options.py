"""Unknown options: an error names the function, the option, and the way out."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import re

import numpy as np
import pytest

import fastnn
from fastnn import MLP, SGD, AdaGrad, Adam, AdamW, NeuralNetwork, RMSProp, Trainer, callbacks, losses, schedules
from fastnn._checks import spellings as _spellings

X, Y = np.zeros((4, 2)), np.zeros((4, 1))


def model() -> MLP:
    """Return a small model."""
    return MLP((2, 3, 1), random_state=0)


# Calls without an argument that is necessary, or with one too many without its name.
INCOMPLETE = {
    "MLP.fit()": lambda m: m.fit(),
    "MLP.predict()": lambda m: m.predict(),
    "MLP.vjp()": lambda m: m.vjp(X, Y, True),
    "MLP.jacobian()": lambda m: m.jacobian(),
    "MLP.blend()": lambda m: m.blend(m),
    "MLP.save()": lambda m: m.save(),
    "MLP.load()": lambda m: MLP.load(),
    "MLP.to_c()": lambda m: m.to_c(),
    "MLP.to_onnx()": lambda m: m.to_onnx(),
    "Trainer.run()": lambda m: Trainer(m).run(),
    "Trainer.step()": lambda m: Trainer(m).step(X),
    "Trainer.save()": lambda m: Trainer(m).save(),
    "Trainer.load()": lambda m: Trainer.load(),
    "Trainer.accumulate()": lambda m: Trainer(m).accumulate(X, None, None, Y),
}


@pytest.mark.parametrize("called", INCOMPLETE)
def test_errors_about_missing_arguments_name_the_public_class(called):
    with pytest.raises(TypeError, match=f"^{re.escape(called)}"):
        INCOMPLETE[called](model())


def test_methods_of_public_classes_pickle():
    for method in (MLP.predict, MLP.load, Trainer.save, model().loss):
        assert pickle.loads(pickle.dumps(method)).__name__ == method.__name__


CALLS = {
    "MLP()": lambda **options: MLP((2, 3, 1), **options),
    "MLP.fit()": lambda **options: model().fit(X, Y, **options),
    "MLP.predict()": lambda **options: model().predict(X, **options),
    "MLP.loss()": lambda **options: model().loss(X, Y, **options),
    "MLP.gradient()": lambda **options: model().gradient(X, Y, **options),
    "MLP.input_gradient()": lambda **options: model().input_gradient(X, Y, **options),
    "MLP.hidden_activations()": lambda **options: model().hidden_activations(X, **options),
    "MLP.save()": lambda **options: model().save("never", **options),
    "MLP.load()": lambda **options: MLP.load("never", **options),
    "Trainer()": lambda **options: Trainer(model(), **options),
    "Trainer.run()": lambda **options: Trainer(model()).run(X, Y, **options),
    "Trainer.step()": lambda **options: Trainer(model()).step(X, Y, **options),
    "Trainer.save()": lambda **options: Trainer(model()).save("never", **options),
    "Trainer.load()": lambda **options: Trainer.load("never", **options),
    "SGD()": SGD,
    "AdaGrad()": AdaGrad,
    "RMSProp()": RMSProp,
    "Adam()": Adam,
    "AdamW()": AdamW,
    **{f"{loss.__name__}()": loss for loss in losses.LOSSES.values()},
    "EarlyStopping()": callbacks.EarlyStopping,
    "Checkpoint()": lambda **options: callbacks.Checkpoint("never", **options),
    "TimeLimit()": lambda **options: callbacks.TimeLimit(1, **options),
    "ProgressBar()": callbacks.ProgressBar,
    "Cosine()": lambda **options: schedules.Cosine(1.0, 5, **options),
    "Step()": lambda **options: schedules.Step(1.0, **options),
    "Exponential()": lambda **options: schedules.Exponential(1.0, **options),
}


@pytest.mark.parametrize("called", CALLS)
@pytest.mark.parametrize("option", ["nonsense", "self_", "𝓍"])
def test_unknown_options_raise_an_error_that_names_function_and_option(called, option):
    with pytest.raises(TypeError, match=rf"^{re.escape(called)} got an unexpected keyword argument '{option}': expected "):
        CALLS[called](**{option: 1})


# Parts of messages that say where an option belongs, as users would write it; "$" stands for the message's end.
WAYS = [
    ("MLP.fit()", "lr", "use optimizer=Adam(learning_rate=…)$"),
    ("MLP.fit()", "learning_rate", "use optimizer=Adam(learning_rate=…)$"),
    ("MLP.fit()", "learning_rate_init", "use optimizer=Adam(learning_rate=…)$"),
    ("MLP.fit()", "momentum", "use optimizer=SGD(momentum=…)$"),
    ("MLP.fit()", "weight_decay", "use optimizer=AdamW(weight_decay=…) .* l2=…"),
    ("MLP.fit()", "verbose", "use progress=True"),
    ("MLP.fit()", "validation_split", "validation_data="),
    ("MLP.fit()", "metric", "use metrics=…$"),
    ("MLP()", "metrics", "use metrics=… of fit() or run()$"),
    ("MLP.fit()", "monitor", "use callbacks=[fastnn.callbacks.EarlyStopping(monitor=…)]$"),
    ("MLP.fit()", "restore_best_weights", "use callbacks=[fastnn.callbacks.EarlyStopping(restore_best=…)]$"),
    ("MLP.fit()", "patience", "EarlyStopping(patience=…)"),
    ("MLP.fit()", "early_stopping", "EarlyStopping()"),
    ("MLP.fit()", "max_seconds", "TimeLimit(seconds=…)"),
    *[("MLP.fit()", name, "use clip_norm=…$") for name in ("max_grad_norm", "clipnorm")],
    ("MLP.fit()", "clipvalue", "use clip_value=…$"),
    *[("MLP.fit()", name, "use epochs=…$") for name in ("num_epochs", "nb_epoch", "n_epochs", "max_iter")],
    ("MLP.fit()", "class_weight", "sample_weight"),
    ("MLP.fit()", "steps_per_epoch", "Trainer.step"),
    ("MLP.fit()", "workers", "use n_threads=…$"),
    ("MLP.fit()", "device", "CPU"),
    ("MLP.fit()", "criterion", "use loss=…$"),
    ("MLP.fit()", "alpha", "use l2=…$"),
    ("MLP.fit()", "solver", "use optimizer=…$"),
    ("MLP.fit()", "hidden_layer_sizes", "use MLP(…, layer_sizes=(n_in, hidden…, n_out)), where the model is made$"),
    ("MLP.fit()", "dropout", "use MLP(…, dropout=…), where the model is made$"),
    *[("MLP.fit()", name, "use random_state=…$") for name in ("seed", "random_seed", "rng")],
    ("MLP.fit()", "x", "use X=…$"),
    ("MLP.fit()", "batchsize", "use batch_size=…$"),
    ("MLP.fit()", "epochz", "did you mean epochs=…"),
    ("MLP()", "lr", "use optimizer=Adam(learning_rate=…) of fit() or Trainer()$"),
    ("MLP()", "loss", "use loss=… of fit() or Trainer()$"),
    ("MLP()", "epochs", "use epochs=… of fit() or run()$"),
    *[("MLP()", name, "use layer_sizes=(n_in, hidden…, n_out)$") for name in ("hidden_layer_sizes", "units", "input_dim")],
    ("MLP()", "seed", "use random_state=…$"),
    ("MLP()", "layer_size", "did you mean layer_sizes=…"),
    ("Trainer()", "epochs", "use epochs=… of fit() or run()$"),
    ("Trainer()", "lr", "use optimizer=Adam(learning_rate=…)$"),
    ("Trainer.run()", "batch_size", "use batch_size=… of fit() or Trainer()$"),
    ("Trainer.run()", "seed", "use random_state=… of fit() or Trainer()$"),
    ("Trainer.step()", "lr", "use optimizer=Adam(learning_rate=…) of fit() or Trainer()$"),
    ("MLP.predict()", "verbose", "use progress=True of fit() or run()$"),
    ("MLP.predict()", "n_jobs", "use n_threads=…$"),
    *[(f"{name}()", "lr", "use learning_rate=…$") for name in ("SGD", "AdaGrad", "RMSProp", "Adam", "AdamW")],
    ("SGD()", "weight_decay", "use optimizer=AdamW(weight_decay=…) .* l2=…"),
    ("Adam()", "betas", "use beta_1=… and beta_2=…$"),
    ("Adam()", "eps", "use epsilon=…$"),
    ("Adam()", "amsgrad", "leave it out$"),
    ("Adam()", "params", "Trainer"),
    *[("RMSProp()", name, "use decay=…$") for name in ("alpha", "rho")],
    ("EarlyStopping()", "restore_best_weights", "use restore_best=…$"),
    ("EarlyStopping()", "cooldown", "use callbacks=[fastnn.callbacks.ReduceOnPlateau(cooldown=…)]"),
    ("EarlyStopping()", "tol", "use min_delta=…$"),
    ("EarlyStopping()", "verbose", "use progress=True of fit() or run()$"),
    ("Checkpoint()", "filepath", "use path=…$"),
    ("Checkpoint()", "save_best_only", "EarlyStopping(restore_best=True)"),
    ("MSE()", "reduction", "losses are means"),
    ("Huber()", "alpha", "use delta=…$"),
    ("Quantile()", "quantile", "use q=…$"),
    ("BinaryCrossEntropy()", "from_logits", "output_activation"),
    ("Cosine()", "T_max", "use steps=…$"),
    ("Step()", "step_size", "use every=…$"),
]


@pytest.mark.parametrize(("called", "option", "way"), WAYS, ids=[f"{called} {option}" for called, option, _ in WAYS])
def test_messages_say_where_an_option_belongs(called, option, way):
    with pytest.raises(TypeError, match=rf"^{re.escape(called)} got an unexpected keyword argument '{option}': ") as error:
        CALLS[called](**{option: 1})
    assert all(part in f"{error.value}$" for part in way.split(" .* "))


@pytest.mark.parametrize("option", [*_spellings.OPTIONS, *_spellings.WAYS_OUT])
def test_messages_translate_every_known_spelling(option):
    for called, call in CALLS.items():
        if called.split(".")[0] in ("MLP", "Trainer", "MLP()", "Trainer()"):
            with pytest.raises(
                TypeError, match=rf"^{re.escape(called)} got an unexpected keyword argument '{option}': "
            ) as e:
                call(**{option: 1})
            assert ": expected one of" not in str(e.value) or not _has_owner(option)


def _has_owner(option: str) -> bool:
    """Return whether fit, the trainer, the model or objects given to them have an option with that meaning."""
    functions = [MLP, MLP.fit, Trainer, Adam, SGD, RMSProp, callbacks.EarlyStopping, callbacks.TimeLimit]
    known = {name for function in functions for name in inspect.signature(function).parameters} - {"X", "y", "model"}
    return option in _spellings.WAYS_OUT or not known.isdisjoint(_spellings.OPTIONS[option])


def test_spellings_are_not_names_of_options():
    # The list is never searched for names that a function has.
    for option, ours in _spellings.OPTIONS.items():
        assert option not in ours
    for option in set(_spellings.OPTIONS) & set(_spellings.WAYS_OUT):
        pytest.fail(f"{option} stands in both tables")


def test_several_unknown_options_among_known_ones_are_named():
    with pytest.raises(TypeError, match=r"^MLP.fit\(\) got an unexpected keyword argument 'lr'"):
        model().fit(X, Y, epochs=2, lr=0.1, verbose=1)
    with pytest.raises(TypeError, match=r"^MLP\(\) got an unexpected keyword argument 'hidden_layer_sizes'"):
        MLP(hidden_layer_sizes=(5,))  # unknown options are reported before missing ones


def test_subclasses_have_their_own_name_and_options():
    class Mine(MLP):
        def __init__(self, width: int, **options: object) -> None:
            super().__init__((2, width, 1), **options)

    assert Mine(width=7).layer_sizes == (2, 7, 1)
    for call, called in ((lambda: Mine(3, lr=1), "Mine()"), (lambda: Mine(3).fit(X, Y, lr=1), "Mine.fit()")):
        with pytest.raises(TypeError, match=rf"^{re.escape(called)} got an unexpected keyword argument 'lr': use optimizer"):
            call()


TOO_MANY = [
    (
        lambda: model().fit(X, Y, 10),
        r"MLP.fit\(\): expected at most 2 arguments without a name \(X, y\), got 3; name the others",
    ),
    (
        lambda: Trainer(model()).run(X, Y, 1, 32),
        r"Trainer.run\(\): expected at most 3 arguments .* \(X, y, epochs\), got 4; name the others",
    ),
    (lambda: Adam(1, 2, 3, 4, 5), r"Adam\(\): expected at most 4 arguments without a name \(learning_rate, beta_1"),
    (
        lambda: MLP((2, 1), "relu", "identity", 0.5),
        r"MLP\(\): expected at most 3 arguments .*, got 4; name the others, such as dropout=…",
    ),
    (lambda: MLP.load("a", "b"), r"MLP.load\(\): expected at most 1 arguments without a name \(path\), got 2"),
]


@pytest.mark.parametrize(("call", "message"), TOO_MANY, ids=[message[:12] for _, message in TOO_MANY])
def test_too_many_positional_arguments_raise(call, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        call()


def test_unknown_options_change_nothing():
    one, trainer = model(), Trainer(model())
    before = one.to_vector(), trainer.model.to_vector(), repr(one._rng.bit_generator.state)
    for call in (one.fit, trainer.run, trainer.step):
        with pytest.raises(TypeError, match="lr"):
            call(X, Y, lr=1)
    np.testing.assert_array_equal(one.to_vector(), before[0])
    np.testing.assert_array_equal(trainer.model.to_vector(), before[1])
    assert repr(one._rng.bit_generator.state) == before[2]
    assert trainer.updates == 0


# ---- Signatures ----


def test_signature_of_fit_has_all_options():
    """It has every parameter of the trainer and of a run, with their defaults and types."""
    fit, of_run, of_trainer = (inspect.signature(f).parameters for f in (MLP.fit, Trainer.run, Trainer))
    expected = {**of_trainer, **of_run}
    assert set(fit) - {"self"} == set(expected) - {"self", "model"}
    for name in set(fit) - {"self", "X", "y"}:
        assert fit[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert fit[name].default == expected[name].default
        assert fit[name].annotation == expected[name].annotation
        assert re.search(rf"^ *(\w+, )*{name}(, \w+)* : ", MLP.fit.__doc__, re.MULTILINE), name


def test_every_option_of_fit_reaches_the_run():
    options = {"loss": "mae", "optimizer": SGD(0.3), "batch_size": 3, "shuffle": False, "l1": 0.01, "l2": 0.02}
    options |= {"clip_norm": 0.5, "clip_value": 0.1, "random_state": 3}
    rng = np.random.default_rng(0)
    X, y, weight = rng.normal(size=(20, 2)), rng.normal(size=(20, 1)), rng.uniform(size=20)
    run = {"epochs": 2, "sample_weight": weight, "validation_data": (X[:5], y[:5])}

    def trained(**changes: object) -> tuple[bytes, list[float]]:
        one = MLP((2, 9, 1), dropout=0.2, random_state=1)
        history = one.fit(X, y, **options | run | changes)
        return one.to_vector().tobytes(), history["val_loss"].tolist() if "val_loss" in history else []

    one = MLP((2, 9, 1), dropout=0.2, random_state=1)
    history = Trainer(one, **options).run(X, y, **run)
    assert trained() == (one.to_vector().tobytes(), history["val_loss"].tolist())
    others = {
        "loss": "mse",
        "optimizer": SGD(0.2),
        "batch_size": 4,
        "shuffle": True,
        "l1": 0.0,
        "l2": 0.0,
        "clip_norm": None,
    }
    others |= {"clip_value": None, "random_state": 4, "epochs": 3, "sample_weight": None, "validation_data": None}
    for name, value in others.items():
        assert trained(**{name: value}) != trained(), name


def test_options_that_do_not_change_the_numbers_reach_the_run(monkeypatch):
    made, run = [], []
    monkeypatch.setattr(Trainer, "__init__", lambda self, *args, **options: made.append(options))
    monkeypatch.setattr(Trainer, "run", lambda self, *args, **options: run.append(options))
    model().fit(X, Y, lazy_updates="lazy", n_threads="threads", callbacks="callbacks", progress="progress")
    assert (made[0]["lazy_updates"], made[0]["n_threads"]) == ("lazy", "threads")
    assert (run[0]["callbacks"], run[0]["progress"]) == ("callbacks", "progress")


@pytest.mark.parametrize(
    "function", [MLP, MLP.fit, MLP.predict, MLP.load, Trainer, Trainer.run, Trainer.step, Adam, losses.Huber]
)
def test_signatures_list_only_parameters(function):
    parameters = inspect.signature(function).parameters.values()
    assert not [p for p in parameters if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    assert [p for p in parameters if p.name not in ("self", "cls")]


def test_classes_with_checked_options_construct_pickle_and_compare():
    assert pickle.loads(pickle.dumps(Adam(0.1))) == Adam(0.1) == dataclasses.replace(Adam(), learning_rate=0.1)
    assert repr(Adam(0.1, epsilon=1e-7)) == "Adam(learning_rate=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-07)"
    assert Adam.__init__.__name__ == "__init__"
    assert NeuralNetwork(2, 3, 1, learning_rate=0.1).learning_rate == 0.1
    assert fastnn.losses.MSE() == fastnn.losses.MSE()
