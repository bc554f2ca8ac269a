"""Each notebook of the shelf runs unattended, gives the same bytes again, and holds nothing of where it was run."""

import re

import nbformat
import pytest

from tests.shelf import VIEW, kept, notebooks, ran

LARGEST = 500_000
# Where machines keep homes, temporary files and checkouts; "/" alone also stands in units and titles.
ABSOLUTE = re.compile(r"""(?:[\s"'(=;]|file://)(?:/(?:home|root|Users|tmp|var|usr|opt|mnt|work)/\S+|[A-Z]:\\\\?\w+)""")


@pytest.fixture(params=notebooks(), ids=lambda path: path.stem)
def path(request):
    return request.param


def test_what_is_kept_is_for_readers_without_a_kernel(path):
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.read(path, as_version=4)

    assert "widgets" not in notebook.metadata
    assert VIEW not in text
    assert [] == ABSOLUTE.findall(text)
    assert len(text.encode()) < LARGEST
    assert "markdown" == notebook.cells[0].cell_type
    assert "?" in notebook.cells[0].source.splitlines()[0], "a notebook opens with a question"


def test_every_cell_says_something_in_text_too(path):
    notebook = nbformat.read(path, as_version=4)
    shown = [output.data for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
             if "data" in output]  # fmt: skip

    assert all(data.get("text/plain") for data in shown)


def test_run_again_it_gives_the_same_bytes(path):
    assert path.read_text(encoding="utf-8") == kept(ran(path))
