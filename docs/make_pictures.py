"""Make every picture and printed text of `docs/pictures` again, by real calls.

    python docs/make_pictures.py            # all of them, about two minutes
    python docs/make_pictures.py graphs     # one family: graphs, architectures, convolutions, answers, fields, explorer

The digits are classified by a LeNet that is trained here, on one pass over the packaged subset. Screenshots need Chromium
(`apt-get install chromium`) and the extra "test", which has playwright; they are kept in 128 colours, to stay small.
"""

import io
import shutil
import sys
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import data, explain, learn, models, nn, optim, viz
from tinygrad_cnn.models.inception import Branches
from tinygrad_cnn.models.residual import BasicBlock

HERE = Path(__file__).parent / "pictures"


@cache
def digits():
    return data.MNIST(subset=True)


@cache
def trained(model):
    tg.manual_seed(0)
    net = model()
    optimizer = optim.SGD(net.parameters(), lr=0.03, momentum=0.9)
    for images, labels in data.DataLoader(digits(), batch_size=64, shuffle=True):
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return net.eval()


def first_digit():
    return tg.tensor(data.normalize_digits(digits().images[:1])), tg.tensor(digits().targets[:1])


# Graphs and architectures ---------------------------------------------------------------------------------------------


def graphs():
    """Forward, collapsed, folded, coloured; forward and backward beside each other; second order in layers."""
    tg.manual_seed(0)
    small = models.SmallLeNet5()
    loss = F.cross_entropy(small(tg.rand(1, 1, 28, 28)), tg.tensor([3]))
    viz.graph(loss, passes="both", depth=1).render(HERE / "lenet5_both.svg")
    viz.graph(loss, depth=1, pictures=True).render(HERE / "lenet5_values.svg")
    resnet = nn.utils.skip_init(models.resnet50)
    for parameter in resnet.parameters():
        parameter.data[...] = 0.01
    loss = F.cross_entropy(resnet(tg.zeros(2, 3, 64, 64)), tg.tensor([1, 2]))
    viz.graph(loss, depth=1).render(HERE / "resnet50_depth1.svg")
    viz.graph(loss, depth=2, fold_repeats=True, color="flops").render(HERE / "resnet50_depth2_flops.svg")
    x = tg.tensor([0.5, -1.0, 2.0], requires_grad=True)
    x.name = "x"
    (gradient,) = tg.autograd.grad((x.tanh() ** 2).sum(), x, create_graph=True)
    viz.graph(gradient.sum(), direction="LR").render(HERE / "second_order.svg")


def architectures():
    drawn = [
        ("lenet5", models.LeNet5(), (1, 32, 32), "LeNet-5 (1998)"),
        ("alexnet", nn.utils.skip_init(models.AlexNetPaper), (3, 227, 227), "AlexNet (2012)"),
        ("vgg16", nn.utils.skip_init(models.vgg16), (3, 224, 224), "VGG-16 (2014)"),
    ]
    for name, net, size, title in drawn:
        viz.architecture(net, size, title=title).render(HERE / f"architecture_{name}.svg")


# Convolutions, watched and as matrices --------------------------------------------------------------------------------


def convolutions():
    geometry = {"input": (5, 5), "kernel": 3, "stride": 2, "padding": 1}
    learn.animate_conv(**geometry).save(HERE / "conv_forward.svg")
    learn.animate_conv(**geometry, show="input_grad").save(HERE / "conv_input_grad.svg")
    wide = {"input": (3, 4), "kernel": (3, 2), "stride": 2, "dilation": (1, 2), "transposed": True}
    learn.animate_conv(**wide).save(HERE / "conv_transposed.svg")
    tg.manual_seed(0)
    matrix = learn.as_matrix(nn.Conv2d(1, 1, (2, 3), padding=(0, 1)), (3, 6))
    (HERE / "conv_matrix.svg").write_text(matrix.svg(), encoding="utf-8")


# What is printed ------------------------------------------------------------------------------------------------------


def unflipped(gy, x, weight, *, stride, padding, dilation, groups):
    """A learner's backward of conv2d in which the input gradient reads the kernel back to front."""
    gx, gweight, gbias = np.zeros_like(x), np.zeros_like(weight), gy.sum((0, 2, 3))
    filters, channels = len(weight) // groups, weight.shape[1]
    for n, o, i, j in np.ndindex(gy.shape):
        for c, a, b in np.ndindex(weight.shape[1:]):
            row = i * stride[0] + a * dilation[0] - padding[0]
            column = j * stride[1] + b * dilation[1] - padding[1]
            channel = o // filters * channels + c
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                gx[n, channel, row, column] += gy[n, o, i, j] * weight[o, c, -1 - a, -1 - b]
                gweight[o, c, a, b] += gy[n, o, i, j] * x[n, channel, row, column]
    return gx, gweight, gbias


def answers():
    """The ledger, a causal tracer and a grade, as they are printed."""
    net = trained(models.LeNet)
    image, label = first_digit()
    loss = F.cross_entropy(net(image), label)
    say("ledger", explain.gradient(loss, wrt=net.conv2.weight, index=(3, 0, 1, 2), top=3))
    tg.manual_seed(1)
    broken = models.LeNet()
    with tg.no_grad():
        broken.fc1.bias -= 100
    say("why_zero", explain.why_zero(broken.conv1.weight, F.cross_entropy(broken(image), label)))
    say("check", learn.check(unflipped, op="conv2d"))


def say(name, answer):
    text = "\n".join(line.rstrip() for line in str(answer).splitlines())
    (HERE / f"{name}.txt").write_text(f"{text}\n", encoding="utf-8")


# What units see -------------------------------------------------------------------------------------------------------


def fields():
    """A receptive field, theoretical and effective, and four ways to ask which pixels a score looks at."""
    net = trained(models.LeNet)
    image, label = first_digit()
    x = image.clone().requires_grad_()
    hidden = net.pool2(net.conv2(net.pool1(net.conv1(x))))
    found = explain.receptive_field(hidden, wrt=x)
    drawn = explain.overlay(found, x, (1, 2), explain.effective_field(hidden, x, (1, 2)))
    (HERE / "receptive_field.svg").write_text(drawn, encoding="utf-8")
    # This one has four ReLUs, at which the three rules differ.
    net, target = trained(models.SmallLeNet5), int(label.item())
    scores = net(x)
    shown = {"image": x.array[0, 0]}
    for rule in ("gradient", "deconvnet", "guided"):
        shown[rule] = explain.attribution(scores, x, (0, target), rule=rule)[0, 0]
    covered = explain.occlusion(net, image, target, size=5, value=float(image.array.min()))
    shown["occlusion"] = scores.array[0, target] - covered
    side = 28 * 6
    sheet = Image.new("RGB", (len(shown) * (side + 12) - 12, side + 22), "white")
    for i, (name, array) in enumerate(shown.items()):
        picture = Image.fromarray(grey(array) if name == "image" else signed(array))
        sheet.paste(picture.resize((side, side), Image.Resampling.NEAREST), (i * (side + 12), 22))
        ImageDraw.Draw(sheet).text((i * (side + 12), 4), name, fill="black")
    save(sheet, "attributions")


def grey(array):
    shade = np.uint8(255 - 255 * (array - array.min()) / np.ptp(array))
    return np.stack([shade] * 3, -1)


def signed(array):
    """Red above zero, blue below."""
    t = np.clip(array / np.abs(array).max(), -1, 1)[..., None]
    ends = np.where(t > 0, [214, 62, 20], [30, 80, 215])
    return np.uint8(255 + (ends - 255) * np.abs(t) ** 0.7)


# The explorer ---------------------------------------------------------------------------------------------------------


def residual_block():
    net = nn.Sequential(nn.Conv2d(2, 4, 1), BasicBlock(4, 4))
    return net, net(tg.randn(2, 2, 8, 8)).square().mean()


def inception():
    branches = Branches()
    branches.add_module("one", nn.Conv2d(3, 2, 1))
    branches.add_module("three", nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 3, padding=1)))
    branches.add_module("five", nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 5, padding=2)))
    branches.add_module("pool", nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(3, 2, 1)))
    net = nn.Sequential(nn.Conv2d(1, 3, 1), branches)
    return net, net(tg.randn(1, 1, 9, 9)).square().mean()


def transposed():
    net = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.ConvTranspose2d(4, 2, 3, stride=2, dilation=2, padding=1))
    return net, net(tg.randn(1, 2, 11, 11)).square().mean()


def lenet():
    net = trained(models.LeNet)
    image, label = first_digit()
    return net, F.cross_entropy(net(image), label)


# The file, the network, the language, the step (its module, and whether backward), the cell, what is scrolled to, the window.
SHOTS = [
    ("explorer-weight-gradient", lenet, "en", "conv2", True, "flow:1", (3, 0, 1, 2), "", (1280, 800)),
    ("explorer-lenet", lenet, "en", "conv2", False, "value", (0, 3, 4, 2), "", (1280, 800)),
    ("explorer-ledger", lenet, "en", "conv2", True, "flow:1", (3, 0, 1, 2), ".ledger", (1280, 800)),
    ("explorer-residual", residual_block, "en", "1.conv2", True, "flow:0", (0, 1, 3, 4), "", (1280, 800)),
    ("explorer-inception", inception, "en", "1.five.2", True, "flow:1", (0, 0, 3, 1), "", (1280, 800)),
    ("explorer-transposed", transposed, "en", "1", True, "flow:0", (0, 1, 2, 3), "", (1280, 800)),
    ("explorer-chinese-phone", lenet, "zh", "conv1", True, "flow:1", (4, 0, 2, 1), "", (390, 800)),
]


def explorer():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        for name, case, lang, module, backward, key, index, scroll, (width, height) in SHOTS:
            tg.manual_seed(2)
            net, loss = case()
            page = viz.explore(loss, net, HERE / "page.html", lang=lang)
            scheme = "dark" if lang == "zh" else "light"
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            tab.goto(page.as_uri())
            tab.wait_for_selector("body.ready")
            steps = tab.evaluate("explorer.steps")
            wanted = [i for i, s in enumerate(steps) if (s["module"], s["backward"]) == (module, backward)]
            tab.evaluate("i => explorer.go(i)", wanted[0])
            tab.evaluate("([key, index]) => explorer.point(key, index)", [key, list(index)])
            if scroll:
                tab.evaluate("name => document.querySelector(name).scrollIntoView()", scroll)
            save(Image.open(io.BytesIO(tab.screenshot())), name)
            tab.close()
            page.unlink()
        browser.close()


def save(picture, name):
    quantized = picture.convert("RGB").quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    quantized.save(HERE / f"{name}.png", optimize=True)


FAMILIES = {f.__name__: f for f in (graphs, architectures, convolutions, answers, fields, explorer)}

if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - FAMILIES.keys()
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; the families are {', '.join(FAMILIES)}")
    for name in sys.argv[1:] or FAMILIES:
        FAMILIES[name]()
        print(name)
