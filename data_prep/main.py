"""Recordings to shards: python -m data_prep.main --corpus=NAME --source=DIR --out=DIR.

Corpora: folder, csv (your own); donateacry, cryceleb, chillanto; icbhi, icbhi_balanced; esc, fsdd,
esc_noisy, cry_or_other, semi_synthetic_injury (made from others); fsdnoisy18k,
 fsd50k, vggsound, audioset, urbansound8k, tut2018, bird_detection, nsynth, iemocap,
librispeech, voxceleb1, voxforge, speech_commands, speech_commands_v1, speech_commands12;
tfds:NAME (a builder prepared in --source); synthetic, synthetic_sounds.
An interrupted run continues; finished shards are skipped; bad files go to quarantine.csv.
"""

import dataclasses
import difflib
import io
import pathlib
import sys
from collections.abc import Sequence

from absl import app, flags

from cryjax.errors import UserError

_CORPUS = flags.DEFINE_string("corpus", None, "Which recipe reads --source; see above.")
_SOURCE = flags.DEFINE_string("source", None, "Folder of recordings, or the CSV of --corpus=csv.")
_OUT = flags.DEFINE_string("out", None, "Folder of the shards, made if needed.")
_SPEC = flags.DEFINE_string(
    "spec",
    "uclser",
    "uclser, ubenwa, slicer, panns, course or course_literal; with changes: slicer,n_mels=48.",
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


def _corpus(name: str, source: str | None):
    from data_prep import CORPORA

    if name.startswith("tfds:"):
        from data_prep.tfds import recipe

        return recipe(name.removeprefix("tfds:"), source)
    if name not in CORPORA:
        near = difflib.get_close_matches(name, CORPORA) or sorted(CORPORA)
        raise UserError(f"corpus must be one of {', '.join(CORPORA)}, got {name!r}; near: {near}")
    return CORPORA[name]


def _part(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise UserError(f"part must be i/n with 0 <= i < n, got {text!r}")
    return int(index), int(count)


def _source(recipe, source: str | None, out: pathlib.Path, options: "Options") -> pathlib.Path:
    """Returns the given source, or the recordings that the recipe makes or downloads."""
    if options.download:
        from data_prep.download import provide

        if not recipe.archives:
            raise UserError(
                f"{recipe.name} has no archive that anybody may fetch (its source asks for a form "
                "or a login, or publishes no checksum); get it there and give --source"
            )
        return provide(recipe.archives, out)
    if source is None and not recipe.made_by_code:
        raise UserError(f"--source is needed: the folder of recordings of {recipe.name}")
    if recipe.make is None:
        return pathlib.Path(source or "")
    made = out / "recordings"
    if not (made / "clips.csv").exists():
        print(f"making the recordings of {recipe.name} in {made}")
        recipe.make(made, options.seed, source)
    return made


@dataclasses.dataclass(frozen=True)
class Options:
    """What the flags of the same names say."""

    spec: str = "uclser"
    split: str | None = None
    label: str = "label"
    classes: str = ""
    duplicates: str = "group"
    seed: int = 0
    workers: int = 2
    part: str = "0/1"
    max_bad_share: float = 0.2
    download: bool = False
    beam: str | None = None
    beam_options: str = ""
    inside: bool = False


def _of_classes(clips: list, chosen: str) -> list:
    """Keeps the clips of some classes, or leaves them out; see --classes."""
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    if not names:
        return clips
    without = {name[1:] for name in names if name.startswith("-")}
    known = {clip.label for clip in clips}
    if unknown := sorted({name.removeprefix("-") for name in names} - known):
        raise UserError(f"classes: no {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    if without and len(without) < len(names):
        raise UserError(f"classes: either name those to keep or, with -, those to leave: {chosen}")
    return [c for c in clips if (c.label not in without if without else c.label in names)]


def _plan(recipe, source: str | None, out: pathlib.Path, options: Options):
    """Finds the clips, gives them labels and splits, and says what is to be built."""
    from cryjax.data.splits import make_splits
    from cryjax.spec import preset
    from data_prep.build import Plan
    from data_prep.folder import has_groups, notes_on_groups, notes_on_reach

    found = _source(recipe, source, out, options)
    clips = recipe.find(found, options.seed)
    if counts := recipe.counted(clips):
        print(counts)
    if options.label != "label":
        clips = [dataclasses.replace(clip, label=clip.column(options.label)) for clip in clips]
    clips = _of_classes(clips, options.classes)
    group = recipe.group
    if options.label == "group":  # who is speaking? then a recording is what must not be shared
        clips = [dataclasses.replace(clip, group=clip.recording) for clip in clips]
        group = f"recording; the label is its {recipe.group}"
    table = recipe.name == "csv"
    official = table and all(clip.split for clip in clips)
    rule = options.split or ("official" if official else recipe.split)
    make_splits(clips, rule, options.seed)  # a rule that cannot be applied is refused before hours
    root = found if found.is_dir() else found.parent
    own = table or recipe.name == "folder"  # the user's own; a foreign corpus may not lead outside
    notes = notes_on_reach(clips, root, refuse=options.inside or not own)
    if table and options.label != "group":
        notes += notes_on_groups(clips)
        group = group if has_groups(clips) else "recording, because the table names no group"
    classes = sorted({clip.label for clip in clips} - {""})
    about = {
        "corpus": recipe.name,
        "licence": recipe.licence,
        "group": group,
        "label": options.label,
        **({"classes": options.classes} if options.classes else {}),
        "seed": options.seed,
    }
    return Plan(
        root,
        out,
        preset(options.spec),
        clips,
        classes,
        about,
        split=rule,
        duplicates=options.duplicates,
        seed=options.seed,
        notes=notes,
    )


def _beam():
    try:
        from data_prep import beam
    except ImportError:
        raise UserError(
            "--beam needs Apache Beam: pip install cryjax[beam], in an environment of its own"
        ) from None
    return beam


def prepare(corpus: str, source: str | None, out: str, **options) -> bool:
    """Does what the command does; keyword arguments are the fields of `Options`.

    Returns:
      Whether the folder is complete; False while other parts are still to be built.
    """
    from cryjax.locks import hold

    chosen, folder = Options(**options), pathlib.Path(out)
    index, count = part = _part(chosen.part)
    with hold(folder / (".lock" if count == 1 else f".part-{index}-of-{count}.lock")):
        return _prepare(corpus, source, folder, chosen, part)


def _prepare(
    corpus: str, source: str | None, folder: pathlib.Path, chosen: Options, part: tuple[int, int]
) -> bool:
    from cryjax.data.shards import load_shards
    from data_prep.build import build, finish
    from data_prep.summary import summarise

    plan = _plan(_corpus(corpus, source), source, folder, chosen)
    if chosen.beam is None:
        done = build(plan, workers=chosen.workers, part=part)
    else:
        done = _beam().build(plan, chosen.beam, chosen.beam_options, part)
    if not done:
        print("this part is done; manifest.json is written when the last part is")
        return False
    finish(plan, max_bad_share=chosen.max_bad_share)
    text = summarise(load_shards(folder))
    (folder / "summary.txt").write_text(text + "\n", encoding="utf-8")
    print(text)
    return True


def _main(argv: Sequence[str]) -> None:
    del argv
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


if __name__ == "__main__":
    app.run(_main)
