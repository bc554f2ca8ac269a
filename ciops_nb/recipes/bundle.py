"""A run on disk: as one file that replays without the estate, and as a folder that grows with a run that may die.

The file is a zip without compression of its own (Parquet is compressed; so equal runs give equal bytes on every
machine): ``run.json``, ``findings.json``, and a Parquet or JSON file for each answer and each body of a section.
Nothing is unpacked to disk, every size is checked before it is read, and every part against its hash: a bundle may come
from a stranger.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from ciops_nb import sync
from ciops_nb.engines.bundle import BundleEngine
from ciops_nb.errors import BadBundle, BadParameter, UnknownTool
from ciops_nb.estate.times import format_time, parse_zone
from ciops_nb.execution.call import Answer, Call
from ciops_nb.execution.keep import Written, error_from_json, error_to_json, from_json, frozen, plain, thawed, to_json
from ciops_nb.execution.record import Failed, Recorded, Recorder
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.run import Run, Settings, run_recipe
from ciops_nb.session import Ops

__all__ = ["Journal", "earlier", "from_head", "head", "load", "replay", "replayed", "save"]

FORMAT = 1
_RUN, _FINDINGS = "run.json", "findings.json"
_MOST_BYTES = 2 * 1024**3  # of all parts together
_MOST_PARTS = 20_000
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def save(run: Run, path: Path) -> Path:
    """Write *run* as a bundle: beside, and renamed when it is whole."""
    parts: dict[str, bytes] = {}
    calls = []
    for number, entry in enumerate(run.recorded, start=1):
        told, data, suffix = _entry(entry)
        name = f"calls/{number:05d}.{suffix}"
        parts[name] = data
        calls.append({**told, "part": name, "hash": _hash(data)})
    held = None
    if run.status == "done":
        with _told_as(path):
            parts[_FINDINGS] = _json(_findings(run.findings, parts))
        held = _hash(parts[_FINDINGS])
    failures = [{**_called(one.call), "error": error_to_json(one.error)} for one in run.recorder.failures]
    parts[_RUN] = _json({**head(run), "findings": held, "calls": calls, "failures": failures})
    _write(path, parts)
    return path


def head(run: Run) -> dict[str, Any]:
    """What there is to say of *run* beside its calls and findings."""
    return {
        "format": FORMAT, "ciops_version": run.ciops_version, "recipe": run.recipe, "status": run.status,
        "params": _params(run.params), "tenant": run.tenant, "estate": run.estate, "engine": run.engine,
        "data_version": run.data_version, "now": format_time(run.now), **asdict(run.settings),
        "error": None if run.error is None else f"{type(run.error).__name__}: {run.error}",
    }  # fmt: skip


def _entry(entry: Recorded) -> tuple[dict[str, Any], bytes, str]:
    """One call and its answer; how long it took and what the cache held are left out: they differ each time."""
    answer = entry.answer
    written = frozen(answer.value)
    told = {
        **_called(entry.call),
        "answer": {
            "kind": written.kind, "json_columns": list(written.json_columns), "engine": answer.engine,
            "data_version": answer.data_version, "as_of": answer.as_of, "source": answer.source, "total": answer.total,
            "left_out": to_json(list(answer.left_out)), "warnings": list(answer.warnings),
            "fallback": to_json(answer.fallback),
        },
    }  # fmt: skip
    return told, written.data, written.suffix


def _called(call: Call) -> dict[str, Any]:
    return {
        "tool": call.tool, "version": call.version, "params": _params(call.params), "tenant": call.tenant,
        "user": call.user, "as_of": call.as_of, "engine": call.engine, "data_version": call.data_version,
        "source": call.source,
    }  # fmt: skip


def _findings(findings: Findings, parts: dict[str, bytes]) -> dict[str, Any]:
    def statements(some: tuple[Statement, ...]) -> list[Any]:
        return [asdict(statement) for statement in some]

    return {
        "headline": asdict(findings.headline),
        "statements": statements(findings.statements),
        "sections": [_section(number, section, parts) for number, section in enumerate(findings.sections, start=1)],
        "ruled_out": statements(findings.ruled_out),
        "unknown": statements(findings.unknown),
        "next_steps": statements(findings.next_steps),
    }


def _section(number: int, section: Section, parts: dict[str, bytes]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "title": section.title, "calls": list(section.calls), "text": section.text, "picture": section.picture,
        "options": to_json(section.options),
    }  # fmt: skip
    body = section.body
    if isinstance(body, str) or body is None:
        return {**told, "kind": "text", "body": body}
    if not (hasattr(body, "columns") or hasattr(body, "nodes")):
        raise TypeError(f"section {section.title!r} has a {type(body).__name__}, which is no text, frame or graph")
    written = frozen(plain(body))
    name = f"findings/{number:03d}.{written.suffix}"
    parts[name] = written.data
    frames = "graph" if hasattr(body, "nodes") else "polars" if isinstance(body, pl.DataFrame) else "pandas"
    return {
        **told, "kind": written.kind, "frames": frames, "json_columns": list(written.json_columns), "part": name,
        "hash": _hash(written.data),
    }  # fmt: skip


def _write(path: Path, parts: Mapping[str, bytes]) -> None:
    beside = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            beside = Path(file.name)
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as made:
                for name in sorted(parts):
                    made.writestr(zipfile.ZipInfo(name, _EPOCH), parts[name])
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise BadParameter("path", str(path), f"cannot be written ({error.strerror})", "Name another") from None
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _told_as(path: Path) -> Iterator[None]:
    try:
        yield
    except TypeError as error:
        raise BadParameter("path", str(path), f"the findings cannot be written: {error}", "Use plain values") from None


# ── a run that may die ──────────────────────────────────────────────────────────────────────────────────────────────


class Journal:
    """A folder in which each answer of a run is written down as it comes, so that a run that dies can be resumed.

    An answer is there when its ``.json`` is, which is written after the rows and renamed when it is whole.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        try:
            folder.mkdir()
        except OSError as error:
            hint = "Name a new folder" if folder.exists() else "Name one whose parent exists and can be written"
            raise BadParameter("record", str(folder), f"cannot be made ({error.strerror})", hint) from None
        self._folder, self._run = folder, run
        self._put("run.json", _json(head(run)))

    def write(self, place: int, entry: Recorded) -> None:
        """Write one answer down."""
        told, data, suffix = _entry(entry)
        name = f"{place:05d}.{suffix if suffix == 'parquet' else 'graph'}"
        self._put(name, data)
        self._put(f"{place:05d}.json", _json({**told, "part": name, "hash": _hash(data)}))

    def _put(self, name: str, data: bytes) -> None:
        beside = self._folder / f".{name}.part"
        try:
            beside.write_bytes(data)
            beside.replace(self._folder / name)
        except OSError as error:
            raise BadParameter(
                "record", str(self._folder), f"cannot be written ({error.strerror})", "Make room"
            ) from None


def _from_journal(folder: Path) -> Run:
    """The run that was written down in *folder*, as far as it came."""

    def bad(name: str, problem: object) -> BadBundle:
        return BadBundle(str(folder / name), f"is not what a run writes down ({problem})", "Run it without resume")

    def read(name: str) -> Any:
        try:
            return json.loads((folder / name).read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise bad(name, error) from None

    run = from_head(read("run.json"), lambda problem: bad("run.json", problem))
    for path in sorted(folder.glob("[0-9]*.json")):
        told = read(path.name)
        try:
            # The name is made here and not taken from the file, which could name any file there is.
            data = path.with_suffix(".parquet" if told["answer"]["kind"] == "frame" else ".graph").read_bytes()
            if _hash(data) != told["hash"]:
                raise ValueError("its hash differs")
            run.recorder.add(_recorded(told, data, run.now))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise bad(path.name, error) from None
    run.end("cancelled")
    return run


def earlier(resume: Any) -> Run:
    """The run that is meant by what ``resume`` was given: a run, the file of a saved one, the folder of a recorded one.

    Raises:
        BadParameter: it is none of these.
        BadBundle: it cannot be read.
    """
    if isinstance(resume, Run):
        return resume
    if isinstance(resume, (str, os.PathLike)):
        path = Path(resume)
        return _from_journal(path) if path.is_dir() else load(path)
    raise BadParameter(
        "resume", resume, "is no run", "Give a run, the file of a saved one, or a folder of a recorded one"
    )


# ── replaying ───────────────────────────────────────────────────────────────────────────────────────────────────────


def replay(bundle: str | os.PathLike[str] | Run, *, frames: str | None = None) -> Run:
    """Run a saved run again, on its own answers: no estate and no network are needed.

    Args:
        bundle: What ``run.save`` wrote, the folder of a recorded run, or a run.
        frames: What the recipe gets from its tools; None is what it got.

    Returns:
        A run that has ended. If the recipe is not there (a package of its own brought it), it is the run as it was
        saved.

    Raises:
        BadBundle: it cannot be read.
    """
    saved = earlier(bundle)
    try:
        return replayed(saved, str(bundle), frames=frames)
    except UnknownTool:
        return saved


def replayed(saved: Run, place: str, *, frames: str | None = None) -> Run:
    """*saved*, which was read from *place*, run again on its own answers.

    Raises:
        UnknownTool: its recipe is not there.
    """
    told = saved.settings
    engine = BundleEngine(
        place, estate=saved.estate, engine=saved.engine, data_version=saved.data_version, tenant=saved.tenant
    )
    with Ops(
        engine, saved.tenant, frames=frames or told.frames, now=saved.now, tz=told.tz, strict=told.strict,
        user=_user(saved),
    ) as ops:  # fmt: skip
        return sync.run(run_recipe(ops, saved.recipe, saved.params, resume=saved, replay=True))


def _user(run: Run) -> str | None:
    return next((entry.call.user for entry in run.recorded), None)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def load(path: str | Path) -> Run:
    """Read a bundle: the run as it was.

    Raises:
        BadBundle: there is no such file, it is damaged, or it is not what a run was saved as.
    """
    try:
        with zipfile.ZipFile(path) as zipped:
            parts = _Parts(str(path), zipped)
            return _read(parts)
    except OSError as error:
        raise BadBundle(str(path), f"cannot be read ({error.strerror or error})", "Check the path") from None
    except zipfile.BadZipFile as error:
        raise BadBundle(str(path), f"is damaged or no bundle ({error})", "Save the run again") from None


class _Parts:
    """The parts of a bundle, each read once, whole, and no larger than it may be."""

    def __init__(self, place: str, zipped: zipfile.ZipFile) -> None:
        self.place, self._zipped = place, zipped
        known = zipped.infolist()
        if len(known) > _MOST_PARTS or sum(info.file_size for info in known) > _MOST_BYTES:
            raise self.bad("holds more than any run", "Do not open it unless you know who made it")
        for info in known:
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise self.bad(f"part {info.filename!r} is compressed, as save never does", "Save the run again")
        if len({info.filename for info in known}) != len(known):
            raise self.bad("has two parts of one name", "Save the run again")

    def bad(self, problem: str, hint: str = "Save the run again, with this release") -> BadBundle:
        return BadBundle(self.place, problem, hint)

    def read(self, name: Any, expected: Any = None) -> bytes:
        """The bytes of a part; *expected* is their hash."""
        try:
            data = self._zipped.read(name) if isinstance(name, str) else None
        except KeyError:
            data = None
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise self.bad(f"part {name!r} is damaged ({error})") from None
        if data is None:
            raise self.bad(f"part {name!r} is missing")
        if expected is not None and _hash(data) != expected:
            raise self.bad(f"part {name!r} is not what was saved: its hash differs")
        return data

    def json(self, name: str, expected: Any = None) -> Any:
        try:
            return json.loads(self.read(name, expected))
        except (ValueError, RecursionError) as error:
            raise self.bad(f"part {name!r} is no JSON ({error})") from None


def _read(parts: _Parts) -> Run:
    told = parts.json(_RUN)
    run = from_head(told, parts.bad)
    try:
        for call in told["calls"]:
            run.recorder.add(_recorded(call, parts.read(call["part"], call["hash"]), run.now))
        for call in told["failures"]:
            run.recorder.add(Failed(_to_call(call, run.now), error_from_json(call["error"])))
        found = None
        if told["findings"] is not None:
            found = _to_findings(parts, parts.json(_FINDINGS, told["findings"]))
        run.end(told["status"], found, None if told["error"] is None else RuntimeError(told["error"]))
        return run
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, BadBundle):
            raise
        raise parts.bad(f"is not what a run is saved as ({type(error).__name__}: {error})") from None


def from_head(head: Any, bad: Callable[[str], BadBundle]) -> Run:
    """The run that ``head`` told of, without its calls; *bad* makes the error of a problem."""
    version = head.get("format") if isinstance(head, dict) else None
    if version != FORMAT:
        raise bad(f"it has format {version!r}, and this release reads {FORMAT}")
    try:
        told = Settings(head["frames"], head["tz"], bool(head["strict"]))
        parse_zone(told.tz)  # refuses what is none
        if told.frames not in ("pandas", "polars"):
            raise ValueError(f"frames are {told.frames!r}")
        params = from_json(head["params"])
        if not (isinstance(params, dict) and all(isinstance(head[name], str) for name in ("recipe", "tenant"))):
            raise TypeError("its parameters have no names, or it has none")
        return Run(
            head["recipe"], params, Recorder(datetime.fromisoformat(head["now"])),
            tenant=head["tenant"], estate=head["estate"], engine=head["engine"], data_version=head["data_version"],
            settings=told, ciops_version=head["ciops_version"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise bad(f"it is not what a run is saved as ({type(error).__name__}: {error})") from None


def _recorded(told: Mapping[str, Any], data: bytes, now: datetime) -> Recorded:
    held = told["answer"]
    answer = Answer(
        thawed(Written(held["kind"], data, tuple(held["json_columns"]))),
        engine=held["engine"],
        data_version=held["data_version"],
        as_of=held["as_of"],
        source=held["source"],
        total=held["total"],
        left_out=tuple(from_json(held["left_out"])),
        warnings=tuple(held["warnings"]),
        fallback=from_json(held["fallback"]),
    )
    return Recorded(_to_call(told, now), answer, now, 0.0)


def _to_call(told: Mapping[str, Any], now: datetime) -> Call:
    params = from_json(told["params"])
    return Call(
        told["tool"], told["version"], params, params, tenant=told["tenant"], user=told["user"], engine=told["engine"],
        data_version=told["data_version"], source=told["source"], as_of=told["as_of"], ttl=0.0, timeout=None, now=now,
    )  # fmt: skip


def _to_findings(parts: _Parts, told: Mapping[str, Any]) -> Findings:
    def statement(held: Mapping[str, Any]) -> Statement:
        return Statement(str(held["text"]), tuple(held["calls"]))

    def statements(name: str) -> tuple[Statement, ...]:
        return tuple(statement(held) for held in told[name])

    return Findings(
        headline=statement(told["headline"]),
        statements=statements("statements"),
        sections=tuple(_to_section(parts, held) for held in told["sections"]),
        ruled_out=statements("ruled_out"),
        unknown=statements("unknown"),
        next_steps=statements("next_steps"),
    )


def _to_section(parts: _Parts, told: Mapping[str, Any]) -> Section:
    if told["kind"] == "text":
        body = told["body"]
    else:
        data = parts.read(told["part"], told["hash"])
        body = thawed(Written(told["kind"], data, tuple(told["json_columns"])))
        if told["frames"] == "pandas":
            from ciops_nb.present import to_pandas

            body = to_pandas(body)
    return Section(
        told["title"], body, tuple(told["calls"]), told["text"], told["picture"], dict(from_json(told["options"]))
    )


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    """*params* in the order of their signature, as a report tells them; what is inside of them has none."""
    return {name: json.loads(json.dumps(to_json(value), sort_keys=True)) for name, value in params.items()}
