"""RealMLP on tables: the recipe of tuned defaults, written with the parts of fastnn.

D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular data",
NeurIPS 2024, tuned the network, its preprocessing and its training on many tables at once: RealMLP-TD.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fastnn import MLP, AdamW, LayerSettings, Trainer
from fastnn.callbacks import EarlyStopping
from fastnn.embeddings import PBLD, Categorical
from fastnn.losses import CrossEntropy
from fastnn.schedules import CosLog4, FlatCosine

WIDTH, N_LAYERS, BATCH_SIZE = 256, 3, 256
MOST_ONE_HOT = 9  # categories, with one for missing values; more have an embedding


class Columns:
    """The preprocessing of a pandas.DataFrame, fitted on the rows of the training."""

    def __init__(self, frame):
        others = [name for name in frame if frame[name].dtype.kind not in "iuf"]
        self._numeric = [name for name in frame if name not in others and frame[name].notna().any()]
        self._categories = {name: sorted(frame[name].dropna().astype(str).unique()) for name in others}
        self._one_hot = [name for name in others if len(self._categories[name]) < MOST_ONE_HOT]
        self._embedded = [name for name in others if name not in self._one_hot]
        X = self._numbers(frame)
        least, low, self._median, high, most = np.nanquantile(X, [0, 0.25, 0.5, 0.75, 1], axis=0).reshape(5, -1)
        spread = np.where(high > low, high - low, 0.5 * (most - least))
        self._factor = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1), 0)

    def __call__(self, frame):
        """Return the rows as numbers: numeric columns, one-hot columns, and codes of columns with many categories."""
        X = self._numbers(frame)
        scaled = np.where(np.isnan(X), 0, (X - self._median) * self._factor)  # medians instead of missing numbers
        smooth = scaled / np.sqrt(1 + (scaled / 3) ** 2)
        return np.column_stack([smooth, *(self._codes(frame, name) for name in self._embedded)])

    def _codes(self, frame, name):
        return frame[name].astype(str).map({each: i for i, each in enumerate(self._categories[name])}).fillna(-1)

    def _numbers(self, frame):
        columns = [np.empty((len(frame), 0)), *(frame[name].to_numpy(float, na_value=np.nan) for name in self._numeric)]
        for name in self._one_hot:
            codes, n = self._codes(frame, name).to_numpy(), len(self._categories[name])
            # Two categories make one column of 1 and -1. A missing category makes zeros.
            columns += [(codes == 0) * 1.0 - (codes == 1)] if n == 2 else [codes == i for i in range(n)]
        return np.column_stack(columns).astype(np.float64)

    def embeddings(self):
        """Return the embeddings of the columns."""
        n = len(self._median)
        counts = [len(self._categories[name]) for name in self._embedded]
        many = [Categorical(list(range(n, n + len(counts))), n_categories=counts, width=8)] if counts else []
        return [*([PBLD(list(range(len(self._numeric))))] if self._numeric else []), *many]


def network(columns, X, n_out, *, classifies, random_state):
    """Return a network whose weights and biases are adapted to the rows X."""
    model = MLP(
        (X.shape[1], *[WIDTH] * N_LAYERS, n_out),
        "selu" if classifies else "mish",
        "softmax" if classifies else "identity",
        **{"parametric_activation": True, "input_scale": True, "embeddings": columns.embeddings()},
        **{"dropout": 0.15, "init": "lecun_normal", "random_state": random_state},
    )
    model.init_from_data(X)
    return model


def settings_of(model):
    """Return the factors of learning rate and weight decay of each layer.

    The recipe trains v = w * sqrt(n_in) in place of the weights w. Its decay contains the factors of the rate twice. Here,
    the decay is multiplied by the rate, which contains them once.
    """
    settings, roots = [], [np.sqrt(len(weights)) for weights in model.weights]
    for layer, root in enumerate(roots):
        rate, decay = {"weights": 1 / root, "biases": 0.1}, {"weights": root, "biases": 0.0}
        if layer < N_LAYERS:
            rate["alphas"] = decay["alphas"] = 0.1
        if layer == 0:
            rate["scales"] = decay["scales"] = 6.0
            factors = [0.1 if isinstance(embedding, PBLD) else 1.0 for embedding in model.embeddings]
            if factors:
                rate["embedding_parameters"] = decay["embedding_parameters"] = factors
        settings.append(LayerSettings(rate, weight_decay_factor=decay))
    return settings


def fit(frame, y, validation_frame, validation_y, *, epochs=256, random_state=0):
    """Return a function from a frame to predictions: classes if y is not of floating-point numbers, otherwise numbers."""
    columns, classifies = Columns(frame), np.asarray(y).dtype.kind != "f"
    X, validation_X = (columns(each).astype(np.float32) for each in (frame, validation_frame))
    if classifies:
        classes, codes = np.unique([*y, *validation_y], return_inverse=True)
        targets, validation_targets = np.split(codes, [len(y)])
    else:
        mean, deviation, low, high = np.mean(y), np.std(y), np.min(y), np.max(y)
        targets, validation_targets = ((np.asarray(each) - mean) / deviation for each in (y, validation_y))
    model = network(columns, X, len(classes) if classifies else 1, classifies=classifies, random_state=random_state)
    steps = epochs * (len(X) // (batch_size := min(BATCH_SIZE, len(X))))
    trainer = Trainer(
        model,
        CrossEntropy(label_smoothing=0.1) if classifies else "mse",
        AdamW(CosLog4(0.04 if classifies else 0.2, steps), beta_2=0.95, weight_decay=FlatCosine(0.02, steps)),
        **{"batch_size": batch_size, "drop_last": True, "dropout_factor": FlatCosine(1.0, steps)},
        layer_settings=settings_of(model),
        random_state=random_state,
    )
    metrics, validation_data = ["val_accuracy"] if classifies else [], (validation_X, validation_targets)
    best = EarlyStopping(monitor=metrics[0] if classifies else "val_loss", patience=None, ties="last")
    trainer.run(X, targets, epochs, validation_data=validation_data, metrics=metrics, callbacks=[best])

    def predict(other):
        outputs = model.predict(columns(other).astype(np.float32))
        return classes[outputs.argmax(axis=1)] if classifies else np.clip(outputs[:, 0] * deviation + mean, low, high)

    return predict


def table(n, rng):
    """Return an artificial table with its expected target."""
    kinds, towns = np.array(["flat", "house"]), np.array([f"town {i}" for i in range(40)])
    size, age, kind, town = rng.lognormal(4.5, 0.4, n), rng.uniform(0, 100, n), rng.integers(0, 2, n), rng.integers(0, 40, n)
    frame = pd.DataFrame({"size": size, "age": age, "kind": kinds[kind], "town": towns[town]})
    return frame, size * (1 + 0.5 * kind) * (1 + (town % 7) / 7) * (1 - 0.5 * np.exp(-(((age - 40) / 15) ** 2)))


def main(n=4000, epochs=256):
    """Print, for new rows, the share of the variance that is explained, and the share of classes that are right."""
    rng = np.random.default_rng(0)
    frame, y = table(n, rng)
    train, validation, test = slice(0, n * 6 // 10), slice(n * 6 // 10, n * 8 // 10), slice(n * 8 // 10, n)
    dear = np.where(y > np.median(y), "dear", "cheap")
    shares = []
    for target in (y, dear):
        predict = fit(frame[train], target[train], frame[validation], target[validation], epochs=epochs)
        found, wanted = predict(frame[test]), target[test]
        shares.append(np.mean(found == wanted) if target is dear else 1 - np.mean((found - wanted) ** 2) / np.var(wanted))
    print(f"explained variance {shares[0]:.1%}, right classes {shares[1]:.1%}")
    return shares


if __name__ == "__main__":
    main()
