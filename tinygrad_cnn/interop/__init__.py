"""Weights from and for other frameworks: PyTorch's `.pth` files, read without PyTorch and without executing them; safetensors.

    from tinygrad_cnn import interop, models

    net = models.AlexNet()
    interop.load_weights(net, "alexnet-owt-7be5be79.pth")     # as published for torchvision
    interop.load("some.pth")                                  # a dictionary of arrays
    interop.save_pth("ours.pth", net.state_dict())            # for torch.load
"""

from .pth import load_pth
from .safetensors_file import load_safetensors, save_safetensors
from .save_pth import save_pth
from .weights import load, load_weights

__all__ = ["load", "load_pth", "load_safetensors", "load_weights", "save_pth", "save_safetensors"]
