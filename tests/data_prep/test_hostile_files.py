"""Hostile archives, tables and manifests: refused by name, within a cap on memory."""

import json
import pathlib
import subprocess
import sys

import pytest
from hostile import archives, manifests, tables

ROOT = pathlib.Path(__file__).parent.parent.parent
CAP_BYTES = 1 << 30
READERS = {
    "archive": "import data_prep.download as d\nread = lambda p: d.extract(p, p.parent / 'out')",
    "table": "from cryjax.data.manifest import load_manifest as read",
    "manifest": "from cryjax.data.shards import load_shards\nread = lambda p: load_shards(p)",
}
READER = """
import json, pathlib, resource, sys
from cryjax.errors import UserError
{reader}
resource.setrlimit(resource.RLIMIT_AS, ({cap}, {cap}))
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        read(path)
        said = "read"
    except UserError as error:
        said = "refused" if path.name in str(error) else str(error)
    except BaseException as error:
        said = repr(error)
    print(json.dumps([path.name, said[:300]]), flush=True)
"""


def not_refused(kind, folder):
    """Reads all files of a folder in a process with little memory; returns what was not refused."""
    code = READER.format(reader=READERS[kind], cap=CAP_BYTES)
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) >= len(list(folder.iterdir()))
    return {name: said for name, said in rows if said != "refused"}


@pytest.mark.parametrize(("kind", "files"), [("archive", archives), ("table", tables)])
def test_hostile_archives_and_tables_are_refused_by_name(tmp_path, kind, files):
    (tmp_path / "in").mkdir()
    for name, content in files().items():
        (tmp_path / "in" / name).write_bytes(content)
    assert not_refused(kind, tmp_path / "in") == {}
    assert sorted(p.name for p in (tmp_path / "in").iterdir()) == sorted(files())


def test_hostile_manifests_are_refused_by_name(tmp_path):
    for name, content in manifests().items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_bytes(content)
        (tmp_path / name / "clips.csv").write_text("path\na.wav\n")
    assert not_refused("manifest", tmp_path) == {}
