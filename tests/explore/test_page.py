"""The page of ``explore`` in a real browser: what a hand does, and what a connection suffers."""

import json

import numpy as np
import pytest
from PIL import Image

from higan_fast.run_folder import RunFolder
from tests.explore.browser import (
    CHROMIUM,
    PHONE,
    at_rest,
    browser,
    context,
    figures,
    open_page,
    painted,
    pixels,
    server,
    shown,
    slider,
)

__all__ = ["browser", "context", "open_page", "server"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


def test_a_moved_slider_moves_picture_and_score(open_page):
    page = open_page()
    name, still = shown(page), pixels(page)
    base, now, change = figures(page, name)
    assert base == now and change == "0.00"
    page.evaluate("addEventListener('painted', ({ detail }) => (window.formats ??= []).push(detail.format))")
    box = slider(page, name).bounding_box()
    middle = box["y"] + box["height"] / 2

    def drag():
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=8)
        page.mouse.up()

    assert painted(page, drag) != still
    assert "jpeg" in page.evaluate("window.formats")  # while it moved
    assert figures(page, name)[0] == base and figures(page, name)[1] != now
    assert painted(page, lambda: page.keyboard.press("Delete")) == still


def test_what_is_expected_stands_beside_what_is_there(open_page):
    page = open_page()
    name = shown(page)
    painted(page, lambda: page.locator(f".semantic[data-semantic='{name}'] .value").click())
    line = page.locator(f"[data-score='{name}'] + .expectation")
    change = figures(page, name)[2]
    assert line.inner_text().startswith("Expected +") and line.inner_text().endswith(f"; here {change}")
    page.locator(f".semantic[data-semantic='{name}'] .layers").click()
    every = page.locator(f".semantic[data-semantic='{name}'] .toggle")
    for index in range(2, every.count()):  # two layers together, which nothing has measured
        if every.nth(index).get_attribute("aria-pressed") == "true":
            every.nth(index).click()
    at_rest(page)
    assert line.inner_text().startswith("No expectation")
    assert page.locator("#own b").inner_text() == "Chosen layers"


def test_what_was_not_measured_names_its_command(open_page):
    def undosed(route):
        run = route.fetch().json()
        run["confidence"]["dose"], run["notes"] = None, ["Steps were not measured one by one."]
        moved = next(semantic for semantic in run["semantics"] if semantic["name"] == "brightness")
        moved |= {"layers": [0, 1], "layers_from": "verified"}  # which nothing has measured together
        route.fulfill(json=run)

    page = open_page(setup=lambda page: page.route("**/api/run", undosed))
    painted(page, lambda: page.locator(".semantic[data-semantic='brightness'] .value").click())
    assert "run higan-fast dose" in page.locator("[data-score='brightness'] + .expectation").inner_text()
    assert page.locator("#notes").bounding_box()["y"] < page.locator("table.scores").bounding_box()["y"]


@pytest.mark.parametrize("layers", [10, 18])
def test_a_map_fits_beside_the_picture(page_of_addresses, layers):
    fits = """([map], layers) => {
        map.classList.toggle("many", layers > 12);
        map.style.setProperty("--columns", layers);
        return map.parentElement.clientWidth - map.parentElement.scrollWidth; }"""
    assert page_of_addresses[0].locator("table.heat").evaluate_all(fits, layers) == 0


def test_a_layer_that_is_off_moves_nothing(open_page):
    page = open_page()
    name, still = shown(page), pixels(page)
    moved = painted(page, lambda: slider(page, name).press("PageUp"))
    page.locator(f".semantic[data-semantic='{name}'] .layers").click()
    on = page.locator(f".semantic[data-semantic='{name}'] .toggle[aria-pressed=true]")
    for _ in range(on.count()):
        seen = painted(page, lambda: on.first.click())
    assert seen == still != moved


def test_a_cell_moves_its_layer(open_page):
    page = open_page()
    name, still = shown(page), pixels(page)
    row = page.locator("#heat .map:not([hidden]) tbody tr", has=page.locator(f"th[title='{name}']"))
    cell = row.locator("button").nth(1)
    assert painted(page, lambda: cell.click()) != still
    assert cell.get_attribute("aria-pressed") == "true" and row.locator("[aria-pressed=true]").count() == 1
    assert float(slider(page, name).input_value()) != 0
    page.keyboard.press("ArrowRight")
    painted(page, lambda: page.keyboard.press("Shift+Enter"))  # joins
    assert row.locator("[aria-pressed=true]").count() == 2
    painted(page, lambda: page.keyboard.press("z"))
    assert painted(page, lambda: cell.click()) == still  # takes itself back


def test_samples_are_mixed_by_dropping_one(open_page):
    page = open_page()
    still = pixels(page)
    page.get_by_label("all", exact=True).check()
    dropped = painted(page, lambda: page.drag_and_drop("[data-sample='3']", "#own canvas"))
    part = page.locator("[data-mixed='3']")
    assert dropped != still and part.locator("[aria-pressed=false]").count() == 0
    third = painted(page, lambda: (page.keyboard.press("z"), page.keyboard.press("4")))  # the fourth is 3
    assert dropped == third  # all its codes are the sample itself
    painted(page, lambda: page.keyboard.press("1"))

    by_key = painted(page, lambda: page.locator("[data-sample='3']").press("m"))
    assert by_key == dropped
    assert painted(page, lambda: part.get_by_role("button", name="Take sample 3 out").click()) == still
    onto = painted(page, lambda: page.drag_and_drop("[data-sample='3']", "[data-sample='1']"))
    assert onto == dropped and page.locator("#sample").input_value() == "1"
    painted(page, lambda: part.locator(".toggle").first.click())
    assert page.url.endswith("#1&s=1&x=3:1-5&b=1")


def test_samples_are_sorted_by_a_score(open_page, explored):
    samples = RunFolder.open(explored).samples
    column = [semantic.name for semantic in samples.semantics].index("warmth")
    from_low = np.argsort(samples.scores[:, column], kind="stable").tolist()
    page = open_page()

    def strip():
        return [int(one.get_attribute("data-sample")) for one in page.locator(".thumb").all()]

    def first(sample):
        page.locator(f".thumb[data-sample='{sample}']:first-child").wait_for()

    page.get_by_label("Sorted by").select_option("warmth")
    first(from_low[-1])
    assert strip() == from_low[:-25:-1] and page.url.endswith("o=warmth:high&b=1")
    assert float(page.locator(".thumb .score").first.inner_text().replace("−", "-")) == pytest.approx(
        samples.scores[from_low[-1], column], abs=1e-3
    )
    page.get_by_label("Which come first").select_option("low")
    page.locator("#sample").blur()
    first(from_low[0])
    page.locator("body").press("2")
    page.locator("body").press("]")
    assert page.locator("#sample").input_value() == str(from_low[2])
    page.evaluate("location.hash = ''")
    first(0)
    page.evaluate("hash => location.hash = hash", f"#1&s={from_low[60]}&o=warmth:low")
    first(from_low[48])  # the page of the strip that has it
    assert page.get_by_label("Sorted by").input_value() == "warmth"


def test_undo_and_redo(open_page):
    page = open_page()
    name = shown(page)
    seen = [pixels(page)]
    seen.append(painted(page, lambda: slider(page, name).press("PageUp")))
    seen.append(painted(page, lambda: page.keyboard.press("]")))
    seen.append(painted(page, lambda: page.keyboard.press("r")))
    assert len(set(seen)) == 4
    undone = [painted(page, lambda: page.keyboard.press("z")) for _ in range(3)]
    assert undone == seen[2::-1] and page.locator("#undo").is_disabled()
    redone = [painted(page, lambda: page.locator("#redo").click()) for _ in range(3)]
    assert redone == seen[1:] and page.locator("#redo").is_disabled()


def test_the_address_brings_the_state_back_and_tabs_are_apart(open_page):
    page = open_page()
    name = shown(page)
    painted(page, lambda: slider(page, name).press("PageUp"))
    seen = painted(page, lambda: page.locator("[data-sample='2']").press("m"))
    other = open_page(page.url.removeprefix(page.url.partition("#")[0]))
    assert pixels(other) == seen and slider(other, name).input_value() == slider(page, name).input_value()
    changed = painted(other, lambda: other.keyboard.press("]"))
    painted(page, lambda: page.keyboard.press("r"))
    assert pixels(other) == changed and page.url != other.url


@pytest.mark.parametrize(
    ("hash", "says"),
    [
        ("#7&s=1", "its version is “7”, and this page reads 1"),
        ("#1&s=99999999", "the sample is “99999999”, not a number from 0 to"),
        ("#1&m=%3Cb%3E:1", "this run has no boundary of “<b>”"),
        ("#1&m=NAME:1e9", "the step of “NAME” is “1e9”, not a number from"),
        ("#1&m=NAME:1:3-99", "the layers are “3-99”, not of the form 0-2.5, from 0 to"),
        ("#1&m=%ZZ:1", "“%ZZ” is not percent-encoded"),
        ("#1&s=1&s=2", "it has “s=2” where s=, m=, x=, o= or b= may stand once"),
        ("#1&o=warmth:up", "“warmth:up” is not "),
        ("#1&o=beauty:high", "this run has no score of “beauty”"),
    ],
)
def test_a_broken_address_is_one_line(page_of_addresses, hash, says):
    page, name = page_of_addresses
    page.evaluate("hash => location.replace(hash)", hash.replace("NAME", name))
    line = page.locator("[data-kind=address]")
    line.filter(has_text=says.replace("NAME", name)).wait_for()
    page.evaluate("location.replace('#1&s=0')")
    line.wait_for(state="hidden")


@pytest.fixture(scope="module")
def page_of_addresses(context, server):
    page = context.new_page()
    page.goto(server.url)
    at_rest(page)
    yield page, shown(page)
    page.close()


def test_a_dropped_connection_goes_on(open_page):
    sockets = []

    def between(page):
        def connected(socket):
            socket.connect_to_server()
            sockets.append(socket)

        page.route_web_socket("**/ws", connected)

    page = open_page(setup=between)
    moved = painted(page, lambda: slider(page, shown(page)).press("PageUp"))
    sockets[-1].close()
    page.locator("[data-kind=connection]").wait_for(state="visible")
    page.locator("[data-kind=connection]").wait_for(state="hidden")
    assert pixels(page) == moved and len(sockets) == 2
    assert painted(page, lambda: page.keyboard.press("]")) != moved


def test_what_is_refused_leaves_nothing_that_looks_like_its_answer(open_page):
    def refusing(page):
        def connected(socket):
            server = socket.connect_to_server()

            def passed(message):
                asked = json.loads(message)
                if not asked["state"]["moves"]:
                    return server.send(message)
                return socket.send(json.dumps({"id": asked["id"], "view": asked["view"], "error": "no room"}))

            socket.on_message(passed)

        page.route_web_socket("**/ws", connected)

    page = open_page(setup=refusing)
    name, still = shown(page), pixels(page)
    before = figures(page, name)
    slider(page, name).press("PageUp")
    page.locator("#own.refused").wait_for()
    assert page.locator("[data-kind=refused]").inner_text() == "The server cannot draw this: no room"
    assert figures(page, name) == ["–"] * 3 and "not drawn" in page.locator("#own figcaption").inner_text()
    assert painted(page, lambda: slider(page, name).press("Delete")) == still
    assert page.locator(".refused").count() == 0 and figures(page, name) == before


def test_a_server_that_was_killed_goes_on_where_it_was(open_page, server):
    page = open_page()
    name = shown(page)
    before = painted(page, lambda: slider(page, name).press("PageUp"))
    server.kill()
    page.locator("[data-kind=connection]").wait_for(state="visible")
    slider(page, name).press("PageDown")  # meanwhile the page can be used
    server.start()
    page.locator("[data-kind=connection]").wait_for(state="hidden")
    assert painted(page, lambda: slider(page, name).press("PageUp")) == before


def test_two_pictures_stand_side_by_side(open_page):
    page = open_page()
    assert pixels(page) == pixels(page, "all")
    tops = page.locator("#stage canvas").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().top)"
    )
    page.locator("#own figcaption span").evaluate("one => (one.textContent = 'many words '.repeat(30))")
    page.wait_for_timeout(100)  # as it may be laid out anew
    assert tops[0] == tops[1] == page.locator("#own canvas").bounding_box()["y"]
    own = painted(page, lambda: page.locator(".map:not([hidden]) .cell").nth(1).click())
    assert pixels(page, "all") != own
    held = painted(page, lambda: page.keyboard.down("h"))
    assert painted(page, lambda: page.keyboard.up("h")) == own != held
    page.keyboard.press("b")
    assert not page.locator("#all").is_visible()


def test_many_semantics_are_found_by_name(open_page):
    page = open_page()
    name = shown(page)
    page.evaluate(
        """async () => {
        const { finding } = await import(new URL('page/finding.js', location.href));
        finding(document.getElementById('find'), { semantics: Array(100) });
        }"""
    )
    page.get_by_label("Find semantics by name").fill(name.upper())
    everywhere = page.locator(
        "#sliders [data-named], #scores [data-score], #heat .map:not([hidden]) tr[data-named]"
    )
    found = {row.get_attribute("data-named") for row in everywhere.all() if row.is_visible()}
    assert found == {name}
    page.keyboard.press("Escape")
    assert slider(page, "brightness").is_visible()


def test_what_is_saved_arrives(open_page, tmp_path):
    page = open_page()
    painted(page, lambda: slider(page, shown(page)).press("PageUp"))
    page.get_by_role("button", name="Save", exact=True).click()
    saved = []
    for button in ("save-png", "save-codes", "save-film"):
        with page.expect_download() as download:
            page.locator(f"#{button}").click()
        saved.append(tmp_path / download.value.suggested_filename)
        download.value.save_as(saved[-1])
    with Image.open(saved[0]) as picture:
        assert picture.format == "PNG" and picture.size == (16, 16)
    with np.load(saved[1]) as codes:
        assert codes["w"].ndim == 3 and codes["w"].dtype == np.float32
    assert saved[2].suffix in (".mp4", ".gif") and saved[2].stat().st_size > 1000


def test_a_phone_has_one_column_and_room_for_fingers(browser, server):
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    try:
        page = context.new_page()
        page.goto(server.url)
        at_rest(page)
        page.evaluate("document.querySelectorAll('details, .layers').forEach((one) => one.click?.())")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        small = page.evaluate(
            """[...document.querySelectorAll('button, summary, select, [type=range], [type=number]')]
            .filter((one) => one.checkVisibility())
            .map((one) => [one.getBoundingClientRect(), one.id || one.className])
            .filter(([{ width, height }]) => Math.min(width, height) < 40).map(([, name]) => name)"""
        )
        assert small == []
        last = page.locator("#sliders .level input[type=range]").last
        for move in (last, page.locator("#samples")):  # sliders come first
            page.evaluate("at => scrollTo(0, at)", move.bounding_box()["y"] - 500)
            picture, below = page.locator("#own canvas").bounding_box(), move.bounding_box()
            assert 0 <= picture["y"] < picture["y"] + picture["height"] < below["y"] < PHONE["height"]
        assert "tap" in page.locator("#mixing .note").inner_text()
        assert "press m" not in page.locator("#mixing .note").inner_text()
        drawn = page.evaluate("document.querySelector('#own canvas').width")
        assert drawn % 16 == 0 and drawn > 64  # whole device pixels for each of the image's
    finally:
        context.close()


def test_a_browser_without_websockets_is_told(open_page):
    page = open_page(setup=lambda page: page.add_init_script("delete window.WebSocket"), ready=False)
    page.get_by_text("This browser has no WebSocket").wait_for()
