"""The report in a real browser: no network, no error, readable on a phone, points that answer."""

import html
import json
import re
import shutil
import subprocess

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
WRAPPER = """<!doctype html><meta charset=utf-8><body><script>
const said = []; window.addEventListener("error", e => said.push(e.message));
window.addEventListener("load", () => {
  const frame = document.querySelector("iframe"), page = frame.contentDocument;
  const found = {
    width: page.documentElement.scrollWidth,
    pictures: [...page.images].map(i => i.naturalWidth),
    tables: [...page.querySelectorAll("table")].map(t => t.rows.length),
    headings: [...page.querySelectorAll("h2")].map(h => h.textContent),
    tips: [...page.querySelectorAll("circle title")].map(t => t.textContent),
    fetched: frame.contentWindow.performance.getEntriesByType("resource").map(r => r.name)
      .filter(n => !n.startsWith("data:")),
    headline: page.querySelector(".headline").textContent, said,
  };
  document.body.innerHTML = "<pre id=found></pre>";
  document.querySelector("#found").textContent = JSON.stringify(found);
});
</script><iframe width=390 height=800 srcdoc="PAGE"></iframe></body>"""


@pytest.fixture(scope="module")
def seen(evaluated, tmp_path_factory):
    if BROWSER is None:
        pytest.skip("no chromium on this machine")
    folder = tmp_path_factory.mktemp("browser")
    page = (evaluated[0] / "report.html").read_text()
    (folder / "wrapper.html").write_text(WRAPPER.replace("PAGE", html.escape(page, quote=True)))
    done = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=5000",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            "--v=0",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            f"file://{folder / 'wrapper.html'}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = re.search(r"<pre id=.found.>(.*?)</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(found[1])) | {"console": console}


def test_it_loads_without_network_or_error(seen):
    assert (seen["said"], seen["console"], seen["fetched"]) == ([], [], [])


def test_tables_and_pictures_are_there(seen):
    assert len(seen["pictures"]) == 6
    assert min(seen["pictures"]) > 100
    assert min(seen["tables"]) >= 2
    wanted = [
        "Encoder",
        "Not to be used for",
        "Results",
        "Operating points",
        "Calibration",
        "Who is in which part",
        "Protocol",
        "Reporting checklist",
        "Environment",
        "Config",
    ]
    assert [h for h in wanted if h not in seen["headings"]] == []
    assert "kept apart from training" in seen["headline"]


def test_it_fits_a_phone(seen):
    assert seen["width"] <= 390


def test_the_map_names_groups_and_recordings_by_hashes(seen):
    """Names may tell who it is, and a report leaves the machine."""
    hashed = r"(tone|noise) · #[0-9a-f]{6} · #[0-9a-f]{6} 0 s"
    assert [tip for tip in seen["tips"] if not re.fullmatch(hashed, tip)] == []
    assert len(seen["tips"]) > 3


def test_the_next_commands_run_as_they_stand(tmp_path):
    """With three classes `predict` asks which one is meant: the line named none."""
    from cryjax.evaluate.report.publish import _next_commands

    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "x.flac").touch()
    text = _next_commands(tmp_path / "best", str(tmp_path), ["a", "b", "c d"])
    assert "--class='c d'" in text
    assert f"--like={tmp_path}/recordings/x.flac" in text
    assert "--class" not in _next_commands(tmp_path / "best", str(tmp_path), ["a", "b"])


def test_notes_of_preparation_name_no_group_in_a_report():
    """What preparation says of groups by name, to whoever runs it, does not leave the house."""
    from cryjax.data.manifest import Clip
    from cryjax.data.splits import make_splits
    from cryjax.evaluate.report.publish import _without_names
    from data_prep.folder import notes_on_groups

    names = ["Anna O'Neil", "anna o'neil", 'Ben "B" Li', 'ben "b" li']
    clips = [
        Clip(path=f"{i}.wav", label="a", group=name, split=split)
        for i, (name, split) in enumerate((n, s) for n in names for s in ("train", "test"))
    ]
    notes = [*notes_on_groups(clips), *make_splits(clips, "official_strict", 0)[2]]
    assert len(notes) == 2 + len(names)
    published = "; ".join(map(_without_names, notes)).lower()
    assert [part for part in ("anna", "neil", "ben", "li'") if part in published] == []
    assert "groups that differ only by case or spaces: …, …" in published
