"""Pre-training: shards in, checkpoints out; a workdir that was interrupted continues."""

import pathlib

import jax

from cryjax.data.batches import make_batches
from cryjax.data.pool import open_pool, open_training_data
from cryjax.objectives.supervised import SupervisedSettings
from cryjax.pretraining import (
    PretrainSettings,
    build,
    describe,
    monitor_of,
    pool_fingerprint,
    resolve,
    sampling_of,
)
from cryjax.train.checkpoint import Checkpointer
from cryjax.train.faults import NotFiniteError, report_not_finite
from cryjax.train.log import MetricLog
from cryjax.train.loop import Batches, LoopSettings, run_loop
from cryjax.train.mesh import data_mesh, main_first, processes, shard_state
from cryjax.train.optim import build_optimiser, describe_extension
from cryjax.train.state import create, make_step
from cryjax.train.workdir import claim

__all__ = ["PretrainSettings", "run"]


def _next(settings: PretrainSettings, workdir: pathlib.Path) -> str:
    """Says what a user would do with the checkpoint."""
    return (
        "next: python -m cryjax.main --config=configs/transfer.py "
        f"--workdir={workdir}-evaluated --config.checkpoint={workdir} "
        f"--config.data.dirs={settings.data.dirs[0]}"
    )


def run(settings: PretrainSettings, workdir: pathlib.Path) -> None:
    """Pre-trains as `configs/simclr.py` describes."""
    settings, start = resolve(settings)
    with main_first():
        corpus = open_training_data(settings.data)
    pool = open_pool(
        corpus, settings.data, labelled=isinstance(settings.objective, SupervisedSettings)
    )
    facts = {"init": start.fingerprint if start else None, "pool": pool_fingerprint(pool)}
    objective = build(settings, corpus, pool, start)
    tx = build_optimiser(settings.optim, settings.steps)
    graphdef, state = create(objective, tx)
    mesh = data_mesh(settings.batch_size, settings.mesh.model)
    state = shard_state(state, mesh)

    monitor = monitor_of(settings, corpus, pool, objective)
    sampling = sampling_of(settings, corpus, pool, objective)
    before = claim(workdir, settings, corpus.describe(), facts=facts, growing=("steps",))
    checkpoints = Checkpointer(workdir, describe(settings, corpus, pool, objective, start))
    if checkpoints.latest == settings.steps:
        checkpoints.close()
        print(f"{workdir}: all {settings.steps} steps are done")
        return
    state = checkpoints.restore(state)
    if step := int(state.step):
        print(f"{workdir}: continuing at step {step} of {settings.steps}")
        if (old := (before or {}).get("steps", settings.steps)) != settings.steps:
            print(describe_extension(settings.optim, old, settings.steps, step))

    def batches(first: int) -> Batches:
        return make_batches(
            corpus,
            pool,
            sampling,
            batch_size=settings.batch_size,
            seed=settings.seed,
            start_step=first,
            process=processes(),
            prefetch=settings.data.prefetch,
        )

    main, log = jax.process_index() == 0, settings.log
    loop = LoopSettings(
        settings.objective.name,
        settings.steps,
        settings.batch_size,
        log_every=log.every,
        eval_every=settings.knn.every or 0,
        save_every=settings.save_every,
        evaluate=monitor,
        save=checkpoints.save,
        restore=checkpoints.restore,
        skipped_batches=checkpoints.skipped_batches,
        non_finite=settings.non_finite,
        log=MetricLog(workdir, resumed_step=step, tensorboard=log.tensorboard) if main else None,
        quiet=not main,
        profile=workdir / "profile" if settings.profile else None,
    )
    step_fn = make_step(graphdef, tx, accumulate=settings.accumulate, mesh=mesh)
    try:
        if settings.steps == 0:
            checkpoints.save(0, state, {})
        run_loop(state, step_fn, batches, jax.random.key(settings.seed), mesh, loop)
    except NotFiniteError as error:
        if main:
            report_not_finite(
                workdir, error, batches(error.first_batch), lambda row: corpus.clips[row].path
            )
        raise
    finally:
        checkpoints.close()  # what is being written is finished, whatever ended the run
    print(f"checkpoint: {workdir}\n{_next(settings, workdir)}")
