"""Tasks: what `config.task` names; each opens, calls and publishes what the rooms below do."""

TASKS = {
    "pretrain": ("cryjax.tasks.pretrain", "PretrainSettings"),
    "transfer": ("cryjax.tasks.transfer", "TransferSettings"),
    "label_fractions": ("cryjax.tasks.label_fractions", "LabelFractionSettings"),
    "suite": ("cryjax.tasks.suite", "SuiteSettings"),
    "study": ("cryjax.tasks.study", "StudySettings"),
    "table": ("cryjax.tasks.table", "TableSettings"),
    "verify": ("cryjax.tasks.verify", "VerifySettings"),
    "export": ("cryjax.tasks.export", "ExportSettings"),
}
