"""YAML -> Document, safely and without YAML's surprises.

No tags, no merging; bounded size, depth and number of values (an alias counts as often as it is used). `2e-4` stays
text, which a number field takes; dates, `1:30` and `0x1F` stay text; of yes, no, on and off the trap is explained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from recipes.documents import Document, KeyPath, Mistake
from recipes.errors import RecipeError

MOST_BYTES = 1_000_000
MOST_DEPTH = 40
MOST_VALUES = 20_000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_INDENTED = "the indentation does not fit the lines above"
_HINTS = (
    ("cannot start any token", "\t", "there is a tab here: YAML indents with spaces only"),
    ("cannot start any token", "", "a value cannot begin with this character: put it in quotes"),
    ("mapping values are not allowed", "", "a ':' where none can be: mend the indentation, or put the value in quotes"),
    ("could not find expected ':'", "", "this line is no `key: value`; is a ':' or a quote missing?"),
    ("while parsing a flow", "", "a bracket or a comma is missing, or a text with : { } [ ] , in it needs quotes"),
    ("while parsing a block", "\t", "there is a tab here: YAML indents with spaces only"),
    ("while parsing a block", "", _INDENTED),
    ("found undefined alias", "", "text that begins with * must be in quotes"),
    ("expected a single document", "", "a file holds one document: remove the line ---"),
    ("while scanning a quoted scalar", "", "a quote is opened here and never closed"),
    ("found unexpected end of stream", "", "a quote is opened here and never closed"),
)


def read_document(path: Path, name: str | None = None) -> Document:
    """Read a YAML file. Raises RecipeError where it is no file, too big, not UTF-8 or not YAML."""
    name = name or str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise RecipeError([f"{name}: cannot be read: {error.strerror or error}{_near(path)}"]) from None
    if len(content) > MOST_BYTES:
        raise RecipeError([f"{name}: the file is larger than 1 MB: this is no recipe or prompt"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RecipeError([f"{name}:{line}: not UTF-8: save the file with the encoding UTF-8"]) from None
    return parse_document(text, name)


def parse_document(text: str, name: str) -> Document:
    """The values of a YAML text. Raises RecipeError where it is not YAML."""
    document = Document(name, text)
    try:
        _guard(text, document)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise RecipeError([_syntax(error, text, name)]) from None
    except (ValueError, RecursionError) as error:
        raise RecipeError([f"{name}: not YAML: {error}"]) from None
    if node is not None:
        document.lines[()] = node.start_mark.line + 1
        document.value = _Builder(document).build(node, (), 0)
    return document


def trap(written: str, value: object) -> str:
    """What YAML made of a plain word that was meant as text."""
    read = "nothing (null)" if value is None else str(value).lower() if isinstance(value, bool) else "a number"
    return f"YAML reads {written} as {read}: write '{written}' in quotes"


def _near(path: Path) -> str:
    """` (did you mean x.yaml?)` for a file that is not there."""
    from difflib import get_close_matches

    try:
        there = [file.name for file in path.parent.glob("*.y*ml")]
    except OSError:
        return ""
    near = get_close_matches(path.name, there, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near and not path.exists() else ""


def _guard(text: str, document: Document) -> None:
    """Refuse what could run code or grow before anything is built: events come one by one, without recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        line = event.start_mark.line + 1 if event.start_mark else 1
        if depth > MOST_DEPTH:
            raise RecipeError([f"{document.name}:{line}: nested deeper than {MOST_DEPTH} levels"])
        if getattr(event, "tag", None):
            message = "tags (!...) are not allowed: write the plain value, in quotes if it is text"
            document.mistakes.append(Mistake(f"{document.name}:{line}", (), message, line))


def _syntax(error: yaml.YAMLError, text: str, name: str) -> str:
    """A parser's complaint as one sentence with its line."""
    said = str(error)
    mark = getattr(error, "problem_mark", None)
    if "quoted scalar" in said or mark is None:
        mark = getattr(error, "context_mark", mark)
    if mark is None:  # a character that YAML cannot hold
        place = next((at for at, char in enumerate(text) if not char.isprintable() and char not in "\t\r\n"), 0)
        return f"{name}:{text.count(chr(10), 0, place) + 1}: a control character that YAML cannot hold"
    line: int = mark.line
    rows = text.split("\n")
    row = rows[line] if line < len(rows) else ""
    for part, shown, hint in _HINTS:
        if part in said and shown in row:
            return f"{name}:{line + 1}: {hint}"
    return f"{name}:{line + 1}: not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}"


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
            self.document.written[path] = str(node.value)
            return _plain(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, place), depth + 1) for place, item in enumerate(node.value)]
        return self._mapping(node, path, depth)

    def _mapping(self, node: yaml.Node, path: KeyPath, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key, problem = _key(key_node)
            inner = (*path, key) if key else path
            if key in found and not problem:
                problem = f"the key stands twice, first on line {self.document.lines[inner]}"
            if problem:
                self.document.mistakes.append(Mistake(f"{self.document.name}:{line}", inner, problem, line))
                continue
            self.document.lines[inner] = line
            found[key] = self.build(value_node, inner, depth + 1)
        return found


def _key(node: yaml.Node) -> tuple[str, str]:
    """A mapping's key as text, and what is wrong with it. Numbers are taken as written: `0: negative`."""
    if not isinstance(node, yaml.ScalarNode):
        return "", "a key must be plain text"
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    if kind == "merge":
        return text, "merging with << is not supported: write the keys out"
    if kind == "bool" or (kind == "null" and text):
        return text, trap(text, _plain(node))
    return text, "" if text.strip() else "the key is empty"


def _plain(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """A scalar as YAML 1.1 reads it, but for dates and for numbers that only look like one: those stay text."""
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("yes", "true", "on")
    if kind in ("int", "float"):
        try:
            return int(text.replace("_", "")) if kind == "int" else float(text.replace("_", ""))
        except ValueError:
            return text
    return text
