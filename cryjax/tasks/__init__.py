"""What `config.task` names: each a `run(config, workdir)` over the rooms below."""

TASKS = {
    "pretrain": "cryjax.tasks.pretrain",
    "transfer": "cryjax.tasks.transfer",
    "suite": "cryjax.tasks.suite",
    "ablate": "cryjax.tasks.ablate",
    "export": "cryjax.tasks.export",
}
