"""Who may import whom (docs/DESIGN.md), read from the source, and what the scripts load when they run."""

import ast
import json
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
FOLDERS = ("data", "models", "utils")
FOUNDATION = {"utils.errors", "utils.files", "utils.terminal_text", "utils.waiting_threads"}
FOUNDATION_ARROWS = {
    ("utils.files", "utils.errors"),
    ("utils.errors", "utils.terminal_text"),
    ("utils.errors", "utils.waiting_threads"),
}
# The scripts, and the steps of those that outgrew one file: these may import everything but a script.
SCRIPTS = {path.stem for path in PROJECT.glob("*.py")}
WIRING = SCRIPTS | {
    "models.training_run",
    "models.scoring",
    "models.answering",
    "models.prediction_parts",
    "models.model_choice",
    "models.reasons",
    "models.prediction_run",
    "models.prompt_session",
}

# Third-party package → who may import it. A package that is not here may be imported by nobody.
OWNERS = {
    "torch": r"models\..*",
    "torch.utils.tensorboard": r"models\.training_log",
    "matplotlib": r"utils\.(visualization|curve_figures|figure_style)",
    "sklearn": r"utils\.(baseline|shortcut_audit)|models\.evidence_fit",
    "scipy": r"utils\.baseline|models\.evidence_fit",
    "numpy": r".*",
    "tqdm": r"models\.training_bar|data\.progress_bars",
    "yaml": r"utils\.(config_parsing|run_folder)",
    "msgspec": r"data\..*|utils\.prediction(_formats|_csv)?",
    "ijson": r"data\.(json_reader|whole_json_reader|json_keys)",
    "orjson": r"data\.json_keys",
    "simdjson": r"data\.fast_json",
    "zstandard": r"data\.decompression",
    "idna": r"data\.domain_name",
    "onnxruntime": r"models\.onnx_classifier",
    "onnx": r"models\.exporting",
    "onnxscript": r"models\.exporting",
    "publicsuffixlist": r"data\.public_suffix",
    "confusable_homoglyphs": r"data\.look_alikes",
}
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
    "simdjson": "pysimdjson",
    "confusable_homoglyphs": "confusable-homoglyphs",
}


def find_modules():
    """Return module name → syntax tree of everything in the project but tests and benchmarks."""
    paths = [
        *PROJECT.glob("*.py"),
        *(path for folder in FOLDERS for path in (PROJECT / folder).rglob("*.py")),
    ]
    modules = {}
    for path in paths:
        name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        modules[name] = ast.parse(path.read_text(encoding="utf-8"))
    return modules


MODULES = find_modules()


def imports_of(tree, *, top_level=False):
    """Return the names that a module imports, in functions and under TYPE_CHECKING too unless `top_level`."""
    found = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in inner if name in MODULES} or {node.module}
    return found


def is_ours(name):
    return name in MODULES or name.split(".")[0] in FOLDERS


def is_allowed(importer, imported):
    """Tell whether an arrow between two of our modules is one that the design draws."""
    if imported in SCRIPTS:
        return False
    if importer in FOUNDATION:
        return (importer, imported) in FOUNDATION_ARROWS
    if importer in WIRING or imported in FOUNDATION:
        return True
    if imported in WIRING:
        return False
    layer, target = importer.split(".")[0], imported.split(".")[0]
    if layer == "models":
        return target == "models" or imported in (
            "data.feature_engineering",
            "utils.calibration",
            "utils.config",
            "utils.processes",
        )
    if layer == "data":
        return target == "data" or imported in (
            "utils.config",
            "utils.row_batches",
            "utils.signals",
            "utils.worker_processes",
        )
    return target == "utils"


# ------------------------------------------------------------------ the source


@pytest.mark.parametrize("importer", MODULES)
def test_every_arrow_is_one_of_the_design(importer):
    ours = {name for name in imports_of(MODULES[importer]) if is_ours(name)}
    assert not {name for name in ours if not is_allowed(importer, name)}
    assert not ours - MODULES.keys(), "what is imported exists"


@pytest.mark.parametrize("importer", MODULES)
def test_every_package_is_imported_by_its_owners_only(importer):
    for name in imports_of(MODULES[importer]):
        root = name.split(".")[0]
        if is_ours(name) or root in sys.stdlib_module_names:
            continue
        assert root in OWNERS, f"{importer} imports {name}"
        allowed = OWNERS.get(name, OWNERS[root])
        is_script = importer in SCRIPTS and root == "torch"
        assert is_script or re.fullmatch(allowed, importer), f"{importer} imports {name}"


def test_every_imported_package_is_a_pinned_requirement():
    files = ("requirements.txt", "requirements-onnx.txt")
    text = "".join((PROJECT / name).read_text(encoding="utf-8") for name in files)
    pinned = set(re.findall(r"^([A-Za-z0-9_-]+)==", text, re.MULTILINE))
    used = {name.split(".")[0] for tree in MODULES.values() for name in imports_of(tree)} & OWNERS.keys()
    assert {DISTRIBUTIONS.get(name, name) for name in used} <= pinned


def test_no_module_imports_itself_in_a_circle():
    graph = {
        importer: {name for name in imports_of(tree, top_level=True) if name in MODULES}
        for importer, tree in MODULES.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_rules_refuse_what_they_should():
    """Were `is_allowed` always true, the tests above would pass empty."""
    refused = [
        ("data.split", "models.batching"),
        ("data.split", "utils.evaluation"),
        ("models.classifier", "data.preprocessor"),
        ("models.classifier", "utils.run_report"),
        ("models.classifier", "models.training_run"),
        ("utils.evaluation", "data.split"),
        ("utils.config", "models.device"),
        ("utils.errors", "utils.config"),
        ("models.training_run", "train"),
        ("evaluate", "predict"),
    ]
    assert not [pair for pair in refused if is_allowed(*pair)]


# ------------------------------------------------------------------ what is loaded

NEVER_IN_PREDICTION = {
    "sklearn",
    "scipy",
    "matplotlib",
    "tensorboard",
    "models.model_trainer",
    "models.training_run",
    "models.training_log",
    "torch._dynamo",  # the compiler of PyTorch: a second
}
# Runs scripts with arguments, and prints for each its exit code and the modules loaded by then.
PROGRAM = """
import contextlib, importlib, io, json, sys
results = []
for script, arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            code = importlib.import_module(script).main(arguments)
        except SystemExit as stop:
            code = stop.code
    results.append([code, errors.getvalue(), sorted(sys.modules)])
print(json.dumps(results))
"""


def run_scripts(*commands, folder):
    """Return (exit code, stderr, loaded modules) after each (script, arguments), in one fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        cwd=folder,
        env={"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "PATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [(code, errors, set(modules)) for code, errors, modules in json.loads(done.stdout)]


def test_help_and_usage_errors_do_not_wait_for_torch(tmp_path):
    (tmp_path / "wrong.yaml").write_text("modle: {}\n", encoding="utf-8")
    (tmp_path / "names.txt").write_text("a.com\n", encoding="utf-8")
    commands = [
        *((script, ["--help"]) for script in sorted(SCRIPTS)),
        *((script, ["--nonsense"]) for script in sorted(SCRIPTS)),
        ("train", []),
        ("train", ["--config", "absent.yaml"]),
        ("train", ["--config", "wrong.yaml"]),
        ("train", ["--config", str(PROJECT / "config_test.yaml"), "--set", "training.epochs=0"]),
        ("train", ["--resume", "absent"]),
        ("train", ["--resume", "auto", "--dry-run"]),
        ("train", ["--resume", "auto"]),
        ("predict", ["--input", "absent.json"]),
        ("predict", ["--input", "names.txt", "--output", "out.txt"]),
        ("predict", ["--input", "names.txt", "--batch-size", "0"]),
    ]
    for (script, arguments), (code, errors, loaded) in zip(
        commands, run_scripts(*commands, folder=tmp_path), strict=True
    ):
        slow = {"torch", "numpy"} if arguments in (["--help"], ["--nonsense"]) else {"torch"}
        assert not slow & loaded, f"{script} {arguments}"
        assert code in ((0,) if "--help" in arguments else (1, 2)), f"{script} {arguments}: {errors}"
        assert "Traceback" not in errors


@pytest.mark.slow
def test_a_prediction_loads_nothing_that_only_training_needs(tiny_checkpoint, tmp_path):
    (tmp_path / "names.json").write_text('["amberbasin7.com", {"domain_name": "no-dot"}]', encoding="utf-8")
    arguments = ["--checkpoint", str(tiny_checkpoint), "--device", "cpu", "--input", "names.json"]
    commands = [("predict", [*arguments, "--output", "out.csv"])]
    ((code, errors, loaded),) = run_scripts(*commands, folder=tmp_path)
    assert code == 0, errors
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").count("\n") == 3
    assert {"torch", "models.classifier"} <= loaded, "the run was a real one"
    assert not NEVER_IN_PREDICTION & loaded
