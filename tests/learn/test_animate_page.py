"""The animator's page in a browser: by keyboard, on a phone, in the dark, and spoken."""

import pytest

from tinygrad_cnn import learn

from ..chromium import chromium

WIDE = {
    "input": (7, 9), "kernel": (3, 2), "stride": (2, 1), "padding": ((1, 2), (0, 1)), "dilation": 2, "groups": 2,
    "transposed": True, "show": "weight_grad",
}  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def opened(browser, tmp_path):
    complaints = []
    tabs = []

    def open_page(animation, **options):
        tab = browser.new_page(**{"viewport": {"width": 390, "height": 800}} | options)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(animation.save(tmp_path / "conv.html").as_uri())
        tabs.append(tab)
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert complaints == []


def shown(tab):
    """The numbers of the frames that are visible."""
    visible = "[...document.querySelectorAll('[data-f]')].filter(e => e.getAttribute('visibility') !== 'hidden')"
    return set(tab.evaluate(f"{visible}.map(e => Number(e.dataset.f))"))


def test_the_keyboard_steps_and_what_is_seen_is_said(opened):
    tab = opened(learn.animate_conv(input=(5, 5), kernel=3, stride=2, padding=1, show="input_grad"))
    assert shown(tab) == {0}
    for key, frame in [("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 24), ("ArrowRight", 0), ("Home", 0)]:
        tab.keyboard.press(key)
        assert shown(tab) == {frame}
    tab.keyboard.press("ArrowRight")
    assert tab.get_by_role("status").inner_text() == "2. gx[0, 1] = sum of 2 products"
    assert tab.locator("#slider").get_attribute("aria-valuetext") == "2. gx[0, 1] = sum of 2 products"
    order = []
    for _ in range(4):
        tab.keyboard.press("Tab")
        order.append(tab.evaluate("document.activeElement.id"))
    assert order == ["back", "play", "on", "slider"]
    tab.keyboard.press("ArrowRight")
    assert shown(tab) == {2}, "one step, not the slider's and the page's"


def test_space_plays_and_pauses_and_playing_is_not_read_aloud(opened):
    tab = opened(learn.animate_conv(input=(5, 5), kernel=3, seconds=0.05))
    tab.keyboard.press(" ")
    tab.wait_for_function("document.getElementById('slider').value === '3'")
    assert tab.get_by_role("status").get_attribute("aria-live") == "off"
    tab.keyboard.press(" ")
    assert tab.locator("#play").inner_text() == "Play"
    assert tab.get_by_role("status").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_wide_picture_fits_a_phone_and_its_words_stay_legible(opened, scheme):
    tab = opened(learn.animate_conv(**WIDE), color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    colour = "e => getComputedStyle(e).{}.match(/[0-9]+/g).slice(0, 3).reduce((sum, c) => sum + Number(c), 0)"
    body, said = tab.locator("body"), tab.get_by_role("status")
    background, ink = body.evaluate(colour.format("backgroundColor")), said.evaluate(colour.format("color"))
    assert (background < 150 and ink > 600) if scheme == "dark" else (background > 600 and ink < 150)
    assert said.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") >= 14
