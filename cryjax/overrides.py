"""What the settings of a command line mean for others that they leave as they are."""

import functools
import operator
import re
from collections.abc import Collection
from typing import Any

from cryjax.errors import UserError


def _part(config: Any, path: str) -> Any:
    return functools.reduce(operator.getitem, path.split("."), config)


def refuse_unread(given: Collection[str], config: Any) -> None:
    """Refuses a number of updates beside a number of epochs, which would decide in silence.

    Args:
      given: Paths of the settings that the command line changes, such as "probe.scratch.steps".
      config: All settings, after that.

    Raises:
      UserError: Such a path stands beside epochs that the config has.
    """
    for path in given:
        part, _, name = path.rpartition(".")
        if name == "steps" and part and f"{part}.epochs" not in given:
            beside = _part(config, part)
            if beside.get("epochs") is not None:
                raise UserError(
                    f"config.{path} would not be read: config.{part}.epochs={beside.epochs:g} "
                    f"decides the length; set that, or config.{part}.epochs=None too"
                )


def forget_of_another_encoder(given: Collection[str], config: Any, plain: Any) -> None:
    """Leaves an encoder that the command line names at its own size, and not at another's.

    Args:
      given: Paths of the settings that the command line changes, such as "encoder.name".
      config: All settings, after that; changed in place.
      plain: All settings before.
    """
    for path in [p for p in given if re.fullmatch(r"(.*\.)?encoder\.name", p)]:
        part = path.rpartition(".")[0]
        now, before = _part(config, part), _part(plain, part)
        for key in now if now.name != before.name else ():
            if key != "name" and now[key] is not None and f"{part}.{key}" not in given:
                print(f"config.{part}.{key}={now[key]} is of {before.name}, {now.name} has its own")
                now[key] = None
