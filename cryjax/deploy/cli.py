"""cryjax: encoders put to use from the shell.

    cryjax embed MODEL RECORDINGS...      representations of every window
    cryjax predict MODEL RECORDINGS...    scores, decisions and events
    cryjax search MODEL EMBEDDINGS...     the windows most like a clip
    cryjax export MODEL --out=DIR         a folder that works without cryjax
    cryjax verify DIR                     is such a folder whole, does it compute the same here?
    cryjax serve MODEL                    a page to listen, to look and to label
    cryjax compare RUN...                 evaluations side by side, differences by group
    cryjax train --config=simclr ...      python -m cryjax.main
    cryjax prepare --corpus=NAME ...      python -m data_prep.main in the repository

`cryjax COMMAND --help` tells more.
"""

import importlib
import runpy
import sys

from cryjax.places import preparation

COMMANDS = ("embed", "predict", "search", "export", "verify", "serve", "compare")
OTHERS = ("train", "prepare")


def main() -> int:
    """Runs a command; returns its status."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        module = "cryjax.serve.__main__" if name == "serve" else f"cryjax.deploy.{name}"
        return importlib.import_module(module).main(rest)
    if name in OTHERS:
        sys.argv = [f"cryjax {name}", *rest]
        module = "cryjax.main" if name == "train" else preparation("main")
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    asked = name in ("--help", "-h", "help")
    print(__doc__ if asked else f"cryjax: there is no command {name!r}\n\n{__doc__}")
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(main())
