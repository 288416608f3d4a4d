"""Configuration: every problem in one message, each with its key's full name and what is near it."""

import pytest

from tests.test_config import MINIMAL
from utils.config import load_config
from utils.errors import ConfigError

# ------------------------------------------------------------------ single keys


FRACTION = "must be a number in the range [0.0, 1.0)"
POSITIVE = "must be a number in the range (0.0, inf)"
COUNT = "must be an integer in the range [1, inf)"
SIZE = "must be an integer in the range [1, 8192]"
WEIGHT = "must be a number > 0"
WRONG_VALUES = [
    ("training.batch_size", "'32'", f"{COUNT}. Got '32' (str)"),
    ("training.batch_size", "true", f"{COUNT}. Got True (bool)"),
    ("training.batch_size", "0", f"{COUNT}. Got 0"),
    ("training.batch_size", "32.0", f"{COUNT}. Got 32.0 (float)"),
    ("training.learning_rate", "true", f"{POSITIVE}. Got True (bool)"),
    ("training.learning_rate", "0", f"{POSITIVE}. Got 0"),
    ("training.learning_rate", ".nan", f"{POSITIVE}. Got nan"),
    ("training.learning_rate", ".inf", f"{POSITIVE}. Got inf"),
    ("training.learning_rate", "-.inf", f"{POSITIVE}. Got -inf"),
    ("training.learning_rate", "1e-3", f"{POSITIVE}. Got '1e-3' (str); YAML reads 1e-3 as text: write 0.001"),
    ("training.epochs", "1e2", f"{COUNT}. Got '1e2' (str); YAML reads 1e2 as text: write 100"),
    ("training.schedule", "cosin", "must be one of cosine, constant. Got 'cosin'; did you mean cosine?"),
    ("training.precision", "double", "must be one of auto, fp32, bf16. Got 'double'"),
    (
        "model.evidence_ngrams",
        "off",
        "must be an integer in the range [0, 12]. Got False (bool); 0 switches it off",
    ),
    ("model.evidence_ngrams", "on", "must be an integer in the range [0, 12]. Got True (bool)"),
    ("training.seed", "off", "must be an integer in the range [0, 4294967295]. Got False (bool)"),
    ("evaluation.baseline", "1", "must be true or false. Got 1 (int)"),
    ("evaluation.baseline", "null", "must be true or false. Got None (NoneType)"),
    ("model.dropout_rate", "1", f"{FRACTION}. Got 1"),
    ("model.dropout_rate", "-0.1", f"{FRACTION}. Got -0.1"),
    ("model.kernel_size", "64", "must be an integer in the range [1, 63]. Got 64"),
    ("model.conv_filters", "64", "must be a list. Got 64 (int)"),
    ("model.conv_filters", "[]", "must have at least 1 item(s). Got 0"),
    ("model.dense_units", f"{[1] * 33}", "must have at most 32 items. Got 33"),
    ("model.conv_filters[1]", "[64, 0]", f"{SIZE}. Got 0"),
    ("model.conv_filters[1]", "[64, big]", f"{SIZE}. Got 'big' (str)"),
    ("training.averaged_epochs", "50", "must be fewer than training.epochs (50). Got 50"),
    ("output.name", "7", "must be a text. Got 7 (int)"),
    ("output.name", "a/b", "must be a plain folder name. Got 'a/b'"),
    ("output.name", "''", "must be a plain folder name. Got ''"),
    ("training.class_weights", "3", "must be a text. Got 3 (int)"),
    ("training.class_weights", "odd", "must be one of balanced, sqrt, none, or a number a class. Got 'odd'"),
    (
        "training.class_weights",
        "{benign: 1, spam: 2}",
        "must name every class once (benign, phishing, malware). Got benign, spam",
    ),
    ("training.class_weights.phishing", "{benign: 1, phishing: 0, malware: 1}", f"{WEIGHT}. Got 0"),
    ("training.class_weights.phishing", "{benign: 1, phishing: yes, malware: 1}", f"{WEIGHT}. Got True"),
    ("training.class_weights.phishing", "{benign: 1, phishing: '2', malware: 1}", f"{WEIGHT}. Got '2'"),
    ("training.class_weights.phishing", "{benign: 1, phishing: .inf, malware: 1}", f"{WEIGHT}. Got inf"),
    ("training.class_weights.phishing", "{benign: 1, phishing: .nan, malware: 1}", f"{WEIGHT}. Got nan"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG_VALUES)
def test_a_wrong_value_is_one_problem_with_its_full_name(config_problems, name, value, expected):
    section, key = name.split("[")[0].split(".")[:2]
    assert config_problems(f"{MINIMAL}{section}:\n  {key}: {value}\n") == [f"{name}: {expected}"]


def test_an_integer_that_no_float_can_hold_is_out_of_range(config_problems):
    (problem,) = config_problems(MINIMAL + "training: {learning_rate: 1" + "0" * 400 + "}\n")
    assert problem.startswith(f"training.learning_rate: {POSITIVE}. Got 1000")
    assert len(problem) < 200


KNOWN_IN_OUTPUT = "known here: output.directory, output.name, output.tensorboard, output.figures"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("model: {lstm_unit: 3}", "model.lstm_unit: unknown key; did you mean model.lstm_units?"),
        ("modle: {}", "modle: unknown key; did you mean model?"),
        ("output: {zzz: 1}", f"output.zzz: unknown key; {KNOWN_IN_OUTPUT}"),
        (
            "training: {patience: 3}",
            "training.patience: unknown key; did you mean training.early_stopping_patience?",
        ),
        (
            "training: {smoothing: 1}",
            "training.smoothing: unknown key; did you mean training.label_smoothing?",
        ),
        ("zzz: 1", "zzz: unknown key; known here: data, model, training, evaluation, output"),
        ("output: {3: 1}", f"output.3: unknown key; {KNOWN_IN_OUTPUT}"),
        ("model: 5", "model: must be a mapping of keys to values. Got 5 (int)"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_known_one(config_problems, line, expected):
    assert config_problems(f"{MINIMAL}{line}\n") == [expected]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "training: {dropout_rate: 0.1}",
            "training.dropout_rate: unknown key; did you mean model.dropout_rate?",
        ),
        ("model: {batch_size: 8}", "model.batch_size: unknown key; did you mean training.batch_size?"),
        ("model: {seed: 1}", "model.seed: unknown key; did you mean data.seed or training.seed?"),
        (
            "evaluation: {evidence: off}",
            "evaluation.evidence: unknown key; did you mean model.evidence_ngrams or "
            "model.evidence_buckets or model.evidence_folds or model.evidence_regularization?",
        ),
        ("epochs: 3", "epochs: unknown key; did you mean training.epochs?"),
        ("output: {format: csv}", "output.format: unknown key; did you mean data.sources[].format?"),
        ("training: {model: {}}", "training.model: unknown key; did you mean model?"),
        (
            "output: {learning_rates: 1}",
            "output.learning_rates: unknown key; did you mean training.learning_rate?",
        ),
        ("training.epochs: 3", "training.epochs: must stand as epochs in the section training"),
    ],
)
def test_a_key_in_the_wrong_section_is_answered_with_its_full_name(config_problems, line, expected):
    assert config_problems(f"{MINIMAL}{line}\n") == [expected]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("batch_size=3", "batch_size: unknown key; did you mean training.batch_size?"),
        (
            "use_mixed_precision=true",
            "use_mixed_precision: is a key of the earlier version; use training.precis",
        ),
        ("training={epochs: 3}", "training: must be a mapping of keys to values. Got '{epochs: 3}' (str)"),
        ("training=null", "training: must be a mapping of keys to values. Got 'null' (str)"),
        ("=3", "--set =3: must look like section.key=value"),
        ("training.=3", "--set training.=3: must look like section.key=value"),
    ],
)
def test_an_override_without_a_section_is_answered_like_the_same_key_in_the_file(
    config_problems, override, expected
):
    (problem,) = config_problems(MINIMAL, override)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("use_mixed_precision: true", "use_mixed_precision: {}; use training.precision"),
        ("output: {filters: 64}", "output.filters: {}; use model.conv_filters"),
        ("training: {use_mixed_precision: true}", "training.use_mixed_precision: {}; use training.precision"),
        ("model: {filters: 64}", "model.filters: {}; use model.conv_filters"),
        ("model: {max_length: 64}", "model.max_length: {}; use data.max_length"),
    ],
)
def test_a_key_of_the_keras_version_is_answered_with_what_replaced_it(config_problems, line, expected):
    (problem,) = config_problems(f"{MINIMAL}{line}\n")
    assert problem.startswith(expected.format("is a key of the earlier version"))


# ------------------------------------------------------------------ the file as a whole


def test_all_problems_come_in_one_message(config_problems):
    text = "data: {sources: [{label: benign}, 7], max_length: 5}\nmodel: {lstm_unit: 1}\n"
    found = config_problems(text, "training.epochs=0", "training.learning_rate=fast", "x=1")
    names = [problem.split(":")[0] for problem in found]
    assert names == [
        "x",
        "data.sources[0].path",
        "data.sources[1]",
        "data.max_length",
        "model.lstm_unit",
        "training.epochs",
        "training.learning_rate",
    ]


def test_contradictions_between_keys_come_in_one_message(config_problems):
    text = MINIMAL.replace("label: malware", "label: spam")
    classes = "data.classes=[benign, phishing, malware, phishing]"
    found = config_problems(text, classes, "evaluation.benign_class=good")
    assert found == [
        "data.classes: names a class twice: benign, phishing, malware, phishing",
        "data.sources[2].label: 'spam' is not in data.classes (benign, phishing, malware, phishing)",
        "data.classes: no source has the label malware, or only training_only ones have",
        "evaluation.benign_class: 'good' is not in data.classes",
    ]


def test_contradictions_stand_beside_the_other_problems(config_problems):
    text = MINIMAL.replace("label: malware", "label: spam") + "output: {name: a/b}\n"
    found = config_problems(text, "training.epochs=0", "training.paticnce=3", "evaluation.benign_class=good")
    assert [problem.split(":")[0] for problem in found] == [
        "training.paticnce",
        "training.epochs",
        "data.sources[2].label",
        "data.classes",
        "evaluation.benign_class",
        "output.name",
    ]


@pytest.mark.parametrize(
    "override",
    [
        "data=7",
        "data.classes=7",
        "data.classes=[benign, 3]",
        "data.sources=none",
        "data.sources=[7]",
        "data.sources=[{path: a, lable: spam}]",
    ],
)
def test_what_follows_from_another_problem_is_not_told(config_problems, override):
    found = config_problems(MINIMAL, override)
    assert found
    assert not [problem for problem in found if "no source has" in problem or "is not in" in problem], found


def test_a_misspelt_key_is_not_taken_for_one_that_is_left_out(config_problems):
    text = MINIMAL.replace("label: malware", "label: spam")
    assert config_problems(text, "data.clases=[benign, phishing, spam]") == [
        "data.clases: unknown key; did you mean data.classes?"
    ]


def test_a_repeated_key_is_an_error_in_every_depth(config_problems):
    inner, outer = "training:\n  epochs: 3\n  epochs: 5\n", "model: {}\nmodel: {}\n"
    assert config_problems(MINIMAL + inner) == ["line 8: the key 'epochs' stands twice in one section"]
    assert config_problems(MINIMAL + outer) == ["line 7: the key 'model' stands twice in one section"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data: [1, 2", "line 1, column 12: not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("a: &x [1]\nb:\n  <<: *x", "no merge keys"),
        ("? [1]\n: 2", "a key must be a word"),
        ("[" * 1000, "not valid YAML"),
        ("a: 1" + "0" * 5000, "not valid YAML"),
        ("a: 2024-99-99", "not valid YAML"),
        ("{a: 1}\n---\n{a: 2}", "not valid YAML"),
        ("a: &a {b: *a}", "not valid YAML"),
    ],
)
def test_what_is_no_plain_yaml_is_reported(config_problems, text, expected):
    (problem,) = config_problems(text)
    assert expected in problem


@pytest.mark.parametrize("text", ["", "# nothing\n", "null\n"])
def test_an_empty_file_lacks_the_sources_only(config_problems, text):
    assert config_problems(text) == ["data.sources: is missing"]


@pytest.mark.parametrize(("text", "kind"), [("[1]", "list"), ("word", "str"), ("3", "int")])
def test_a_file_that_is_no_mapping_says_so(config_problems, text, kind):
    (problem,) = config_problems(text)
    assert problem.startswith("must be a mapping of keys to values. Got ")
    assert problem.endswith(f"({kind})")


def test_a_long_or_shared_value_is_shown_short(config_problems):
    anchors = "".join(f"a{i}: &a{i} [{f'*a{i - 1}, *a{i - 1}' if i else 'x'}]\n" for i in range(60))
    found = config_problems(MINIMAL + anchors + "model: {dropout_rate: *a59}\n")  # written out: 2**60 items
    assert all(len(problem) < 300 for problem in found)
    assert found[-1].startswith("model.dropout_rate: must be a number")
    inside = ", ".join(f"&a{i} [{f'*a{i - 1}, *a{i - 1}' if i else 'x'}]" for i in range(60))
    weights = f"training: {{class_weights: {{benign: [{inside}], phishing: 1, malware: 1}}}}\n"
    (problem,) = config_problems(MINIMAL + weights)
    assert problem.startswith("training.class_weights.benign: must be a number > 0. Got [[")
    assert len(problem) < 300


def test_a_file_that_is_not_there_or_not_text_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml: no such configuration file$"):
        load_config(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read as a UTF-8 text file"):
        load_config(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: Grün".encode("latin-1"))
    with pytest.raises(ConfigError, match="cannot be read as a UTF-8 text file"):
        load_config(tmp_path / "latin.yaml")


def test_a_class_that_no_checkpoint_could_name_is_reported_before_the_training(config_problems):
    text = MINIMAL + '  classes: [benign, "b\\u202ead", phishing, malware]\n'
    assert "data.classes: holds what cannot be printed: 'b\\u202ead'" in config_problems(text)
