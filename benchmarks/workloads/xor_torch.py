"""XOR with PyTorch in eager mode, with a loop as in its tutorials; prints the loss."""

from __future__ import annotations

import numpy as np
import torch
import xor


def train() -> np.ndarray:
    """Return the outputs of a network trained from the start."""
    torch.set_num_threads(1)
    X, Y = torch.from_numpy(xor.X), torch.from_numpy(xor.Y)
    parameters = [torch.from_numpy(p).requires_grad_() for p in xor.start()]
    W1, b1, W2, b2 = parameters
    optimizer = torch.optim.SGD(parameters, xor.RATE, foreach=False)
    for _ in range(xor.EPOCHS):
        y_pred = torch.addmm(b2, torch.addmm(b1, X, W1).tanh(), W2)
        torch.nn.functional.mse_loss(y_pred, Y).backward()
        optimizer.step()
        optimizer.zero_grad()
    return torch.addmm(b2, torch.addmm(b1, X, W1).tanh(), W2).detach().numpy()


if __name__ == "__main__":
    print(xor.loss(train()))
