"""False alarms: the shipped model on public lists of harmless names, and what those lists must be.

The lists are tests/data/*.txt; tests/data/README.md says where they come from.
"""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from data.domain_name import normalize_domain
from models.classifier import DomainClassifier
from tests.toy_domains import toy_domains
from utils.decision import DEFAULT_MAX_FPR
from utils.detection import malicious_scores

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
INFRASTRUCTURE = DATA / "infrastructure_names.txt"
WELL_KNOWN = DATA / "well_known_sites.txt"
LISTS = (INFRASTRUCTURE, WELL_KNOWN)
SHIPPED_MODEL = ROOT / "models" / "pretrained" / "default.pt"
# What predict.py blocks by where nobody asks for anything else.
DEFAULT_DECISION = DEFAULT_MAX_FPR

every_list = pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)


def read_list(path):
    """Return (kind, name) for each name of a list, in its order."""
    kind, rows = None, []
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("# kind: "):
            kind = line.removeprefix("# kind: ")
        elif line and not line.startswith("#"):
            rows.append((kind, line))
    return rows


def names_of(path):
    """Return the names of a list, in its order."""
    return [name for _, name in read_list(path)]


def kinds_of(path):
    """Return how many names of a list each kind has."""
    return Counter(kind for kind, _ in read_list(path))


def alarms(classifier, names):
    """Return (score, name) where the score reaches the default decision's threshold, the worst first."""
    checkpoint = classifier.checkpoint
    threshold = checkpoint.thresholds.get(DEFAULT_DECISION)
    assert threshold is not None, f"the checkpoint has no threshold for a rate of {DEFAULT_DECISION}"
    benign_index = checkpoint.classes.index(checkpoint.benign_class)
    scores = malicious_scores(classifier.classify(names), benign_index)
    return sorted(((s, n) for s, n in zip(scores, names, strict=True) if s >= threshold), reverse=True)


def explain(flagged, rows):
    """Return the message of a failure: the rate, the flagged names with score and kind."""
    kind_of = {name: kind for kind, name in rows}
    lines = [f"  {score:.4f}  {name}  ({kind_of[name]})" for score, name in flagged]
    return "\n".join([f"{len(flagged)} of {len(rows)} flagged ({len(flagged) / len(rows):.1%}):", *lines])


# --- the lists ---------------------------------------------------------------------------------------------


@every_list
def test_names_are_normalised_distinct_and_of_a_kind(path):
    rows = read_list(path)
    assert [name for _, name in rows if normalize_domain(name) != name] == []
    assert [name for name, count in Counter(name for _, name in rows).items() if count > 1] == []
    assert [name for kind, name in rows if not kind] == []


def test_infrastructure_is_many_names_of_many_kinds_and_none_outweighs_the_others():
    kinds = kinds_of(INFRASTRUCTURE)
    assert kinds.total() >= 350
    assert len(kinds) >= 12
    assert min(kinds.values()) >= 20
    assert max(kinds.values()) <= 0.1 * kinds.total()


def test_well_known_sites_are_500_of_the_whole_world():
    names = names_of(WELL_KNOWN)
    assert len(names) == 500
    top_level_domains = Counter(name.rpartition(".")[2] for name in names)
    assert len(top_level_domains) >= 50
    assert top_level_domains["com"] < 250
    assert sum(any(c.isdigit() or c == "-" for c in name) for name in names) >= 40


@every_list
def test_names_are_not_in_the_embedded_sample(path):
    """The sample is what people train on first: a name in it would measure memory."""
    sample = {
        record["domain_name"]
        for part in ("benign", "phishing", "malware", "unlabelled")
        for record in json.loads((ROOT / "data" / "sample" / f"{part}.json").read_text("utf-8"))
    }
    assert len(sample) > 6_000
    assert sample & set(names_of(path)) == set()


def test_no_name_is_in_both_lists():
    assert set(names_of(INFRASTRUCTURE)) & set(names_of(WELL_KNOWN)) == set()


@every_list
def test_the_readme_counts_the_names_of_each_kind(path):
    section = (DATA / "README.md").read_text("utf-8").partition(f"## {path.name}")[2].partition("\n## ")[0]
    table = section.partition("| kind | names |")[2]
    stated = {kind: int(count) for kind, count in re.findall(r"^\| ([^|]+) \| (\d+) \|$", table, re.M)}
    assert stated == dict(kinds_of(path))


# --- the measure -------------------------------------------------------------------------------------------


def test_an_alarm_is_a_score_that_reaches_the_threshold(tiny_checkpoint):
    """On a model that has learned made-up classes: malicious ones raise alarms, benign ones do not."""
    classifier = DomainClassifier.load(tiny_checkpoint)
    names, labels = toy_domains(150, seed=9)
    flagged = {name for _, name in alarms(classifier, names)}
    assert sum(name in flagged for name, label in zip(names, labels, strict=True) if label) >= 90
    assert sum(name in flagged for name, label in zip(names, labels, strict=True) if not label) <= 2

    scores = malicious_scores(classifier.classify(names), 0)
    classifier.checkpoint.thresholds = {DEFAULT_DECISION: float(scores[7])}
    flagged = alarms(classifier, names)
    assert flagged[-1] == (scores[7], names[7]), "a score at the threshold is an alarm, a lower one is not"
    assert [score for score, _ in flagged] == sorted(scores[scores >= scores[7]], reverse=True)


def test_a_checkpoint_without_the_threshold_is_no_checkpoint_without_alarms(tiny_checkpoint):
    classifier = DomainClassifier.load(tiny_checkpoint)
    classifier.checkpoint.thresholds = {DEFAULT_DECISION: None}
    with pytest.raises(AssertionError, match=r"no threshold for a rate of 0\.001"):
        alarms(classifier, ["example.com"])


def test_a_failure_names_the_flagged_names_with_score_and_kind():
    message = explain([(0.98765, "a.example.com")], [("mail", "a.example.com"), ("mail", "b.example.com")])
    assert message == "1 of 2 flagged (50.0%):\n  0.9877  a.example.com  (mail)"


# --- the shipped model -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped():
    if not SHIPPED_MODEL.is_file():
        pytest.skip(f"no shipped model yet: {SHIPPED_MODEL.relative_to(ROOT)} does not exist")
    return DomainClassifier.load(SHIPPED_MODEL)


@pytest.mark.parametrize(
    ("path", "limit"),
    [(INFRASTRUCTURE, 0.03), (WELL_KNOWN, 0.01)],
    ids=["infrastructure", "well-known sites"],
)
def test_the_shipped_model_raises_few_false_alarms(shipped, path, limit):
    rows = read_list(path)
    flagged = alarms(shipped, [name for _, name in rows])
    assert len(flagged) < limit * len(rows), explain(flagged, rows)


def test_the_shipped_model_is_not_silent(shipped):
    """Few false alarms are easy for a model that never raises one: malicious names must still do."""
    sample = ROOT / "data" / "sample"
    names = [
        record["domain_name"]
        for part in ("phishing", "malware")
        for record in json.loads((sample / f"{part}.json").read_text("utf-8"))
    ]
    assert len(alarms(shipped, names)) > 0.2 * len(names)
