"""What a wheel holds besides cryjax: configs and data preparation, under cryjax's own name.

`pip install --editable` leaves both where they are.
"""

import pathlib
import re
import tempfile
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MOVED = {"configs": "cryjax/_configs", "data_prep": "cryjax/prepare"}
IMPORT = re.compile(r"^(\s*(?:from|import) )(configs|data_prep)\b", re.MULTILINE)
NAMED = re.compile(r"\bdata_prep\.(?=[a-z])")  # in `python -m data_prep.main`


class WheelHook(BuildHookInterface):
    """Rewrites imports into a temporary folder that the wheel takes its files from."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds both folders, unless the build is an editable one."""
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="cryjax-wheel-")
        for name, target in MOVED.items():
            source = pathlib.Path(self.root) / name
            for path in sorted(source.rglob("*.py")):
                inner = path.relative_to(source)
                made = pathlib.Path(self._folder.name) / name / inner
                made.parent.mkdir(parents=True, exist_ok=True)
                made.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
                build_data["force_include"][str(made)] = f"{target}/{inner.as_posix()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Removes the temporary folder."""
        del build_data, artifact_path
        if version != "editable":
            self._folder.cleanup()


def rewritten(text: str) -> str:
    """Changes the imports of a module to those within cryjax."""

    def inside(match: re.Match[str]) -> str:
        return match[1] + MOVED[match[2]].replace("/", ".")

    return NAMED.sub(f"{MOVED['data_prep'].replace('/', '.')}.", IMPORT.sub(inside, text))
