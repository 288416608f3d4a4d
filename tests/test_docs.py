"""The documents say what is so: links, paths, commands, configuration keys and snippets are tried here.

A fence with a second word is not run: "python keras" and "yaml keras" show the earlier version, which is not
installed here, "python sketch" shows the shape of a change.
"""

import argparse
import ast
import contextlib
import importlib
import importlib.util
import io
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pytest

from utils.config import REPLACED_KEYS, Config, load_config
from utils.errors import ConfigError

ROOT = Path(__file__).parent.parent
PATTERNS = ("*.md", "docs/*.md", "data/sample/*.md", "models/**/*.md", "benchmarks/*.md", "tests/**/*.md")
# A report that a program wrote names the files of the machine that it ran on.
REPORTS = set(ROOT.glob("models/pretrained/evaluation/**/*.md"))
DOCUMENTS = sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern)} - REPORTS)
CONVERSION, QUICKSTART, DESIGN = (
    ROOT / "docs" / name for name in ("PYTORCH_CONVERSION.md", "QUICKSTART.md", "DESIGN.md")
)
SHELLS = ("bash", "console", "powershell")
SECTIONS = {section.name: {key.name for key in fields(section.type)} for section in fields(Config)}
FOLDERS = ("data", "models", "utils", "tests", "docs", "benchmarks", r"\.ci")
NOT_IN_THE_REPOSITORY = ("data/zenodo",)  # the user's downloads
MAX_TEXT_BYTES = 2_000_000

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


class Fence(NamedTuple):
    """A fenced block: its language, the word after it, the first line's number and the text."""

    language: str
    kind: str
    line: int
    text: str


def split_document(path: Path) -> tuple[str, list[Fence]]:
    """Return a document's text without its fenced blocks, and the blocks."""
    prose: list[str] = []
    blocks: list[Fence] = []
    inside: list[str] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("```"):
            if inside is None:
                words = [*line.strip(" `").split(), "", ""]
                start, inside = number + 1, []
            else:
                blocks.append(Fence(words[0], words[1], start, "\n".join(inside) + "\n"))
                inside = None
        else:
            (prose if inside is None else inside).append(line)
    assert inside is None, f"{path.name}: a fence is not closed"
    return "\n".join(prose) + "\n", blocks


def code_spans(prose: str) -> list[str]:
    """Return what stands between single backticks; a bar in a table is escaped there."""
    return [span.replace("\\|", "|") for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose)]


# ---------------------------------------------------------------------- links and paths


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives a document's headings."""
    headings = re.findall(r"^#+ +(.+?)\s*$", split_document(path)[0], re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_every_relative_link_leads_somewhere(path):
    prose, _ = split_document(path)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(file), target


@every_document
def test_every_path_exists(path):
    """Also of the file trees, and of tests by name: `tests/file.py::test_name`."""
    text = path.read_text(encoding="utf-8")
    for name in re.findall(rf"(?<![\w./-])((?:{'|'.join(FOLDERS)})/(?:[\w./*-]*[\w*])?)", text):
        if not name.startswith(NOT_IN_THE_REPOSITORY):
            assert list(ROOT.glob(name)), name
    known = {file.name for folder in ("", *FOLDERS) for file in (ROOT / folder.lstrip("\\")).glob("**/*.py")}
    assert set(re.findall(r"(?<![\w/.*-])([\w-]+\.py)\b", text)) <= known
    made = set(re.findall(r"> (\S+)", text))  # by a command of the document
    for name in set(re.findall(r"\b(?:requirements[\w-]*\.txt|\w+\.toml)\b", text)) - made:
        assert (ROOT / name).exists(), name
    for file, name in re.findall(r"(tests/\w+\.py)::([\w:]+)", text):
        for part in name.split("::"):
            assert re.search(rf"^ *(?:def|class) {part}\b", (ROOT / file).read_text(), re.MULTILINE), name


# ---------------------------------------------------------------------- commands


def python_commands(path: Path) -> Iterator[list[str]]:
    """Yield the arguments of each `python …` in a document's shell blocks and code spans."""
    prose, blocks = split_document(path)
    shell = "".join(block.text for block in blocks if block.language in SHELLS)
    lines = shell.replace("\\\n", " ").splitlines()
    for line in [*lines, *code_spans(prose)]:
        if not re.search(r"\bpython[\d.]* ", line):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word.strip("|&;<>()"):
                words.append(word)
                continue
            start = [i for i, w in enumerate(words) if re.fullmatch(r"(?:\S*/)?python[\d.]*", w)]
            if start and words[start[0] + 1 :]:
                yield words[start[0] + 1 :]
            words = []


@every_document
def test_every_command_line_is_accepted(path):
    for script, *arguments in python_commands(path):
        if script == "-c":
            ast.parse(arguments[0])
        elif script.endswith(".py"):
            check_script(ROOT / script, arguments)
        elif script != "-m":
            assert script == "--version", script
        elif (ROOT / f"{arguments[0].replace('.', '/')}.py").exists():
            check_script(ROOT / f"{arguments[0].replace('.', '/')}.py", arguments[1:])
        else:
            assert importlib.util.find_spec(arguments[0]) is not None, arguments


def check_script(script: Path, arguments: list[str]) -> None:
    """Check the options of a script of ours; for those at the top, that the command line is a good one."""
    nodes = list(ast.walk(ast.parse(script.read_text())))
    known = {"--help", *(n.value for n in nodes if isinstance(n, ast.Constant))}
    for call in nodes:  # benchmarks.measuring.make_parser: --output, and an option for each keyword
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "make_parser":
            known |= {"--output", *(f"--{keyword.arg}" for keyword in call.keywords)}
    for word in arguments:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, (script.name, word)
    if script.parent != ROOT or {"-h", "--help"} & set(arguments):
        return
    with contextlib.redirect_stderr(io.StringIO()) as message:
        try:
            options = importlib.import_module(script.stem).parse_arguments(arguments)
        except SystemExit:
            pytest.fail(f"{script.name} {shlex.join(arguments)}: {message.getvalue()}")
    check_overrides(options)


def check_overrides(options: argparse.Namespace) -> None:
    """Check `--set` against the configuration file of the same command where it is one of ours."""
    config = getattr(options, "config", None)
    if config is not None and (ROOT / config).exists():
        load_config(ROOT / config, options.set)


# ---------------------------------------------------------------------- configuration keys


@every_document
def test_every_configuration_key_exists(path):
    modules = {f"data.{file.stem}" for file in (ROOT / "data").glob("*.py")} | {"data.sample"}
    prose, _ = split_document(path)
    for span in code_spans(prose):
        match = re.fullmatch(rf"({'|'.join(SECTIONS)})\.([a-z]\w*)(?:\s?[=:].*)?", span)
        if match and span not in modules and match[2] not in ("pt", "h5", "keras"):
            assert match[2] in SECTIONS[match[1]] or span in REPLACED_KEYS, span


@every_document
def test_every_configuration_example_loads(path, tmp_path):
    for block in split_document(path)[1]:
        if block.language == "yaml" and block.kind != "keras":
            (tmp_path / "example.yaml").write_text(block.text, encoding="utf-8")
            load_config(tmp_path / "example.yaml")


def test_the_answer_to_an_old_configuration_is_the_one_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = split_document(CONVERSION)[1]
    place = next(i for i, block in enumerate(blocks) if (block.language, block.kind) == ("yaml", "keras"))
    Path("old.yaml").write_text(blocks[place].text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(Path("old.yaml"))
    assert blocks[place + 1].text == f"train.py: {caught.value}\n"


def test_every_replaced_key_is_in_the_table():
    text = CONVERSION.read_text(encoding="utf-8")
    missing = [key for key in REPLACED_KEYS if f"| `{key}` |" not in text]
    assert not missing


# ---------------------------------------------------------------------- snippets


@every_document
def test_every_python_snippet_is_python(path):
    for block in split_document(path)[1]:
        if block.language == "python":
            ast.parse(block.text, f"{path.name}, line {block.line}")


@pytest.mark.parametrize("path", [CONVERSION, QUICKSTART], ids=lambda path: path.name)
def test_the_snippets_run_one_after_the_other(path, tiny_checkpoint, tmp_path, monkeypatch, capsys):
    """In a folder that has what the text before them makes: sample, run, predictions, a labelled CSV file."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "config_test.yaml", tmp_path)
    shutil.copytree(ROOT / "data" / "sample", tmp_path / "data" / "sample")
    Path("runs/latest").mkdir(parents=True)
    shutil.copy(tiny_checkpoint, "runs/latest/best.pt")
    row = {"normalized": "evil.example", "label": "malware", "error": None, "probabilities": {"benign": 0.0}}
    row["decision"] = "block"
    bad_row = {"normalized": None, "label": None, "error": "no name", "decision": None}
    Path("predictions.json").write_text(json.dumps([row, bad_row]), encoding="utf-8")
    Path("labelled.csv").write_text("domain,label\na.example,good\nb.example,bad\nc.example,good\n")
    blocks = [b for b in split_document(path)[1] if b.language == "python" and not b.kind]
    assert blocks
    names: dict = {}
    for block in blocks:
        # Line numbers of a traceback are those of the document.
        exec(compile("\n" * (block.line - 1) + block.text, str(path), "exec"), names)
    if path == QUICKSTART:
        assert capsys.readouterr().out == "evil.example malware\n"
        assert Path("mine/good.txt").read_text() == "a.example\nc.example\n"


def test_the_snippet_that_divides_a_labelled_file_refuses_a_row_without_a_known_label(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = [b for b in split_document(QUICKSTART)[1] if "csv.DictReader" in b.text]
    for label in ("", "goood"):
        Path("labelled.csv").write_text(f"domain,label\na.example,good\nb.example,{label}\n")
        with pytest.raises(SystemExit, match=f"row 2: no such label: '{label}'"):
            exec(compile(block.text, str(QUICKSTART), "exec"), {})


# ---------------------------------------------------------------------- tables


@every_document
def test_every_row_of_a_table_has_as_many_cells_as_its_header(path):
    tables: list[list[str]] = [[]]
    for line in split_document(path)[0].splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    for header, *rows in filter(None, tables):
        for row in rows:
            assert number_of_cells(row) == number_of_cells(header), row


def number_of_cells(row: str) -> int:
    """Count the cells of a line of a table; an escaped bar ends none."""
    return len(re.findall(r"(?<!\\)\|", row.rstrip())) - 1


# ---------------------------------------------------------------------- the design


def test_the_module_map_is_whole():
    text = DESIGN.read_text(encoding="utf-8")
    files = [file for folder in ("data", "models", "utils") for file in ROOT.glob(f"{folder}/*.py")]
    files += ROOT.glob("*.py")
    names = [str(file.relative_to(ROOT)) for file in files if file.name != "__init__.py"]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_entry_of_a_checkpoint_is_in_the_table(good_content):
    from models.checkpoint import FORMAT, FORMAT_VERSION

    text = DESIGN.read_text(encoding="utf-8")
    assert f"| `format` | str | `{FORMAT}` |" in text
    assert f"| `format_version` | int | {FORMAT_VERSION} |" in text
    _, _, table = text.partition("### Checkpoint, format version")
    entries = re.findall(r"^\| `(\w+)` \|", table.partition("\n### ")[0], re.MULTILINE)
    assert sorted(entries) == sorted([*good_content, "trainer_state"])


# ---------------------------------------------------------------------- what must not be in a file


def text_files() -> list[Path]:
    """Return every tracked file but the lists of names, which are data."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [ROOT / name for name in listed.decode().split("\0") if name]
    lists = {*ROOT.glob("data/sample/*.json"), *ROOT.glob("tests/data/*.txt")}
    return [file for file in files if file.is_file() and file not in lists]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git here to tell which files are ours")
def test_no_file_names_a_package_registry_or_a_folder_of_one_machine():
    hosts = [("py" "pi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("deb", "debian", "org"),
             ("download", "pytorch", "org"), ("anaconda", "org")]  # fmt: skip
    registry = "|".join(re.escape(".".join(labels)) for labels in hosts)
    folder = rf"(?<![\w./-])/(?:{'|'.join(('work', 'tmp', 'root', 'home', 'Users'))})/"
    forbidden = re.compile(f"{registry}|{folder}".encode())
    for file in text_files():
        content = file.read_bytes()[:MAX_TEXT_BYTES]
        match = None if b"\0" in content else forbidden.search(content)
        assert match is None, f"{file.relative_to(ROOT)}: {match[0].decode()}"
