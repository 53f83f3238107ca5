"""The explorer: a page in which a recorded forward and backward pass can be stepped through, number by number.

    from tinygrad_cnn import viz

    loss = F.cross_entropy(net(images), labels)
    viz.explore(loss, model=net, path="lenet.html")

`recording.record` runs the backward pass on the side and keeps every number, `trace` writes it down as plain data, `pack`
fits it into the file, `page` puts it together with the scripts of `assets`.
"""

from .page import explore

__all__ = ["explore"]
