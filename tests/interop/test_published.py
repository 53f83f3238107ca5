"""Files as torchvision publishes them, in the names, the shapes and the format, into the networks of `models`."""

import numpy as np
import pytest

from tinygrad_cnn import models
from tinygrad_cnn.errors import CheckpointError
from tinygrad_cnn.interop import load_weights, save_pth

from . import crafting


def resnet18_entries():
    """Names and shapes of ResNet-18 in the order of torchvision, without the counts that its first file does not have."""

    def normalized(name, channels):
        return [(f"{name}.{entry}", (channels,)) for entry in ("weight", "bias", "running_mean", "running_var")]

    entries = [("conv1.weight", (64, 3, 7, 7)), *normalized("bn1", 64)]
    for stage in range(4):
        channels = 64 << stage
        for block in range(2):
            path = f"layer{stage + 1}.{block}"
            before = channels if block or not stage else channels // 2
            entries += [(f"{path}.conv1.weight", (channels, before, 3, 3)), *normalized(f"{path}.bn1", channels)]
            entries += [(f"{path}.conv2.weight", (channels, channels, 3, 3)), *normalized(f"{path}.bn2", channels)]
            if before != channels:
                entries += [(f"{path}.downsample.0.weight", (channels, before, 1, 1))]
                entries += normalized(f"{path}.downsample.1", channels)
    return [*entries, ("fc.weight", (1000, 512)), ("fc.bias", (1000,))]


def of_2017(entries):
    """The legacy format, with `_rebuild_tensor` and an OrderedDict made of pairs; tensor i is i everywhere."""
    pairs, storages = [], {}
    for i, (name, shape) in enumerate(entries):
        storages[str(i)] = np.full(shape, i, "<f4").tobytes()
        strides = np.cumprod((1, *shape[:0:-1]))[::-1].tolist()
        sizes = [crafting.tuple_of(*map(crafting.number, values)) for values in (shape, strides)]
        view = crafting.tuple_of(crafting.storage(int(np.prod(shape)), str(i), device="cuda:0"), b"K\0", *sizes)
        rebuilt = crafting.name("torch._utils", "_rebuild_tensor") + view + b"R"
        pairs.append(b"](" + crafting.text(name) + rebuilt + b"e")
    body = crafting.name("collections", "OrderedDict") + b"](" + b"".join(pairs) + b"e\x85R"
    return crafting.legacy_file(body, storages)


def test_the_first_file_of_resnet18(tmp_path):
    entries = resnet18_entries()
    assert len(entries) == 122 - 20  # with the counts it would be 122 (fact sheet, 5)
    assert sum(int(np.prod(shape)) for name, shape in entries if "running" not in name) == 11_689_512
    path = tmp_path / "resnet18-5c106cde.pth"
    path.write_bytes(of_2017(entries))
    net = models.resnet18()
    assert load_weights(net, path) == ([], [])
    state = net.state_dict()
    for i, (name, _) in enumerate(entries):
        assert float(state[name].min()) == float(state[name].max()) == i, name
    assert all(int(state[name]) == 0 for name in state if name.endswith("num_batches_tracked"))


def test_a_file_with_auxiliary_heads_and_a_model_without_them(tmp_path):
    path = tmp_path / "googlenet.pth"
    whole = models.GoogLeNet(num_classes=10, aux_logits=True)
    save_pth(path, whole.state_dict())
    net = models.GoogLeNet(num_classes=10, aux_logits=False)
    with pytest.raises(CheckpointError, match=r"aux1\.conv\.conv\.weight"):
        load_weights(net, path)
    missing, unexpected = load_weights(net, path, strict=False)
    assert missing == []
    assert {name.split(".")[0] for name in unexpected} == {"aux1", "aux2"}
    assert (net.conv1.conv.weight == whole.conv1.conv.weight).all()
