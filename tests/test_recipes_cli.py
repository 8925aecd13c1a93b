"""Launchers: arguments, how they end, and the commands of python -m recipes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recipe_files import write_recipe

from recipes import keys
from recipes.__main__ import main
from recipes.cli import open_launch, run_main, stage_parser
from recipes.console import say, show
from recipes.errors import BudgetError, RecipeError, RunError

ROOT = Path(__file__).parent.parent


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )


def ended(function) -> int:
    with pytest.raises(SystemExit) as caught:
        run_main(function)
    return caught.value.code


def raising(error: BaseException):
    def run(argv: list[str] | None) -> int:
        raise error

    return run


def test_a_launch_and_the_arguments_that_make_the_same_one(tmp_path):
    path = str(write_recipe(tmp_path))
    given = [path, "--set", "source.train=5", "--set", "about=x y", "--run", str(tmp_path / "out"), "--yes"]
    launch = open_launch(stage_parser("synth", "x").parse_args(given))
    assert (launch.recipe.source.train, launch.recipe.about, launch.yes) == (5, "x y", True)
    assert launch.run.path == tmp_path / "out"
    assert launch.arguments == given
    again = open_launch(stage_parser("eval", "x").parse_args(launch.arguments))
    assert (again.recipe, again.run.path, again.arguments) == (launch.recipe, launch.run.path, given)


def test_what_is_said_cannot_steer_the_terminal(capsys):
    say("\x1b[2Jgone\r\n\tkept \x9b1m")
    show("\x07")
    assert capsys.readouterr() == ("\ufffd\n", "\ufffd[2Jgone\ufffd\n\tkept \ufffd1m\n")


def test_the_run_folder_is_named_after_the_recipe(tmp_path, monkeypatch):
    launch = open_launch(stage_parser("synth", "x").parse_args([str(write_recipe(tmp_path))]))
    assert launch.run.path == Path("runs") / "small"
    assert launch.arguments == [str(tmp_path / "r.yaml")]
    with pytest.raises(RunError, match="is a file"):
        open_launch(
            stage_parser("synth", "x").parse_args([str(tmp_path / "r.yaml"), "--run", str(tmp_path / "r.yaml")])
        )


def test_two_recipes_of_one_name_do_not_share_a_run_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def launch(name: str, *more: str):
        return open_launch(stage_parser("synth", "x").parse_args([name, *more]))

    write_recipe(tmp_path)
    launch("r.yaml")  # who looks leaves no trace
    assert not Path("runs").exists()
    first = launch("r.yaml")
    with first.run.lock():
        noted = first.run.manifest_path("recipe").read_bytes()
    with launch("r.yaml").run.lock():
        assert first.run.manifest_path("recipe").read_bytes() == noted
    Path("copy.yaml").write_text(Path("r.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    launch("copy.yaml", "--set", "students.tiny.epochs=1")  # of the same rows
    launch("r.yaml", "--set", "source.train=12")  # the same file, changed
    with pytest.raises(RunError) as refused:
        launch("copy.yaml", "--set", "source.train=12")
    assert str(refused.value).startswith(
        f"{Path('runs') / 'small'} is the run folder of {tmp_path / 'r.yaml'}, and {tmp_path / 'copy.yaml'} has the "
        "same name, small, with another source or task: change the name in one of them, or "
    )
    with pytest.raises(RunError, match="is the run folder of"):
        main(["plan", "copy.yaml", "--set", "source.train=12"])
    launch("copy.yaml", "--set", "source.train=12", "--run", "runs/small")  # as asked for
    Path("r.yaml").rename("renamed.yaml")
    launch("renamed.yaml", "--set", "source.train=12")
    (tmp_path / "other").mkdir()
    write_recipe(tmp_path / "other")  # another folder's file of the same name, with its own rows
    Path("renamed.yaml").rename("r.yaml")
    with pytest.raises(RunError, match="is the run folder of"):
        launch("other/r.yaml")


ENDS = [
    (RecipeError(["r.yaml:1: one", "r.yaml:2: two"]), 2, "r.yaml:1: one\nr.yaml:2: two\n"),
    (BudgetError("the budget is spent"), 1, "the budget is spent\n"),
    (KeyboardInterrupt(), 130, "stopped\n"),
    (OSError(errno.ENOSPC, "No space left on device", "rows/train.jsonl"), 1,
     "rows/train.jsonl: the disk is full: make room and run the same command again; nothing written so far is lost\n"),
    (PermissionError(errno.EACCES, "Permission denied", "x"), 1, "x: Permission denied\n"),
    (OSError("could not connect"), 1, "could not connect\n"),
    (ModuleNotFoundError("No module named 'pydantic.x'", name="pydantic.x"), 1,
     "the Python package pydantic is not installed here: `pip install -e .` installs all that is needed\n"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "code", "said"), ENDS, ids=[type(error).__name__ for error, _, _ in ENDS])
def test_mistakes_end_with_their_code_and_a_sentence(capsys, error, code, said):
    assert ended(raising(error)) == code
    assert capsys.readouterr() == ("", said)


def test_a_good_end_is_0_and_another_code_is_kept():
    assert ended(lambda argv: None) == 0
    assert ended(lambda argv: 3) == 3


def test_our_own_bug_shows_its_traceback_without_keys(capsys, monkeypatch):
    monkeypatch.setenv("MY_KEY", "canary-key-12345")
    keys.read_key("MY_KEY")
    assert ended(raising(ValueError("bad canary-key-12345"))) == 70
    said = capsys.readouterr().err
    assert "Traceback" in said and "ValueError: bad [key]" in said and "our fault" in said
    assert ended(raising(ModuleNotFoundError("No module named 'synth.gone'", name="synth.gone"))) == 70


def test_a_traceback_on_request_only(capsys, monkeypatch):
    monkeypatch.setenv("TUTELAGE_DEBUG", "1")
    assert ended(raising(RunError("no"))) == 1
    assert "Traceback" in capsys.readouterr().err


def test_check_says_ok_for_each_good_file_and_all_mistakes_of_the_others(tmp_path, capsys):
    good = str(write_recipe(tmp_path))
    (tmp_path / "bad.yaml").write_text("name: x\ntask: classify\n", encoding="utf-8")
    assert main(["check", good]) == 0
    assert capsys.readouterr().out == f"{good}: ok\n"
    with pytest.raises(RecipeError) as caught:
        main(["check", str(tmp_path / "bad.yaml"), good, str(tmp_path / "none.yaml")])
    assert capsys.readouterr().out == f"{good}: ok\n"
    assert len(caught.value.mistakes) == 6
    assert main(["check", good, "--set", "source.train=3"]) == 0


def test_check_expands_patterns_itself(tmp_path, capsys):
    good = write_recipe(tmp_path)
    assert main(["check", str(tmp_path / "*.yaml")]) == 0
    assert capsys.readouterr().out == f"{good}: ok\n"


def test_list_shows_the_shipped_recipes(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for path in (ROOT / "recipes").glob("*.yaml"):
        assert f"{path.stem}\n" in out and str(path) in out
    assert "students  minilm (minilm)" in out
    assert {"    task      description", "    teacher   nobody is asked"} < set(out.splitlines())
    assert "    task      classify: negative, neutral, positive" in out


def test_plan_prints_to_stdout(tmp_path, capsys):
    assert (
        main(["plan", str(write_recipe(tmp_path)), "--run", str(tmp_path / "run"), "--set", "synthesis.votes=2"]) == 0
    )
    assert "60, 2 votes a row" in capsys.readouterr().out


def test_a_mistake_on_the_command_line_is_no_traceback(tmp_path):
    (tmp_path / "r.yaml").write_text("name: no\n", encoding="utf-8")
    done = python("-m", "recipes", "check", "r.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "r.yaml:1: name: YAML reads no as false: write 'no' in quotes\nr.yaml:1: task: is missing\n"
    )
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    program = "from recipes.cli import run_main; from recipes.console import show\n"
    program += "def main(argv):\n    for n in range(100000): show('x' * 100)\n    return 0\nrun_main(main)"
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_check_and_help_are_light():
    for arguments in (["--help"], ["check", "recipes/[!f]*.yaml"]):
        done = python("-X", "importtime", "-m", "recipes", *arguments)
        assert done.returncode == 0
        heavy = {"torch", "numpy", "pyarrow", "rich", "aiohttp", "asyncio", "datasets", "transformers", "packaging"}
        heavy |= {"huggingface_hub", "json_repair"}
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert not heavy & imported
