"""What a run will do and cost, looked up before it does; and the question before money is spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from recipes import keys
from recipes.alone import is_alone
from recipes.console import agree_to_spend, is_terminal, say
from recipes.costs import Terms, asked_before, cap, cost_line, cost_of
from recipes.estimate import call_size, count_asked, first_rows, mean_size
from recipes.index_plan import plan_index
from recipes.judge_plan import plan_judge
from recipes.local_teacher import LocalTeacher
from recipes.pending import find_stages, training_plans
from recipes.prompts import Prompt, load_prompts, prompt_paths
from recipes.run_plan import KEY, RunPlan
from recipes.runs import RunFolder, digest, file_digest
from recipes.schema import Recipe
from recipes.spent import Spent, read_spent
from recipes.stages import TEACHER_SPEED, asking_inputs, rows_inputs, teacher_identity
from recipes.teachers import Teacher


def make_plan(recipe: Recipe, run: RunFolder) -> RunPlan:
    """Look at the recipe, its source, its catalogue and its run folder; nothing is asked, downloaded or written.

    Raises SourceError where a table cannot be read, RecipeError where the prompt cannot.
    """
    index = plan_index(recipe, run)
    if is_alone(recipe):
        return RunPlan(recipe, None, [], [], None, index=index, notes=_answer_notes(recipe))
    stages, rows = find_stages(recipe, run), count_asked(recipe)
    train, test = (None, None) if rows is None else (rows["train"], rows["test"])
    training = training_plans(recipe, run, train, stages.rows_done)
    judge = plan_judge(recipe, run, test, stages)
    manifest = run.manifest("rows") if stages.rows_done else None
    kept = None if manifest is None else manifest.facts.get("kept")
    plan = RunPlan(recipe, rows, stages.plans, training, judge, kept, index=index, notes=_answer_notes(recipe))
    if isinstance(recipe.teacher, LocalTeacher):
        plan = _with_labelling(plan, run, stages.rows_done)
    elif recipe.asks():
        plan = _with_calls(plan, run, stages.rows_done)
    if stages.report is None:
        plan.notes.append("no comparison: source.test is 0, so no row is kept to compare on")
    if judge is not None:
        plan.notes.extend(judge.before)
        plan.notes.extend(_key_notes(judge.judge) if judge.left != 0 else [])
    return plan


def _with_calls(plan: RunPlan, run: RunFolder, rows_done: bool) -> RunPlan:
    """The plan with what the teacher will be asked."""
    recipe, rows = plan.recipe, plan.rows
    teacher, synthesis, prompts = recipe.chat_teacher(), recipe.synthesis, load_prompts(recipe)
    spent = _spent(recipe, run)
    calls = None if rows is None else sum(rows.values()) * recipe.calls()
    answered = spent.answered if calls is None else min(spent.answered, calls)
    left = 0 if rows_done or teacher.provider == "recorded" else None if calls is None else calls - answered
    head = list(first_rows(recipe))
    size = mean_size([call_size(prompt, head, spent, teacher.max_tokens) for prompt in prompts])
    terms = Terms(teacher.price, teacher.max_tokens, synthesis.reask, synthesis.budget_usd)
    cost = cost_of(terms, size, spent, left)
    plan = replace(plan, calls=calls, answered=answered, left=left, size=size, cost=cost)
    plan.notes.extend(_notes(plan, prompts[0]))
    if spent.otherwise and left:
        plan.notes.append(
            f"{spent.otherwise:,} replies on disk are to another prompt, address or setting and do not count"
        )
    plan.notes.extend(asked_before(spent, teacher.model, synthesis.budget_usd, KEY))
    return plan


def _with_labelling(plan: RunPlan, run: RunFolder, rows_done: bool) -> RunPlan:
    """The plan with the texts that a local teacher will label."""
    recipe, rows = plan.recipe, plan.rows
    answered = _spent(recipe, run).answered
    texts = None if rows is None else sum(rows.values())
    answered = answered if texts is None else min(answered, texts)
    left = 0 if rows_done else None if texts is None else texts - answered
    return replace(plan, calls=texts, answered=answered, left=left)


def _spent(recipe: Recipe, run: RunFolder) -> Spent:
    """What was asked so far. Journals of old do not say what: as much as the rows that were made of them, if any."""
    made = run.manifest("rows")
    asked = asking_inputs(recipe)
    if not isinstance(recipe.teacher, LocalTeacher):
        schema = recipe.synthesis.output == "json_schema"  # it lists the labels
        names = {"synthesis"} | ({"task and labels"} if schema else set())
        asked |= {name: sha for name, sha in rows_inputs(recipe).items() if name in names}
    same = made is None or all(made.inputs.get(name) == sha for name, sha in asked.items())
    return read_spent(run.journal, recipe.teacher.model, asked_as(recipe), unmarked=same)


def _answer_notes(recipe: Recipe) -> list[str]:
    """The keys of the assistant that are not set yet: of its endpoint, and for its clients."""
    assistant = recipe.assistant
    if assistant is None:
        return []
    variables = [assistant.endpoint.key_env if assistant.endpoint is not None else None, assistant.key_env]
    return [note for variable in variables for note in _unset(variable)]


def asked_as(recipe: Recipe) -> str:
    """What the requests about all rows have in common, in 16 digits: what a line of the journal says it was asked."""
    if isinstance(recipe.teacher, LocalTeacher):
        local = recipe.teacher
        said = {label: local.words(label) for label in recipe.labels}
        return digest([local.provider, teacher_identity(recipe), said, local.max_length])[:16]
    teacher, synthesis = recipe.chat_teacher(), recipe.synthesis
    dumped = teacher.model_dump(mode="json", exclude=TEACHER_SPEED) | {"base_url": teacher.address()}
    prompts = [file_digest(path) for path in prompt_paths(recipe)]
    schema = recipe.labels if synthesis.output == "json_schema" else ()  # it lists the labels
    return digest([dumped, *prompts, synthesis.output, synthesis.soft_labels, *schema])[:16]


def _notes(plan: RunPlan, prompt: Prompt) -> list[str]:
    """What the user may want to know before it costs something."""
    recipe = plan.recipe
    notes = []
    told = " ".join([*(message.content for message in prompt.static), *prompt.pieces]).casefold()
    unnamed = [label for label in recipe.labels if label.casefold() not in told]
    if unnamed:
        notes.append(f"the prompt never names {', '.join(unnamed)}: a teacher may not use a label it was not told of")
    if recipe.task == "reasoning":
        notes += _reasoning_notes(recipe, prompt, told)
    if plan.left and plan.cost.covered is not None and plan.cost.covered < plan.left:
        notes.append(f"raise {KEY} or lower source.train: rows that are not asked about are not in the dataset")
    return notes + (_unset(recipe.teacher.key_variable()) if plan.left != 0 else [])


def _key_notes(teacher: Teacher) -> list[str]:
    return _unset(teacher.key_variable())


def _unset(variable: str | None) -> list[str]:
    if variable is None or keys.read_key(variable) is not None:
        return []
    return [f"{variable} is not set: put it into the environment or a .env file"]


def _reasoning_notes(recipe: Recipe, prompt: Prompt, told: str) -> Iterator[str]:
    keys_untold = [key for key in prompt.answer.key_names() if key.casefold() not in told]
    if keys_untold:
        yield f"the prompt never names the key {', '.join(keys_untold)}: a teacher may not know what to write"
    unseen = [name for name in recipe.source.fields or () if name not in prompt.placeholders]
    if unseen:
        yield f"the prompt never shows {', '.join(unseen)}: its answers are checked against it all the same"


def confirm_spend(recipe: Recipe, run: RunFolder, yes: bool) -> None:
    """Before the first paid call of a run folder: show the plan in a terminal and ask once; `yes` is the answer.

    Raises TeacherError where the answer is no, and where there is neither `yes` nor a terminal to ask in.
    """
    teacher = recipe.teacher
    if teacher.provider == "recorded" or not teacher.is_paid():
        return
    if yes or read_spent(run.journal, teacher.model).replies:
        say(f"teacher: {teacher.model} is paid; {cap(recipe.synthesis.budget_usd, KEY)}")
        return
    plan = make_plan(recipe, run)
    if is_terminal():
        for line in plan.lines():
            say(line)
    costs = cost_line(plan.cost, recipe.synthesis.budget_usd, KEY, plan.left)
    agree_to_spend(f"the teacher {teacher.model}", costs)
