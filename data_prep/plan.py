"""The plan of a preparation: from the flags to clips, groups, classes and splits."""

import dataclasses
import difflib
import pathlib

from cryjax.data.leaks import has_groups
from cryjax.data.splits import make_splits
from cryjax.errors import UserError
from cryjax.files import load_json, save_json
from cryjax.locks import hold
from cryjax.settings import differences
from cryjax.spec import preset
from data_prep import CORPORA
from data_prep.build import Plan
from data_prep.corpus import CorpusRecipe
from data_prep.folder import notes_on_groups, notes_on_reach
from data_prep.table import parse_columns, read_table

LOCK = ".source.lock"  # of parts that start together, one makes or fetches the recordings


def recipe_of(name: str, source: str | None) -> CorpusRecipe:
    """Looks a corpus up by its name.

    Raises:
      UserError: There is none of that name; the nearest are named.
    """
    if name.startswith("tfds:"):
        from data_prep.tfds import recipe

        return recipe(name.removeprefix("tfds:"), source)
    if name not in CORPORA:
        near = difflib.get_close_matches(name, CORPORA) or sorted(CORPORA)
        raise UserError(f"corpus must be one of {', '.join(CORPORA)}, got {name!r}; near: {near}")
    return CORPORA[name]


@dataclasses.dataclass(frozen=True)
class Options:
    """What the flags of the same names say."""

    spec: str = "uclser"
    split: str | None = None
    label: str = "label"
    classes: str = ""
    columns: str = ""
    duplicates: str = "group"
    seed: int = 0
    workers: int = 2
    part: str = "0/1"
    max_bad_share: float = 0.2
    download: bool = False
    beam: str | None = None
    beam_options: str = ""
    inside: bool = False


def _source(recipe, source: str | None, out: pathlib.Path, options: Options) -> pathlib.Path:
    """Returns the given source, or the recordings that the recipe makes or downloads."""
    if options.download:
        from data_prep.download import provide

        if not recipe.archives:
            raise UserError(
                f"{recipe.name} has no archive that anybody may fetch (its source asks for a form "
                "or a login, or publishes no checksum); get it there and give --source"
            )
        with hold(out / LOCK, wait=True):
            return provide(recipe.archives, out)
    if source is None and not recipe.made_by_code:
        raise UserError(f"--source is needed: the folder of recordings of {recipe.name}")
    if recipe.make is None:
        return pathlib.Path(source or "")
    made = out / "recordings"
    whose = {"corpus": recipe.name, "source": source, "seed": options.seed}
    with hold(out / LOCK, wait=True):
        if not (made / "clips.csv").exists():
            print(f"making the recordings of {recipe.name} in {made}")
            recipe.make(made, options.seed, source)
            save_json(made / "made.json", whose)
    if (made / "made.json").exists():  # older versions did not write it
        known = load_json(made / "made.json", f"remove {made}")
        if changes := differences(known, whose, "recordings"):
            raise UserError(
                f"{made} holds other recordings ({'; '.join(changes)}): remove it, or give "
                "another --out"
            )
    return made


def _found(recipe, found: pathlib.Path, options: Options) -> tuple[list, tuple[str, ...], str]:
    """Finds clips, what to know about how a table was read, and what a group is."""
    if recipe.name != "csv":
        if options.columns:
            raise UserError("--columns is for --corpus=csv")
        return recipe.find(found, options.seed), (), recipe.group
    clips, notes = read_table(found, options.columns)
    return clips, tuple(notes), parse_columns(options.columns).get("group") or recipe.group


def _all_split(clips: list) -> bool:
    """Tells whether a table has splits of its own.

    Raises:
      UserError: It has some in part.
    """
    empty = sum(not clip.split for clip in clips)
    if 0 < empty < len(clips):
        raise UserError(
            f"the column split is empty in {empty} of {len(clips)} rows: fill them, or pass "
            "--split=holdout to draw a new split"
        )
    return not empty


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


def make_plan(recipe: CorpusRecipe, source: str | None, out: pathlib.Path, options: Options):
    """Finds the clips, gives them labels and splits, and says what is to be built."""
    found = _source(recipe, source, out, options)
    table = recipe.name == "csv"
    clips, notes, group = _found(recipe, found, options)
    if counts := recipe.counted(clips):
        print(counts)
    if options.label != "label":
        clips = [dataclasses.replace(clip, label=clip.column(options.label)) for clip in clips]
    clips = _of_classes(clips, options.classes)
    if options.label == "group":  # who is speaking? then a recording is what must not be shared
        clips = [dataclasses.replace(clip, group=clip.recording) for clip in clips]
        group = f"recording; the label is its {group}"
    rule = options.split or ("official" if table and _all_split(clips) else recipe.split)
    make_splits(clips, rule, options.seed)  # a rule that cannot be applied is refused before hours
    root = found if found.is_dir() else found.parent
    own = table or recipe.name == "folder"  # the user's own; a foreign corpus may not lead outside
    notes += notes_on_reach(clips, root, refuse=options.inside or not own)
    if table and options.label != "group":
        notes += notes_on_groups(clips)
        group = group if has_groups(clips) else "recording, because the table names no group"
    classes = sorted({clip.label for clip in clips} - {""})
    about = {
        "corpus": recipe.name,
        "licence": recipe.licence,
        "group": group,
        "label": options.label,
        **({"kept_classes": options.classes} if options.classes else {}),
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
