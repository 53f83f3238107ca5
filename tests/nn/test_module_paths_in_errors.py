"""An error names the module that was running, and the nearest sizes that would fit."""

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ShapeError
from tinygrad_cnn.kernels import ConvGeometry


def test_the_innermost_module_is_named_once():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3, dilation=2)))
    with pytest.raises(ShapeError) as error:
        net(tg.zeros(1, 1, 5, 5))
    assert error.value.module == "1.1"
    assert str(error.value) == (
        "conv2d: input height 3 + padding 0 + 0 is smaller than the kernel's reach 5 = 2 * (3 - 1) + 1. The nearest that fit: "
        "input height 5 or padding 1 + 1 or kernel height 2 or dilation 1 (in the module 1.1)"
    )


def test_outside_a_module_there_is_nothing_to_name():
    with pytest.raises(ShapeError) as error:
        tg.conv2d(tg.zeros(1, 1, 2, 5), tg.zeros(1, 1, 7, 2))
    assert str(error.value).endswith("The nearest that fit: input height 7 or padding 2 + 3 or kernel height 2")


@pytest.mark.parametrize("size", [1, 2, 3, 6])
@pytest.mark.parametrize("kernel", [4, 7])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_every_choice_that_is_named_fits_and_the_next_smaller_does_not(size: int, kernel: int, dilation: int):
    def fits(size: int, kernel: int, dilation: int, padding: tuple[int, int] = (0, 0)) -> bool:
        try:
            ConvGeometry.of((1, 1, size), (1, 1, kernel), 1, (padding,), dilation)
        except ShapeError:
            return False
        return True

    if fits(size, kernel, dilation):
        return
    with pytest.raises(ShapeError) as error:
        ConvGeometry.of((1, 1, size), (1, 1, kernel), dilation=dilation)
    choices = str(error.value).partition("The nearest that fit: ")[2].split(" or ")
    assert choices[0].startswith("input width")
    for choice in choices:
        numbers = [int(word) for word in choice.split() if word.isdigit()]
        if choice.startswith("input"):
            assert fits(numbers[0], kernel, dilation)
            assert not fits(numbers[0] - 1, kernel, dilation)
        elif choice.startswith("padding"):
            assert fits(size, kernel, dilation, (numbers[0], numbers[1]))
            assert not fits(size, kernel, dilation, (numbers[0], numbers[1] - 1))
        elif choice.startswith("kernel"):
            assert fits(size, numbers[0], dilation)
            assert not fits(size, numbers[0] + 1, dilation)
        else:
            assert fits(size, kernel, numbers[0])
            assert not fits(size, kernel, numbers[0] + 1)
