import pytest

from cryjax.train.log import MetricLog, Progress, load_metrics


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
    Progress("x", steps=1, step=0, batch_size=1, quiet=True).show(1, {})
    assert capsys.readouterr().out == ""
