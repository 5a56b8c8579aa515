"""Processes that are asked to stop, or are shot."""

import pathlib
import random
import signal
import time

from faults.runs import SAVE_EVERY, STEPS, Hurt, Trial

Losses = list[float]


def killed(root: pathlib.Path, corpus: pathlib.Path, straight: Losses) -> list[Hurt]:
    """Sends SIGKILL at random steps of one run."""
    hurt = Hurt("kill -9 at a random step", "loses the steps since the last checkpoint")
    rng, trial, at = random.Random(0), Trial(root / "killed", corpus), 0
    while (at := at + rng.randrange(5, 15)) < STEPS - 5:
        process = trial.start()
        trial.wait_for(at, process)
        lost = trial.kill(process) - trial.kept
        hurt.count(lost <= 2 * SAVE_EVERY, lost, "one being written does not count yet")
    hurt.count(trial.finish()[0] and trial.losses == straight, None, "same losses in the end")
    return [hurt]


def killed_while_saving(root: pathlib.Path, corpus: pathlib.Path, straight: Losses) -> list[Hurt]:
    """Sends SIGKILL as soon as the folder of an unfinished checkpoint appears."""
    hurt = Hurt("kill -9 during a save", "the checkpoint before is used")
    trial = Trial(root / "saving", corpus)
    for _ in range(3):
        process, until = trial.start(), time.monotonic() + 120
        seen = False
        while process.poll() is None and not seen and time.monotonic() < until:
            seen = trial.saving
        lost = trial.kill(process) - trial.kept
        hurt.count(seen and lost <= 2 * SAVE_EVERY, lost, f"unfinished folder left: {trial.saving}")
    hurt.count(trial.finish()[0] and trial.losses == straight, None, "same losses in the end")
    return [hurt]


def asked(root: pathlib.Path, corpus: pathlib.Path, straight: Losses) -> list[Hurt]:
    """Sends SIGTERM to a run of one process."""
    hurt = Hurt("SIGTERM", "saves and ends within 30 s with status 75; loses nothing")
    trial = Trial(root / "asked", corpus)
    for at in (9, 23, 40):
        process = trial.start()
        trial.wait_for(at, process)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status, took = process.wait(60), time.monotonic() - started
        lost = trial.steps - trial.kept
        hurt.count(status == 75 and took < 30 and lost == 0, lost, f"ended after {took:.1f} s")
    hurt.count(trial.finish()[0] and trial.losses == straight, None, "same losses in the end")
    return [hurt]


def one_of_two(root: pathlib.Path, corpus: pathlib.Path, straight: Losses) -> list[Hurt]:
    """Sends a signal to one of two processes: first SIGTERM, then SIGKILL."""
    hurts = [
        Hurt("SIGTERM to one of two processes", "both save the same step and end within 30 s"),
        Hurt("kill -9 of one of two processes", "the other ends too; a new start continues"),
    ]
    trial = Trial(root / "two", corpus)
    processes = trial.start_two()
    trial.wait_for(8, processes[0])
    started = time.monotonic()
    processes[1].send_signal(signal.SIGTERM)
    status, took = [p.wait(60) for p in processes], time.monotonic() - started
    lost = trial.steps - trial.kept
    kept = status == [75, 75] and took < 30 and lost == 0
    hurts[0].count(kept, lost, f"ended after {took:.1f} s")
    processes = trial.start_two()
    trial.wait_for(30, processes[0])
    started = time.monotonic()
    processes[1].send_signal(signal.SIGKILL)
    status = processes[0].wait(200)
    took, done = time.monotonic() - started, trial.steps
    good, from_step = trial.finish()
    close = max(abs(a - b) / b for a, b in zip(trial.losses, straight, strict=True))
    hurts[1].count(
        status != 0 and good and close < 1e-2 and done - from_step <= 2 * SAVE_EVERY,
        done - from_step,
        f"the other ended after {took:.0f} s; one went on, losses within 1 %",
    )
    return hurts


FAULTS = (killed, killed_while_saving, asked, one_of_two)
