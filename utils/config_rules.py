"""What no single key of the configuration can tell: rules between keys, and of what a text may hold."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from utils.config_parsing import short_repr

if TYPE_CHECKING:
    from utils.config import Config

CLASS_WEIGHTS = ("balanced", "sqrt", "none")
SOURCE_KEYS = ("label", "training_only")  # what a source says of the classes
PATHS = ("data.root", "data.cache_dir", "output.directory", "output.name")


def contradictions(config: "Config", is_sound: Callable[..., bool]) -> list[str]:
    """Return what contradicts what.

    Parameters
    ----------
    config
        May lack the values of keys that are not sound.
    is_sound
        Tells whether some keys, named in full, are all without problems. A rule that reads another one is
        left out: what it would say may follow from that problem.
    """
    problems = []
    if is_sound("data.classes"):
        problems += _class_problems(config.data.classes) + _label_problems(config, is_sound)
    if is_sound("data.classes", "evaluation.benign_class"):
        benign, classes = config.evaluation.benign_class, config.data.classes
        if benign not in classes:
            problems.append(f"evaluation.benign_class: '{benign}' is not in data.classes")
    if is_sound("output.name"):
        name = config.output.name
        if not name or any(c in name for c in "/\\\0"):
            problems.append(f"output.name: must be a plain folder name. Got {name!r}")
    problems += [problem for key in PATHS if is_sound(key) for problem in _path_problems(key, config)]
    if is_sound("data.classes", "training.class_weights"):
        problems += _weight_problems(config.training.class_weights, config.data.classes)
    if is_sound("training.epochs", "training.averaged_epochs"):
        epochs, averaged = config.training.epochs, config.training.averaged_epochs
        if averaged >= epochs:
            problems.append(
                f"training.averaged_epochs: must be fewer than training.epochs ({epochs}). Got {averaged}"
            )
    return problems


def _class_problems(classes: tuple[str, ...]) -> list[str]:
    """Check the names of the classes by themselves."""
    problems = []
    if len(set(classes)) < len(classes):
        problems.append(f"data.classes: names a class twice: {', '.join(classes)}")
    if odd := [name for name in classes if not name.isprintable()]:
        problems.append(f"data.classes: holds what cannot be printed: {', '.join(map(ascii, odd))}")
    return problems


def _label_problems(config: "Config", is_sound: Callable[..., bool]) -> list[str]:
    """Check that every source has a class, and every class a source to be judged on."""
    classes, sources = config.data.classes, config.data.sources or ()
    named = [index for index in range(len(sources)) if is_sound(f"data.sources[{index}].label")]
    problems = [
        f"data.sources[{index}].label: '{sources[index].label}' is not in data.classes ({', '.join(classes)})"
        for index in named
        if sources[index].label not in classes
    ]
    if not is_sound(*(f"data.sources[{i}].{key}" for i in range(len(sources)) for key in SOURCE_KEYS)):
        return problems
    judged = {source.label for source in sources if not source.training_only}
    missing = [name for name in classes if name not in judged]
    if sources and missing:
        problems.append(
            f"data.classes: no source has the label {', '.join(missing)}, or only training_only ones have"
        )
    return problems


def _path_problems(key: str, config: "Config") -> list[str]:
    """Return whether the system cannot write this file name: beyond ASCII with the locale C."""
    section, _, name = key.partition(".")
    path = getattr(getattr(config, section), name)
    try:
        os.fsencode(path or "")
    except UnicodeEncodeError as error:
        return [f"{key}: the locale's encoding, {error.encoding}, cannot write {path!r}"]
    return []


def _weight_problems(weights: str | Mapping[str, float], classes: tuple[str, ...]) -> list[str]:
    """Check training.class_weights: one of three words, or a positive number for each class."""
    key = "training.class_weights"
    if isinstance(weights, str):
        return (
            []
            if weights in CLASS_WEIGHTS
            else [f"{key}: must be one of {', '.join(CLASS_WEIGHTS)}, or a number a class. Got {weights!r}"]
        )
    if set(weights) != set(classes):
        return [
            f"{key}: must name every class once ({', '.join(classes)}). Got {', '.join(map(str, weights))}"
        ]
    return [
        f"{key}.{name}: must be a number > 0. Got {short_repr(value)}"
        for name, value in weights.items()
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf")
    ]
