"""Publish a student: its best seed's folder goes to a repository on the Hugging Face Hub."""

from __future__ import annotations

from finetune.causal_record import read_any_record
from recipes.console import say
from recipes.errors import TrainingError
from recipes.keys import read_key, redact
from recipes.runs import Manifest, RunFolder, digest
from recipes.schema import Recipe


def push_student(recipe: Recipe, name: str, run: RunFolder, trained: Manifest) -> None:
    """Upload the best seed to `push_to_hub` (a new repository is private), once for each training.

    Does nothing where the recipe names no repository. Raises TrainingError where there is no token or the Hub refuses.
    """
    repository = recipe.students[name].push_to_hub
    if repository is None:
        return
    stage, inputs = (
        f"push-{name}",
        {"repository": digest(repository), "student": digest([trained.inputs, trained.facts])},
    )
    if not run.why_stale(stage, inputs):
        return
    token = read_key("HF_TOKEN")
    if token is None:
        raise TrainingError(
            f"students.{name}: push_to_hub needs a token: set HF_TOKEN in the environment or in .env; the student is "
            f"trained and lies in {run.student(name)}"
        )
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    folder = run.student(name, read_any_record(run, name).best_seed)
    api = HfApi(token=token)
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=f"{recipe.name}: {name}",
            ignore_patterns=["*.partial", "training.json"],
        )  # fmt: skip
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        first = redact(str(error).strip().split("\n")[0])
        raise TrainingError(f"students.{name}: cannot push to {repository} ({first}); run again to retry") from None
    run.finish(stage, inputs, [], {"address": str(done)})
    say(f"student {name}: pushed to https://huggingface.co/{repository}")
