"""Where in a call the cursor is, by looking at code that is not finished: it is cut into tokens, and never run."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Callee", "Place", "Text", "place_of"]


@dataclass(frozen=True)
class Text:
    """A text that is being typed: its prefix and quote, and what was *typed* of it, as it stands in the code."""

    prefix: str
    quote: str
    typed: str

    @property
    def raw(self) -> bool:
        return "r" in self.prefix

    @property
    def value(self) -> str | None:
        """What it says so far; None if that cannot be told."""
        if "b" in self.prefix:
            return None
        said = self.typed
        if "f" in self.prefix or "t" in self.prefix:
            if re.search(r"[{}]", said.replace("{{", "").replace("}}", "")):
                return None
            said = said.replace("{{", "{").replace("}}", "}")
        if self.raw or "\\" not in said:
            return said
        return _value("", self.quote, said)

    def written(self, value: str) -> str | None:
        """*value* as it has to stand in the code; None if such a text cannot hold it."""
        said = [self._letter(letter) for letter in value]
        if self.raw and value.endswith("\\"):
            return None
        return None if None in said else "".join(letter for letter in said if letter is not None)

    def _letter(self, letter: str) -> str | None:
        if letter in "{}" and ("f" in self.prefix or "t" in self.prefix):
            return letter * 2
        if letter.isprintable() and letter != "\\" and letter != self.quote[0]:
            return letter
        if self.raw:
            return "\\" if letter == "\\" else None
        if letter in ("\\", self.quote[0]):
            return f"\\{letter}"
        code = ord(letter)  # controls, and what turns or hides text: it is to be seen in the code
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@dataclass(frozen=True)
class Callee:
    """What is called: ``ops.ci_get.sync``, or ``ops.tool("mine").sync``, which has *called* the names before *then*."""

    names: tuple[str, ...]
    called: str | None = None
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where the cursor is in a call.

    Attributes:
        callee: What is called.
        position, keyword: Of the argument; the position is None after a star.
        first: The first argument, if it is a text.
        within: Whether it is the argument itself, an item of a list, or a key of a mapping (or an item of a set).
        text: What is being typed; None where no value has begun.
        of: The key of which it is a value, or one of a list of values.
    """

    callee: Callee
    position: int | None
    keyword: str | None
    first: str | None
    within: Literal["value", "item", "key"]
    text: Text | None
    of: str | None = None


@dataclass
class _Token:
    kind: str  # word, string, mark, called (a call that is closed), closed (another bracket that is)
    text: str = ""
    value: str | None = None


@dataclass
class _Open:
    """A bracket that is open, and what stands in it since the last comma."""

    mark: str = ""
    callee: Callee | None = None
    group: bool = False  # it begins a list, set, mapping or tuple, and is neither a call nor a subscript
    position: int | None = 0
    keyword: str | None = None
    first: str | None = None
    tokens: list[_Token] = field(default_factory=list)

    def end_argument(self) -> None:
        if self.position == 0 and self.keyword is None and [token.kind for token in self.tokens] == ["string"]:
            self.first = self.tokens[0].value
        starred = bool(self.tokens) and self.tokens[0].text == "*"
        self.position = None if self.position is None or starred else self.position + 1
        self.keyword = None
        self.tokens.clear()


_TOKEN = re.compile(
    r"""(?P<space>[ \t\f\r\n]+|\\\r?\n)
    |(?P<comment>\#[^\n]*)
    |(?P<string>[rRbBuUfFtT]{0,2}(?:'''|\"\"\"|'|\"))
    |(?P<word>\w+)
    |(?P<mark>==|.)""",
    re.VERBOSE | re.DOTALL,
)
_BODIES = {
    "'": re.compile(r"(?:[^\\\n']|\\.)*", re.DOTALL),
    '"': re.compile(r'(?:[^\\\n"]|\\.)*', re.DOTALL),
    "'''": re.compile(r"(?:[^\\']|\\.|'(?!''))*", re.DOTALL),
    '"""': re.compile(r'(?:[^\\"]|\\.|"(?!""))*', re.DOTALL),
}
_CLOSING = {")": "(", "]": "[", "}": "{"}
_VALUES = ("word", "string", "called", "closed")


def place_of(code: str) -> Place | None:
    """Where the end of *code* is; None if that is in no argument of a call, or in the midst of an expression."""
    opened = [_Open()]
    at = 0
    while at < len(code):
        token = _TOKEN.match(code, at)
        if token is None:  # it cannot be: a mark is any character
            return None
        kind, text, at = token.lastgroup, token[0], token.end()
        here = opened[-1]
        if kind == "comment":
            if at == len(code):
                return None
        elif kind == "space":
            if "\n" in text and text[0] != "\\" and len(opened) == 1:
                here.tokens.clear()
        elif kind == "string":
            prefix, quote = _cut(text)
            body = _BODIES[quote].match(code, at)
            end = at if body is None else body.end()
            if end == len(code) or code[end:] == "\\":
                return _place(opened, Text(prefix, quote, code[at:]))
            here.tokens.append(_Token("string", value=_value(prefix, quote, code[at:end])))
            at = end + (len(quote) if code.startswith(quote, end) else 0)  # else the line ended, and with it the text
        elif kind == "word":
            here.tokens.append(_Token("word", text))
        else:
            _mark(opened, text)
    return _place(opened, None)


def _cut(start: str) -> tuple[str, str]:
    prefix = start.rstrip("'\"")
    return prefix.lower(), start[len(prefix) :]


def _value(prefix: str, quote: str, body: str) -> str | None:
    if prefix not in ("", "r", "u"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an escape that there is not
            value = ast.literal_eval(f"{prefix}{quote}{body}{quote}")
    except (SyntaxError, ValueError):
        return None
    return value if isinstance(value, str) else None


def _mark(opened: list[_Open], mark: str) -> None:
    here = opened[-1]
    if mark in ("(", "[", "{"):
        after_value = bool(here.tokens) and here.tokens[-1].kind in _VALUES
        opened.append(_Open(mark, _callee(here.tokens) if mark == "(" else None, not after_value))
    elif mark in _CLOSING:
        if len(opened) > 1 and here.mark == _CLOSING[mark]:
            here.end_argument()
            opened.pop()
            opened[-1].tokens.append(_Token("called" if here.callee is not None else "closed", value=here.first))
    elif mark == "," and len(opened) > 1:
        here.end_argument()
    elif mark in (",", ";") and len(opened) == 1:
        here.tokens.clear()
    elif mark == "=" and here.callee is not None and [token.kind for token in here.tokens] == ["word"]:
        here.keyword = here.tokens.pop().text
    else:
        here.tokens.append(_Token("mark", mark))


def _callee(tokens: list[_Token]) -> Callee | None:
    """What the last of *tokens* call, where it is a name with dots, one call of such a name among them at most."""
    names: list[str] = []
    then: tuple[str, ...] = ()
    called: str | None = None
    at = len(tokens) - 1
    if at >= 0 and tokens[at].kind == "called":
        called, at = tokens[at].value, at - 1
        if called is None:
            return None
    while at >= 0 and tokens[at].kind == "word":
        names.insert(0, tokens[at].text)
        if at == 0 or tokens[at - 1].text != ".":
            return Callee(tuple(names), called, then)
        at -= 2
        if at >= 0 and tokens[at].kind == "called":
            if called is not None or tokens[at].value is None:
                return None
            called, then, names, at = tokens[at].value, tuple(names), [], at - 1
    return None


def _place(opened: list[_Open], text: Text | None) -> Place | None:
    *outer, here = opened
    within: Literal["value", "item", "key"] = "value"
    of = _key(here)
    if here.tokens and of is None:
        return None
    if of is None and here.mark == "[" and here.group and outer and _key(outer[-1]) is not None:
        within, of = "item", _key(outer[-1])
        *outer, here = outer
    if here.callee is None:
        if not here.group or not outer:
            return None
        if of is None:
            within = "key" if here.mark == "{" else "item"
        *outer, here = outer
        if here.callee is None or here.tokens:
            return None
    return Place(here.callee, here.position, here.keyword, here.first, within, text, of)


def _key(here: _Open) -> str | None:
    """The key of which a value is to come in *here*."""
    if here.mark != "{" or not here.group or [token.kind for token in here.tokens] != ["string", "mark"]:
        return None
    return here.tokens[0].value if here.tokens[1].text == ":" else None
