"""Protocols of the sources as tables: their settings, and their figures apart from ours."""

import csv

import pytest

from configs import protocol
from cryjax.data.parts import LEAKY_VALIDATION
from cryjax.settings import changed, from_dict, merged
from cryjax.tasks import table


def small(prepared):
    """The smoke variant of the protocols on the small corpus, with its base's settings."""
    config = protocol.get_config("smoke").to_dict()
    base = {"data": {"dirs": str(prepared)}, "encoder": {"name": "vgg", "width": 4}}
    return config | {"base": merged(config["base"], base), "only": ""}


def table_of(config):
    return from_dict(table.TableSettings, config)


def test_a_protocols_table_keeps_the_sources_figures_apart(prepared, tmp_path):
    config = small(prepared)
    config["published"] = {"SC-V1: SLICER": {"random_linear": 94.8}}
    config["base"]["modes"], config["modes"] = "majority,random_linear", "random_linear,majority"
    other = f"{prepared}:val=:val_share=0.3"
    table.run(table_of(config | {"tasks": [str(prepared), other], "rows": {}}), tmp_path)
    lines = (tmp_path / "results.md").read_text().splitlines()
    head, ours, others, theirs = (lines[i] for i in (4, 6, 7, 8))
    assert head == "| row | random_linear | majority | random_linear: as published (other data) |"
    assert ours.startswith("| prepared | ")
    assert ours.endswith("|  |")
    assert others.startswith("| prepared:val=:val_share=0.3 | ")  # one of the two was lost
    assert theirs == "| SC-V1: SLICER |  |  | 94.8 |"
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[2]["random_linear_published"] == "94.8"
    assert rows[2]["random_linear_mean"] == ""
    page = (tmp_path / "report.html").read_text()
    assert "<td>SC-V1: SLICER</td><td></td><td></td><td>94.8</td>" in page


def test_a_row_that_lacks_a_column_is_blank_there(prepared, tmp_path):
    config = small(prepared) | {"modes": "majority,random_knn", "metric": "accuracy"}
    config["rows"] = {"a": {"modes": "majority,random_knn"}, "b": {"modes": "majority"}}
    table.run(table_of(config), tmp_path)
    rows = {
        line.split(" | ")[0]: line for line in (tmp_path / "results.md").read_text().split("\n")
    }
    assert rows["| a"].count("[") == 2
    assert rows["| b"].endswith(" |  |")
    config["rows"]["b"] = {"modes": "random_linear"}
    with pytest.raises(ValueError, match="row b evaluates random_linear .* nothing of it would"):
        table.run(table_of(config), tmp_path / "other")
    config["rows"] = {"a": {"modes": "majority"}}
    with pytest.raises(ValueError, match="config.metric must be one of accuracy, .* got 'acc'"):
        table.run(table_of(config | {"metric": "acc"}), tmp_path / "typo")


@pytest.mark.parametrize("name", [v for v in protocol.VARIANTS if v != "ubenwa_fractions"])
def test_every_protocol_names_settings_that_exist(name):
    """Each row is structured as the task would do it, which refuses what does not exist."""
    settings = table_of(protocol.get_config(name).to_dict())
    kind, _ = table.BASES[settings.base["task"]]
    rows = {
        row: from_dict(kind, merged(settings.base, changes))
        for row, changes in settings.rows.items()
    }
    assert all(set(row) <= set(settings.modes) for row in settings.published.values())
    assert all(row.isidentifier() for row in rows)  # each can be overridden on the command line
    for row in rows.values():
        evaluation = getattr(row, "transfer", row)
        assert {"majority", "mel_statistics"} < set(evaluation.modes)
        assert any(mode.startswith("random_") for mode in evaluation.modes)
        seeds = {"ubenwa": 10, "ubenwa_adaptation": 10, "lape_released": 1}.get(name, 3)
        assert evaluation.seeds == seeds


def settings_of(name, row):
    settings = table_of(protocol.get_config(name).to_dict())
    kind, _ = table.BASES[settings.base["task"]]
    return from_dict(kind, merged(settings.base, settings.rows[row]))


def test_uclsers_protocol_is_that_of_the_source():
    clean = settings_of("uclser", "small_clean")
    assert clean.probe.finetune.resolved(1535).steps == 200 * (1535 // 128)
    assert clean.probe.finetune.resolved(1535).steps == 2200
    noisy = settings_of("uclser", "larger_noisy")
    assert noisy.probe.linear.resolved(15_813).steps == 200 * (15_813 // 128)
    assert (noisy.probe.linear.batch_size, noisy.probe.linear.optim.learning_rate) == (128, 0.1)
    assert noisy.probe.finetune.optim.learning_rate == 0.01
    knn = settings_of("uclser", "clean_set_knn")
    assert (knn.knn.k, knn.knn.features, knn.data.test) == (200, "z", ("val",))
    assert not knn.knn.released_lookup
    released = settings_of("uclser_released", "small_clean")
    assert released.knn.released_lookup
    assert released.probe.linear.train_mode
    assert not released.data.val
    assert "LEAKY" in LEAKY_VALIDATION[released.data.val_by]


def test_lapes_protocol_stops_early_and_its_release_selects_on_test():
    us8k = settings_of("lape", "us8k")
    assert (us8k.data.train[0], us8k.data.train[-1], us8k.data.test) == (
        "fold1",
        "fold9",
        ("fold10",),
    )
    assert (us8k.probe.linear.select_on, us8k.probe.linear.patience) == ("val", 10)
    assert us8k.pool == "mean"
    released = settings_of("lape_released", "us8k").probe.linear
    assert (released.epochs, released.select_on, released.patience) == (100, "test", None)
    assert settings_of("lape", "ic").data.folds == ("*",)
    assert settings_of("lape", "tut").data.val == ()


def test_ubenwas_adaptation_has_four_arms_of_which_one_replays():
    rows = {
        name: settings_of("ubenwa_adaptation", name).pretrain
        for name in protocol._ubenwa_adaptation().rows
    }
    assert list(rows) == ["none", "cry", "cry_extra", "cry_extra_replay"]
    assert [row.steps > 0 for row in rows.values()] == [False, True, True, True]
    assert [bool(row.data.extra_dirs) for row in rows.values()] == [False, False, True, True]
    assert [bool(row.data.replay_dirs) for row in rows.values()] == [False, False, False, True]
    assert [row.data.replay_fraction > 0 for row in rows.values()] == [False] * 3 + [True]


def test_ubenwas_modes_are_four_on_the_checkpoints_own_crops():
    settings = settings_of("ubenwa", "injury")
    assert set(settings.modes) >= {"linear", "linear_bn", "finetune", "scratch"}
    assert settings.data.frames is None
    for mode in ("linear", "linear_bn", "finetune"):
        assert getattr(settings.probe, mode).select == "auc"


def test_checkpoints_multiply_the_rows():
    settings = table_of(protocol.get_config("uclser").to_dict() | {"checkpoints": "a=x,b=y"})
    rows = table.rows_of(settings)
    assert list(rows)[:3] == ["clean_set_knn · a", "clean_set_knn · b", "larger_noisy · a"]
    assert rows["small_clean · b"]["checkpoint"] == "y"
    with pytest.raises(ValueError, match=r"name=workdir,..., got \['x'\]"):
        table.rows_of(changed(settings, {"checkpoints": "x"}))
