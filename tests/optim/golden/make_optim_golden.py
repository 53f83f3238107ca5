"""Ask PyTorch for the trajectories that the tests of the optimizers and schedules compare with.

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.13.0 numpy
    /tmp/torch/bin/python tests/optim/golden/make_optim_golden.py

writes optimizers.npz, averages.npz and schedules.npz (float64, one row for each step) beside this file. PyTorch is needed
for this only, never by the tests.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    sys.path.insert(0, str(HERE.parent))
    import numpy as np
    import optim_cases as cases
    import torch
    import torch.optim.swa_utils

    torch.set_default_dtype(torch.float64)  # or NAdam and ASGD keep their scalars in float32
    warnings.simplefilter("ignore")  # a scheduler that is stepped without its optimizer is what we ask for

    def trajectory(kind: str, options: dict[str, Any]) -> Any:
        w = torch.tensor(cases.START, dtype=torch.float64, requires_grad=True)
        optimizer = getattr(torch.optim, kind)([w], foreach=False, **options)
        rows = []
        for t in range(cases.STEPS):
            w.grad = torch.from_numpy(cases.gradient(w.detach().numpy(), t))
            optimizer.step()
            rows.append(w.detach().numpy().copy())
        return np.array(rows)

    def rates(schedulers: list[str], by_hand: bool = False, has_measure: bool = False) -> Any:
        def parameters() -> list[dict[str, Any]]:
            return [{"params": [torch.zeros(1)], "lr": 0.1}, {"params": [torch.zeros(1)], "lr": 0.02}]

        names = {
            "s": torch.optim.lr_scheduler,
            "w": torch.optim.swa_utils,
            "o": torch.optim.SGD(parameters(), momentum=0.9),
            "a": torch.optim.Adam(parameters()),
        }
        made = [eval(one, names) for one in schedulers]
        rows = []
        for t in range(cases.SCHEDULE_LENGTH):
            groups = made[0].optimizer.param_groups
            rows.append([[group["lr"], cases.momentum_of(group)] for group in groups])
            for scheduler in made:
                scheduler.step(*[cases.measure(t)] * has_measure)
            for group in groups:
                group["lr"] *= 2 if by_hand and t == cases.BY_HAND_AT else 1
        return rows

    def averages(options: str, use_buffers: bool) -> Any:
        norm = torch.nn.BatchNorm1d(3).double()
        model = eval(f"a.AveragedModel(norm, use_buffers={use_buffers}, {options})", {"a": torch.optim.swa_utils, "norm": norm})
        rows = []
        for t in range(cases.STEPS):
            parts = [norm.weight, norm.bias, norm.running_mean, norm.running_var]
            for part, values in zip(parts, cases.averaged_values(t), strict=True):
                part.data.copy_(torch.from_numpy(values))
            norm.num_batches_tracked.fill_(t)
            model.update_parameters(norm)
            rows.append(np.concatenate([value.detach().numpy().ravel() for value in model.state_dict().values()]))
        return np.array(rows)

    np.savez_compressed(HERE / "optimizers.npz", **{name: trajectory(*case) for name, case in cases.OPTIMIZERS.items()})
    np.savez_compressed(HERE / "averages.npz", **{name: averages(*case) for name, case in cases.AVERAGES.items()})
    schedules = {name: [rates(one), rates(one, by_hand=True)] for name, one in cases.SCHEDULES.items()}
    schedules |= {name: rates([one], has_measure=True) for name, one in cases.PLATEAUS.items()}
    np.savez_compressed(HERE / "schedules.npz", **schedules)


if __name__ == "__main__":
    main()
