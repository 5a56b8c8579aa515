"""Pre-training: shards in, checkpoints out; a workdir that was interrupted continues."""

import pathlib
from typing import Any

import jax
import numpy as np
from flax import nnx

from cryjax.augment import build_policy
from cryjax.data.pipeline import Corpus, Pool, Sampling, make_batches
from cryjax.data.shards import save_json
from cryjax.evaluate.embed import make_forward, over_windows
from cryjax.evaluate.knn import knn_votes, vote_over_windows
from cryjax.evaluate.metrics import score
from cryjax.models import OWN, build_encoder
from cryjax.models.compute import set_compute
from cryjax.objectives import OBJECTIVES
from cryjax.spec import FeatureSpec, require_same
from cryjax.tasks.common import Config, claim, describe, differences, names, open_data
from cryjax.tasks.pool import fit_banks, open_pool
from cryjax.train.checkpoint import Checkpointer, load_model
from cryjax.train.faults import NotFiniteError, Tolerance
from cryjax.train.log import MetricLog
from cryjax.train.loop import Batches, Run
from cryjax.train.loop import run as run_loop
from cryjax.train.mesh import data_mesh, processes, replicate
from cryjax.train.optim import OptimSettings, build_optimiser
from cryjax.train.state import create, make_step, merge_trees

KNN = "knn_balanced_accuracy"


def build_objective(config: Config, corpus: Corpus, statistics: tuple[float, float]) -> Any:
    """The objective that the config names, with a fresh encoder."""
    name, rngs = config["objective"]["name"], nnx.Rngs(config["seed"])
    if name not in OBJECTIVES:
        raise ValueError(f"objective.name must be one of {', '.join(OBJECTIVES)}, got {name!r}")
    mels, log = corpus.spec.n_mels, corpus.spec.log
    encoder = build_encoder(**config["encoder"], mels=mels, rngs=rngs)
    set_compute(encoder, **config["compute"])
    settings = {k: v for k, v in config["objective"].items() if k != "name"}
    if name == "supervised":
        if not corpus.classes:
            raise ValueError("objective.name=supervised needs labelled folders in data.dirs")
        settings["class_weights"] = [1.0] * len(corpus.classes)
    frames = config["data"]["frames"]
    policy = build_policy(
        config["augment"], statistics=statistics, frames=frames, mels=mels, log=log
    )
    return OBJECTIVES[name](encoder, policy, **settings, rngs=rngs)


def _knn_score(config: Config, corpus: Corpus, objective: Any):
    """State to the kNN score of the validation split against the training split."""
    data, knn = config["data"], config["knn"]
    bank, query = (corpus.rows(names(data[part])) for part in ("splits", "val"))
    if not corpus.classes or (corpus.labels[np.concatenate([bank, query])] < 0).any():
        raise ValueError("knn.every needs one labelled folder; set config.knn.every=0")
    rows = np.concatenate([bank, query])
    forward, _ = make_forward(objective, lambda m, mel: m.represent(mel, knn["features"]))

    def evaluate(state) -> dict[str, float]:
        arrays = merge_trees(state.params, state.rest)
        out, owner = over_windows(
            forward, arrays, corpus, rows, frames=data["frames"], hop=data["hop"]
        )
        old = owner < len(bank)
        votes = knn_votes(
            out[~old],
            owner[~old],
            out[old],
            owner[old],
            corpus.labels[rows[owner[old]]],
            k=knn["k"],
            classes=len(corpus.classes),
        )
        shares = vote_over_windows(votes, owner[~old] - len(bank), len(query))
        found = score(shares, corpus.labels[query])
        return {KNN: found["balanced_accuracy"], "knn_accuracy": found["accuracy"]}

    return evaluate


def _meta(
    config: Config, corpus: Corpus, rows: np.ndarray, statistics: tuple, objective: Any
) -> dict[str, Any]:
    """What the checkpoint says about itself; see `train.checkpoint.load_model`."""
    projector = getattr(objective, "projector", None)
    sets = np.repeat([s.info["corpus"] for s in corpus.sets], [len(s.clips) for s in corpus.sets])
    return {
        "encoder": config["encoder"],
        "projector": projector.settings if projector else {},
        "normalise": config["augment"]["normalise"]["by"],
        "spec": corpus.spec.to_json(),
        "statistics": list(statistics),
        "frames": config["data"]["frames"],
        "hop": config["data"]["hop"],
        "config": config,
        "data": describe(corpus),
        "pretrained_groups": sorted({f"{sets[i]}/{corpus.clips[i].group}" for i in rows}),
        "selected_by": KNN if config["knn"]["every"] else "",
    }


def _initial(config: Config, corpus: Corpus) -> tuple[Any, Any, dict[str, Any]]:
    """Encoder, projector and meta of the checkpoint to start from; (None, None, {}) without one."""
    if not config["init"]:
        return None, None, {}
    encoder, projector, meta = load_model(config["init"])
    theirs, ours = FeatureSpec.from_json(meta["spec"]), str(corpus.sets[0].folder)
    require_same(theirs, corpus.spec, ours_is=config["init"], theirs_is=ours)
    if found := differences(OWN | meta["encoder"], OWN | config["encoder"], "config.encoder"):
        raise ValueError(f"{config['init']} holds another encoder: {'; '.join(found)}")
    return encoder, projector, meta


def _start_from(objective: Any, encoder: Any, projector: Any) -> None:
    """Puts a checkpoint's arrays into an objective; its teacher, if it has one, follows."""
    nnx.update(objective.encoder, nnx.state(encoder))
    ours = getattr(objective, "projector", None)
    if projector is not None and ours is not None and projector.settings == ours.settings:
        nnx.update(ours, nnx.state(projector))
    objective.follow()


def _report_bad(
    workdir: pathlib.Path, error: NotFiniteError, feed: Batches, corpus: Corpus
) -> None:
    """Names the recordings of the batches that a run could not get past."""
    bad = [
        {
            "batch": error.first_batch + i,
            "clips": [corpus.clips[row].path for row in batch["index"]],
            "finite": bool(np.isfinite(batch["mel"]).all()),
        }
        for i, batch in zip(range(error.in_a_row), feed, strict=False)
    ]
    save_json(workdir / "not_finite.json", {"reason": str(error), "batches": bad})
    print(f"the recordings of these batches are named in {workdir / 'not_finite.json'}")


def _begin(config: Config, corpus: Corpus, pool: Pool) -> tuple[Any, dict[str, Any]]:
    """The objective before its first step, from `config.init` where given, and its meta."""
    encoder, projector, before = _initial(config, corpus)
    statistics = tuple(before.get("statistics", ())) or corpus.statistics(pool.own)
    objective = build_objective(config, corpus, statistics)
    if encoder is not None:
        _start_from(objective, encoder, projector)
    frames, seed = config["data"]["frames"], config["seed"]
    fit_banks(objective.policy, corpus, pool.own, frames=frames, seed=seed)
    meta = _meta(config, corpus, np.concatenate([pool.own, pool.replay]), statistics, objective)
    meta["pretrained_groups"] = sorted(
        {*meta["pretrained_groups"], *before.get("pretrained_groups", [])}
    )
    return objective, meta


def run(config: Config, workdir: pathlib.Path) -> None:
    """Pre-trains as `configs/simclr.py` describes."""
    data, log, steps, seed = config["data"], config["log"], config["steps"], config["seed"]
    corpus = open_data(data)
    claim(workdir, config, describe(corpus))
    pool = open_pool(corpus, data, labelled=config["objective"]["name"] == "supervised")
    objective, meta = _begin(config, corpus, pool)
    tx = build_optimiser(OptimSettings(**config["optim"]), steps)
    graphdef, state = create(objective, tx)
    mesh = data_mesh(config["batch_size"])
    state = replicate(state, mesh)

    checkpoints = Checkpointer(workdir, meta, best=meta["selected_by"])
    if checkpoints.latest == steps:
        checkpoints.close()
        print(f"{workdir}: all {steps} steps are done")
        return
    state = checkpoints.restore(state)
    if start := int(state.step):
        print(f"{workdir}: continuing at step {start} of {steps}")
    main, rows_log = jax.process_index() == 0, None
    if main:
        rows_log = MetricLog(workdir, resumed_step=start, tensorboard=log["tensorboard"])
    sampling = Sampling(
        data["frames"],
        views=objective.views,
        distance=data["distance"],
        backgrounds=objective.policy.backgrounds,
        replay=round(data["replay_fraction"] * config["batch_size"]),
    )

    def batches(first: int) -> Batches:
        return make_batches(
            corpus,
            pool,
            sampling,
            batch_size=config["batch_size"],
            seed=seed,
            start_step=first,
            process=processes(),
            prefetch=data["prefetch"],
        )

    plan = Run(
        config["objective"]["name"],
        steps,
        config["batch_size"],
        log_every=log["every"],
        eval_every=config["knn"]["every"],
        save_every=config["save_every"],
        evaluate=_knn_score(config, corpus, objective) if config["knn"]["every"] else None,
        save=checkpoints.save,
        restore=checkpoints.restore,
        passed=checkpoints.passed,
        tolerance=Tolerance(**config["non_finite"]),
        log=rows_log,
        quiet=not main,
        profile=workdir / "profile" if config["profile"] else None,
    )
    step = make_step(graphdef, tx, accumulate=config["accumulate"])
    try:
        run_loop(state, step, batches, jax.random.key(seed), mesh, plan)
    except NotFiniteError as error:
        if main:
            _report_bad(workdir, error, batches(error.first_batch), corpus)
        raise
    finally:
        checkpoints.close()  # what is being written is finished, whatever ended the run
    print(f"checkpoint: {workdir}")
