"""A local teacher labels texts: as transformers' own pipeline does, once, and on from where it was stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import socket
from typing import Any

import numpy as np
import pytest
from local_runs import LABELS, RECIPE, all_rows, build, write_local
from tiny_nli import TEXTS, make_nli

from recipes.errors import TeacherError
from recipes.load import load_recipe
from recipes.plan import make_plan
from recipes.runs import RunFolder
from synth import labelling
from synth.build import build_dataset
from synth.journal import Journal
from synth.labelling import open_scorer
from synth.zero_shot import label_places

TEMPLATE = "The sentiment of this text is {}."


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The models are so small that threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nli(tmp_path_factory.mktemp("nli"))


@pytest.fixture
def recipe(tmp_path: Path, nli: Path) -> Path:
    (tmp_path / "nli").symlink_to(nli)
    return write_local(tmp_path)


def never(*_: Any) -> Any:
    raise AssertionError("the model is loaded though nothing is to be labelled")


@pytest.mark.parametrize("kind", ["bert", "roberta", "deberta"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_probabilities_are_those_of_the_pipeline(tmp_path: Path, kind: str, multi_label: bool) -> None:
    from transformers import pipeline

    make_nli(tmp_path / "nli", kind, most=64)  # the longest text is cut
    path = write_local(tmp_path)
    lines = [{"id": f"r{n}", "text": text, "label": LABELS[n % 3]} for n, text in enumerate(TEXTS + TEXTS[:4])]
    for place, line in enumerate(lines):
        line["text"] = f"{line['text']} {place}"
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    overrides = ["source.test=2", "source.near_duplicate=1", "teacher.batch_size=5"]
    _, run, manifest = build(path, *overrides, f"teacher.multi_label={str(multi_label).lower()}")
    classify = pipeline("zero-shot-classification", model=str(tmp_path / "nli"), device="cpu")
    rows = all_rows(run)
    assert len(rows) == len(lines) - manifest.facts["unfit"]
    assert (manifest.facts["cut"] >= 1, manifest.facts["most"]) == (True, 64)
    for row in rows.values():
        found = classify(row.text, candidate_labels=list(LABELS), hypothesis_template=TEMPLATE, multi_label=multi_label)
        wanted = dict(zip(found["labels"], found["scores"], strict=True))
        assert row.soft == pytest.approx([wanted[label] for label in LABELS], abs=1e-4)
        assert row.label == found["labels"][0]
    spread = np.std([row.soft for row in rows.values()], axis=0)
    assert spread.max() > 0.001, "the model tells no texts apart: the test shows nothing"


def test_each_text_is_tokenised_once_and_pairs_of_like_length_meet(recipe: Path) -> None:
    """The published script tokenised a text for every label, and left the pairs in the order of the texts."""
    from synth.zero_shot import NliModel

    model = open_scorer(load_recipe(recipe, ["teacher.batch_size=4"]), 0, 1)
    assert isinstance(model, NliModel)
    pairs, seen, lengths = model._pairs, list[str](), list[int]()
    real, batch = pairs._tokenizer, pairs.batch

    class Counting:
        def __call__(self, texts: list[str], **options: Any) -> Any:
            seen.extend(texts)
            return real(texts, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    def watched(some: Any) -> Any:
        lengths.extend(pairs.length(*pair) for pair in some)
        return batch(some)

    pairs._tokenizer, pairs.batch = Counting(), watched  # type: ignore[method-assign]
    texts = [f"{text} {number}" for number, text in enumerate(TEXTS * 3)]
    assert len([place for done in model.score(texts) for place, _ in done]) == len(texts)
    assert sorted(seen) == sorted(texts)
    assert len(lengths) == len(texts) * len(LABELS)
    assert lengths == sorted(lengths, reverse=True)


def test_a_second_run_costs_nothing(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run, first = build(recipe)
    assert "30 texts to label with ./nli; CPU" in capsys.readouterr().err
    assert (first.facts["replies"], first.facts["kept"], first.facts["usd"]) == (30, 30, None)
    monkeypatch.setattr(labelling, "open_scorer", never)
    assert build(recipe)[2] == first
    cold = all_rows(run)
    warm = build(recipe, "teacher.temperature=4")[2]
    assert "teacher changed" in capsys.readouterr().err
    assert warm.facts["replies"] == 30
    for name, row in all_rows(run).items():
        powers = np.asarray(cold[name].soft) ** 0.25
        assert row.soft == pytest.approx(powers / powers.sum(), abs=1e-4)
    build(recipe, "teacher.calibrate=true")
    build(recipe, "teacher.multi_label=true")
    assert build(recipe, "teacher.batch_size=2", "teacher.precision=auto")[2].facts["replies"] == 30


def test_what_is_asked_otherwise_is_asked_anew(recipe: Path) -> None:
    _, run, _ = build(recipe)
    build(recipe, "teacher.max_length=64")
    with Journal.open(run.journal) as journal:
        assert journal.replies == 60
    _, _, manifest = build(recipe, "source.test=5")  # a new split of the same texts
    assert manifest.facts["replies"] == 30


def test_it_goes_on_from_where_it_was_stopped(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[int] = []

    class Stopped:
        """A teacher that stops after so many texts."""

        def __init__(self, real: Any, most: float) -> None:
            self.real, self.most = real, most

        def score(self, texts: list[str]) -> Iterator[Any]:
            for batch in self.real.score(texts):
                if len(scored) + len(batch) > self.most:
                    raise KeyboardInterrupt
                scored.extend(place for place, _ in batch)
                yield batch

    most = 13.0
    monkeypatch.setattr(labelling, "open_scorer", lambda *args: Stopped(open_scorer(*args), most))
    monkeypatch.setattr(labelling, "WINDOW", 8)
    with pytest.raises(KeyboardInterrupt):
        build(recipe, "teacher.batch_size=6")
    with Journal.open(recipe.parent / "run" / "journal.jsonl") as journal:
        done = journal.replies
    assert done == len(scored) > 5
    plan = make_plan(load_recipe(recipe), RunFolder(recipe.parent / "run"))
    assert (plan.answered, plan.left) == (done, 30 - done)
    other = make_plan(load_recipe(recipe, ["teacher.hypothesis='It is {}.'"]), RunFolder(recipe.parent / "run"))
    assert (other.answered, other.left) == (0, 30), "scores of another hypothesis are none of this one"
    most = float("inf")
    _, run, manifest = build(recipe, "teacher.batch_size=6")
    assert len(scored) == 30, "a text was labelled twice"
    assert manifest.facts["kept"] == 30
    stopped = all_rows(run)
    whole = build(recipe, "teacher.batch_size=32", "teacher.precision=auto")
    assert all_rows(whole[1]) == stopped


FORKED = """
import json, os, signal, sys
sys.path[:0] = json.loads(sys.argv[2])
from pathlib import Path
import sentence_transformers, torch.distributed, transformers
import local_runs, synth.__main__, synth.embedding, synth.zero_shot
from synth.journal import Journal
torch.set_num_threads(1)


def label(run, recipe, *overrides, rank=None, port=None, kill=False):
    if rank is not None:
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update(told)
    put, calls = Journal.put, [0]

    def struck(*args, **kwargs):
        calls[0] += 1
        if kill and calls[0] == 12:
            os.kill(os.getpid(), signal.SIGKILL)
        put(*args, **kwargs)

    Journal.put = struck
    changed = [part for one in overrides for part in ("--set", one)]
    try:
        synth.__main__.run_main(lambda _: synth.__main__.main([recipe, "--run", run, *changed]))
    except SystemExit as end:
        sys.stderr.flush()
        os._exit(end.code)  # to take down what was imported takes seconds


for jobs in json.loads(sys.argv[1]):  # those of one list run side by side, and where one is killed all are
    children, codes = {}, [None] * len(jobs)
    for number, (arguments, options) in enumerate(jobs):
        child = os.fork()
        if not child:
            label(*arguments, **options)
        children[child] = number
    while None in codes:
        ended, status = os.wait()
        codes[children.pop(ended)] = os.waitstatus_to_exitcode(status)
        if os.WIFSIGNALED(status):
            for child in children:
                os.kill(child, signal.SIGKILL)
    print(json.dumps(codes), flush=True)
"""
EMBEDDING = "teacher={provider: embedding, model: minilm, precision: fp32, batch_size: 3}"


def labelled(*jobs: Any) -> tuple[list[list[int]], str]:
    """Exit codes of `python -m synth` as processes of their own, and what they said; the imports are paid for once."""
    root = Path(__file__).parent
    places = json.dumps([str(root.parent), str(root)])
    command = [sys.executable, "-c", FORKED, json.dumps(jobs), places]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def journaled(run: Path) -> int:
    """Texts with scores, each of them once."""
    keys = [json.loads(line)["key"] for line in (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(keys) == len(set(keys)), "a text was labelled twice"
    return len(keys)


def assert_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert [(row.id, row.split, row.label) for row in one.values()] == [
        (row.id, row.split, row.label) for row in other.values()
    ]
    for name, row in one.items():
        assert row.soft == pytest.approx(other[name].soft, abs=1e-5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forked")
def test_killed_where_it_labels_it_goes_on(recipe: Path) -> None:
    """Either teacher, and two processes together: nothing is labelled twice, and the rows are those of no kill."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    teachers = {"nli": "teacher.batch_size=3", "embedding": EMBEDDING}
    runs = {name: recipe.parent / f"run-{name}" for name in (*teachers, "two")}
    kills = [[((str(runs[name]), str(recipe), one), {"kill": True})] for name, one in teachers.items()]
    two = (str(runs["two"]), str(recipe), "teacher.batch_size=3")
    both = [[(two, {"rank": rank, "port": port, "kill": kill and rank == "0"}) for rank in "01"] for kill in (1, 0)]
    codes, said = labelled(*kills, *both)
    assert codes == [[-9], [-9], [-9, -9], [0, 0]], said
    assert [journaled(run) for run in runs.values()] == [11, 11, 30]
    assert said.count("19 texts to label with ./nli; CPU") == 1, "one of them speaks, of what is left"
    assert "2 processes" in said
    for name, one in teachers.items():
        killed, unkilled = RunFolder(runs[name]), RunFolder(recipe.parent / f"whole-{name}")
        for run in (killed, unkilled):
            build_dataset(load_recipe(recipe, [one]), run)
        assert journaled(killed.path) == journaled(unkilled.path) == 30
        assert_alike(all_rows(killed), all_rows(unkilled))
    assert_alike(all_rows(RunFolder(runs["two"])), all_rows(RunFolder(runs["nli"])))


def test_scores_that_are_no_numbers_are_refused(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synth.zero_shot import NliModel

    real = NliModel._logits

    def broken(self: NliModel, pairs: Any) -> Any:
        logits = real(self, pairs)
        logits[-1, 0] = np.nan
        return logits

    monkeypatch.setattr(NliModel, "_logits", broken)
    with pytest.raises(TeacherError, match=r"gives scores that are no numbers in fp32, first for 'The .*precision"):
        build(recipe)
    monkeypatch.setattr(NliModel, "_logits", real)
    assert build(recipe)[2].facts["kept"] == 30


def test_no_memory_is_one_sentence(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import BertForSequenceClassification

    def full(*_: Any, **__: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(BertForSequenceClassification, "forward", full)
    with pytest.raises(TeacherError, match=r"out of memory on the cpu: lower teacher.batch_size \(32\)"):
        build(recipe)


@pytest.mark.parametrize(
    ("names", "several", "sentence"),
    [
        (("LABEL_0", "LABEL_1", "LABEL_2"), False, "no class named entailment; its config.json names LABEL_0, LABEL_1"),
        (("entailment", "neutral", "other"), True, "no class named contradiction .multi_label weighs it"),
        ((), False, "no class named entailment; its config.json names none"),
    ],
)
def test_classes_are_found_by_name(names: tuple[str, ...], several: bool, sentence: str) -> None:
    with pytest.raises(TeacherError, match=sentence):
        label_places({name: place for place, name in enumerate(names)}, several, "m")


def test_classes_have_many_names() -> None:
    three = {"ENTAILMENT": 2, "NEUTRAL": 1, "CONTRADICTION": 0}
    assert label_places(three, True, "m") == {"entailment": 2, "contradiction": 0, "neutral": 1}
    two = {"entailment": 0, "not_entailment": 1}
    assert label_places(two, True, "m") == {"entailment": 0, "contradiction": 1}
    assert label_places({"entailment": 0, "neutral": 1, "other": 2}, False, "m") == {"entailment": 0, "neutral": 1}


def test_a_model_that_infers_nothing_is_refused(recipe: Path, tmp_path: Path) -> None:
    make_nli(tmp_path / "plain", "bert", names=("LABEL_0", "LABEL_1"))
    with pytest.raises(TeacherError, match="plain has no class named entailment"):
        build(recipe, "teacher.model=./plain")
    with pytest.raises(TeacherError, match="cannot be loaded from the Hub's cache"):
        build(recipe, "teacher.model=nobody/no-such-model")
    config = json.loads((tmp_path / "plain" / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = ["BertModel"]
    weights = tmp_path / "plain" / "model.safetensors"
    from safetensors.torch import load_file, save_file

    kept = {name: weight for name, weight in load_file(weights).items() if not name.startswith("classifier")}
    save_file(kept, weights, metadata={"format": "pt"})
    with pytest.raises(TeacherError, match="is no NLI model, or not whole: 2 of its weights are not in its files"):
        build(recipe, "teacher.model=./plain")


def test_sixteen_bits_are_near(recipe: Path) -> None:
    _, run, _ = build(recipe)
    exact = all_rows(run)
    (run.path / "journal.jsonl").unlink()
    build(recipe, "teacher.precision=bf16", "teacher.temperature=1.0")
    for name, row in all_rows(run).items():
        assert row.soft == pytest.approx(exact[name].soft, abs=0.05)


def test_the_card_and_the_plan_say_it(recipe: Path) -> None:
    run = RunFolder(recipe.parent / "run")
    before = "\n".join(make_plan(load_recipe(recipe), run).lines())
    assert "./nli (an NLI model on this machine)" in before
    assert "30 texts by 3 labels: 0 are on record, 30 to label, 90 pairs" in before
    assert "nothing: the teacher runs on this machine" in before
    build(recipe, "teacher.calibrate=true")
    after = "\n".join(make_plan(load_recipe(recipe, ["teacher.calibrate=true"]), run).lines())
    assert "none to label: the rows are there (30 are on record)" in after
    other = "\n".join(make_plan(load_recipe(recipe, ["teacher.hypothesis='{}'"]), run).lines())
    assert "30 texts by 3 labels: 0 are on record, 30 to label" in other
    warmer = "\n".join(make_plan(load_recipe(recipe, ["teacher.temperature=2"]), run).lines())
    assert "30 texts by 3 labels: 30 are on record, 0 to label" in warmer
    card = (run.rows / "README.md").read_text(encoding="utf-8")
    assert "- Teacher: `./nli` (an NLI model on this machine), no human label and no prompt" in card
    assert "negative: `The sentiment of this text is negative.`" in card
    assert "Calibrated" in card
    assert "distillation" in card


def test_an_embedding_model_labels_too(tmp_path: Path) -> None:
    texts = ["A wonderful evening, I am so happy.", "This is terrible and broken.", "Dreadful, I want my money back.",
             "I love it, excellent!", "Awful service, never again.", "Such a joy, thank you."]  # fmt: skip
    path = write_local(tmp_path, recipe=RECIPE.replace("[negative, neutral, positive]", "[negative, positive]"))
    lines = [{"id": f"r{n}", "text": text, "label": "positive"} for n, text in enumerate(texts)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    teacher = "teacher={provider: embedding, model: minilm, hypothesis: '{}', descriptions: {negative: This is awful., "
    teacher += "positive: This is lovely.}, precision: fp32}"
    _, run, manifest = build(path, teacher, "source.test=1")
    assert {row.id: row.label for row in all_rows(run).values()} == {
        "r0": "positive", "r1": "negative", "r2": "negative", "r3": "positive", "r4": "negative", "r5": "positive",
    }  # fmt: skip
    assert set(manifest.facts["mean_scores"]) == {"negative", "positive"}
    card = (run.rows / "README.md").read_text(encoding="utf-8")
    assert "Texts labelled by an embedding model (silver labels)" in card and "language model" not in card
    from sentence_transformers import SentenceTransformer

    from recipes.minilm import find_minilm

    model = SentenceTransformer(str(find_minilm()), device="cpu")
    vectors = model.encode([texts[0], "This is awful.", "This is lovely."], normalize_embeddings=True)
    with Journal.open(run.journal, readonly=True) as journal:
        assert journal.replies == 6
    said = next(json.loads(line) for line in run.journal.read_text(encoding="utf-8").splitlines() if '"r0"' in line)
    cosines = json.loads(said["reply"]["text"])["cosine"]
    assert cosines["negative"] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)
    assert cosines["positive"] == pytest.approx(float(vectors[0] @ vectors[2]), abs=1e-5)


def test_nobody_is_asked_again(recipe: Path) -> None:
    from synth.build import build_dataset

    with pytest.raises(TeacherError, match=r"--ask-again: \./nli on this machine would say the same again"):
        build_dataset(load_recipe(recipe), RunFolder(recipe.parent / "run"), ask_again=True)
