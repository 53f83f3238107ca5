"""Ask PyTorch for the reprs and the state keys that the tests of the layers compare with.

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.13.0 numpy
    /tmp/torch/bin/python tests/nn/golden/make_nn_golden.py

writes layers.json beside this file. PyTorch is needed for this only, never by the tests.
"""

import json
import sys
from collections import OrderedDict
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    sys.path.insert(0, str(HERE.parent))
    import nn_cases
    from torch import nn

    golden = {}
    for expression in nn_cases.LAYERS:
        layer = eval(expression, {"nn": nn, "OrderedDict": OrderedDict})
        state = {name: list(tensor.shape) for name, tensor in layer.state_dict().items()}
        golden[expression] = {"repr": repr(layer), "state": state}
    for expression in nn_cases.LAZY:
        layer = eval(expression, {"nn": nn, "OrderedDict": OrderedDict})
        golden[expression] = {"repr": repr(layer), "parameters": [name for name, _ in layer.named_parameters()]}
    (HERE / "layers.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
