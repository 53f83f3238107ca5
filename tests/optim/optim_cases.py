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


# Further settings: of each optimizer a plain one, and each of its options at least once.
_OTHERS: dict[str, list[dict[str, object]]] = {
    "SGD": [{"lr": 0.05, "maximize": True}, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1, "maximize": True}],
    "Adam": [
        {"lr": 0.1, "maximize": True, "weight_decay": 0.1},
        {"lr": 0.2, "decoupled_weight_decay": True, "weight_decay": 0.1},
    ],
    "AdamW": [{"lr": 0.1, "maximize": True, "amsgrad": True, "weight_decay": 0.2}],
    "NAdam": [
        {"lr": 0.1},
        {"lr": 0.1, "betas": (0.5, 0.8), "eps": 0.1, "momentum_decay": 0.2},
        {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ],
    "RAdam": [
        {"lr": 0.1},
        {"lr": 0.1, "betas": (0.5, 0.8), "eps": 0.1},
        {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ],
    "Adamax": [
        {"lr": 0.1},
        {"lr": 0.1, "betas": (0.5, 0.8), "eps": 0.1},
        {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "weight_decay": 0.1, "maximize": True},
    ],
    "RMSprop": [
        {"lr": 0.1},
        {"lr": 0.1, "alpha": 0.8, "eps": 0.1},
        {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.8},
        {"lr": 0.1, "alpha": 0.9, "centered": True},
        {"lr": 0.01, "alpha": 0.9, "centered": True, "momentum": 0.5, "weight_decay": 0.1},
        {"lr": 0.1, "maximize": True},
    ],
    "Adagrad": [
        {"lr": 0.5},
        {"lr": 0.5, "lr_decay": 0.1, "eps": 0.1},
        {"lr": 0.5, "weight_decay": 0.1, "initial_accumulator_value": 0.5},
        {"lr": 0.5, "maximize": True},
    ],
    "Adadelta": [
        {"lr": 1.0},
        {"lr": 0.5, "rho": 0.7, "eps": 1e-2},
        {"lr": 10.0, "weight_decay": 0.1},
        {"lr": 10.0, "maximize": True},
    ],
    "ASGD": [
        {"lr": 0.05},
        {"lr": 0.05, "lambd": 0.1, "alpha": 0.5, "t0": 5.0},
        {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "maximize": True},
    ],
    "Rprop": [{"lr": 0.1}, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.01, 0.2)}, {"lr": 0.1, "maximize": True}],
}

OPTIMIZERS = _settings() | {
    f"{kind.lower()} {i}": (kind, options) for kind, settings in _OTHERS.items() for i, options in enumerate(settings)
}

# Each case is a list of schedulers that act on one optimizer together, as expressions in `s` (the module), `w` (the module
# of weight averaging) and `o` (an SGD with momentum 0.9 and two groups), or `a` (an Adam with two groups).
SCHEDULES = {
    "step": ["s.StepLR(o, 3, 0.5)"],
    "multistep": ["s.MultiStepLR(o, [4, 9, 9, 15], 0.3)"],
    "multistep unsorted": ["s.MultiStepLR(o, [15, 4], gamma=0.3)"],
    "exponential": ["s.ExponentialLR(o, 0.9)"],
    "linear": ["s.LinearLR(o)"],
    "linear down": ["s.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=7)"],
    "linear to zero": ["s.LinearLR(o, 0.5, 0.0, 4)"],
    "constant": ["s.ConstantLR(o)"],
    "constant of ten": ["s.ConstantLR(o, factor=0.25, total_iters=10)"],
    "polynomial": ["s.PolynomialLR(o)"],
    "polynomial of power two": ["s.PolynomialLR(o, 20, 2.0)"],
    "polynomial of a root": ["s.PolynomialLR(o, total_iters=70, power=0.5)"],
    "cosine": ["s.CosineAnnealingLR(o, 6, 0.001)"],
    "cosine of one": ["s.CosineAnnealingLR(o, 1)"],
    "restarts": ["s.CosineAnnealingWarmRestarts(o, 7)"],
    "restarts of growing length": ["s.CosineAnnealingWarmRestarts(o, 3, 2, 0.001)"],
    "restarts of tripled length": ["s.CosineAnnealingWarmRestarts(o, T_0=1, T_mult=3)"],
    "lambda": ["s.LambdaLR(o, lambda t: 0.95 ** t)"],
    "lambdas": ["s.LambdaLR(o, [lambda t: 1 / (1 + t), lambda t: 0.5 ** (t // 5)])"],
    "multiplicative": ["s.MultiplicativeLR(o, lambda t: 0.95)"],
    "multiplicatives": ["s.MultiplicativeLR(o, [lambda t: 1 - 0.01 * t, lambda t: 0.5 + (t % 2)])"],
    "warm-up and steps": ["s.LinearLR(o, 0.1, 1.0, 4)", "s.StepLR(o, 6, 0.5)"],
    "cosine and exponential": ["s.ExponentialLR(o, 0.97)", "s.CosineAnnealingLR(o, 12)"],
    "warm-up, then cosine": [
        "s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 5), s.CosineAnnealingLR(o, 50)], milestones=[5])"
    ],
    "sequence of three": [
        "s.SequentialLR(o, [s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9), s.StepLR(o, 5, 0.5)], [6, 20])"
    ],
    "sequence with others": [
        "s.SequentialLR(o, [s.PolynomialLR(o, 20), s.MultiplicativeLR(o, lambda t: 0.9 + 0.01 * t), "
        "s.CosineAnnealingWarmRestarts(o, 4, 2), s.MultiStepLR(o, [0, 3]), s.LambdaLR(o, lambda t: 2 + t)], [8, 16, 30, 50])"
    ],
    "sequence that begins with the second": ["s.SequentialLR(o, [s.StepLR(o, 2), s.ExponentialLR(o, 0.5)], [0])"],
    "sequence with averaging": ["s.SequentialLR(o, [s.StepLR(o, 5, 0.5), w.SWALR(o, 0.05, 10)], [12])"],
    "sequence of cycles": [
        "s.SequentialLR(o, [s.LinearLR(o), s.CyclicLR(o, 0.01, 0.1, 3), s.OneCycleLR(o, 1.0, 30)], [10, 31])"
    ],
    "chain": ["s.ChainedScheduler([s.ConstantLR(o, 0.1, 7), s.ExponentialLR(o, 0.9)])"],
    "chain of three": [
        "s.ChainedScheduler([s.LinearLR(o), s.StepLR(o, 9), s.MultiplicativeLR(o, lambda t: 0.99)], optimizer=o)"
    ],
    "averaging": ["w.SWALR(o, 0.05)"],
    "averaging at once": ["w.SWALR(o, 0.05, anneal_epochs=0)"],
    "averaging in a line": ["w.SWALR(o, [0.05, 0.5], 20, 'linear')"],
    "averaging after exponential": ["s.ExponentialLR(o, 0.97)", "w.SWALR(o, 0.05, 6)"],
    "one cycle": ["s.OneCycleLR(o, 1.0, total_steps=61)"],
    "one cycle of two rates": ["s.OneCycleLR(o, [1.0, 0.5], epochs=8, steps_per_epoch=8, pct_start=0.4)"],
    "one cycle linear": ["s.OneCycleLR(o, 1.0, 61, anneal_strategy='linear', div_factor=10.0, final_div_factor=50.0)"],
    "one cycle three phases": ["s.OneCycleLR(o, 1.0, 61, three_phase=True, base_momentum=0.7, max_momentum=0.9)"],
    "one cycle adam": ["s.OneCycleLR(a, 0.1, 61)"],
    "one cycle without momentum": ["s.OneCycleLR(o, 1.0, 61, cycle_momentum=False)"],
    "one cycle from the top": ["s.OneCycleLR(o, 1.0, 61, pct_start=0.0)"],
    "triangles": ["s.CyclicLR(o, 0.01, 0.1, 5)"],
    "triangles of halved height": ["s.CyclicLR(o, [0.01, 0.02], [0.1, 0.3], 5, 8, mode='triangular2', base_momentum=0.7)"],
    "triangles of shrinking height": ["s.CyclicLR(a, 0.01, 0.1, 6, 3, 'exp_range', gamma=0.97)"],
    "triangles of one's own": ["s.CyclicLR(o, 0.01, 0.1, 4, scale_fn=lambda cycle: 1 / cycle, max_momentum=[0.9, 0.95])"],
    "triangles by iterations": [
        "s.CyclicLR(o, 0.01, 0.1, 4, scale_fn=lambda t: 0.9 ** t, scale_mode='iterations', cycle_momentum=False)"
    ],
}
# These are told a measure in each step.
PLATEAUS = {
    "plateau": "s.ReduceLROnPlateau(o)",
    "impatient": "s.ReduceLROnPlateau(o, factor=0.5, patience=0)",
    "patient": "s.ReduceLROnPlateau(o, factor=0.5, patience=3)",
    "more is better": "s.ReduceLROnPlateau(o, 'max', 0.5, 2)",
    "absolute": "s.ReduceLROnPlateau(o, 'min', 0.5, 2, threshold=0.4, threshold_mode='abs')",
    "absolute and more": "s.ReduceLROnPlateau(o, 'max', 0.5, 3, 0.6, 'abs')",
    "a high threshold": "s.ReduceLROnPlateau(o, 'min', 0.5, 2, 0.2)",
    "more by a high threshold": "s.ReduceLROnPlateau(o, 'max', 0.5, 1, 0.2)",
    "cooldown": "s.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=4)",
    "least rates": "s.ReduceLROnPlateau(o, factor=0.3, patience=1, min_lr=[0.01, 0.005])",
    "least changes": "s.ReduceLROnPlateau(o, factor=0.5, patience=1, eps=0.002)",
}


def measure(t: int) -> float:
    """Something like a loss: it falls, shakes, stands for a while, and rises at last; once it is no number."""
    trend = 1 + 4 * 0.9 ** min(t, 25) + 0.4 * max(0, t - 36)
    return float("nan") if t == 33 else trend + 0.3 * float(np.sin(2.5 * t))


SCHEDULE_LENGTH = 60
BY_HAND_AT = 5  # in this epoch the rates are doubled by hand, in a second run of every case


def momentum_of(group: dict[str, object]) -> float:
    """SGD's momentum, or Adam's beta1."""
    return group["betas"][0] if "betas" in group else group["momentum"]  # type: ignore[index, return-value]


# Averages of a model's weights: expressions in `a` (the module of averaging functions), and whether buffers are averaged.
AVERAGES = {
    "mean": ("", False),
    "mean with buffers": ("", True),
    "mean of single tensors": ("avg_fn=a.get_swa_avg_fn()", True),
    "mean of all tensors": ("multi_avg_fn=a.get_swa_multi_avg_fn()", False),
    "ema": ("multi_avg_fn=a.get_ema_multi_avg_fn()", False),
    "ema with buffers": ("multi_avg_fn=a.get_ema_multi_avg_fn(0.7)", True),
    "ema of single tensors": ("avg_fn=a.get_ema_avg_fn(0.7)", False),
    "ema of single tensors with buffers": ("avg_fn=a.get_ema_avg_fn(0.75)", True),
    "own function": ("avg_fn=lambda averaged, current, n: averaged * 0.5 + current * (0.1 + int(n))", False),
}


def averaged_values(t: int) -> list[np.ndarray]:
    """What the weight, the bias and the running statistics of a batch normalization of 3 channels are in step t."""
    return [np.cos((1.3 + i) * t + np.arange(3.0)) + i for i in range(4)]
