import functools

import pytest

from configs import transfer
from cryjax.tasks import transfer as transfer_task


@pytest.fixture(scope="session")
def evaluated(smoke, trained, once):
    """An evaluation of the trained encoder: its workdir and settings."""
    settings = smoke(
        transfer,
        checkpoint=str(trained),
        seeds=2,
        modes="majority,mel_statistics,knn,random_knn,linear,linear_bn,finetune",
    )
    return once("evaluated", functools.partial(transfer_task.run, settings)), settings
