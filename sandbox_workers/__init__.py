"""Runs one untrusted program and says what happened. Needs only the standard library.

Theory of operation (``docs/sandbox.md`` has the picture).

*Processes.* The parent (``Sandbox``, in the caller's process) starts a *zygote*: a warm interpreter with one thread
that enters its jail once. On request the zygote forks one child process per program, in one of four *work slots* (a
root, a working directory), and reaps it. A compiler, in a child of its own, turns sources into code objects. Tests
that are code run in a *judge*, one more child. Nothing outlives its run: each child is the first process of its own
process-id namespace, a slot is emptied before it is used again, and a zygote that dies is replaced and its program
run again.

*Channels.* A control socket between parent and zygote carries ``Fork``, ``Kill`` and ``Ended``. Each child has a
channel to the parent, and pipes for its output. A judge has the program's channel too. ``inside/protocol.py``
holds the jobs, which trusted sides send, marshalled; ``inside/reports.py`` the reports, which a program's process may
forge: JSON of declared fields, whose values are plain data (``plain``).

*Trust.* The parent trusts the kernel and the zygote. The zygote never sees a program, a test or an expected value. A
judge trusts nothing that the program says but that it is plain data; its own reports carry a secret. The program's
process is trusted with nothing: it may forge whatever it sends.

*What a verdict rests on.* It is ``passed`` only if every expected test has reported success. Execution modes, safest
first (``inside/protocol.EXECUTION_MODES``): ``script`` and ``values`` compare the printed text or the returned values
in the parent, and no expected value enters the jail; ``judge`` compares in the judge, by built-in types. In mode
``shared`` the tests run in the program's process, because their text shows that they need it (``needs``) or because
the program returned a value that cannot be carried to them: then ``Verdict.shared`` says that the verdict can be
forged. With ``shared_fallback=False`` no program can choose that mode, and such a verdict is ``unsupported``: it
decides nothing.
"""

from __future__ import annotations

from .errors import SandboxError, SandboxUnavailable, SuiteError
from .extraction import program_of
from .limits import Limits
from .sandbox import Sandbox
from .suite import Case, Checker, TestSuite
from .verdict import UNDECIDED, CallResult, Execution, Status, Verdict

__all__ = [
    "UNDECIDED",
    "CallResult",
    "Case",
    "Checker",
    "Execution",
    "Limits",
    "Sandbox",
    "SandboxError",
    "SandboxUnavailable",
    "Status",
    "SuiteError",
    "TestSuite",
    "Verdict",
    "program_of",
]
