"""The page in a headless browser: drop, play, label, train, export, at both widths."""

import csv
import io
import json
import os
import pathlib
import time

import numpy as np
import pytest

pytest.importorskip("playwright", reason="an extra")
pytestmark = pytest.mark.filterwarnings("ignore:.*:ResourceWarning")


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["wide", "phone"])
def page(request, browser, address):
    """A page that must not complain, nor ask anybody else."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, said, elsewhere = context.new_page(), [], []
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request",
        lambda r: (
            None if r.url.startswith((address, "blob:", "data:")) else elsewhere.append(r.url)
        ),
    )
    page.goto(address)
    page.wait_for_selector("body[data-ready=yes]")
    page.width = width
    page.expected = ()
    yield page
    assert [text for text in said if not any(e in text for e in page.expected)] == []
    assert elsewhere == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def until(page, expression, seconds=60):
    """Waits; playwright's own way needs eval, which the page forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.05)


def rows_of(download):
    return list(csv.DictReader(io.StringIO(pathlib.Path(download.path()).read_text())))


def shot(page, name):
    """Keeps a picture where CRYJAX_PICTURES names a folder."""
    if folder := os.environ.get("CRYJAX_PICTURES"):
        page.screenshot(path=f"{folder}/{name}-{page.width}.png", full_page=True)


def test_a_dropped_recording_is_drawn_scored_and_played(page, prepared):
    page.set_input_files("#files", [str(prepared.parent / "0.wav"), str(prepared.parent / "1.wav")])
    until(page, "document.querySelectorAll('article').length === 2")
    assert "1.wav: 1.25 s at 16000 Hz" in page.text_content("#said")
    article = page.locator("article").first
    assert article.locator("canvas[role=img]").count() == 3
    drawn = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    for canvas in article.locator("canvas[role=img]").all():
        assert canvas.evaluate(drawn) > 10
        assert canvas.get_attribute("aria-label")
    assert "Not a medical device" in article.inner_text()
    cells = article.locator("tr").nth(2).locator("td").all_inner_texts()
    assert cells[0] == "tone"
    assert cells[3] in ("yes", "no")
    page.evaluate("document.querySelector('audio').play()")
    until(page, "document.querySelector('audio').currentTime > 0.05", 10)
    with page.expect_download() as found:
        article.get_by_text("scores as CSV").click()
    rows = rows_of(found.value)
    assert set(rows[0]) == {"start_s", "end_s", "noise", "tone"}
    shot(page, "listen")


def test_a_file_that_is_none_is_refused_by_name(page, tmp_path):
    page.expected = ("422",)  # browsers write every refusal to the console
    (tmp_path / "bad.wav").write_text("hello")
    page.set_input_files("#files", str(tmp_path / "bad.wav"))
    page.wait_for_selector("#said.bad")
    assert page.text_content("#said").startswith("bad.wav: ")
    assert "Traceback" not in page.text_content("#said")


def test_windows_are_labelled_by_keys_ranked_undone_and_exported(page, embedded):
    page.click("#tab-explore")
    until(page, "document.querySelectorAll('#list li').length > 20")
    for name in ("tone", "noise"):
        page.fill("#label-name", name)
        page.click("#new-label button")
    names = page.locator("#labels button").all_inner_texts()
    order = {text.split(" ", 1)[1]: text.split(" ")[0] for text in names}
    page.locator("#list li").first.click()
    for _ in range(8):
        file = page.text_content("#window").split(".wav")[0]
        before = page.text_content("#window")
        page.keyboard.press(order["tone" if int(file) % 2 == 0 else "noise"])
        until(page, f"document.querySelector('#window').textContent !== {json.dumps(before)}")
    until(page, "/[78] labels|1[0-9] labels/.test(document.querySelector('#told').textContent)")
    labelled = int(page.text_content("#told").split(" ")[0])
    page.keyboard.press("u")
    until(page, f"document.querySelector('#told').textContent.startsWith('{labelled - 1} ')")
    page.select_option("#target", "tone")
    page.click("#rank")
    until(page, "document.querySelector('#told').textContent.startsWith('by the probe')")
    shown = page.locator("#list li").all_inner_texts()
    assert np.mean([int(text.split(".wav")[0]) % 2 == 0 for text in shown[:5]]) >= 0.8
    page.click("#like")
    until(page, "document.querySelector('#told').textContent.startsWith('the most alike')")
    drawn = set()
    for colour in ("file", "folder", "label"):
        page.select_option("#colour", colour)
        drawn.add(page.evaluate("document.querySelector('#map').toDataURL()"))
    assert len(drawn) == 3
    shot(page, "explore")
    with page.expect_download() as found:
        page.click("#export")
    rows = rows_of(found.value)
    assert len(rows) == labelled - 1
    assert {row["label"] for row in rows} == {"tone", "noise"}
    kept = json.loads(page.evaluate("fetch('api/map').then(a => a.text())"))["labels"]
    assert len(kept) == labelled - 1


def test_the_tabs_answer_the_keyboard(page):
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "tab-explore"
    page.keyboard.press("Enter")
    page.wait_for_selector("#explore:not([hidden])")
