"""The explorer in a browser: the cells that light up are those of a brute-force loop, the sums those of the gradients.

The loops here know nothing of the page's arithmetic: they go over every output and every tap of the definition and note
which numbers met in the cell that is asked for.
"""

import json
import time
from itertools import product

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import models, nn, viz
from tinygrad_cnn.nn.skip_init import skip_init

from ..chromium import chromium
from .explorer_cases import attention, dilated_transposed, inception, lenet, pools_and_norms, residual_block


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


class Opened:
    """An explorer in a tab, watched: any message of the console, error or request fails the test."""

    def __init__(self, browser, path, **options):
        options = {"viewport": {"width": 1280, "height": 800}} | options
        self.tab = browser.new_page(**options)
        self.tab.set_default_timeout(120_000)  # for machines that do much else
        self.complaints = []
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.requested(request.url))
        self.address = path.as_uri()
        start = time.perf_counter()
        self.tab.goto(self.address)
        self.tab.wait_for_selector("body.ready")
        self.seconds = time.perf_counter() - start
        self.steps = self.tab.evaluate("explorer.steps")

    def requested(self, url):
        if url != self.address and not url.startswith("data:"):
            self.complaints.append(f"request to {url}")

    def go(self, module, *, backward, name=None):
        found = [i for i, s in enumerate(self.steps) if s["backward"] == backward and s["module"] == module]
        self.tab.evaluate("i => explorer.go(i)", next(i for i in found if name in (None, self.steps[i]["name"])))

    def point(self, key, index):
        """Move the mouse onto a cell; returns what lights up in each picture, and what is said."""
        self.tab.locator(f'.cells[data-key="{key}"]').scroll_into_view_if_needed()
        at = self.tab.evaluate("([key, index]) => explorer.locate(key, index)", [key, list(index)])
        self.tab.mouse.move(at["x"], at["y"])
        told = self.tab.evaluate("explorer.explanation()")
        assert (told["key"], told["index"]) == (key, list(index))
        lit = self.tab.evaluate(
            "Object.fromEntries([...document.querySelectorAll('.cells')].map(e => [e.dataset.key, JSON.parse(e.dataset.lit)]))"
        )
        return {name: {tuple(cell) for cell in cells} for name, cells in lit.items() if cells}, told

    def printed(self):
        """The sum as the page prints it."""
        return float(self.tab.locator("#why .sum output").inner_text())

    def close(self):
        self.tab.close()
        assert self.complaints == []


@pytest.fixture
def opened(browser, tmp_path):
    tabs = []

    def open_page(case, **options):
        tg.manual_seed(5)
        net, loss = case()
        explore = {name: options.pop(name) for name in ("lang", "max_bytes") if name in options}
        page = Opened(browser, viz.explore(loss, net, tmp_path / "page.html", **explore), **options)
        tabs.append(page)
        loss.backward()
        return net, page

    yield open_page
    for tab in tabs:
        tab.close()


def meet(conv, x_shape, y_shape):
    """Every (input, tap, output) of a convolution, by loops over its definition; shapes are the convolution's."""
    (n, c, h, w), (_, o, oh, ow) = x_shape, y_shape
    (kh, kw), groups = conv.kernel_size, conv.groups
    for b, out, ci, i, j, u, v in product(*map(range, (n, o, c // groups, oh, ow, kh, kw))):
        y = i * conv.stride[0] + u * conv.dilation[0] - conv.padding[0]
        x = j * conv.stride[1] + v * conv.dilation[1] - conv.padding[1]
        if 0 <= y < h and 0 <= x < w:
            yield (b, out // (o // groups) * (c // groups) + ci, y, x), (out, ci, u, v), (b, out, i, j)


def check_conv(page, conv, module, x_shape, y_shape, key, index, gradient):
    """Point at a cell of a gradient; compare what lights up, and the sum."""
    transposed = isinstance(conv, nn.ConvTranspose2d)
    page.go(module, backward=True)
    lit, told = page.point(key, index)
    own = {"flow:1": 1, "flow:0": 2 if transposed else 0}[key]
    met = [triple for triple in meet(conv, x_shape, y_shape) if triple[own] == index]
    names = ["grad", "in:1", "in:0"] if transposed else ["in:0", "in:1", "grad"]
    expected = {names[role]: {triple[role] for triple in met} for role in range(3) if role != own}
    assert met
    assert lit == expected | {key: {index}}
    assert told["missing"] == 0
    assert len(told["terms"]) == len(met)
    np.testing.assert_allclose(page.printed(), gradient, rtol=1e-5, atol=2e-6 * told["magnitude"])
    assert "✓" in page.tab.locator("#why .sum").inner_text()


def test_lenet_by_keyboard_and_pointer(opened):
    net, page = opened(lenet)
    tab = page.tab
    assert page.seconds < 10, "the bound of 2 s is measured on an idle machine, not among other tests"
    last = len(page.steps) - 1
    assert [s["name"] for s in page.steps[:2]] == ["Conv2d", "MaxPool2d"]
    tab.keyboard.press("End")
    assert tab.locator("body").get_attribute("data-step") == str(last)
    for _ in range(last):
        tab.keyboard.press("ArrowLeft")
    assert tab.locator("body").get_attribute("data-step") == "0"
    tab.keyboard.press("ArrowRight")
    assert tab.locator("h2").inner_text().startswith("MaxPool2d")
    tab.keyboard.press("Home")
    assert tab.locator("body").get_attribute("data-step") == "0"
    shapes = (1, 20, 12, 12), (1, 50, 8, 8)
    check_conv(page, net.conv2, "conv2", *shapes, "flow:1", (3, 0, 1, 2), net.conv2.weight.grad.array[3, 0, 1, 2])


def test_lenet_input_gradient(opened):
    """The gradient of conv2's input: recorded on the way, so compared with the engine's own."""
    seen = []

    def watched():
        net = models.LeNet()
        net.conv2.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        scores = net(tg.rand(1, 1, 28, 28))
        seen[0].retain_grad()
        return net, F.cross_entropy(scores, tg.tensor([4]))

    net, page = opened(watched)
    (hidden,) = seen
    for index in [(0, 7, 5, 6), (0, 0, 0, 0)]:
        check_conv(page, net.conv2, "conv2", (1, 20, 12, 12), (1, 50, 8, 8), "flow:0", index, hidden.grad.array[index])


def test_output_of_a_convolution(opened):
    _, page = opened(lenet)
    page.go("conv2", backward=False)
    lit, told = page.point("value", (0, 3, 2, 4))
    window = {(0, c, 2 + u, 4 + v) for c, u, v in product(range(20), range(5), range(5))}
    kernel = {(3, c, u, v) for c, u, v in product(range(20), range(5), range(5))}
    assert lit == {"value": {(0, 3, 2, 4)}, "in:0": window, "in:1": kernel, "in:2": {(3,)}}
    assert page.printed() == pytest.approx(told["recorded"], rel=1e-5, abs=2e-6 * told["magnitude"])


def test_residual_block(opened):
    net, page = opened(residual_block)
    conv, grad = net[1].conv2, net[1].conv2.weight.grad.array
    shapes = (2, 4, 6, 6), (2, 4, 6, 6)
    check_conv(page, conv, "1.conv2", *shapes, "flow:1", (1, 3, 0, 2), grad[1, 3, 0, 2])
    # The input of the block is used by the residual and by the shortcut: two gradients add up to its own.
    page.go("0", backward=True)
    lit, told = page.point("grad", (1, 2, 3, 4))
    assert lit == {key: {(1, 2, 3, 4)} for key in ("grad", "part:0", "part:1")}
    assert told["sum"] == pytest.approx(told["recorded"], rel=1e-5)


def test_inception_module(opened):
    net, page = opened(inception)
    five = net[1].five
    shapes = (1, 3, 5, 6), (1, 2, 5, 6)
    check_conv(page, five, "1.five", *shapes, "flow:1", (1, 2, 4, 0), five.weight.grad.array[1, 2, 4, 0])
    page.go("1", backward=True, name="Cat")
    lit, _ = page.point("flow:2", (0, 1, 2, 3))
    assert lit == {"flow:2": {(0, 1, 2, 3)}, "grad": {(0, 2 + 3 + 1, 2, 3)}}
    page.go("0", backward=True)
    _, told = page.point("grad", (0, 2, 1, 1))
    assert len(told["terms"]) == 4
    assert told["sum"] == pytest.approx(told["recorded"], rel=1e-5, abs=1e-8)


def test_dilated_transposed_convolution(opened):
    net, page = opened(dilated_transposed)
    conv, transposed = net
    hidden = conv(tg.zeros(2, 4, 7, 6)).shape
    out = net(tg.zeros(2, 4, 7, 6)).shape
    for index in [(0, 0, 0, 0), (5, 1, 2, 1)]:
        gradient = transposed.weight.grad.array[index]
        check_conv(page, transposed, "1", out, hidden, "flow:1", index, gradient)
    for index in [(0, 0, 0, 0), (4, 1, 2, 1)]:
        check_conv(page, conv, "0", (2, 4, 7, 6), hidden, "flow:1", index, conv.weight.grad.array[index])
    page.go("1", backward=True)
    index = (1, 4, 1, 2)
    lit, told = page.point("flow:0", index)
    met = [triple for triple in meet(transposed, out, hidden) if triple[2] == index]
    assert lit == {"flow:0": {index}, "grad": {t[0] for t in met}, "in:1": {t[1] for t in met}}
    assert told["sum"] == pytest.approx(told["recorded"], abs=2e-6 * told["magnitude"])


EVERY_CELL = """
() => {
  const wrong = [], said = new Set();
  explorer.steps.forEach((step, i) => {
    explorer.go(i);
    for (const box of document.querySelectorAll('.cells')) {
      const shape = box.getAttribute('aria-label').match(/, ([0-9]+[^.]*)\\./)[1].match(/[0-9]+/g).map(Number);
      for (const share of [0, 0.37, 0.74, 1]) {
        const index = shape.map((size) => Math.min(size - 1, Math.floor(size * share)));
        const cell = explorer.locate(box.dataset.key, index) ? index : [];
        explorer.point(box.dataset.key, cell);
        const e = explorer.explanation();
        if (e.sum === null || e.missing) continue;
        said.add(step.name + (step.backward ? ' backward' : ' forward'));
        const told = [step.name, step.backward, box.dataset.key, index, e.sum, e.recorded];
        if (document.querySelector('#why .wrong')) wrong.push(told);
      }
    }
  });
  return [wrong, [...said]];
}
"""


EXPLAINED = {
    pools_and_norms: {
        "BatchNormReLU", "LocalResponseNorm", "BatchNorm", "AvgPool2d", "AdaptiveAvgPool2d", "ReLU", "Dropout", "Linear",
        "LogSoftmax",
    },
    attention: {
        "Standardize", "ChannelAffine", "Resample2d", "MatMul", "Div", "Softmax", "Tanh", "Power", "Sum", "Exp", "Mean", "Sub",
        "LogSoftmax", "NLLLoss", "Reshape",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "case", [residual_block, inception, dilated_transposed, pools_and_norms, attention], ids=lambda c: c.__name__
)
def test_every_sum_that_is_said_is_the_recorded_number(opened, case):
    _, page = opened(case)
    wrong, said = page.tab.evaluate(EVERY_CELL)
    assert wrong == []
    for name in EXPLAINED.get(case, ()):
        assert {f"{name} forward", f"{name} backward"} <= set(said)


def ledger_of(page):
    """The row of the page: its sum, and of each term the numbers, what they are elements of, and where it came from."""
    rows = []
    for row in page.tab.locator(".ledger tbody tr").all():
        _, term, factor, gradient, origin = row.locator("td").all()
        numbers = [float(text.inner_text()) for text in (term, factor.locator("code"), gradient.locator("code"))]
        rows.append((numbers, factor.locator("span").inner_text(), gradient.locator("span").inner_text(), origin.inner_text()))
    return float(page.tab.locator(".ledger output").inner_text()), rows


def test_the_ledger_is_that_of_explain_and_its_sum_is_the_gradient(opened):
    asked = {}

    def explained():
        net, loss = lenet(batch=2)
        for name, index in [("conv2.weight", (3, 0, 1, 2)), ("conv1.weight", (7, 0, 4, 0)), ("fc1.weight", (3, 5))]:
            parameter = dict(net.named_parameters())[name]
            asked[name] = parameter, index, tg.explain.gradient(loss, parameter, index)
        return net, loss

    _, page = opened(explained)
    for name, (parameter, index, expected) in asked.items():
        module = name.split(".")[0]
        page.go(module, backward=True)
        page.point("flow:1", index)
        total, rows = ledger_of(page)
        (consumer,) = expected.consumers
        assert total == pytest.approx(float(parameter.grad.array[index]), rel=1e-5, abs=2e-6 * consumer.magnitude)
        assert len(rows) == min(10, consumer.count)
        for (numbers, source, output, origin), term in zip(rows, consumer.terms, strict=True):
            assert numbers == pytest.approx([term.value, term.factor, term.gradient], rel=1e-5, abs=1e-12)
            if term.value:
                assert (source, output) == (term.source, f"gy{list(term.output)}")
                assert origin == " ← ".join(term.origin)
        formula = page.tab.locator(".ledger .reader code").inner_text()
        if module != "fc1":
            assert formula == consumer.formula.replace("sum over n, i, j of", "Σ").replace("*", "\u00d7")


def test_the_ledger_of_an_input_gradient_and_of_a_value_with_several_readers(opened):
    _, page = opened(residual_block)
    page.go("1.conv2", backward=True)
    _, told = page.point("flow:0", (1, 2, 3, 4))
    total, rows = ledger_of(page)
    assert total == pytest.approx(told["recorded"], rel=1e-5, abs=2e-6 * told["magnitude"])
    assert [abs(numbers[0]) for numbers, *_ in rows] == sorted((abs(numbers[0]) for numbers, *_ in rows), reverse=True)
    page.go("0", backward=True)
    _, told = page.point("grad", (1, 2, 3, 4))
    assert page.tab.locator(".ledger .reader").count() == 2, "the residual and the shortcut"
    total, _ = ledger_of(page)
    assert total == pytest.approx(told["recorded"], rel=1e-5, abs=2e-6 * told["magnitude"])
    assert page.tab.locator(".ledger .fine").is_visible()


@pytest.mark.parametrize("case", [inception, dilated_transposed], ids=lambda case: case.__name__)
def test_the_ledgers_sum_in_other_networks(opened, case):
    net, page = opened(case)
    parameters = dict(net.named_parameters())
    for name, module, index in {
        inception: [("1.five.weight", "1.five", (1, 2, 4, 0)), ("1.three.2.weight", "1.three.2", (2, 1, 0, 2))],
        dilated_transposed: [("1.weight", "1", (5, 1, 2, 1)), ("0.weight", "0", (4, 1, 2, 1))],
    }[case]:
        page.go(module, backward=True)
        _, told = page.point("flow:1", index)
        total, rows = ledger_of(page)
        assert rows
        assert total == pytest.approx(float(parameters[name].grad.array[index]), rel=1e-5, abs=2e-6 * told["magnitude"])


@pytest.mark.parametrize(("lang", "title"), [("en", "Gradient ledger"), ("zh", "梯度账本")])
def test_the_ledger_is_labelled_and_speaks_both_languages(opened, lang, title):
    _, page = opened(lenet, lang=lang, viewport={"width": 390, "height": 800})
    page.go("conv2", backward=True)
    row = page.tab.get_by_role("region", name=title, exact=True)
    assert row.locator("tr").count() == 0, "a hint, before a cell is pointed at"
    page.point("flow:1", (0, 0, 0, 0))
    assert row.locator("th[scope=col]").count() == 5
    assert "conv2.weight[0, 0, 0, 0]" in row.locator("caption").inner_text()
    wide = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.getElementById('main'))"
    assert page.tab.evaluate(wide) <= 0, "the table scrolls by itself"
    if lang == "zh":
        words = row.locator(".entries thead, .total").all_inner_texts()
        assert not any(word in " ".join(words) for word in ("share", "term", "recorded"))


def test_products_of_matrices(opened):
    """Every (left, right, product) that meets, by loops over a stack of matrices."""
    _, page = opened(attention)
    (n, rows, inner, columns) = (2, 4, 6, 6)  # the second product: what each pixel sees
    met = [((b, i, k), (b, k, j), (b, i, j)) for b, i, k, j in product(*map(range, (n, rows, inner, columns)))]
    last = max(i for i, s in enumerate(page.steps) if s["name"] == "MatMul" and not s["backward"])
    first = min(i for i, s in enumerate(page.steps) if s["name"] == "MatMul" and s["backward"])
    for step, key, own, names in [
        (last, "value", 2, ("in:0", "in:1", None)),
        (first, "flow:0", 0, (None, "in:1", "grad")),
        (first, "flow:1", 1, ("in:0", None, "grad")),
    ]:
        page.tab.evaluate("i => explorer.go(i)", step)
        index = (1, 2, 3)
        lit, told = page.point(key, index)
        mine = [triple for triple in met if triple[own] == index]
        assert lit == {key: {index}} | {names[role]: {t[role] for t in mine} for role in range(3) if role != own}
        assert len(told["terms"]) == len(mine)
        assert page.printed() == pytest.approx(told["recorded"], abs=2e-6 * told["magnitude"])


def test_resampling_by_probing_it_pixel_by_pixel(opened):
    """What an output reads is what it answers to when one input pixel is 1 and all others are 0."""
    _, page = opened(attention)
    probes = np.eye(4 * 5).reshape(4 * 5, 1, 4, 5)
    answers = F.interpolate(tg.tensor(probes), size=(2, 3), mode="bilinear").array.reshape(4, 5, 2, 3)
    page.go("", backward=False, name="Resample2d")
    lit, told = page.point("value", (1, 2, 1, 2))
    assert lit["in:0"] == {(1, 2, int(y), int(x)) for y, x in np.argwhere(answers[:, :, 1, 2])}
    assert told["sum"] == pytest.approx(told["recorded"], rel=1e-5, abs=2e-6 * told["magnitude"])
    page.go("", backward=True, name="Resample2d")
    for place in [(1, 2), (0, 0), (3, 4)]:
        lit, told = page.point("flow:0", (1, 2, *place))
        assert lit.get("grad", set()) == {(1, 2, int(y), int(x)) for y, x in np.argwhere(answers[place])}
        weights = {tuple(t["factors"][0]["index"][2:]): t["factors"][1]["value"] for t in told["terms"]}
        assert weights == pytest.approx({(y, x): answers[(*place, y, x)] for y, x in weights})
        assert told["sum"] == pytest.approx(told["recorded"], rel=1e-5, abs=2e-6 * told["magnitude"])


def test_sums_means_powers_and_the_loss(opened):
    _, page = opened(attention)
    page.go("", backward=False, name="Mean")
    lit, _ = page.point("value", (1, 3))
    assert lit == {"value": {(1, 3)}, "in:0": {(1, 3, k) for k in range(6)}}
    page.go("", backward=True, name="Mean")
    lit, told = page.point("flow:0", (1, 3, 5))
    assert lit == {"flow:0": {(1, 3, 5)}, "grad": {(1, 3)}}
    assert told["terms"][0]["factors"][1]["value"] == 1 / 6
    page.go("", backward=True, name="Power")
    _, told = page.point("flow:0", (0, 2, 1))
    assert told["terms"][0]["factors"][1]["value"] == 2 * dict(told["lines"])["x"]
    page.go("", backward=True, name="NLLLoss")
    for index, cells, weight in [((0, 3), {(0,)}, 0.5), ((1, 1), {(1,)}, 2.0)]:
        lit, told = page.point("flow:0", index)
        assert lit == {"flow:0": {index}, "grad": cells, "in:1": cells, "in:2": cells}
        assert told["terms"][0]["factors"][1]["value"] == weight
    _, told = page.point("flow:0", (0, 1))
    assert (told["recorded"], told["sum"], told["terms"]) == (0, 0, [])
    page.go("", backward=True, name="Softmax")
    lit, _ = page.point("flow:0", (1, 2, 3))
    assert lit == {"flow:0": {(1, 2, 3)}, "grad": {(1, 2, k) for k in range(6)}}


def test_pool_relu_and_loss(opened):
    _, page = opened(lenet)
    page.go("pool1", backward=False)
    lit, told = page.point("value", (0, 4, 3, 5))
    assert lit["in:0"] == {(0, 4, 6 + u, 10 + v) for u in (0, 1) for v in (0, 1)}
    assert told["sum"] == max(value for _, value in told["lines"])
    page.go("", backward=True, name="LogSoftmax")
    _, told = page.point("flow:0", (0, 0))
    lines = dict(told["lines"])
    assert lines["y"] == 1
    assert told["recorded"] == pytest.approx(lines["p - y"], rel=1e-5)
    page.go("relu", backward=True)
    gates = page.tab.locator("figure", has_text="shut").first.inner_text()
    assert "of 500 shut" in gates


def test_keyboard_alone_moves_in_a_tensor_and_is_spoken(opened):
    _, page = opened(lenet)
    tab = page.tab
    page.go("conv1", backward=False)
    tab.locator('.cells[data-key="value"]').focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        tab.keyboard.press(key)
    assert tab.evaluate("explorer.explanation().index") == [0, 0, 1, 1]
    assert tab.locator("#live").inner_text().startswith("y[0, 0, 1, 1] = ")
    assert tab.locator("body").get_attribute("data-step") == "0", "the arrows belong to the tensor"
    silent = "[...document.querySelectorAll('button, input, .cells, nav')].filter(e => !e.getAttribute('aria-label'))"
    assert tab.evaluate(f"{silent}.length") == 0


def test_play_drag_and_theme(opened):
    _, page = opened(lenet, color_scheme="dark")
    tab = page.tab
    tab.keyboard.press(" ")
    tab.wait_for_selector("body[data-step='1']")
    tab.keyboard.press(" ")
    tab.locator("#slider").fill("5")
    assert tab.locator("body").get_attribute("data-step") == "5"
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.locator("#theme").click()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != dark


@pytest.mark.parametrize("width", [1280, 390])
def test_chinese_and_nothing_wider_than_the_window(opened, width):
    _, page = opened(lenet, lang="zh", viewport={"width": width, "height": 800})
    assert page.tab.locator("html").get_attribute("lang") == "zh"
    for step in (2, len(page.steps) - 2):
        page.tab.evaluate("i => explorer.go(i)", step)
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= width
        too_wide = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.getElementById('main'))"
        assert page.tab.evaluate(too_wide) <= 0
    assert "反向" in page.tab.locator("h2").inner_text()


def test_a_deep_net_is_cut_and_says_so(opened, tmp_path):
    def resnet():
        net = skip_init(models.resnet18)
        for parameter in net.parameters():
            parameter.data = tg.Tensor(np.random.default_rng(parameter.numel()).normal(size=parameter.shape).astype("f") * 0.05)
        return net, F.cross_entropy(net(tg.randn(2, 3, 64, 64)), tg.tensor([1, 2]))

    _, page = opened(resnet)
    assert (tmp_path / "page.html").stat().st_size <= 5_000_000
    assert page.tab.locator("#cut").is_visible()
    page.go("layer3.1.conv1", backward=True)
    _, told = page.point("flow:1", (0, 0, 1, 1))
    assert told["missing"] > 0, "the second image is not in the file"
    assert "leaves out" in page.tab.locator("#why .sum").inner_text()
    assert page.tab.locator(".cut").count() > 0
    recorded = json.dumps(told["recorded"])
    assert float(page.tab.locator("#why strong").inner_text()) == pytest.approx(float(recorded), rel=1e-5)
