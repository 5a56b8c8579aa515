"""What `config.task` names: each a `run(config, workdir)` over the rooms below."""

TASKS = {
    "pretrain": "cryjax.tasks.pretrain",
    "transfer": "cryjax.tasks.transfer",
    "label_fractions": "cryjax.tasks.label_fractions",
    "suite": "cryjax.tasks.suite",
    "verify": "cryjax.tasks.verify",
    "ablate": "cryjax.tasks.ablate",
    "export": "cryjax.tasks.export",
}
