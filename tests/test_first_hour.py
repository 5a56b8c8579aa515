"""Three users' first hour, command by command: what is said, and what stops them in one line."""

import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from shell import ROOT, quickly, run_shell

from cryjax import help
from cryjax.pretraining import PretrainSettings
from cryjax.settings import from_dict

NEXT = ("predict", "embed", "search", "export", "serve")
SMALL = ["--config.encoder.name=vgg", "--config.encoder.width=4"]


def run(*arguments, module="cryjax.main", cwd=ROOT):
    """Runs a command as a user does; returns its status and all that it said."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        env=quickly(devices=1),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """Forty recordings of twenty patients at two sites, in a table from a spreadsheet."""
    folder, rng = tmp_path_factory.mktemp("hospital"), np.random.default_rng(0)
    rows = ["Datei;Diagnose;Patient ID;Site"]
    for i in range(40):
        patient = i // 2
        rate = 8000
        tone = np.sin(2 * np.pi * (400 if patient % 2 else 700) * np.arange(rate) / rate)
        soundfile.write(folder / f"{i}.wav", 0.3 * tone + 0.1 * rng.normal(size=rate), rate)
        rows.append(
            f"{i}.wav;{('gesund', 'krank')[patient % 2]};P{patient};{'AB'[patient % 4 // 2]}"
        )
    (folder / "tabelle.csv").write_bytes("\r\n".join(rows).encode("cp1252"))
    return folder


@pytest.fixture(scope="module")
def walked(hospital, tmp_path_factory):
    """The hospital's walk, from its table to a report: the output of every command."""
    work, said = tmp_path_factory.mktemp("work"), []

    def step(*arguments, module="cryjax.main", status=0):
        code, text = run(*arguments, module=module)
        assert code == status, text[-2000:]
        said.append(text)
        return text

    table = ["--corpus=csv", f"--source={hospital}/tabelle.csv", f"--out={work}/mine"]
    table += ["--spec=laptop", "--workers=0"]
    step(*table, module="data_prep.main", status=1)
    columns = "--columns=path:Datei,label:Diagnose,group:Patient ID"
    step(*table, columns, module="data_prep.main")
    step(f"--data={work}/mine", module="data_prep.audit")
    train = ["--config=configs/laptop.py", f"--workdir={work}/run", *SMALL, "--config.steps=6"]
    train += [
        f"--config.data.dirs={work}/mine",
        "--config.batch_size=32",
        "--config.knn.every=None",
    ]
    step(*train, "--config.data.frames=24", "--config.data.hop_frames=24")
    judge = ["--config=configs/transfer.py", f"--workdir={work}/judged", "--config.seeds=1"]
    judge += [f"--config.checkpoint={work}/run", f"--config.data.dirs={work}/mine"]
    judge += ["--config.modes=majority,mel_statistics,knn,logistic,linear"]
    step(*judge, "--config.probe.linear.steps=20")
    model, new = f"{work}/judged/best/linear-seed0", f"--out={work}/scores.csv"
    step("predict", model, hospital / "0.wav", new, "--workers=1", module="cryjax.deploy.cli")
    return work, said


@pytest.mark.slow
def test_the_hospital_comes_from_its_spreadsheet_to_a_report(walked):
    work, said = walked
    refused, prepared, audited, trained, judged, scored = said
    assert "which of Datei, Diagnose, Patient ID, site names the files?" in refused
    assert "--columns=path:NAME,group:Patient ID" in refused
    assert len(refused.splitlines()) == 1
    assert "read as Windows-1252" in prepared or "separated by ';'" in prepared
    assert "group = patient id" in prepared
    assert f"next: python -m data_prep.audit --data={work}/mine" in prepared
    assert audited.splitlines()[-1].startswith("OK: ")
    assert (
        f"next: python -m cryjax.main --config=configs/transfer.py --workdir={work}/run" in trained
    )
    assert "caution: batch_size=32 draws 32 rows from 24 clips" in trained
    lines = judged.splitlines()
    assert "of 1 recordings are 'krank' at a threshold of" in scored
    assert (work / "scores.recordings.csv").exists()
    assert any(line.startswith("audit: OK") for line in lines)
    assert any(re.search(r"0 of \d+; by identical audio 0 of \d+ test", line) for line in lines)
    kept = f"{work}/judged/best/linear-seed0"
    assert lines[-7].startswith(f"report: {work}/judged/report.html")
    for line, command in zip(lines[-5:], NEXT, strict=True):
        assert re.search(rf"cryjax {command} {kept} ", line)
    assert "fit 5 of 5" in judged
    assert sum(len(text.splitlines()) for text in said) < 200
    page = (work / "judged" / "report.html").read_text()
    assert "a group is one patient id" in page
    assert str(work) not in page  # no full path leaves the machine
    assert "P1 ·" not in page


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"objectiv": {}}, "no setting 'objectiv'; nearest: objective"),
        ({"objective": {"name": "byola", "temperature": 0.2}}, "start from configs/byola.py"),
        ({"batch_size": 1}, "batch_size of at least 2"),
        ({"steps": 0}, "steps of at least 1"),
        ({"data": {"replay_fraction": 0.5}}, "data.replay_dirs names no folder"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_the_remedy(values, reason):
    with pytest.raises(ValueError, match=reason):
        from_dict(PretrainSettings, values)


@pytest.mark.slow
def test_a_student_with_a_folder_is_told_what_nobody_knows(hospital, tmp_path):
    """No groups: the audit cannot know, and table and report repeat it."""
    for i in range(24):
        to = tmp_path / "wavs" / ("cry", "other")[i % 2] / f"{i}.wav"
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes((hospital / f"{i}.wav").read_bytes())
    prepare = ["--corpus=folder", f"--source={tmp_path}/wavs", f"--out={tmp_path}/p", "--workers=0"]
    assert run(*prepare, "--spec=laptop", module="data_prep.main")[0] == 0
    status, said = run(f"--data={tmp_path}/p", module="data_prep.audit")
    assert (status, said.splitlines()[-1][:12]) == (2, "CANNOT KNOW:")
    judge = ["--config=configs/transfer.py:smoke", f"--workdir={tmp_path}/j", *SMALL]
    judge += [f"--config.data.dirs={tmp_path}/p", "--config.data.frames=24"]
    status, said = run(*judge, "--config.modes=majority,random_knn")
    assert status == 0, said
    assert "audit: CANNOT KNOW: no recording has a group" in said
    assert "CANNOT KNOW" in (tmp_path / "j" / "report.html").read_text()


@pytest.mark.slow
def test_a_lab_leaves_one_site_out_and_sees_every_site(hospital, tmp_path):
    """The subgroup table named the first fold's site alone."""
    columns = "--columns=path:Datei,label:Diagnose,group:Patient ID"
    prepare = ["--corpus=csv", f"--source={hospital}/tabelle.csv", f"--out={tmp_path}/p", columns]
    prepare += ["--workers=0", "--spec=laptop", "--split=column:site"]
    status, said = run(*prepare, module="data_prep.main")
    assert status == 0, said
    judge = ["--config=configs/transfer.py:smoke", f"--workdir={tmp_path}/j", *SMALL]
    judge += [f"--config.data.dirs={tmp_path}/p", "--config.data.frames=24", "--config.data.val="]
    status, said = run(*judge, "--config.data.folds=*", "--config.modes=majority,random_knn")
    assert status == 0, said
    assert "fit 4 of 4: random_knn" in said
    page = (tmp_path / "j" / "report.html").read_text()
    subgroups = page.split("<h2>Subgroups</h2>")[1].split("<h2>")[0]
    parts = page.split("<h2>Who is in which part</h2>")[1].split("<h2>")[0]
    for site in "AB":
        assert f"<td>site</td><td>{site}</td>" in subgroups
        assert f"<td>{site}</td><td>test</td>" in parts


@pytest.mark.slow
def test_frames_are_those_of_the_checkpoint(walked):
    work, _ = walked
    assert "24 frames (0.60 s)" in (work / "judged" / "results.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--config=configs/simcrl.py"], "is not there; nearest: configs/simclr.py"),
        (["--config=configs/simclr.py:smok"], "variants are smoke, got 'smok'"),
        (
            ["--config=configs/simclr.py:smoke", "--config.data.frames=3", *SMALL],
            "data.frames=3 with 48 mel bands leave nothing to vgg",
        ),
        (
            ["--config=configs/transfer.py", "--config.modes=knn,liner"],
            "config.modes must be one of .* nearest: linear",
        ),
    ],
    ids=lambda x: x[0].rpartition("/")[2] if isinstance(x, list) else "",
)
def test_a_slip_is_answered_in_one_line_before_any_work(walked, tmp_path, arguments, reason):
    work, _ = walked
    data = [f"--config.data.embedded_dir={tmp_path}/made"]  # nothing is prepared yet
    if "transfer" not in arguments[0]:
        data = [f"--config.data.dirs={work}/mine"]
    status, said = run(*arguments, f"--workdir={tmp_path}/x", *data)
    assert status == 1
    assert re.search(reason, said), said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "command",
    ["cryjax.main --config=configs/simclr.py", "data_prep.main"],
    ids=("config", "prepare"),
)
def test_a_pager_may_leave_help_before_its_end(command):
    """Ended in a traceback, `BrokenPipeError`."""
    said = run_shell(f"set -o pipefail; python -m {command} --help | head -n 1", ROOT)
    assert len(said.splitlines()) == 1  # standard error included


def test_help_answers_with_status_0():
    status, said = run("--help")
    assert status == 0
    for part in ("--workdir", "pretrain ", "configs/laptop.py", ":smoke", "configs/study.py"):
        assert part in said
    said = help.of_config(str(ROOT / "configs/simclr.py"))
    assert "--config.objective.temperature=0.2\n      Divisor of the cosine similarities." in said
    assert "Upper end of lambda" in said  # an augmentation's argument
    status, said = run("--help", module="data_prep.main")
    assert status == 0
    for part in ("--split", "--columns", "default: 'group'", "example: Print"):
        assert part in said


def test_a_config_of_ones_own_needs_no_variants(tmp_path):
    """Its function was called with an empty variant, and ended in a traceback."""
    (tmp_path / "mine.py").write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config():\n    return ConfigDict({'task': 'list', 'text': 'hello'})\n"
    )
    assert run(f"--config={tmp_path}/mine.py") == (0, "hello\n")


def test_a_text_that_is_called_weights_is_refused_in_words(tmp_path):
    (tmp_path / "cnn14.pth").write_text("hello")
    arguments = ["--kind=panns_cnn14", f"--source={tmp_path}/cnn14.pth", f"--out={tmp_path}/out"]
    status, said = run(*arguments, module="cryjax.deploy.import_weights")
    assert status != 0
    assert "Traceback" not in said
    assert re.search(r"cnn14.pth: (not a file of PyTorch weights|pip install torch)", said), said
