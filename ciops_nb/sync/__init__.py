"""The one crossing from ordinary code into the event loop.

Every call, awaited or blocked for, runs on one *home loop* in one daemon thread, so that locks, sessions and pools
belong to one loop whichever way they were reached:

- awaited from another loop: scheduled at home and waited for there; cancellation goes along;
- awaited at home: a plain await;
- blocked for (``.sync``): scheduled at home, and only the caller's thread waits;
- blocked for by plain code that runs at home (a recipe calls a helper that asks a tool): the tasks of the home loop
  run in greenlets, so such a call lets its own task really await. This is the way of SQLAlchemy's ``greenlet_spawn``.

Nothing happens on import: loop, thread and greenlets come with the first call, and nothing of the caller's is patched.

Work that is bound to the loop of the caller (a queue made in a cell, a session opened there with ``await``) cannot run
at home. For it, and only where asked for, there are ``%load_ext ciops_nb``, after which the cells of a notebook run in
greenlets too, ``use_running_loop()``, and ``run(..., where="caller")``.

What may surprise:

- Work runs in another thread than the caller's (sqlite3 and pyplot mind that).
- Stopping means cancelling, and at most two seconds of waiting for the clean-up.
- A blocking call made at home, or in a cell after ``%load_ext ciops_nb``, is a point where other tasks may run, so
  holding a ``threading.Lock`` over it can deadlock.
- An awaited call leaves the notebook's loop free, but all threads of a process share one interpreter: pure Python that
  works hard, at home or in a thread, makes that loop stutter. Engines (polars, DuckDB) let go of the interpreter.

In the files: ``crossing`` is the way home and back, ``driven`` the greenlets, ``waiting`` the stop button, ``caller``
and ``cell`` the ways to wait on the caller's own loop, ``notebook`` the extension for kernels.
"""

from ciops_nb.sync.caller import run, use_running_loop
from ciops_nb.sync.crossing import Call, Twin, block, call, in_thread, limited, on_home_loop, start, twin
from ciops_nb.sync.together import together

__all__ = [
    "Call", "Twin", "block", "call", "in_thread", "limited", "on_home_loop", "run", "start", "together",
    "twin", "use_running_loop",
]  # fmt: skip
