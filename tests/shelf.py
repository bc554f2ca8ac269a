"""The notebook shelf: runs each notebook from its first cell to its last, and writes it as it is kept.

What is kept is what a reader without a kernel sees: no state of widgets, no address in a kernel that is gone, nothing
of the editor it was last open in. ``python -m tests.shelf`` writes them all anew; equal answers give equal bytes.
"""

import copy
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

SHELF = Path(__file__).parents[1] / "notebooks"
VIEW = "application/vnd.jupyter.widget-view+json"
SECONDS = 300


def notebooks():
    """The notebooks of the shelf."""
    return sorted(SHELF.glob("*.ipynb"))


def ran(path):
    """The notebook at *path*, run unattended in its folder."""
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    return NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=where).execute()


def kept(notebook):
    """*notebook* as the text of its file."""
    made = nbformat.v4.new_notebook(metadata={
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    })  # fmt: skip
    for number, cell in enumerate(notebook.cells):
        cell = copy.deepcopy(cell)
        cell.id, cell.metadata = f"cell-{number:02}", {}
        if cell.cell_type == "code":
            cell.outputs = list(_joined(cell.outputs))
        made.cells.append(cell)
    count = 0
    for cell in made.cells:
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
    return nbformat.writes(made) + "\n"


def _joined(outputs):
    """The outputs, a stream in one piece however often it was flushed, and without the live views of widgets."""
    last = None
    for output in outputs:
        if output.output_type == "stream" and last is not None and last.get("name") == output.name:
            last.text += output.text
            continue
        if "data" in output:
            output.data.pop(VIEW, None)
        last = output
        yield output


if __name__ == "__main__":
    for one in notebooks():
        if len(sys.argv) < 2 or one.stem in sys.argv[1:]:
            one.write_text(kept(ran(one)), encoding="utf-8")
            print(one.name, f"{one.stat().st_size:,} bytes")
