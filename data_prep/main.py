"""Recordings to shards: python -m data_prep.main --corpus=NAME --source=DIR --out=DIR.

Corpora: folder, csv (your own); donateacry, cryceleb, chillanto; icbhi, icbhi_balanced; esc, fsdd,
esc_noisy, cry_or_other, semi_synthetic_injury (made from others); fsdnoisy18k,
 fsd50k, vggsound, audioset, urbansound8k, tut2018, bird_detection, nsynth, iemocap,
librispeech, voxceleb1, voxforge, speech_commands, speech_commands_v1, speech_commands12;
tfds:NAME (a builder prepared in --source); synthetic, synthetic_sounds.
An interrupted run continues; finished shards are skipped; bad files go to quarantine.csv.
"""

import io
import pathlib
import sys
from collections.abc import Sequence

from absl import app, flags

from cryjax.data.distribution import import_beam, part_of
from cryjax.files import show
from cryjax.spec import PRESETS
from data_prep.plan import Options, make_plan, recipe_of

_CORPUS = flags.DEFINE_string("corpus", None, "Which recipe reads --source; see above.")
_SOURCE = flags.DEFINE_string("source", None, "Folder of recordings, or the CSV of --corpus=csv.")
_OUT = flags.DEFINE_string("out", None, "Folder of the shards, made if needed.")
_SPEC = flags.DEFINE_string(
    "spec",
    "uclser",
    f"One of {', '.join(PRESETS)}; with changes: slicer,n_mels=48.",
)
_SPLIT = flags.DEFINE_string(
    "split",
    None,
    "official, official_strict, official_as_published, holdout, kfold:K, column:NAME or by_clip.",
)
_LABEL = flags.DEFINE_string(
    "label",
    "label",
    "Column that becomes the label, such as age or site; with group, recordings are the groups.",
)
_COLUMNS = flags.DEFINE_string(
    "columns",
    "",
    "What columns of --corpus=csv are called: label:diagnosis,group:patient_id; group: if none.",
)
_EXAMPLE = flags.DEFINE_bool("example", False, "Print a table for --corpus=csv, to start from.")
_CLASSES = flags.DEFINE_string(
    "classes", "", "Classes to keep, with commas; or -NAME,-NAME to leave these out."
)
_DUPLICATES = flags.DEFINE_enum(
    "duplicates",
    "group",
    ["group", "drop", "keep"],
    "Exact copies of a recording: put into one group, dropped but for the first, or kept.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of drawn splits and synthetic recordings.")
_WORKERS = flags.DEFINE_integer(
    "workers", 2, "Number of processes; 0 works in this one.", lower_bound=0
)
_DOWNLOAD = flags.DEFINE_bool(
    "download", False, "Fetch the recordings into --out first, where the source allows it."
)
_PART = flags.DEFINE_string(
    "part", "0/1", "i/n: this job builds every n-th shard from the i-th on."
)
_BEAM = flags.DEFINE_string(
    "beam", None, "Runner of Apache Beam (DirectRunner, DataflowRunner, ...) instead of --workers."
)
_BEAM_OPTIONS = flags.DEFINE_string(
    "beam_options", "", "Its own, such as '--project=P --region=R'."
)
_INSIDE = flags.DEFINE_bool(
    "inside", False, "Refuse recordings outside of the folder of --source, as most corpora do."
)
_BAD = flags.DEFINE_float("max_bad_share", 0.2, "Largest share of bad files a run may end with.")


def prepare(corpus: str, source: str | None, out: str, **options) -> bool:
    """Does what the command does; keyword arguments are the fields of `Options`.

    Returns:
      Whether the folder is complete; False while other parts are still to be built.
    """
    from cryjax.locks import hold

    chosen, folder = Options(**options), pathlib.Path(out)
    index, count = part = part_of(chosen.part)
    with hold(folder / (".lock" if count == 1 else f".part-{index}-of-{count}.lock")):
        return _prepare(corpus, source, folder, chosen, part)


def _prepare(
    corpus: str, source: str | None, folder: pathlib.Path, chosen: Options, part: tuple[int, int]
) -> bool:
    from cryjax.data.shards import load_shards
    from data_prep.build import build, finish
    from data_prep.summary import summarise

    plan = make_plan(recipe_of(corpus, source), source, folder, chosen)
    if chosen.beam is None:
        done = build(plan, workers=chosen.workers, part=part)
    else:
        done = import_beam("data_prep.beam").build(plan, chosen.beam, chosen.beam_options, part)
    if not done:
        print("this part is done; manifest.json is written when the last part is")
        return False
    finish(plan, max_bad_share=chosen.max_bad_share)
    text = summarise(load_shards(folder))
    (folder / "summary.txt").write_text(text + "\n", encoding="utf-8")
    print(text)
    print(
        f"\nnext: python -m data_prep.audit --data={folder}\n"
        f"      python -m cryjax.main --config=configs/{config_for(chosen.spec)}.py "
        f"--workdir=runs/{folder.name} --config.data.dirs={folder}"
    )
    return True


def config_for(spec: str) -> str:
    """Names the config whose windows and rates were chosen for a feature specification."""
    return "laptop" if spec.startswith("laptop") else "simclr"


def _main(argv: Sequence[str]) -> None:
    del argv
    if _EXAMPLE.value:
        from data_prep.table import EXAMPLE

        print(EXAMPLE, end="")
        return
    if _CORPUS.value is None or _OUT.value is None:
        raise app.UsageError("--corpus and --out are needed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no ± is no reason to end
    try:
        prepare(
            _CORPUS.value,
            _SOURCE.value,
            _OUT.value,
            spec=_SPEC.value,
            split=_SPLIT.value,
            label=_LABEL.value,
            classes=_CLASSES.value,
            columns=_COLUMNS.value,
            duplicates=_DUPLICATES.value,
            seed=_SEED.value,
            workers=_WORKERS.value,
            part=_PART.value,
            max_bad_share=_BAD.value,
            download=_DOWNLOAD.value,
            beam=_BEAM.value,
            beam_options=_BEAM_OPTIONS.value,
            inside=_INSIDE.value,
        )
    except (ValueError, OSError) as error:
        sys.exit(f"data_prep: {error}")


def _parse(arguments: Sequence[str]) -> list[str]:
    """Parses flags; answers --help with every flag's meaning and default."""
    if {"--help", "-h", "-help", "--helpfull"} & set(arguments[1:]):
        show(f"{__doc__}\n{flags.FLAGS.main_module_help()}")
        sys.exit()
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        sys.exit(f"data_prep: {error}")


if __name__ == "__main__":
    app.run(_main, flags_parser=_parse)
