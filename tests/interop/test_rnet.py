"""A network that others trained, rebuilt here, on images that nobody here chose: it tells faces from the rest, 200 of 200.

The network is R-Net as `examples/face_rnet.py` builds it, with the weights that the package `mtcnn` carries (made in Keras:
axes n h w c, kernels h w i o). They go through our own files on the way. The images are scikit-image's `lfw_subset`: 100 faces
and 100 pieces of background, 25 x 25 pixels.

References
----------
Zhang, Zhang, Li, Qiao 2016, "Joint face detection and alignment using multitask cascaded convolutional networks".
"""

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.interop import load_weights, save_pth, save_safetensors

EXAMPLE = Path(__file__).parents[2] / "examples" / "face_rnet.py"


@pytest.fixture(scope="module")
def example():
    spec = spec_from_file_location("face_rnet", EXAMPLE)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def arrays(example):
    """The weights as Keras has them, in its order."""
    return example.keras_weights()


@pytest.fixture(scope="module")
def images(example):
    """``(200, 3, 24, 24)``."""
    return example.as_trained(example.lfw_subset())


@pytest.fixture(scope="module", params=[save_pth, save_safetensors])
def net(request, example, arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("rnet") / "rnet"
    request.param(path, example.state_dict_of(arrays))
    net = example.RNet()
    assert load_weights(net, path) == ([], [])
    return net.eval()


def test_it_is_the_published_network(net):
    assert sum(parameter.numel() for parameter in net.parameters()) == 100_178


def test_200_of_200(net, images):
    with tg.no_grad():
        _, scores = net(images)
    is_face = np.arange(200) < 100
    assert ((scores.argmax(1).numpy() == 1) == is_face).sum() == 200


def test_each_layer_computes_what_loops_compute_in_the_layout_of_keras(net, arrays, images):
    rest = iter(arrays)

    def convolved(x):
        kernel, bias = next(rest).astype(np.float64), next(rest)
        height, width = kernel.shape[:2]
        y = np.empty((x.shape[0] - height + 1, x.shape[1] - width + 1, kernel.shape[3]))
        for i, j in np.ndindex(*y.shape[:2]):
            y[i, j] = np.tensordot(x[i : i + height, j : j + width], kernel, 3) + bias
        return y

    def bent(x):
        return np.where(x > 0, x, x * next(rest).reshape(-1))

    def pooled(x, same):
        padded = np.pad(x, ((0, same), (0, same), (0, 0)), constant_values=-np.inf)
        y = np.empty(((padded.shape[0] - 3) // 2 + 1, (padded.shape[1] - 3) // 2 + 1, x.shape[2]))
        for i, j in np.ndindex(*y.shape[:2]):
            y[i, j] = padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1))
        return y

    def mapped(x):
        return x @ next(rest) + next(rest)

    image = images[3:4]
    layers = [convolved, bent, lambda x: pooled(x, 1), convolved, bent, lambda x: pooled(x, 0), convolved, bent]
    x, y = image[0].numpy().transpose(1, 2, 0).astype(np.float64), image
    with tg.no_grad():
        for ours, loops in zip(net.features, layers, strict=True):
            x, y = loops(x), ours(y)
            np.testing.assert_allclose(y.numpy()[0].transpose(1, 2, 0), x, rtol=1e-4, atol=1e-4)
        shared = bent(mapped(x.transpose(1, 0, 2).reshape(-1)))
        box, face = net(image)
    np.testing.assert_allclose(box.numpy()[0], mapped(shared), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(face.numpy()[0], mapped(shared), rtol=1e-3, atol=1e-3)


def test_the_example_says_so_and_draws_it(tmp_path):
    picture = tmp_path / "faces.png"
    one_thread = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, EXAMPLE, picture], capture_output=True, text=True, env=one_thread, check=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[:2] == ["100,178 parameters", "right: 200 of 200"]
    pixels = matplotlib.image.imread(picture)[..., :3]
    assert pixels.shape == (280, 560, 3)
    corners = pixels[::28, ::28].reshape(200, 3)
    assert ((corners[:, 0] < 0.5) == (np.arange(200) < 100)).all()  # a green frame around faces, a white one elsewhere
