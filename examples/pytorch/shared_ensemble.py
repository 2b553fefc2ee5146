"""The counterpart of examples/shared_ensemble.py with PyTorch and the package tabm of TabM's authors, same settings."""

from __future__ import annotations

import copy
import sys
import time
from pathlib import Path

import numpy as np
import tabm
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from shared_ensemble import BATCH_SIZE, DECAY, DROPOUT, MOST_EPOCHS, PATIENCE, RATE, WIDTHS, error, network, table


def module_of(model):
    """Return the module with the initial parameters of a shared ensemble."""
    n_members, is_full = model.shared.n_members, model.shared.kind == "full"
    module = tabm.TabM.make(
        **{"n_num_features": model.layer_sizes[0], "d_out": 1, "k": n_members},
        **{"arch_type": "tabm" if is_full else "tabm-mini"},
        **{"n_blocks": len(WIDTHS), "d_block": WIDTHS[0], "dropout": DROPOUT},
    )
    state = {} if is_full else {"backbone.affine.weight": model.scales[0]}
    for layer in range(len(WIDTHS)):
        state[f"backbone.blocks.{layer}.0.weight"] = model.weights[layer].T
        state[f"backbone.blocks.{layer}.0.bias"] = model.biases[layer]
        if is_full:
            state[f"backbone.blocks.{layer}.0.r"] = model.scales[layer]
            state[f"backbone.blocks.{layer}.0.s"] = model.output_scales[layer]
    state["output.weight"] = model.weights[-1].T.reshape(n_members, 1, -1).transpose(0, 2, 1)
    state["output.bias"] = model.biases[-1].reshape(n_members, 1)
    module.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in state.items()})
    return module


def member_loss(module, X, y):
    """Return the mean of the members' losses."""
    return torch.nn.functional.mse_loss(module(X).squeeze(-1), y.expand(-1, module.k))


def fit(module, n=1000, most_epochs=MOST_EPOCHS):
    """Train until the loss of other rows is smallest, and return the seconds and the epochs."""
    torch.manual_seed(0)
    (X, y), (X_validation, y_validation) = (map(torch.from_numpy, table(n, seed)[:2]) for seed in (0, 1))
    decays = {name: name.endswith("weight") and "affine" not in name for name, _ in module.named_parameters()}
    groups = [
        {"params": [p for name, p in module.named_parameters() if decays[name] is own], "weight_decay": decay}
        for own, decay in ((True, DECAY), (False, 0.0))
    ]
    optimizer, start = torch.optim.AdamW(groups, lr=RATE, fused=True), time.perf_counter()
    best, best_epoch, state = np.inf, 0, None
    for epoch in range(1, most_epochs + 1):
        module.train()
        for rows in torch.randperm(n).split(BATCH_SIZE):
            optimizer.zero_grad()
            member_loss(module, X[rows], y[rows]).backward()
            optimizer.step()
        module.eval()
        with torch.inference_mode():
            loss = member_loss(module, X_validation, y_validation).item()
        if loss < best:
            best, best_epoch, state = loss, epoch, copy.deepcopy(module.state_dict())
        elif epoch - best_epoch >= PATIENCE:
            break
    module.load_state_dict(state)
    return time.perf_counter() - start, epoch


def predict(module, X):
    """Return the means of the members' outputs."""
    module.eval()
    with torch.inference_mode():
        return module(torch.from_numpy(X)).mean(dim=1).numpy()


def main():
    """Train a module of each kind, whose first predictions are those of fastnn."""
    for kind in ("mini", "full"):
        model = network(kind=kind)
        module, X = module_of(model), table(100)[0]
        np.testing.assert_allclose(predict(module, X), model.predict(X), rtol=1e-4, atol=1e-5)
        seconds, epochs = fit(module)
        found = error(lambda rows, module=module: predict(module, rows))
        print(f"{module.k:2} members, {kind}: error {found:.3f} after {epochs} epochs in {seconds:.1f} s")


if __name__ == "__main__":
    main()
