"""A YAML file as plain values, with the line of every key and the text of every scalar as written.

YAML from anywhere is safe to read: no tags, bounded size, depth and number of values (aliases are counted as often as
they are used). `2e-4` stays text (a number field takes it), dates stay text, `1:30` and `0x1F` stay text.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from recipes.errors import RecipeError

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top."""

MOST_BYTES = 1_000_000
MOST_DEPTH = 40
MOST_VALUES = 20_000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_TRUE = ("yes", "true", "on")
_HINTS = (
    ("cannot start any token", "\t", "there is a tab here: YAML indents with spaces only"),
    ("mapping values are not allowed", "", "a ':' where none can be: mend the indentation, or put the value in quotes"),
    ("could not find expected ':'", "", "this line is no `key: value`; is a ':' or a quote missing?"),
    ("but found '<block mapping start>'", "", "the indentation does not fit the lines above"),
    ("expected <block end>", "", "the indentation does not fit the lines above"),
    ("found undefined alias", "", "*name is an alias of nothing; put text that begins with * in quotes"),
    ("cannot start any token", "", "a value cannot begin with this character: put it in quotes"),
    ("expected a single document", "", "one document only: remove the line ---"),
    ("while scanning a quoted scalar", "", "a quote is opened here and never closed"),
)  # fmt: skip


@dataclass
class Mistake:
    """One thing that is wrong: `where` is file:line or the --set argument; order keeps a file's mistakes by line."""

    where: str
    path: KeyPath
    message: str
    line: int = 0

    def __str__(self) -> str:
        shown = ".".join(str(part) for part in self.path)
        return f"{self.where}: {shown}: {self.message}" if shown else f"{self.where}: {self.message}"


@dataclass
class Document:
    """What a file says. `lines` and `written` are by path; `mistakes` are those of the YAML itself."""

    name: str
    value: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)
    overrides: dict[KeyPath, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def mistake(self, path: KeyPath, message: str) -> Mistake:
        """A mistake at `path`, or at the nearest section above that the file has."""
        for size in range(len(path), -1, -1):
            if path[:size] in self.overrides:
                return Mistake(f"--set {self.overrides[path[:size]]}", path, message, 1 << 30)
            if path[:size] in self.lines:
                line = self.lines[path[:size]]
                return Mistake(f"{self.name}:{line}", path, message, line)
        return Mistake(f"{self.name}:1", path, message, 1)

    def override(self, argument: str, path: KeyPath, part: Document) -> None:
        """Put the value of `part` at `path`, as `--set argument` says; sections on the way are made."""
        target = self.value
        for depth, key in enumerate(path[:-1], 1):
            if not isinstance(target.get(key), dict):
                if target.get(key) is not None:
                    above = ".".join(str(part) for part in path[:depth])
                    self.mistakes.append(
                        Mistake(f"--set {argument}", (), f"{above} is no section; give it as a whole", 1 << 30)
                    )
                    return
                target[key] = {}
            target = target[key]
        target[path[-1]] = copy.deepcopy(part.value)
        for marks in (self.lines, self.written, self.overrides):
            for old in [old for old in marks if old[: len(path)] == path]:
                del marks[old]
        self.overrides[path] = argument
        self.written.update({path + inner: text for inner, text in part.written.items()})
        self.mistakes += [Mistake(f"--set {argument}", path + m.path, m.message, 1 << 30) for m in part.mistakes]


def read_document(path: Path, name: str | None = None) -> Document:
    """Read a YAML file. Raises RecipeError where it is no file, too big, not UTF-8 or not YAML."""
    name = name or str(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RecipeError([f"{name}: the file is larger than 1 MB: this is no recipe or prompt"])
        content = path.read_bytes()
    except OSError as error:
        raise RecipeError([f"{name}: cannot be read: {error.strerror or error}"]) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RecipeError([f"{name}:{line}: not UTF-8: save the file with the encoding UTF-8"]) from None
    return parse_document(text, name)


def parse_document(text: str, name: str) -> Document:
    """The values of a YAML text. Raises RecipeError where it is not YAML."""
    document = Document(name)
    try:
        _guard(text, document)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise RecipeError([_syntax(error, text, name)]) from None
    if node is not None:
        document.lines[()] = node.start_mark.line + 1
        document.value = _Builder(document).build(node, (), 0)
    return document


def _guard(text: str, document: Document) -> None:
    """Refuse what could run code or grow, before anything is built; events come one by one, without recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise RecipeError([f"{document.name}:{line}: nested deeper than {MOST_DEPTH} levels"])
        if getattr(event, "tag", None):
            message = "tags (!...) are not allowed: write the plain value, in quotes if it is text"
            document.mistakes.append(Mistake(f"{document.name}:{line}", (), message, line))


def _syntax(error: yaml.YAMLError, text: str, name: str) -> str:
    """A parser's complaint as one sentence with its line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:  # a character that YAML cannot hold; libyaml gives a byte offset, PyYAML a character offset
        position = getattr(error, "position", 0) or 0
        line = text.count("\n", 0, position) + 1
        return f"{name}:{line}: a control character that YAML cannot hold"
    said = str(error)
    problem = getattr(error, "problem", None) or "it cannot be read"
    if "quoted scalar" in said:
        mark = getattr(error, "context_mark", mark)
    rows = text.splitlines()
    line_text = rows[mark.line] if mark.line < len(rows) else ""
    for part, shown, hint in _HINTS:
        if part in said and shown in line_text:
            return f"{name}:{mark.line + 1}: {hint}"
    return f"{name}:{mark.line + 1}: not YAML: {problem}"


class _Builder:
    """Nodes -> plain values, noting lines, texts and mistakes on the way."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0

    def build(self, node: yaml.Node, path: KeyPath, depth: int) -> Any:
        self.count += 1
        line = node.start_mark.line + 1
        if self.count > MOST_VALUES or depth > MOST_DEPTH:
            raise RecipeError([f"{self.document.name}:{line}: more than {MOST_VALUES} values, or a loop of aliases"])
        self.document.lines.setdefault(path, line)
        if isinstance(node, yaml.ScalarNode):
            self.document.written[path] = node.value
            return plain_value(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, place), depth + 1) for place, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        return self._mapping(node, path, depth)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key, problem = _key(key_node)
            inner = (*path, key)
            if key in found and not problem:
                first = self.document.lines[inner]
                problem = f"the key stands twice, first on line {first}"
            if problem:
                shown = (*path, key) if key else path
                self.document.mistakes.append(Mistake(f"{self.document.name}:{line}", shown, problem, line))
                continue
            self.document.lines[inner] = line
            found[key] = self.build(value_node, inner, depth + 1)
        return found


def _key(node: yaml.Node) -> tuple[str, str]:
    """A mapping's key as text, and what is wrong with it. Numbers are taken as written: `0: negative`."""
    if not isinstance(node, yaml.ScalarNode):
        return "", "a key must be plain text"
    kind = node.tag.removeprefix(_TAG)
    if kind == "merge":
        return node.value, "merging with << is not supported: write the keys out"
    if kind in ("bool", "null"):
        return node.value, trap(node.value, plain_value(node))
    return node.value, ""


def plain_value(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """A scalar as YAML 1.1 reads it, but for dates and numbers that only look like ones: those stay text."""
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in _TRUE
    if kind in ("int", "float"):
        try:
            return int(text.replace("_", "")) if kind == "int" else float(text.replace("_", ""))
        except ValueError:
            return text
    return text


def trap(written: str, value: object) -> str:
    """What YAML made of a plain word that was meant as text."""
    if not written:
        return "there is no value: write one after the colon"
    read = "nothing (null)" if value is None else str(value).lower() if isinstance(value, bool) else "a number"
    return f"YAML reads {written} as {read}: write '{written}' in quotes"
