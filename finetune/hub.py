"""Publish a student: its best seed's folder goes to a repository on the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterable

from finetune.causal_record import read_any_record
from recipes.console import say
from recipes.errors import TrainingError
from recipes.keys import read_key, redact
from recipes.runs import RunFolder, digest, file_digest
from recipes.schema import Recipe
from recipes.stages import student_inputs


def check_push(recipe: Recipe, names: Iterable[str], run: RunFolder) -> None:
    """Find before anything is paid for what a push would fail by. Raises TrainingError: no token."""
    for name in names:
        repository = recipe.students[name].push_to_hub
        pushed = run.manifest(f"push-{name}") is not None
        if repository is None or (pushed and not run.why_stale(f"student-{name}", student_inputs(recipe, name, run))):
            continue
        _token(name)


def push_students(recipe: Recipe, names: Iterable[str], run: RunFolder) -> None:
    """Push what the recipe says is to be pushed; one that fails holds up no other. Raises TrainingError at the end."""
    failed = []
    for name in names:
        try:
            push_student(recipe, name, run)
        except TrainingError as error:
            failed.append(str(error))
    if failed:
        raise TrainingError("\n".join(failed))


def push_student(recipe: Recipe, name: str, run: RunFolder) -> None:
    """Upload the best seed to `push_to_hub` (a new repository is private), once for each training and each card.

    Does nothing where the recipe names no repository. Raises TrainingError where there is no token or the Hub refuses.
    """
    repository = recipe.students[name].push_to_hub
    if repository is None:
        return
    folder = run.student(name, read_any_record(run, name).best_seed)
    stage = f"push-{name}"
    inputs = {
        "repository": digest(repository),
        "student": file_digest(run.student(name) / "student.json"),
        "card": file_digest(folder / "README.md"),
    }
    if not run.why_stale(stage, inputs):
        return
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    api = HfApi(token=_token(name))
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=f"{recipe.name}: {name}",
            ignore_patterns=["*.partial", "training.json", "base.json"],
        )  # fmt: skip
    except (httpx.HTTPError, OfflineModeIsEnabled, OSError, ValueError) as error:
        first = redact(str(error).strip().split("\n")[0])
        raise TrainingError(
            f"students.{name}: cannot push to {repository} ({first}); the student lies in {folder}: run again to retry"
        ) from None
    run.finish(stage, inputs, [], {"address": str(done)})
    say(f"student {name}: pushed to https://huggingface.co/{repository}")


def _token(name: str) -> str:
    """HF_TOKEN, else that of `hf auth login`."""
    from huggingface_hub import get_token

    token = read_key("HF_TOKEN") or get_token()
    if token is None:
        raise TrainingError(
            f"students.{name}: push_to_hub needs a token: set HF_TOKEN in the environment or in .env, or run "
            "`hf auth login`"
        )
    return token
