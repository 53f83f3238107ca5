"""How much arithmetic a workload is: floating-point operations of its convolutions and products, from `nn.plan`.

A multiply-add is two operations. Training does three products for each one of the forward pass: the output, the gradient of
the weight, the gradient of the input; the first layer's input gradient is not needed and not counted. Normalizations,
pools and updates are not counted either, so a network with much of them shows fewer GFLOP/s than its products run at.
The count is of the definition: an algorithm that needs fewer multiplications (Winograd) can show more than the peak.
"""

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from .sides.ours import build, sequential
from .workloads import Layers, Training, Workload


def operations(workload: Workload) -> int | None:
    """Floating-point operations of one step; None where there are no products."""
    if isinstance(workload, Training):
        model = nn.utils.skip_init(build, workload)
        plan = nn.plan(model, workload.image, batch_size=workload.batch, dtype=tg.float32)
        first = next(call.mult_adds for call in plan.calls if call.mult_adds)
        return 2 * (3 * plan.mult_adds - first)
    if isinstance(workload, Layers):
        model = nn.utils.skip_init(sequential, workload.layers)
        mult_adds = nn.plan(model, workload.shape[1:], batch_size=workload.shape[0], dtype=tg.float32).mult_adds
        return 2 * mult_adds * (3 if workload.backward else 1) or None
    return None
