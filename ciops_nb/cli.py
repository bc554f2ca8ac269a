"""The command line: ``ciops-nb demo``, ``run``, ``generate``, ``import tables``, ``check`` and ``tools``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ciops_nb.errors import BadParameter, CiopsError

if TYPE_CHECKING:
    from ciops_nb.recipes.run import Run

__all__ = ["app", "main"]

app = typer.Typer(help="Investigate operations incidents.", no_args_is_help=True, add_completion=False)
_out, _err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)

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
    recipe: Annotated[str, typer.Argument(help="The recipe, such as triage.")],
    estate: EstateOption,
    tenant: Annotated[str | None, typer.Option(help="The tenant, where the estate has several.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter as NAME=VALUE; may be given several times.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report to this HTML file.")] = None,
) -> None:
    """Run a recipe and print what it found."""
    _print_run(_triage(estate, tenant, recipe, dict(_param(text) for text in param or ())), out)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar a step, shown while the work lasts."""
    with Progress(console=_err, transient=True) as bar:
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


def _triage(estate: str, tenant: str | None, recipe: str, params: dict[str, Any]) -> Run:
    import ciops_nb

    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=_err, transient=True
    ) as bar:
        bar.add_task(f"{recipe} on {escape(estate)}", total=None)
        with ciops_nb.connect(estate, tenant=tenant) as ops:
            return ops.run.sync(recipe, **params)


def _print_run(made: Run, out: Path | None) -> None:
    _out.print(escape(str(made.findings)))
    if out is not None:
        _out.print(f"\nReport: {escape(str(made.report(out)))}")


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
        derived = f", {table.derived} derived" if table.derived else ""
        counts = f"{table.rows} rows in, {table.kept} kept, {table.rejected} rejected"
        _out.print(escape(f"{table.table:12} {counts}{derived}{ignored}"))
    for warning in report.warnings:
        _err.print(f"[yellow]warning[/]: {escape(warning)}")
    if report.rejected is not None:
        _out.print(f"Rejected rows with their reasons: {escape(str(report.rejected))}")
    _out.print(f"Made {escape(str(out))}")


@app.command()
def check(estate: Annotated[Path, typer.Argument(help="The estate.")]) -> None:
    """List what is wrong with an estate; exit code 1 if anything is an error."""
    from ciops_nb.estate.check import check as look

    found = look(estate)
    for row in found.iter_rows(named=True):
        colour = "red" if row["severity"] == "error" else "yellow"
        told = f"{row['table']}: {row['problem']} {row['subject'] or ''} ({row['count']}) {row['detail'] or ''}"
        _out.print(f"[{colour}]{row['severity']}[/] {escape(told)}")
    _out.print(f"{found.height} findings")
    if "error" in found["severity"].to_list():
        raise typer.Exit(1)


@app.command()
def tools() -> None:
    """List the tools and recipes, each with its question."""
    import ciops_nb.tools
    from ciops_nb.recipes.run import all_recipes
    from ciops_nb.registry import all_tools

    assert ciops_nb.tools
    for name, thing in {**all_tools(), **all_recipes()}.items():
        _out.print(f"{name:22} {escape((thing.__doc__ or '').strip().splitlines()[0])}")


def main() -> None:
    """The entry point: an error of ours is one line, and exit code 1."""
    try:
        app()
    except CiopsError as error:
        _err.print(f"[bold red]{type(error).__name__}[/]: {escape(str(error))}")
        sys.exit(1)
