"""What helps a reader: how to read the page, contents, hints, the command, settings in words."""

from higan_fast.boundaries.boundary import Boundaries
from tests.report.page import Page
from tests.toy import SEMANTICS


def test_how_to_read_the_page_stands_before_everything_else(write):
    page = Page(write())
    tags = [(tag, attributes.get("class")) for tag, attributes in page.elements]
    assert tags.index(("aside", "reading")) < tags.index(("section", None))
    assert "How to read this page Effect How much a semantic’s score changes" in page.text
    none = Boundaries((), {semantic.name: "40 samples a side" for semantic in SEMANTICS})
    assert "How to read this page" not in Page(write(boundaries=none, verification=None)).text


def test_the_contents_lead_to_every_section_and_stay_at_the_top(write):
    html = write()
    page = Page(html)
    start = html.index("<nav")
    links = Page(html[start : html.index("</nav>", start) + 6]).find("a")
    assert [link["href"][1:] for link in links] == [section["id"] for section in page.find("section")]
    style = html.split("\nnav {")[1].split("}")[0]
    assert "position: sticky" in style and "overflow-x: auto" in style


def test_every_table_that_scrolls_has_a_hint_and_takes_the_keyboard(write):
    page = Page(write())
    regions = page.find("div", role="region")
    assert len(regions) == 4
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions)
    places = [
        index for index, (_, attributes) in enumerate(page.elements) if attributes.get("role") == "region"
    ]
    assert all(page.elements[index - 1] == ("p", {"class": "hint"}) for index in places)


def test_the_command_wraps_and_is_copied_by_a_button(write):
    html = write(settings={"command": "higan-fast probe --out 'runs/to & fro'"})
    page = Page(html)
    code = html.split("<pre><code>")[1].split("</code>")[0]
    assert "".join(Page(code).texts) == "higan-fast probe --out 'runs/to & fro'"
    assert "<span>--out</span>" in code  # no line breaks within an option
    (button,) = page.find("button")
    assert button["data-copies"] == "higan-fast probe --out 'runs/to & fro'"
    assert "hidden" in button  # shown by the script, which it needs
    assert "white-space: pre-wrap" in html.split("\npre {")[1].split("}")[0]
    assert page.find("button") and not Page(write(settings={})).find("button")


def test_settings_that_have_no_value_are_said_in_words(write, run):
    settings = {
        "network": "toy", "config": None, "label": None, "device": "cpu", "flag": True, "odd": None,
        "versions": {"cupy-cuda13x": None}, "cuda_devices": [], "truncation_layers": None,
        "names": ["a", "b"],
    }  # fmt: skip
    page = Page(write(settings=settings))
    run_settings = page.text.split("What was run Run ")[1].split(" Samples ")[0]
    assert run_settings == (
        "network toy device cpu flag yes odd not set versions.cupy-cuda13x not installed "
        "cuda_devices none truncation_layers all names a, b"
    )
    texts = [text.strip() for text in page.texts]
    assert "None" not in texts and "[]" not in texts and "[" not in page.text.split("What was run")[-1]
    assert run.verification.settings["decide"] is None
    assert "decide nothing: every sample is measured" in page.text
