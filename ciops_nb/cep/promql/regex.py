"""Regular expressions as Prometheus reads them (RE2), said in the words of the engine inside polars.

Both take time in proportion to the text and share most of their language. Where they differ, the pattern is written
anew (``\\d`` is ASCII only, ``[`` in a class and ``{`` without a number are themselves) or refused.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["PatternRefused", "translated"]


class PatternRefused(ValueError):
    """A pattern that the engine of Prometheus or ours does not read; says why."""


_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_POSIX = re.compile(r"\[:\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit):\]")
_BRACED = re.compile(r"\\[pPx]\{[^{}]*\}")
_GROUP = re.compile(r"\(\?(?:P?<[A-Za-z_]\w*>|[imsU]*(?:-[imsU]+)?[:)])")
_CLASSES = {
    "d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r ",
}  # fmt: skip
_PLAIN = frozenset("afnrtvxpP") | frozenset(r"\.+*?()|[]{}^$-/&~#%@!,:;<>=\"'` _")
_MOST_REPEATS = 1000


@lru_cache(maxsize=1024)
def translated(pattern: str, *, grouped: bool = False) -> str:
    """*pattern* anchored at both ends, for ``pl.Series.str``; *grouped* with a group of its own around it.

    Raises:
        PatternRefused: One of both engines would not take it.
    """
    import polars as pl

    whole = f"^(?s:{'(' * grouped}{_Translation(pattern).done()}{')' * grouped})$"
    try:
        pl.Series([""]).str.contains(whole)
    except pl.exceptions.ComputeError as error:
        reason = [line for line in str(error).splitlines() if line.startswith("error: ")]
        raise PatternRefused(reason[0][7:] if reason else "it is too large") from None
    return whole


class _Translation:
    def __init__(self, pattern: str) -> None:
        self._pattern, self._at, self._out = pattern, 0, list[str]()

    def done(self) -> str:
        depth = 0
        repeated = False  # whether what came last was a repetition already
        while self._at < len(self._pattern):
            sign = self._pattern[self._at]
            if sign in "*+?" or (sign == "{" and _REPEAT.match(self._pattern, self._at)):
                if repeated:
                    raise PatternRefused(f"repetition of a repetition at {self._at + 1}")
                self._repetition(sign)
                repeated = True
                continue
            repeated = False
            if sign == "\\":
                self._escape(inside=False)
            elif sign == "[":
                self._class()
            elif sign == "(":
                depth += 1
                self._group()
                if self._out[-1].endswith(")"):
                    depth -= 1
            else:
                if sign == ")":
                    depth -= 1
                    if depth < 0:
                        raise PatternRefused("a parenthesis is closed that was not opened")
                self._put("\\{" if sign == "{" else "\\}" if sign == "}" else sign, 1)
        return "".join(self._out)

    def _put(self, text: str, signs: int) -> None:
        self._out.append(text)
        self._at += signs

    def _repetition(self, sign: str) -> None:
        text = sign
        if sign == "{":
            found = _REPEAT.match(self._pattern, self._at)
            assert found is not None
            text = found.group()
            if any(int(number) > _MOST_REPEATS for number in found.groups() if number):
                raise PatternRefused(f"{text} repeats more than {_MOST_REPEATS} times")
        if self._pattern[self._at + len(text) : self._at + len(text) + 1] == "?":
            text += "?"
        self._put(text, len(text))

    def _group(self) -> None:
        if self._pattern[self._at + 1 : self._at + 2] != "?":
            self._put("(", 1)
            return
        found = _GROUP.match(self._pattern, self._at)
        if found is None:
            raise PatternRefused(f"the group {self._pattern[self._at : self._at + 4]!r} is none that RE2 has")
        self._put(found.group(), len(found.group()))

    def _escape(self, *, inside: bool) -> None:
        after = self._pattern[self._at + 1 : self._at + 2]
        braced = _BRACED.match(self._pattern, self._at)
        if braced:
            self._put(braced.group(), len(braced.group()))
            return
        if after.lower() in _CLASSES and after:
            ranges = _CLASSES[after.lower()]
            inverted = "^" if after.isupper() else ""
            self._put(ranges if inside and not inverted else f"[{inverted}{ranges}]", 2)
        elif after in ("b", "B") and not inside:
            self._put(f"(?-u:\\{after})", 2)
        elif (after in ("A", "z") and not inside) or (after in _PLAIN and after):
            self._put("\\x20" if after == " " else after if after in "_" else f"\\{after}", 2)
        elif after == "Q" and not inside:
            end = self._pattern.find("\\E", self._at)
            text = self._pattern[self._at + 2 : end if end >= 0 else None]
            self._put(re.escape(text), len(text) + 2 + (2 if end >= 0 else 0))
        else:
            raise PatternRefused(f"the escape \\{after} is none that RE2 has")

    def _class(self) -> None:
        self._put("[", 1)
        if self._pattern[self._at : self._at + 1] == "^":
            self._put("^", 1)
        first = True
        while self._at < len(self._pattern):
            sign = self._pattern[self._at]
            if sign == "]" and not first:
                self._put("]", 1)
                return
            posix = _POSIX.match(self._pattern, self._at)
            if self._pattern.startswith("[:", self._at) and not posix and ":]" in self._pattern[self._at + 2 :]:
                raise PatternRefused("a class such as [:alpha:] has a name that RE2 does not know")
            if posix:
                self._put(posix.group(), len(posix.group()))
            elif sign == "\\":
                self._escape(inside=True)
            elif sign == "-":
                self._put("-" if self._between() else "\\-", 1)
            else:
                self._put(f"\\{sign}" if sign in "[]&~" else sign, 1)
            first = False
        raise PatternRefused("a [ is not closed")

    def _between(self) -> bool:
        """Whether the hyphen here stands between two signs and not at an edge."""
        return self._out[-1] not in ("[", "^", "-") and self._pattern[self._at + 1 : self._at + 2] not in ("]", "")
