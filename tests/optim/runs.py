"""How the tests of the optimizers run one on the common problem."""

import numpy as np

import tinygrad_cnn as tg

from .optim_cases import STEPS, gradient


def leaf(values, dtype=np.float64):
    return tg.tensor(np.array(values, dtype), requires_grad=True)


def run(optimizer, w, steps=STEPS, first=0):
    rows = []
    for t in range(first, first + steps):
        w.grad = tg.Tensor(gradient(w.detach().numpy(), t).astype(w.dtype))
        optimizer.step()
        rows.append(w.detach().numpy().copy())
    return np.array(rows)
