"""What the tests of the optimizers and the script that asks PyTorch have in common: the problems and the settings.

Everything here is plain NumPy and Python, so that both sides compute the very same gradients.
"""

from itertools import product

import numpy as np

STEPS = 30
START = np.array([1.5, -2.0, 0.25, 30.0])


def gradient(w: np.ndarray, t: int) -> np.ndarray:
    """A gradient that pulls to a centre, and is shaken for the first steps (so that amsgrad's maximum matters)."""
    pull = np.array([1.0, 0.5, 4.0, 0.01]) * (w - np.array([0.5, 1.0, -1.0, 2.0]))
    return pull + (t < 8) * 50 * np.sin(1.7 * t + np.arange(4.0))


def _settings() -> dict[str, tuple[str, dict[str, object]]]:
    cases: dict[str, tuple[str, dict[str, object]]] = {}
    for momentum, dampening, decay, nesterov in product((0.0, 0.9), (0.0, 0.3), (0.0, 0.1), (False, True)):
        # Dampening and Nesterov's step are about a velocity, and exclude each other.
        if (momentum == 0 and (nesterov or dampening != 0)) or (nesterov and dampening != 0):
            continue
        options: dict[str, object] = {"lr": 0.05, "momentum": momentum, "dampening": dampening}
        options |= {"weight_decay": decay, "nesterov": nesterov}
        cases[f"sgd-{momentum}-{dampening}-{decay}-{nesterov}"] = ("SGD", options)
    for name, betas, eps, decay, amsgrad in product(
        ("Adam", "AdamW"), ((0.9, 0.999), (0.5, 0.8)), (1e-8, 0.1), (0.0, 0.1), (False, True)
    ):
        if name == "AdamW" and decay == 0:
            continue  # it is Adam
        options = {"lr": 0.1, "betas": betas, "eps": eps, "weight_decay": decay, "amsgrad": amsgrad}
        cases[f"{name.lower()}-{betas[0]}-{eps}-{decay}-{amsgrad}"] = (name, options)
    return cases


OPTIMIZERS = _settings()

# Each case is a list of schedulers that act on one optimizer together, as expressions in `s` (the module) and `o` (an SGD
# with momentum 0.9 and two groups), or in `a` (an Adam with two groups).
SCHEDULES = {
    "step": ["s.StepLR(o, 3, 0.5)"],
    "multistep": ["s.MultiStepLR(o, [4, 9, 9, 15], 0.3)"],
    "multistep unsorted": ["s.MultiStepLR(o, [15, 4], gamma=0.3)"],
    "exponential": ["s.ExponentialLR(o, 0.9)"],
    "linear": ["s.LinearLR(o)"],
    "linear down": ["s.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=7)"],
    "linear to zero": ["s.LinearLR(o, 0.5, 0.0, 4)"],
    "cosine": ["s.CosineAnnealingLR(o, 6, 0.001)"],
    "cosine of one": ["s.CosineAnnealingLR(o, 1)"],
    "lambda": ["s.LambdaLR(o, lambda t: 0.95 ** t)"],
    "lambdas": ["s.LambdaLR(o, [lambda t: 1 / (1 + t), lambda t: 0.5 ** (t // 5)])"],
    "warm-up and steps": ["s.LinearLR(o, 0.1, 1.0, 4)", "s.StepLR(o, 6, 0.5)"],
    "cosine and exponential": ["s.ExponentialLR(o, 0.97)", "s.CosineAnnealingLR(o, 12)"],
    "one cycle": ["s.OneCycleLR(o, 1.0, total_steps=25)"],
    "one cycle of two rates": ["s.OneCycleLR(o, [1.0, 0.5], epochs=5, steps_per_epoch=5, pct_start=0.4)"],
    "one cycle linear": ["s.OneCycleLR(o, 1.0, 25, anneal_strategy='linear', div_factor=10.0, final_div_factor=50.0)"],
    "one cycle three phases": ["s.OneCycleLR(o, 1.0, 25, three_phase=True, base_momentum=0.7, max_momentum=0.9)"],
    "one cycle adam": ["s.OneCycleLR(a, 0.1, 25)"],
    "one cycle without momentum": ["s.OneCycleLR(o, 1.0, 25, cycle_momentum=False)"],
    "one cycle from the top": ["s.OneCycleLR(o, 1.0, 25, pct_start=0.0)"],
}
SCHEDULE_LENGTH = 24
BY_HAND_AT = 5  # in this epoch the rates are doubled by hand, in a second run of every case


def momentum_of(group: dict[str, object]) -> float:
    """SGD's momentum, or Adam's beta1."""
    return group["betas"][0] if "betas" in group else group["momentum"]  # type: ignore[index, return-value]
