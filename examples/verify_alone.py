"""The sandbox without the trainer: needs only the package ``sandbox_workers`` and the standard library.

Run as a program, this file judges a right, a wrong, an endless and a cheating program.
"""

from __future__ import annotations

from sandbox_workers import Limits, Sandbox, TestSuite

SUITE = TestSuite(tests=("assert double(2) == 4", "assert double([1]) == [1, 1]"))
PROGRAMS = {
    "right": "def double(x):\n    return x * 2",
    "wrong": "def double(x):\n    return x * 3",
    "endless": "def double(x):\n    while True:\n        pass",
    "cheating": "import os\nos._exit(0)",
}


def main() -> None:
    """Prints the verdict on each program."""
    with Sandbox(limits=Limits(wall_s=1.0)) as sandbox:
        for name, program in PROGRAMS.items():
            verdict = sandbox.run(program, SUITE)
            print(f"{name}: {verdict.status}, {verdict.passed} of {verdict.total} tests")


if __name__ == "__main__":
    main()
