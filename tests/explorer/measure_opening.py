"""How large an explorer's file is, and how long a browser takes to open it; issue 5 asks for 5 MB and 2 s.

    python -m tests.explorer.measure_opening

A figure of this machine as it is now: the suite's own bound is wider, since tests share their machine.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import models, viz
from tinygrad_cnn.nn.skip_init import skip_init

from ..chromium import chromium
from .explorer_cases import lenet

TIMES = 5


def resnet18():
    """With weights drawn quickly, on an image of the size that it is made for."""
    net = skip_init(models.resnet18)
    rng = np.random.default_rng(0)
    for parameter in net.parameters():
        parameter.data = tg.Tensor(rng.normal(size=parameter.shape).astype("f") * 0.05)
    return net, F.cross_entropy(net(tg.randn(1, 3, 224, 224)), tg.tensor([1]))


def seconds_to_open(browser, page):
    """From the navigation until the page says that it is ready."""
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    start = time.perf_counter()
    tab.goto(page.as_uri())
    tab.wait_for_selector("body.ready")
    seconds = time.perf_counter() - start
    tab.close()
    return seconds


def main():
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for name, case in (("LeNet", lenet), ("ResNet-18", resnet18)):
            net, loss = case()
            page = viz.explore(loss, net, Path(folder) / "page.html")
            taken = [seconds_to_open(browser, page) for _ in range(TIMES)]
            size = page.stat().st_size / 1e6
            middle, worst = statistics.median(taken), max(taken)
            print(f"{name}: {size:.2f} MB, opens in {middle:.2f} s (median of {TIMES}; worst {worst:.2f} s)")


if __name__ == "__main__":
    main()
