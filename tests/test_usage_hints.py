"""What a slip on the command line is answered with: a line that says how it is meant."""

import pytest

from tests.test_prediction_run import run


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("logs", "logs: is a folder: --input 'logs/*' --output FOLDER/ answers its files"),
        ("my logs/", "my logs: is a folder: --input 'my logs/*' --output FOLDER/ answers its files"),
        (
            "logs/*.txt",
            "logs/*.txt: no such file; a pattern goes with a folder for the answers: --output FOLDER/",
        ),
        ("log", "log: no such file"),
    ],
)
def test_a_folder_or_a_pattern_without_a_folder_for_the_answers_is_told_how(tmp_path, source, said):
    for name in ("logs", "my logs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("a.com\n")
    code, out, errors = run(tmp_path, "--input", source, "--output", "out.jsonl")
    assert (code, out, errors) == (1, b"", f"predict.py: {said}\n")
    if "--output FOLDER/" in said:  # what is said works
        pattern = said.partition("--input '")[2].partition("'")[0] or source
        assert run(tmp_path, "--input", pattern, "--output", "answers/")[0] == 0
        assert (tmp_path / "answers" / "part-00000.jsonl").read_text().count("\n") == 1


def test_an_output_that_was_meant_for_a_folder_is_told_of_the_slash(tmp_path):
    code, _, errors = run(tmp_path, "--input", ".", "--output", "out")
    assert (code, errors.endswith("; a folder's ends in /\n")) == (2, True)
