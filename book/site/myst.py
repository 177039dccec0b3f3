"""MyST Markdown in blocks, and as the plain Markdown that Jupyter shows: for student notebooks (`book.site.course`).

The text is parsed by MyST's own parser; what it recognises as a directive or a role is replaced in the source by lines
that need no extension. The rest stays as it is written.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pybtex.database import parse_file

from qpatch.files import PROJECT

FENCES = ("fence", "colon_fence")
BOXES = ("admonition", "note", "tip", "warning", "important", "seealso", "hint", "caution", "attention", "danger")
REFERENCES = ("doc", "ref", "numref", "eq")
ROLE_IN_CODE = re.compile(rf"\{{{{1,2}}({'|'.join(REFERENCES)})\}}{{1,2}}`([^`]+)`")  # doubled braces: in an f-string
LINK_IN_CODE = re.compile(r"\[([^\]]*)\]\([^():\s]*\.md\)")
BEGINNING = re.compile(r"(^|[.!?]\s+|(^|\n)\s*[-*]\s+)\Z")  # what stands before the first word of a sentence
TARGET = re.compile(r"(?P<text>.*?)\s*<(?P<target>[^<>]+)>", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A run of text, or one fenced block.

    Attributes:
        name: '' for text, '{name}' for a directive, the language of another fence.
        argument: what follows the directive's name.
        options: the directive's.
        body: the text, or what is inside the fence.
        source: the lines as they are written.
    """

    name: str
    argument: str
    options: dict[str, str]
    body: str
    source: str


@dataclass
class Labels:
    """What labels stand for, by label: the text of a reference in its own chapter, and the chapter's title."""

    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    titles: dict[Path, str] = field(default_factory=dict)

    def reference(self, label: str, here: str) -> str:
        """The words for a label, seen from the chapter of title ``here``; an unknown label stands for itself."""
        text, title = self.texts.get(label, (label, here))
        return text if title == here else f"{text} of *{title}*"


@functools.cache
def parser() -> MarkdownIt:
    """MyST's parser with the extensions that the book enables."""
    extensions = yaml.safe_load((PROJECT / "_config.yml").read_text())["parse"]["myst_enable_extensions"]
    return create_md_parser(MdParserConfig(enable_extensions=set(extensions)), RendererHTML)


def blocks(text: str) -> list[Block]:
    """The text and the fenced blocks of the uppermost level, in order."""
    lines, found, done = text.splitlines(), [], 0

    def add_text(stop: int):
        between = "\n".join(lines[done:stop]).strip("\n")
        if between:
            found.append(Block("", "", {}, between, between))

    for token in parser().parse(text):
        if token.level == 0 and token.type in FENCES:
            start, stop = token.map
            add_text(start)
            found.append(_fenced(token, "\n".join(lines[start:stop])))
            done = stop
    add_text(len(lines))
    return found


def _fenced(token: Token, source: str) -> Block:
    name, _, argument = token.info.strip().partition(" ")
    if not name.startswith("{"):
        return Block(name, argument, {}, token.content.rstrip("\n"), source)
    lines, options = token.content.splitlines(), {}
    while lines and (match := re.match(r":([\w-]+):\s*(.*)", lines[0])):
        options[match[1]] = match[2]
        lines.pop(0)
    return Block(name, argument.strip(), options, "\n".join(lines).strip("\n"), source)


def collect_labels(pages: list[Path]) -> Labels:
    """What the labels of these pages stand for: equations and figures are numbered afresh in each page."""
    labels = Labels()
    for page in pages:
        notebook = jupytext.read(page, fmt="md:myst")
        text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        heading = re.search(r"^# (.*)$", text, re.MULTILINE)
        title = labels.titles[page.resolve()] = heading[1] if heading else page.stem
        directives = blocks(text)
        equations = [b.options["label"] for b in directives if b.name == "{math}" and "label" in b.options]
        figures = [figure["name"] for cell in notebook.cells if "name" in (figure := cell_figure(cell))] + [
            b.options["name"] for b in directives if b.name == "{figure}" and "name" in b.options
        ]
        labels.texts |= {label: (f"({number})", title) for number, label in enumerate(equations, 1)}
        labels.texts |= {label: (f"figure {number}", title) for number, label in enumerate(figures, 1)}
        labels.texts |= {
            b.options["label"]: (f"the exercise “{b.argument}”", title)
            for b in directives
            if b.name == "{exercise}" and "label" in b.options
        }
        for label, section in re.findall(r"^\(([\w-]+)\)=\n+#+ (.*)$", text, re.MULTILINE):
            labels.texts[label] = (f"the section “{section}”", title)
    return labels


def cell_figure(cell) -> dict:
    """Name and caption that a code cell gives to its figure, or an empty dictionary."""
    return cell.metadata.get("mystnb", {}).get("figure", {})


def plain(text: str, page: Path, labels: Labels) -> str:
    """The same text in Markdown that Jupyter shows: formulas in $$, roles as words, boxes as quotations.

    Args:
        text: MyST.
        page: where it comes from, for references to files and equation numbers.
        labels: of `collect_labels`.
    """
    return "\n\n".join(part for block in blocks(text) if (part := _plain_block(block, page, labels)))


def plain_code(code: str, page: Path, labels: Labels) -> str:
    """Code whose strings hold no references of the book any more, but their words; for the arguments see `plain`."""

    def words(match: re.Match) -> str:
        return _role(match[1], match[2], page, labels).replace('"', "”")  # it stands in a string

    return LINK_IN_CODE.sub(r"*\1*", ROLE_IN_CODE.sub(words, code))


def _plain_block(block: Block, page: Path, labels: Labels) -> str:
    if not block.name:
        return _plain_text(block.source, page, labels)
    if not block.name.startswith("{"):
        return block.source
    name = block.name.strip("{}")
    if name == "math":
        label = block.options.get("label", "")
        number = labels.texts.get(label, ("", ""))[0].partition("(")[2].rstrip(")")
        return "$$\n" + block.body + (f"\n\\tag{{{number}}}" if number else "") + "\n$$"
    if name in ("code-block", "code", "sourcecode"):
        return f"```{block.argument}\n{block.body}\n```"
    if name in ("tableofcontents", "toctree", "bibliography"):
        return ""
    inner = plain(block.body, page, labels)
    if name in BOXES:
        title = block.argument if name == "admonition" else name.capitalize()
        if "dropdown" in block.options.get("class", ""):
            return f"<details>\n<summary>{title}</summary>\n\n{inner}\n\n</details>"
        return "\n".join(f"> {line}".rstrip() for line in [f"**{title}**", "", *inner.splitlines()])
    return inner


def _plain_text(text: str, page: Path, labels: Labels) -> str:
    lines, dropped = text.splitlines(), set()
    for token in parser().parse(text):
        if token.type in ("myst_target", "myst_line_comment"):
            dropped.update(range(*token.map))
        for child in token.children or ():
            pattern, words = _inline(child, page, labels)
            if pattern:
                start, stop = token.map
                named = child.meta.get("name") in REFERENCES
                changed = _substituted(pattern, words, "\n".join(lines[start:stop]), named).split("\n")
                lines[start:stop] = changed + [""] * (stop - start - len(changed))
    return "\n".join(line for number, line in enumerate(lines) if number not in dropped).strip("\n")


def _substituted(pattern: str, words: str, text: str, capital: bool) -> str:
    """The first match replaced; ``capital``: with a capital, where it begins a sentence."""
    match = re.search(pattern, text)
    if not match:
        return text
    words = match.expand(words)
    if capital and BEGINNING.search(text[: match.start()]):
        words = words[:1].upper() + words[1:]
    return text[: match.start()] + words + text[match.end() :]


def _inline(child: Token, page: Path, labels: Labels) -> tuple[str, str]:
    """A pattern for how a role, or a link to a page of the book, is written, and a template of the words for it."""
    if child.type == "myst_role":
        name, content = child.meta["name"], child.content
        spelling = r"\s+".join(re.escape(word) for word in content.split())
        return rf"\{{{re.escape(name)}\}}`+{spelling}`+", _role(name, content, page, labels).replace("\\", r"\\")
    if child.type == "link_open" and str(child.attrs.get("href", "")).split("#")[0].endswith(".md"):
        return rf"\[([^\]]*)\]\({re.escape(child.attrs['href'])}\)", r"*\1*"
    return "", ""


def _role(name: str, content: str, page: Path, labels: Labels) -> str:
    match = TARGET.fullmatch(content)
    text, target = (match["text"], match["target"]) if match else ("", content)
    here = labels.titles.get(page.resolve(), "")
    if name == "math":
        return f"${content}$"
    if name == "doc":
        base = PROJECT if target.startswith("/") else page.parent
        title = labels.titles.get((base / (target.lstrip("/") + ".md")).resolve(), target)
        return f"*{text or title}*"
    if name.startswith("cite"):
        return _citation(content)
    if name == "numref" and text:
        number = labels.texts.get(target, (target, ""))[0].split()[-1].strip("()")
        return text.replace("%s", number).replace("{number}", number)
    if name in ("eq", "ref", "numref", "prf:ref"):
        return text or labels.reference(target, here)
    return text or content


@functools.cache
def _bibliography() -> dict[str, str]:
    entries = parse_file(PROJECT / "references.bib").entries
    return {key: _author_and_year(entry) for key, entry in entries.items()}


def _author_and_year(entry) -> str:
    people = entry.persons["author"]
    names = [" ".join(str(part) for part in person.rich_prelast_names + person.rich_last_names) for person in people]
    if len(names) > 2:
        names = [f"{names[0]} et al."]
    return f"{' and '.join(names)}, {entry.fields.get('year', 'no year')}"


def _citation(keys: str) -> str:
    known = _bibliography()
    return f"[{'; '.join(known.get(key.strip(), key.strip()) for key in keys.split(','))}]"
