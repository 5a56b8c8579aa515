import pytest

from configs import transfer
from cryjax.tasks import transfer as transfer_task


@pytest.fixture(scope="session")
def evaluated(smoke, trained, tmp_path_factory):
    """An evaluation of the trained encoder: its workdir and settings."""
    workdir = tmp_path_factory.mktemp("evaluated")
    settings = smoke(
        transfer,
        checkpoint=str(trained),
        seeds=2,
        modes="majority,mel_statistics,knn,random_knn,linear,linear_bn,finetune",
    )
    transfer_task.run(settings, workdir)
    return workdir, settings
