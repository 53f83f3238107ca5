"""Ask PyTorch for the trajectories that the tests of the optimizers and schedules compare with.

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.13.0 numpy
    /tmp/torch/bin/python tests/optim/golden/make_optim_golden.py

writes optimizers.npz (float64, one row for each step) and schedules.json beside this file. PyTorch is needed for this
only, never by the tests.
"""

import json
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

    def rates(schedulers: list[str], by_hand: bool) -> list[Any]:
        def parameters() -> list[dict[str, Any]]:
            return [{"params": [torch.zeros(1)], "lr": 0.1}, {"params": [torch.zeros(1)], "lr": 0.02}]

        names = {
            "s": torch.optim.lr_scheduler,
            "o": torch.optim.SGD(parameters(), momentum=0.9),
            "a": torch.optim.Adam(parameters()),
        }
        made = [eval(one, names) for one in schedulers]
        rows = []
        for t in range(cases.SCHEDULE_LENGTH):
            groups = made[0].optimizer.param_groups
            rows.append([[group["lr"], cases.momentum_of(group)] for group in groups])
            for scheduler in made:
                scheduler.step()
            for group in groups:
                group["lr"] *= 2 if by_hand and t == cases.BY_HAND_AT else 1
        return rows

    np.savez_compressed(HERE / "optimizers.npz", **{name: trajectory(*case) for name, case in cases.OPTIMIZERS.items()})
    golden = {name: [rates(one, by_hand) for by_hand in (False, True)] for name, one in cases.SCHEDULES.items()}
    (HERE / "schedules.json").write_text(json.dumps(golden, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
