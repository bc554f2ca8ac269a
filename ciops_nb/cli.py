"""The command line: ``ciops-nb demo``, ``run``, ``panel``, ``verify``, ``generate``, ``import``, ``check`` …"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ciops_nb.errors import BadParameter, CiopsError
from ciops_nb.views.svg import Theme, visible

if TYPE_CHECKING:
    from ciops_nb.recipes.run import Run

__all__ = ["app", "main"]

app = typer.Typer(help="Investigate operations incidents.", no_args_is_help=True, add_completion=False)
_out, _err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)

_WIDEST = 100  # columns: longer lines are hard to follow
# Whichever click it is that typer brings along, this is what it raises for a wrong command line.
_UsageError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if issubclass(kind, Exception) and kind.__name__ == "ClickException"
)

_DEMO_CI, _DEMO_AT = "app-erp-01", "2026-03-02T10:00Z"

EstateOption = Annotated[str, typer.Option("--estate", help="The estate: a folder with an estate.toml.")]


@app.command()
def demo(
    estate: EstateOption = "data/demo",
    out: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("incident-demo.html"),
) -> None:
    """Triage an incident of the demo estate, and write its report."""
    _print_run(_triage(estate, None, "triage", {"ci": _DEMO_CI, "at": _DEMO_AT}), out)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="The recipe, such as triage.", metavar="RECIPE")],
    estate: EstateOption,
    tenant: Annotated[str | None, typer.Option(help="The tenant, where the estate has several.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter of the recipe; may be given several times."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report to this HTML file.")] = None,
    explorer: Annotated[
        bool, typer.Option("--explorer", help="Let readers of the report who allow scripts explore its graphs.")
    ] = False,
    save: Annotated[Path | None, typer.Option(help="Save the run with all its answers to this .ciops file.")] = None,
) -> None:
    """Run a recipe and print what it found.

    Such as: ciops-nb run triage --estate data/demo --param ci=app-erp-01 --param at=2026-03-02T10:00Z --out report.html

    The command ciops-nb tools lists the recipes with their parameters.
    """
    if explorer and out is None:
        _fail("--explorer", "is for the report: name its file with --out", 2)
    made = _triage(estate, tenant, recipe, dict(_param(text) for text in param or ()))
    saved = None if save is None else made.save(save)  # before it is printed: a run that failed raises there
    _print_run(made, out, explorer=explorer)
    if saved is not None:
        _out.print(f"Saved: {escape(visible(str(saved)))}")


@app.command()
def panel(
    estate: EstateOption = "data/demo",
    tenant: Annotated[str | None, typer.Option(help="The tenant, where the estate has several.")] = None,
    recipe: Annotated[str | None, typer.Option(help="The recipe to begin with, such as triage.")] = None,
    port: Annotated[int, typer.Option(help="Where to listen; 0 takes a free one.", min=0, max=65535)] = 8866,
    theme: Annotated[Theme, typer.Option(help="light or dark.")] = "light",
    browser: Annotated[bool, typer.Option(help="Whether to open the page.")] = True,
) -> None:
    """Show the recipe panel as a page of this machine, without a notebook, until Ctrl-C."""
    from ciops_nb.views.page import serve

    try:
        serve(estate, tenant=tenant, recipe=recipe, port=port, theme=theme, open_browser=browser, tell=_say)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "voila":
            raise
        _fail("Voila", "is not installed, and serves the page. Run pip install 'ciops-nb[lab]'", 1)


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A report, or a run saved as .ciops.")],
    estate: Annotated[
        str | None, typer.Option(help="Run it again on this estate; a saved run is else replayed on its own answers.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant, if not the one it was of.")] = None,
) -> None:
    """Say "same", or what differs first; exit code 0 or 1, and 2 if it cannot be told."""
    from ciops_nb.recipes.verify import verify as look

    try:
        found = look(path, estate=estate, tenant=tenant)
    except CiopsError as error:
        _fail(type(error).__name__, str(error), 2)
    for note in found.notes:
        _err.print(f"[yellow]note[/]: {escape(visible(note))}")
    _say(str(found))
    if not found.same:
        raise typer.Exit(1)


def _say(text: str, first: str = "", style: str = "") -> None:
    """Print *text*, *first* before it: in a terminal broken between words under its beginning, else as one line.

    Text comes from data: what would steer a terminal or hide in it is written out.
    """
    shown = visible(text)
    if _out.is_terminal:
        shown = textwrap.fill(
            shown, min(_out.width, _WIDEST), initial_indent=first, subsequent_indent=" " * len(first),
            break_on_hyphens=False, break_long_words=False,
        )  # fmt: skip
    else:
        shown = first + shown
    _out.print(shown, style=style, markup=False, emoji=False)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar a step, shown while the work lasts."""
    with Progress(console=_err, transient=True, disable=not _err.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done, total=total)

        yield tell


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadParameter("--param", text, "is not NAME=VALUE", "Such as --param ci=app-erp-01")
    # A whole number is one; all else is text, so that a code that looks like JSON stays a code.
    return name, int(value) if value.lstrip("-").isascii() and value.lstrip("-").isdigit() and name != "ci" else value


@contextmanager
def _busy(what: str) -> Iterator[None]:
    """A sign of life with a clock, while the work lasts."""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=_err, transient=True,
        disable=not _err.is_terminal,
    ) as bar:  # fmt: skip
        bar.add_task(escape(visible(what)), total=None)
        yield


def _triage(estate: str, tenant: str | None, recipe: str, params: dict[str, Any]) -> Run:
    import ciops_nb

    with _busy(f"{recipe} on {estate}"), ciops_nb.connect(estate, tenant=tenant) as ops:
        return ops.run.sync(recipe, **params)


def _print_run(made: Run, out: Path | None, *, explorer: bool = False) -> None:
    _say(made.findings.headline.text, style="bold")
    for title, group in made.findings.groups():
        _out.print(f"\n{title}:", style="bold")
        for statement in group:
            _say(statement.text, "  - ")
    _out.print()
    _say(_completeness(made))
    if out is not None:
        with _busy("writing the report"):
            made.report(out, explorer=explorer)
        _say(f"Report: {out}")


def _completeness(made: Run) -> str:
    calls = f"{len(made.calls)} call{'' if len(made.calls) == 1 else 's'}"
    gaps = [call for call in made.calls if call.completeness.status != "complete"]
    if not gaps:
        return f"It rests on {calls}, all complete."
    told = ", ".join(f"{call.tool} ({call.completeness.status})" for call in gaps)
    return f"It rests on {calls}, of which {len(gaps)} not complete: {told}."


@app.command()
def generate(
    target: Annotated[Path, typer.Argument(help="The folder to make.")],
    cis: Annotated[int, typer.Option(help="About how many CIs each tenant has.")] = 280,
    relations: Annotated[
        int | None, typer.Option(help="How many relations each tenant has; some 2.6 a CI if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 7,
    days: Annotated[int, typer.Option(help="Days of metrics.")] = 14,
    every: Annotated[int, typer.Option(help="Minutes between the points of a series.")] = 10,
    tenants: Annotated[int, typer.Option(help="How many tenants, with equal codes and different values.")] = 1,
) -> None:
    """Make an estate of any size, the same for the same seed."""
    from ciops_nb.estate.generate import generate as make

    with _progress() as tell:
        make(
            target,
            cis=cis,
            relations=relations,
            seed=seed,
            days=days,
            every_minutes=every,
            tenants=tenants,
            progress=tell,
        )
    _out.print(f"Made {escape(str(target))}")


import_app = typer.Typer(help="Bring your own data.", no_args_is_help=True)
app.add_typer(import_app, name="import")


@import_app.command("tables")
def import_tables(
    folder: Annotated[Path, typer.Argument(help="CSV or Parquet files named after the tables.")],
    out: Annotated[Path, typer.Argument(help="The estate to make.")],
    mapping: Annotated[Path | None, typer.Option(help="A TOML file that says what the columns are called.")] = None,
    name: Annotated[str | None, typer.Option(help="The name of the estate.")] = None,
) -> None:
    """Make an estate from CSV or Parquet files; what cannot be used is kept aside with the reason."""
    from ciops_nb.estate.importer import import_tables as bring

    with _progress() as tell:
        report = bring(folder, out, mapping=mapping, name=name, progress=tell)
    for table in report.tables.values():
        ignored = f", columns not used: {', '.join(table.ignored)}" if table.ignored else ""
        derived = f", {table.derived:,} derived" if table.derived else ""
        counts = f"{table.rows:,} rows in, {table.kept:,} kept, {table.rejected:,} rejected"
        _say(f"{counts}{derived}{ignored}", f"{table.table:12} ")
    for warning in report.warnings:
        _err.print(f"[yellow]warning[/]: {escape(visible(warning))}")
    if report.rejected is not None:
        _say(f"Rejected rows with their reasons: {report.rejected}")
    _say(f"Made {out}")


@app.command()
def check(estate: Annotated[Path, typer.Argument(help="The estate.")]) -> None:
    """List what is wrong with an estate; exit code 1 if anything is an error."""
    from ciops_nb.estate.check import check as look

    found = look(estate)
    for row in found.iter_rows(named=True):
        told = f"{row['table']}: {row['problem']} {row['subject'] or ''} ({row['count']}) {row['detail'] or ''}"
        _say(told.rstrip(), f"{row['severity']:8} ", style="red" if row["severity"] == "error" else "yellow")
    _out.print(f"{found.height or 'no'} finding{'' if found.height == 1 else 's'}")
    if "error" in found["severity"].to_list():
        raise typer.Exit(1)


@app.command()
def tools() -> None:
    """List the tools and recipes, each with its question."""
    import ciops_nb.tools
    from ciops_nb.recipes.run import all_recipes
    from ciops_nb.registry import all_tools

    assert ciops_nb.tools
    for name, asked in all_tools().items():
        _say(_question(asked), f"{name:22} ")
    for name, made in all_recipes().items():
        _say(f"{_question(made)} Parameters: {_parameters(made)}.", f"{name:22} ")


def _question(thing: object) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]


def _parameters(recipe: Callable[..., Any]) -> str:
    """What a recipe can be given, with the defaults."""
    known = list(inspect.signature(recipe).parameters.values())[1:]
    return ", ".join(
        each.name if each.default in (each.empty, None) else f"{each.name}={each.default}" for each in known
    )


def main() -> None:
    """The entry point: an error of ours is one line, and exit code 1; a wrong command line is one, and 2."""
    try:
        code = app(prog_name="ciops-nb", standalone_mode=False)
    except CiopsError as error:
        _fail(type(error).__name__, str(error), 1)
    except typer.Abort:
        _fail("Stopped", "nothing more was done", 130)
    except _UsageError as error:
        context, say = getattr(error, "ctx", None), getattr(error, "format_message", error.__str__)
        why = say().rstrip(".")
        path = context.command_path if context else "ciops-nb"
        if not why:  # no command was given: its help was shown
            sys.exit(2)
        _fail("Usage", f"{why}. See {path} --help.", 2)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(what: str, why: str, code: int) -> NoReturn:
    _err.print(f"[bold red]{what}[/]: {escape(visible(why))}")
    sys.exit(code)
