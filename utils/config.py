"""Configuration: the frozen dataclasses, and how YAML and `--set` become one of them.

Every key, its type, its range and its default stand here once; `config.yaml` explains them to the user.
Nothing here imports torch, so that a usage error shows at once.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from utils.config_parsing import ConfigBuilder, apply_overrides, option, parse_yaml
from utils.config_rules import contradictions
from utils.errors import ConfigError

FORMATS = ("auto", "json", "jsonl", "text", "csv", "zeek")
SPLITS = ("registered_domain", "random", "time")
# Metrics that early stopping can watch, and whether more is better.
STOPPING_METRICS = {
    "val_loss": "min",
    "val_accuracy": "max",
    "val_macro_f1": "max",
    "val_auc": "max",
    "val_recall_at_1pct_fpr": "max",
}

MAX_FILE_BYTES = 1_000_000

# Keys of the earlier TensorFlow/Keras version that have no counterpart of the same name.
REPLACED_KEYS = {
    "training.use_mixed_precision": "use training.precision (auto, fp32 or bf16)",
    "training.mixed_precision": "use training.precision (auto, fp32 or bf16)",
    "training.optimizer": "the optimiser is AdamW: training.learning_rate, training.weight_decay",
    "training.loss": "the loss is cross-entropy on integer labels; its key is training.label_smoothing",
    "training.validation_split": "use data.validation_fraction",
    "model.filters": "use model.conv_filters (a list, one number a layer)",
    "model.max_length": "use data.max_length",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceConfig:
    """One file, or one glob of files, whose names all have the same class."""

    path: str = option()
    label: str = option()
    format: str = option("auto", choices=FORMATS)
    training_only: bool = option(False)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which names, and who is in which part."""

    root: str = option("data/sample")
    classes: tuple[str, ...] = option(("benign", "phishing", "malware"), min_items=2)
    sources: tuple[SourceConfig, ...] = option((), min_items=1)
    max_length: int = option(64, low=8, high=253)
    max_per_class: int | None = option(None, low=1)
    split: str = option("registered_domain", choices=SPLITS)
    validation_fraction: float = option(0.1, above=0.0, below=0.5)
    test_fraction: float = option(0.1, above=0.0, below=0.5)
    seed: int = option(0, low=0, high=2**32 - 1)
    workers: int = option(0, low=0, high=256)
    check_all_keys: bool = option(True)
    cache_dir: str | None = option("cache")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Sizes of the network."""

    architecture: str = option("cnn_lstm")
    embedding_dim: int = option(32, low=1, high=4096)
    ngram_sizes: tuple[int, ...] = option((), max_items=5, low=2, high=6)
    ngram_buckets: int = option(65536, low=2, high=2**24)
    ngram_dim: int = option(16, low=1, high=1024)
    ngram_dropout: float = option(0.5, low=0.0, below=1.0, zero_is_off=True)
    evidence_ngrams: int = option(7, low=0, high=12, zero_is_off=True)
    evidence_buckets: int = option(3_000_000, low=2, high=2**27)
    evidence_folds: int = option(5, low=2, high=100)
    evidence_regularization: float = option(3.0, above=0.0)
    conv_filters: tuple[int, ...] = option((64, 64), min_items=1, max_items=32, low=1, high=8192)
    kernel_size: int = option(3, low=1, high=63)
    pool_size: int = option(3, low=1, high=8)
    lstm_units: int = option(48, low=1, high=8192)
    attention_units: int = option(64, low=1, high=8192)
    max_pooling: bool = option(True)
    dense_units: tuple[int, ...] = option((64,), max_items=32, low=1, high=8192)
    dropout_rate: float = option(0.15, low=0.0, below=1.0, zero_is_off=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """How the weights are found."""

    batch_size: int = option(512, low=1)
    epochs: int = option(50, low=1)
    learning_rate: float = option(0.001, above=0.0)
    weight_decay: float = option(0.01, low=0.0, zero_is_off=True)
    schedule: str = option("cosine", choices=("cosine", "constant"))
    averaged_epochs: int = option(0, low=0, zero_is_off=True)
    warmup_fraction: float = option(0.05, low=0.0, below=1.0, zero_is_off=True)
    gradient_clip: float | None = option(1.0, above=0.0)
    class_weights: str | Mapping[str, float] = option("sqrt")
    label_smoothing: float = option(0.0, low=0.0, below=1.0, zero_is_off=True)
    early_stopping_metric: str = option("val_loss", choices=tuple(STOPPING_METRICS))
    early_stopping_patience: int = option(5, low=1)
    early_stopping_min_delta: float = option(0.0, low=0.0)
    precision: str = option("auto", choices=("auto", "fp32", "bf16"))
    compile: bool = option(False)
    checkpoint_minutes: float = option(10.0, above=0.0)
    seed: int = option(0, low=0, high=2**32 - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """What the report holds."""

    benign_class: str = option("benign")
    calibrate: bool = option(True)
    baseline: bool = option(True)
    bootstrap_resamples: int = option(200, low=0, high=100_000, zero_is_off=True)
    lookups_per_day: int = option(1_000_000, low=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputConfig:
    """Where a run is written."""

    directory: str = option("runs")
    name: str = option("domains")
    tensorboard: bool = option(True)
    figures: bool = option(True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The whole configuration of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as builtins only: it goes into YAML and into checkpoints."""
        return _builtins(asdict(self))


def load_config(path: Path, overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Read a YAML file, apply `section.key=value` overrides, and check everything.

    Raises
    ------
    ConfigError
        One message with every problem: unreadable file, syntax, unknown or repeated keys, wrong types,
        values out of range, values that contradict each other.
    """
    try:
        with Path(path).open("rb") as file:  # a pipe, too: hence no look at its size
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: is larger than {MAX_FILE_BYTES:,} bytes, which no configuration is")
        text = content.decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a UTF-8 text file: {error}") from None
    problems: list[str] = []
    tree = parse_yaml(text, problems)
    if tree is None:
        if problems:  # a syntax error: whatever else there is to say would follow from it
            raise _config_error(f"{path}: ", problems)
        tree = {}
    apply_overrides(tree, overrides, problems)
    builder = ConfigBuilder(problems, REPLACED_KEYS)
    config = builder.build(Config, tree)
    if config is not None:
        problems += contradictions(config, builder.is_sound)
    if problems:
        raise _config_error(f"{path}: ", problems)
    return config


def as_config(config: Config | Mapping[str, Any]) -> Config:
    """Return `config` as a checked `Config`; a mapping has the sections of the YAML file.

    Raises
    ------
    ConfigError
        The mapping holds unknown keys or bad values. Data sources may be missing here.
    """
    if isinstance(config, Config):
        return config
    problems: list[str] = []
    built = ConfigBuilder(problems, REPLACED_KEYS, required_items=False).build(Config, config)
    if problems:
        raise _config_error("", problems)
    return built


def _config_error(where: str, problems: list[str]) -> ConfigError:
    """Put all problems into one error, a line each."""
    return ConfigError("\n  - ".join([f"{where}{len(problems)} problem(s) in the configuration:", *problems]))


def _builtins(value: Any) -> Any:
    """Turn tuples into lists, recursively; leave the other builtins as they are."""
    if isinstance(value, Mapping):
        return {key: _builtins(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_builtins(item) for item in value]
    return value
