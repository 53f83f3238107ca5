"""The report: a page that is whole in itself, and says of the digits what the evaluation says."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tinygrad_cnn.errors import ShapeError
from tinygrad_cnn.train import Evaluation, Report, report, report_html, save_report

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Reads a page strictly: every element that is opened must be closed, in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.texts, self.loads = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self.loads += [value for name, value in attributes if name in ("src", "href", "xlink:href", "data", "action", "poster")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, tag):
        return [attributes for found, attributes in self.found if found == tag]

    def text_in(self, tag):
        return [text for inside, text in self.texts if inside == tag and text]


PROBABILITIES = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.95, 0.0], [0.3, 0.1, 0.6]])
TARGETS = np.array([0, 0, 2, 2])
IMAGES = np.arange(4 * 6, dtype=np.uint8).reshape(4, 3, 2) * 10
SVG = """<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg id="{}"></svg>"""


@pytest.fixture
def filled():
    return Report(
        title="A <b>small</b> & simple net",
        subtitle="on nothing",
        figures={"test error": "50.00 %"},
        evaluation=Evaluation(0.5, TARGETS, PROBABILITIES),
        images=IMAGES,
        names=["nil", "one", "<two>"],
        environment={"seed": "0", "command": "tinygrad-cnn demo --out 'a & b'"},
        curves=SVG.format("the-curves"),
        graph=SVG.format("the-graph"),
        notes=['needs the extra "plot"'],
    )


def test_the_page_is_well_formed_and_has_what_a_page_needs(filled):
    page = Page(report_html(filled))
    assert page.all("html") == [{"lang": "en"}]
    assert page.text_in("title") == ["A <b>small</b> & simple net"]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert page.text_in("h2") == [
        "How it learned", "What it takes for what", "The digits it got wrong", "The graph", "How to get this again",
    ]  # fmt: skip


def test_nothing_is_loaded_from_anywhere(filled):
    text = report_html(filled)
    page = Page(text)
    assert all(load.startswith(("data:", "#")) for load in page.loads)
    assert not re.search(r"url\((?!#)|@import|fetch\(|https?://(?!www\.w3\.org)", text)


def test_text_is_escaped(filled):
    text = report_html(filled)
    assert "<b>small</b>" not in text
    assert "<two>" not in text
    assert "a &amp; b" in text


def test_the_drawings_are_in_the_page_without_what_only_files_have(filled):
    text = report_html(filled)
    assert {"the-curves", "the-graph"} == {attributes["id"] for attributes in Page(text).all("svg")}
    assert "<?xml" not in text
    assert text.count("<!DOCTYPE") == 0


def test_the_wrong_digits_are_painted_from_their_own_pixels_the_surest_first(filled):
    canvases = Page(report_html(filled)).all("canvas")
    assert [canvas["aria-label"] for canvas in canvases] == [
        "a handwritten <two>, taken for a one", "a handwritten nil, taken for a one",
    ]  # fmt: skip
    for canvas, image in zip(canvases, IMAGES[[2, 1]], strict=True):
        assert base64.b64decode(canvas["data-pixels"]) == image.tobytes()
        assert (canvas["width"], canvas["height"]) == ("2", "3")


def test_a_wrong_digit_has_its_true_class_the_answer_and_its_probability(filled):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", report_html(filled))
    assert [re.sub(r"<[^>]*>", " ", caption).split() for caption in captions] == [
        ["&lt;two&gt;", "read", "as", "one", "95", "%"],
        ["nil", "read", "as", "one", "70", "%"],
    ]
    assert "2 of 4" in report_html(filled)


def test_the_confusion_table_has_true_classes_in_rows(filled):
    table = re.search(r"<table class=\"confusion\".*?</table>", report_html(filled), re.DOTALL).group()
    rows = [re.findall(r"<td class=\"(\w+)\"[^>]*>([^<]*)<", row) for row in table.split("<tr>")[2:]]
    assert rows == [
        [("right", "1"), ("wrong", "1"), ("none", "0"), ("recall", "50.0&nbsp;%")],
        [("none", "0"), ("none", "0"), ("none", "0"), ("recall", "&ndash;")],
        [("none", "0"), ("wrong", "1"), ("right", "1"), ("recall", "50.0&nbsp;%")],
    ]


def test_more_mistakes_are_more_orange():
    evaluation = Evaluation(0.0, np.array([0] * 10 + [1] * 4), np.eye(2)[[1] * 9 + [0] + [0] + [1] * 3])
    page = Report("t", "s", {}, evaluation, np.zeros((14, 1, 1), np.uint8), "ab", {})
    shares = [float(share) for share in re.findall(r'class="wrong" style="--share: ([\d.]+)"', report_html(page))]
    assert shares == [pytest.approx(0.6), pytest.approx(0.1 + 0.5 / 3, abs=0.01)]


def test_there_is_an_end_to_the_wrong_digits(filled, monkeypatch):
    monkeypatch.setattr(report, "MOST_DIGITS", 1)
    text = report_html(filled)
    assert len(Page(text).all("canvas")) == 1
    assert "The 1 that it was surest of are shown." in text
    assert "2 of 4" in text


def test_what_is_missing_is_said_instead(filled):
    text = report_html(Report(**{**vars(filled), "curves": None, "graph": None}))
    page = Page(text)
    assert not page.all("svg")
    assert "How it learned" not in page.text_in("h2")
    assert 'needs the extra "plot"' in page.text_in("td")


def test_the_environment_is_a_table(filled):
    page = Page(report_html(filled))
    assert "tinygrad-cnn demo --out 'a & b'" in page.text_in("td")
    assert "50.00 %" in page.text_in("dd")


def test_images_that_are_not_those_of_the_answers_are_refused(filled):
    with pytest.raises(ShapeError, match=r"expected images of shape \(4, h, w\).*got \(3, 3, 2\)"):
        report_html(Report(**{**vars(filled), "images": IMAGES[:3]}))


def test_it_is_written_as_utf_8(filled, tmp_path):
    save_report(tmp_path / "report.html", Report(**{**vars(filled), "title": "Zwölf Ziffern"}))
    assert "Zwölf Ziffern" in (tmp_path / "report.html").read_text(encoding="utf-8")
