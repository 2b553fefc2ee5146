"""Predict numbers from a table by a shared ensemble (TabM-mini), beside one network of the same size.

All members train at once, and training stops when their mean is best, as Y. Gorishniy, A. Kotelnikov and A. Babenko propose
in "TabM: advancing tabular deep learning with parameter-efficient ensembling" (ICLR 2025). The function is that of
J. H. Friedman, "Multivariate adaptive regression splines" (1991), section 4.3, with five columns that tell nothing.
"""

from __future__ import annotations

import time

import numpy as np

from fastnn import MLP, AdamW, SharedEnsemble, Trainer
from fastnn.callbacks import EarlyStopping

N_COLUMNS, WIDTHS, N_MEMBERS, DROPOUT = 10, (64, 64), 32, 0.1
BATCH_SIZE, RATE, DECAY, PATIENCE, MOST_EPOCHS = 128, 2e-3, 3e-4, 16, 500


def table(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns (n, 10) with mean 0 and variance 1, numbers with noise (n, 1), and the same without."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, N_COLUMNS))
    exact = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    exact = ((exact - 14.4) / 4.9)[:, None]
    noisy = exact + rng.normal(0, 0.2, exact.shape)
    return ((X - 0.5) * np.sqrt(12)).astype(np.float32), noisy.astype(np.float32), exact


def network(n_members: int = N_MEMBERS, seed: int = 0, kind: str = "mini") -> MLP:
    """Return the shared ensemble, or one network if there is one member."""
    shared = SharedEnsemble(n_members, kind=kind) if n_members > 1 else None
    return MLP((N_COLUMNS, *WIDTHS, 1), "relu", dropout=DROPOUT, shared=shared, random_state=seed)


def fit(model: MLP, n: int = 1000, most_epochs: int = MOST_EPOCHS) -> tuple[float, int]:
    """Train on n rows until the loss of as many others is smallest, and return the seconds and the epochs."""
    (X, y, _), (X_validation, y_validation, _) = table(n), table(n, seed=1)
    trainer = Trainer(model, "mse", AdamW(RATE, weight_decay=DECAY), batch_size=BATCH_SIZE, random_state=0)
    stop = EarlyStopping(patience=PATIENCE, monitor="val_loss")
    start = time.perf_counter()
    history = trainer.run(X, y, most_epochs, validation_data=(X_validation, y_validation), callbacks=[stop])
    return time.perf_counter() - start, len(history["loss"])


def error(predict, n: int = 5000) -> float:
    """Return the root of the mean squared error for new rows, whose numbers have the variance 1."""
    X, _, exact = table(n, seed=2)
    return float(np.sqrt(np.mean((predict(X) - exact) ** 2)))


def main(n: int = 1000, most_epochs: int = MOST_EPOCHS) -> dict[int, float]:
    """Train one network and a shared ensemble, and return their errors by the number of members."""
    errors = {}
    for n_members in (1, N_MEMBERS):
        model = network(n_members)
        seconds, epochs = fit(model, n, most_epochs)
        errors[n_members] = error(model.predict)
        print(f"{n_members:2} members: error {errors[n_members]:.3f} after {epochs} epochs in {seconds:.1f} s")
    return errors


if __name__ == "__main__":
    main()
