"""What the facts of an evaluation say against its numbers: wherever they are shown, it is too."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from cryjax.data.leaks import OK

SEEN = "test groups seen (unlabelled) in pre-training"


def cautions_of(facts: Mapping[str, Any]) -> list[str]:
    """Lists sentences on leaks between the parts of an evaluation, and from pre-training.

    Args:
      facts: What `publish.facts_of` collects.
    """
    said = [
        f"LEAKY: {facts[fact]}. Not to be reported."
        for fact in ("split rule", "selection")
        if "LEAKY" in facts[fact]
    ]
    if not facts["audit"].startswith(OK):
        said.append(facts["audit"])
    if not facts[SEEN].startswith("0 ") or " by identical audio 0 of" not in facts[SEEN]:
        said.append(f"Pre-training saw test groups without their labels: {facts[SEEN]}.")
    return said


def cautions_in(workdir: pathlib.Path) -> list[str]:
    """Lists those of a finished evaluation, from its metrics.json."""
    path = workdir / "metrics.json"
    if not path.exists():
        return [f"{path} is missing: whether its parts leak is not known"]
    return cautions_of(json.loads(path.read_text(encoding="utf-8"))["about"])
