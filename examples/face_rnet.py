"""Take over a network that others trained: R-Net, which tells faces from the rest, with weights made in Keras.

    pip install mtcnn==1.0.0 joblib lz4 scikit-image matplotlib
    python examples/face_rnet.py [picture.png]

R-Net is the second of the three networks of MTCNN (Zhang, Zhang, Li, Qiao 2016, "Joint face detection and alignment using
multitask cascaded convolutional networks"). It looks at 24 x 24 pixels and says whether they are a face, and where its edges
are. The images are scikit-image's `lfw_subset`, 100 faces and 100 pieces of background.

What has to be turned around on the way from Keras is what differs between its layout (n h w c) and PyTorch's (n c h w).
"""

import hashlib
import sys
from importlib.util import find_spec
from pathlib import Path

import joblib
import numpy as np
import skimage

import tinygrad_cnn as tg
from tinygrad_cnn import nn

SHA256 = "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee"


class RNet(nn.Module):
    """Is this 24 x 24 image a face, and where are its edges?"""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 28, 3),
            nn.PReLU(28),
            nn.MaxPool2d(3, 2, ceil_mode=True),  # Keras' "same": a row and a column more, below and on the right
            nn.Conv2d(28, 48, 3),
            nn.PReLU(48),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(48, 64, 2),
            nn.PReLU(64),
        )
        self.shared = nn.Sequential(nn.Linear(576, 128), nn.PReLU(128))
        self.box = nn.Linear(128, 4)
        self.face = nn.Linear(128, 2)

    def forward(self, input):
        """``(n, 3, 24, 24)`` to the box ``(n, 4)`` and the scores of "no face" and "face" ``(n, 2)``."""
        maps = self.features(input)
        shared = self.shared(maps.permute(0, 3, 2, 1).flatten(1))  # as trained: columns, rows, channels
        return self.box(shared), self.face(shared)


def keras_weights():
    """The arrays of the package `mtcnn`, in the order of its layers."""
    # The package imports TensorFlow, so it is only asked where it is. joblib unpickles, and a pickle is a program: this one
    # may run because it is the file whose checksum is written above. A file from elsewhere may not.
    path = Path(find_spec("mtcnn").origin).parent / "assets" / "weights" / "rnet.lz4"
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{path} is not the file of mtcnn 1.0.0")
    return joblib.load(path)


def state_dict_of(arrays):
    """Name them as `RNet` does, and turn them: kernels h w i o become o i h w, matrices i o become o i."""
    rest = iter(arrays)
    state = {}
    for name in [f"features.{i}" for i in (0, 1, 3, 4, 6, 7)] + ["shared.0", "shared.1", "box", "face"]:
        weight = next(rest)
        is_prelu = weight.size == weight.shape[-1]  # one slope for each channel, and no bias
        if is_prelu:
            state[f"{name}.weight"] = weight.reshape(-1)
        else:
            state[f"{name}.weight"] = weight.transpose((3, 2, 0, 1) if weight.ndim == 4 else (1, 0))
            state[f"{name}.bias"] = next(rest)
    return state


def lfw_subset():
    """``(200, 24, 24)``: 100 faces and 100 others, grey, from 0 to 1."""
    return np.load(Path(skimage.__file__).parent / "data" / "lfw_subset.npy")[:, :24, :24]


def as_trained(grey):
    """``(n, 3, 24, 24)``: grey thrice, from -1 to 1."""
    return tg.tensor(np.repeat((grey * 255 - 127.5)[:, None] / 128, 3, axis=1).astype(np.float32))


def main():
    net = RNet()
    net.load_state_dict(state_dict_of(keras_weights()))
    net.eval()
    grey = lfw_subset()
    with tg.no_grad():
        _, scores = net(as_trained(grey))
    says_face = scores.argmax(1).numpy() == 1
    is_face = np.arange(200) < 100
    print(f"{sum(parameter.numel() for parameter in net.parameters()):,} parameters")
    print(f"right: {(says_face == is_face).sum()} of {len(grey)}")
    if len(sys.argv) > 1:
        draw(grey, says_face, sys.argv[1])
        print(f"{sys.argv[1]}: framed is what it calls a face")


def draw(grey, says_face, path):
    """All images in one picture, ten rows of twenty."""
    import matplotlib.image

    tiles = np.repeat(np.pad(grey, ((0, 0), (2, 2), (2, 2)), constant_values=1)[..., None], 3, axis=-1)
    frame = np.pad(np.zeros((24, 24), bool), 2, constant_values=True)
    tiles[says_face] = np.where(frame[..., None], (0.1, 0.6, 0.2), tiles[says_face])
    picture = tiles.reshape(10, 20, 28, 28, 3).transpose(0, 2, 1, 3, 4).reshape(280, 560, 3)
    matplotlib.image.imsave(path, picture)


if __name__ == "__main__":
    main()
