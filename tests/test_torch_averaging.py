"""Averages of the parameters beside PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.optim import swa_utils  # noqa: E402

from fastnn import EMA, MLP, SWA, Adam, Trainer  # noqa: E402


@pytest.mark.parametrize("averaging", [EMA(0.9, bias_correction=False), SWA(3)], ids=repr)
def test_the_averages_are_those_of_pytorch(averaging):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    model = MLP((3, 8, 2), "tanh", dtype=np.float64, random_state=0)
    trainer = Trainer(model, "mse", Adam(0.01), batch_size=8, shuffle=False, averaging=averaging)
    module, _ = Trainer(trainer.model, "mse", Adam(0.01)).to_torch()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    ema = isinstance(averaging, EMA)
    averaged = swa_utils.AveragedModel(module, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9) if ema else None)
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    for epoch in range(1, 7):
        for first in range(0, 40, 8):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(module(inputs[first : first + 8]), targets[first : first + 8]).backward()
            optimizer.step()
            if ema:
                averaged.update_parameters(module)
        if not ema and epoch >= 3:
            averaged.update_parameters(module)
    trainer.run(X, y, epochs=6)
    expected = averaged(inputs).detach().numpy()
    np.testing.assert_allclose(trainer.averaged_model().predict(X), expected, rtol=1e-9)


def test_a_trainer_with_an_average_is_no_optimizer_of_pytorch():
    trainer = Trainer(MLP((3, 8, 2)), averaging="ema")
    with pytest.raises(ValueError, match="to_torch: expected averaging=None, got EMA"):
        trainer.to_torch()
