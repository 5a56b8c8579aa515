"""Numbers that are none, signals, other data: what is lost and what is said."""

import dataclasses
import itertools
import json
import os
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from configs import simclr
from cryjax.models.teacher import ema_update, frozen_copy
from cryjax.tasks import pretrain
from cryjax.train import sums
from cryjax.train.checkpoint import Checkpointer, load_meta
from cryjax.train.faults import (
    NonFinitePolicy,
    NotFiniteError,
    PreemptedError,
    preemption_guard,
)
from cryjax.train.log import MetricLog, load_metrics
from cryjax.train.loop import LoopSettings, run_loop
from cryjax.train.mesh import data_mesh
from cryjax.train.state import TrainState, create, make_step


def run_counting(bad, steps=12, save_every=4, saved=None, **settings):
    """A run whose parameter lists, as a sum, the batches that moved it; some have no numbers."""
    saved, said = {} if saved is None else saved, []

    def step(state, batch, key):
        number = int(batch["number"][0])
        skipped = float(number in bad)
        moved = state.params + (0 if skipped else 2**number)
        loss = jnp.float32(jnp.nan if skipped else 1)
        return TrainState(state.step + 1, moved, {}, {}), {
            "loss": loss,
            "skipped": jnp.float32(skipped),
        }

    def save(at, state, scores, skipped):
        saved[at] = state, skipped

    def restore(state):
        said.append(int(state.step))
        return saved[max(saved)][0] if saved else state

    def batches(first):
        return ({"number": np.array([n])} for n in itertools.count(first))

    loop = LoopSettings(
        "test",
        steps,
        1,
        log_every=2,
        save_every=save_every,
        save=save,
        restore=restore,
        quiet=True,
        **settings,
    )
    start = TrainState(jnp.int32(0), 0, {}, {})
    end = run_loop(start, step, batches, jax.random.key(0), data_mesh(1), loop)
    return [n for n in range(40) if int(end.params) >> n & 1], saved, said


def test_an_update_without_finite_numbers_is_skipped():
    moved, saved, back = run_counting({2, 5})
    assert moved == [n for n in range(12) if n not in {2, 5}]
    assert back == []
    assert sorted(saved) == [4, 8, 12]


def test_several_in_a_row_go_back_and_skip_the_rows_since_the_checkpoint():
    policy = NonFinitePolicy(patience=3, rollbacks=1)
    moved, saved, back = run_counting({5, 6, 7}, non_finite=policy)
    assert back == [8]
    assert moved == [0, 1, 2, 3, *range(8, 16)]  # batches 4 to 7 are skipped, 12 updates made
    assert saved[12][1] == 4
    assert sorted(saved) == [4, 8, 12]


def test_a_profile_is_a_trace_of_a_few_steps(tmp_path, capsys):
    run_counting(set(), steps=9, profile=tmp_path / "profile")
    assert "profile of steps 4 to 6" in capsys.readouterr().out
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_no_checkpoint_is_made_while_updates_fail():
    _, saved, _ = run_counting({3, 4}, save_every=4, non_finite=NonFinitePolicy(patience=9))
    assert sorted(saved) == [8, 12]


def test_asked_to_stop_while_updates_fail_the_checkpoint_from_before_stays():
    """All roll-backs of the restarted run went to the broken state."""

    def signalling(step):
        if step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return {}

    saved = {}
    policy = NonFinitePolicy(patience=9)
    with pytest.raises(PreemptedError):
        run_counting(
            {5, 6},
            eval_every=1,
            evaluate=lambda s: signalling(int(s.step)),
            non_finite=policy,
            saved=saved,
        )
    assert sorted(saved) == [4]


def test_a_score_is_saved_with_its_step_and_a_fit_without_roll_backs_ends_quietly(capsys):
    score = {"evaluate": lambda _: {"score": 1.0}, "eval_every": 5}
    assert sorted(run_counting(set(), **score)[1]) == [4, 5, 8, 10, 12]
    moved, saved, back = run_counting(set(range(5, 40)), steps=40)
    assert (moved, back) == ([0, 1, 2, 3, 4], [])
    assert sorted(saved) == [4]
    assert "diverged, loss or gradient are not finite; ends at" in capsys.readouterr().out


def test_what_has_no_score_is_not_kept_and_no_number_is_the_worst(trained, tmp_path):
    meta = load_meta(trained)
    name = meta.selected_by or ""
    assert meta.rank({name: float("nan")}) < meta.rank({name: 0.0})
    _, state = create(Small(), optax.sgd(0.1))
    keeper = Checkpointer(tmp_path, dataclasses.replace(meta, config={}))
    for number, value in enumerate([0.5, None, float("nan"), None, 0.4, None], 1):
        scores = {} if value is None else {name: value}
        keeper.save(100 * number, state, scores)
    keeper.close()
    assert sums.steps_in(tmp_path / "checkpoints") == [100, 500, 600]
    assert load_meta(tmp_path).step == 100


def test_after_enough_roll_backs_the_run_stops():
    with pytest.raises(NotFiniteError, match="4 updates in a row at step 8, after 1 roll-backs"):
        run_counting(set(range(5, 40)), non_finite=NonFinitePolicy(patience=3, rollbacks=1))
    with pytest.raises(ValueError, match="patience >= 1"):
        NonFinitePolicy(patience=0)


def test_a_signal_saves_and_stops():
    saved = []

    def step(state, batch, key):
        if int(state.step) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return TrainState(state.step + 1, 0, {}, {}), {
            "loss": jnp.float32(1),
            "skipped": jnp.float32(0),
        }

    loop = LoopSettings("test", 9, 1, save=lambda at, *_: saved.append(at), quiet=True)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(PreemptedError, match="after step 3 of 9"):
        run_loop(
            TrainState(jnp.int32(0), 0, {}, {}),
            step,
            lambda _: itertools.repeat({}),
            jax.random.key(0),
            data_mesh(1),
            loop,
        )
    assert saved == [3]
    assert signal.getsignal(signal.SIGTERM) is handler


class Small(nnx.Module):
    """A normalised layer and a teacher."""

    def __init__(self):
        self.encoder, self.norm = (
            nnx.Linear(4, 3, rngs=nnx.Rngs(0)),
            nnx.BatchNorm(3, rngs=nnx.Rngs(0)),
        )
        self.teacher = frozen_copy(self.encoder)

    def loss(self, batch, key):
        target = self.teacher(batch["x"]).mean()
        return ((self.norm(self.encoder(batch["x"])) - target) ** 2).mean(), {}

    def after_update(self, step):
        ema_update(self.teacher, self.encoder, decay=0.5)


def test_a_skipped_update_moves_no_statistics_and_no_teacher():
    tx = optax.adam(1e-2)
    graphdef, state = create(Small(), tx)
    step, x = make_step(graphdef, tx), np.random.default_rng(0).normal(size=(8, 4))
    states = [jax.device_get(state)]
    for bad in (False, True, False):
        rows = np.where(np.arange(8) == 3, np.nan if bad else 1, 1)[:, None] * x
        state, metrics = step(state, {"x": jnp.asarray(rows, jnp.float32)}, jax.random.key(0))
        assert metrics["skipped"] == bad
        states.append(jax.device_get(state))
    assert [int(s.step) for s in states] == [0, 1, 2, 3]
    same = [
        all(
            (a == b).all()
            for a, b in zip(jax.tree.leaves(a[1:]), jax.tree.leaves(b[1:]), strict=True)
        )
        for a, b in itertools.pairwise(states)
    ]
    assert same == [False, True, False]
    kernel = [s.rest["teacher"]["kernel"] for s in states]
    assert [(a == b).all() for a, b in itertools.pairwise(kernel)] == [False, True, False]


@pytest.mark.slow
def test_a_run_that_cannot_go_on_names_its_recordings(smoke, prepared, tmp_path):
    changes = {"optim.learning_rate": 1e30, "knn.every": None, "steps": 12}
    policy = {"non_finite.patience": 2, "non_finite.rollbacks": 0}
    settings = smoke(simclr, **changes, **policy)
    with pytest.raises(NotFiniteError, match="lower optim.learning_rate"):
        pretrain.run(settings, tmp_path)
    report = json.loads((tmp_path / "not_finite.json").read_text())
    assert (
        len(report["batches"]) == report["batches"][-1]["batch"] - report["batches"][0]["batch"] + 1
    )
    assert all(clip.endswith(".wav") for clip in report["batches"][0]["clips"])
    assert report["batches"][0]["finite"]


def test_a_resumed_run_of_other_data_or_another_spec_is_refused(smoke, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    for key, value, said in (
        ("fingerprint", "other", "fingerprint: 'other' there"),
        ("damaged", [3], r"damaged: \[3\] there, \[\] here"),
    ):
        record = json.loads((trained / "config.json").read_text())
        record["data"][0][key] = value
        path.write_text(json.dumps(record))
        with pytest.raises(ValueError, match=said):
            pretrain.run(smoke(simclr), tmp_path / "run")
    record = json.loads((trained / "config.json").read_text())
    record["data"][0]["spec"]["n_mels"] = 64
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="spec.n_mels: 64 there, 96 here"):
        pretrain.run(smoke(simclr), tmp_path / "run")


def test_the_log_is_cut_where_a_run_goes_back(tmp_path):
    log = MetricLog(tmp_path, resumed_step=0)
    for step in (2, 4, 6):
        log.write(step, {"loss": float(jnp.float32(step))})
    log.rewind(4)
    log.write(5, {"loss": 1.0})
    assert [row["step"] for row in load_metrics(tmp_path)] == [2, 4, 5]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_closed_terminal_save_like_sigterm(number):
    with preemption_guard() as asked:
        assert not asked(1)
        os.kill(os.getpid(), number)
        assert asked(2)
        if number == signal.SIGINT:
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
