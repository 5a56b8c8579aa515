import pytest

from cryjax.train.log import Countdown, MetricLog, Progress, load_metrics


def test_rows_past_the_resumed_step_and_a_cut_line_are_dropped(tmp_path):
    log = MetricLog(tmp_path, resumed_step=0)
    for step in (1, 2, 3):
        log.write(step, {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # a crash in the middle of a line
    assert [row["step"] for row in load_metrics(tmp_path)] == [1, 2, 3]
    MetricLog(tmp_path, resumed_step=2).write(3, {"loss": 9.0})
    assert [row["loss"] for row in load_metrics(tmp_path)] == [1.0, 2.0, 9.0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_the_same_scalars(tmp_path):
    pytest.importorskip("tensorboardX", reason="an extra")
    log = MetricLog(tmp_path, resumed_step=0, tensorboard=True)
    log.write(1, {"loss": 0.5})
    assert log._board is not None
    log._board.close()
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"loss" in events.read_bytes()


def test_the_line_tells_loss_speed_waiting_and_eta(capsys):
    progress = Progress("simclr", steps=4, step=0, batch_size=8, quiet=False)
    progress.waited(0.0)
    progress.show(2, progress.rates(2) | {"loss": 1.25})
    line = capsys.readouterr().out
    for part in ("simclr 2/4", "loss 1.2500", "clips/s", "waiting 0%", "ETA"):
        assert part in line
    assert "\r" not in line
    for step in range(1, 101):
        if step == 1:
            progress = Progress("y", steps=100, step=0, batch_size=8, quiet=False)
        progress.show(step, {"loss": 1.0, "clips_per_s": 1.0, "waiting_share": 0, "eta_s": 3e4})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[-1].endswith("ETA 8.3 h")
    Progress("x", steps=1, step=0, batch_size=1, quiet=True).show(1, {})
    assert capsys.readouterr().out == ""


def test_on_a_terminal_one_line_is_drawn_again(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    progress = Progress("x", steps=2, step=0, batch_size=1, quiet=False)
    assert capsys.readouterr().out.startswith("x: compiling ...")
    for step in (1, 2):
        progress.show(step, progress.rates(step) | {"loss": 1.0})
    out = capsys.readouterr().out
    assert out.count("\r") == 1
    assert out.endswith("\n")


def test_a_countdown_tells_how_much_is_left(capsys, monkeypatch):
    clock = iter([0, 0, 60, 120, 120.1])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    countdown = Countdown("fit", 9)
    for name in ("a", "b", "c", "read from disk"):
        countdown.begin(name)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "fit 1 of 9: a",
        "fit 2 of 9: b",
        "fit 3 of 9: c, about 7 min left",
        "fit 4 of 9: read from disk, about 6 min left",
    ]
