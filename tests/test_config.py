"""Configuration: the project's two YAML files, defaults, `--set`, and the way back to YAML."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import yaml

from utils.config import FORMATS, Config, DataConfig, as_config, load_config
from utils.errors import ConfigError

PROJECT = Path(__file__).parent.parent
MINIMAL = """\
data:
  sources:
    - {path: a.txt, label: benign}
    - {path: b.txt, label: phishing}
    - {path: c.txt, label: malware}
"""


def leaf_names(cls, prefix=""):
    """Return the full name of every key of a configuration dataclass."""
    for item in fields(cls):
        if is_dataclass(item.type):
            yield from leaf_names(item.type, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}"


def at(tree, name):
    """Return the value that a full name leads to."""
    for part in name.split("."):
        tree = tree[part]
    return tree


# ------------------------------------------------------------------ the files of the project


@pytest.mark.parametrize("name", ["config.yaml", "config_test.yaml"])
def test_the_projects_file_loads_and_states_every_key(name):
    load_config(PROJECT / name)
    tree = yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))
    stated = {f"{section}.{key}" for section, keys in tree.items() for key in keys}
    assert stated == set(leaf_names(Config))


def test_config_yaml_states_the_defaults():
    stated, default = load_config(PROJECT / "config.yaml").to_dict(), Config().to_dict()
    different = {name for name in leaf_names(Config) if at(stated, name) != at(default, name)}
    assert different == {"data.root", "data.sources", "output.name"}


def test_config_yaml_explains_every_key():
    lines = (PROJECT / "config.yaml").read_text(encoding="utf-8").splitlines()
    keys = [line for line in lines if line.startswith("  ") and not line.strip().startswith(("-", "#"))]
    assert len(keys) == len(list(leaf_names(Config)))
    assert [line for line in keys if "  # " not in line] == []


# ------------------------------------------------------------------ what loads


def test_missing_keys_and_empty_sections_take_the_defaults(load_config_text):
    config = load_config_text(MINIMAL + "model:\ntraining: {epochs: 7}\n")
    assert config.model == Config().model
    assert config.training.epochs == 7
    assert config.training.batch_size == Config().training.batch_size
    assert [source.format for source in config.data.sources] == ["auto"] * 3


def test_an_integer_is_a_fine_float_and_becomes_one(load_config_text):
    rate = load_config_text(MINIMAL + "training: {learning_rate: 1}\n").training.learning_rate
    assert isinstance(rate, float)
    assert rate == 1.0


def test_the_written_configuration_loads_as_the_same(load_config_text):
    config = load_config_text(MINIMAL + "training: {class_weights: {benign: 1, phishing: 2.5, malware: 3}}\n")
    text = yaml.safe_dump(config.to_dict(), sort_keys=False)
    assert load_config_text(text) == config
    assert as_config(config.to_dict()) == config


def test_config_yaml_names_every_format():
    (line,) = [
        line for line in (PROJECT / "config.yaml").read_text().splitlines() if " format: auto, " in line
    ]
    assert re.findall(r"\w+", line.partition("format: ")[2]) == [*FORMATS[:-1], "or", FORMATS[-1]]


def test_as_config_takes_a_mapping_without_sources_but_no_unknown_key():
    assert as_config({"model": {"lstm_units": 5}}).model.lstm_units == 5
    assert as_config({}).data == DataConfig()
    with pytest.raises(ConfigError, match=r"model\.lstm_unit: unknown key; did you mean model\.lstm_units\?"):
        as_config({"model": {"lstm_unit": 5}})


# ------------------------------------------------------------------ --set


def test_set_reads_its_value_as_yaml_and_goes_over_the_file(load_config_text):
    config = load_config_text(
        MINIMAL + "training: {epochs: 3}\n",
        "training.epochs=9",
        "training.gradient_clip=null",
        "model.conv_filters=[7, 9]",
        "evaluation.baseline=false",
        "data.root=a=b",
        "data.cache_dir=x y",
        "training.class_weights={benign: 1, phishing: 2, malware: 3}",
        "training.epochs=11",  # the last one counts
    )
    assert config.training.epochs == 11
    assert config.training.gradient_clip is None
    assert config.model.conv_filters == (7, 9)
    assert config.evaluation.baseline is False
    assert config.data.root == "a=b"
    assert config.training.class_weights == {"benign": 1, "phishing": 2, "malware": 3}


def test_set_makes_a_section_that_the_file_leaves_out(load_config_text):
    assert load_config_text(MINIMAL, "output.name=x").output.name == "x"
    assert load_config_text(MINIMAL + "output:\n", "output.name=x").output.name == "x"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.epochs", "--set training.epochs: must look like section.key=value"),
        ("epochs=3", "epochs: unknown key; did you mean training.epochs?"),
        ("training..epochs=3", "--set training..epochs=3: must look like section.key=value"),
        ("=3", "--set =3: must look like section.key=value"),
        ("data.root.deep=3", "--set data.root.deep=3: 'root' is not a section"),
        ("training.epoch=3", "training.epoch: unknown key; did you mean training.epochs?"),
        ("training.epochs=3.5", "training.epochs: must be an integer in the range [1, inf). Got 3.5 (float)"),
        ("training.epochs=", "training.epochs: must be an integer in the range [1, inf). Got '' (str)"),
        ("trainig.epochs=3", "trainig: unknown key; did you mean training?"),
    ],
)
def test_a_wrong_set_is_reported_with_its_name(config_problems, override, expected):
    assert config_problems(MINIMAL + "  root: here\n", override) == [expected]


def test_a_set_that_is_no_yaml_is_reported_with_its_text(config_problems):
    (problem,) = config_problems(MINIMAL, "model.conv_filters=[1, 2")
    assert problem.startswith("--set model.conv_filters=[1, 2: ")
    assert "not valid YAML" in problem
