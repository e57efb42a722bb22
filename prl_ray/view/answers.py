"""Maps an address to the data of a page. Server and export both use this module; no other address is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prl_ray.errors import DataError
from prl_ray.view.cluster import cluster
from prl_ray.view.compare import MOST, compare, run_table
from prl_ray.view.labels import labels
from prl_ray.view.locator import locator
from prl_ray.view.overview import overview
from prl_ray.view.problems import heat_map, problem, step_list
from prl_ray.view.runs import Run, Runs
from prl_ray.view.sample import sample
from prl_ray.view.tree import prefix_tree

Query = Mapping[str, str]
RunPage = Callable[[Run, Query], dict[str, object]]
LONGEST = 300
"""Maximum length of a parameter in characters."""


class NoPageError(DataError):
    """There is no page at this address."""


def _number(query: Query, name: str, default: int = 0) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise DataError(f"{name}={text[:40]!r} is not a whole number")
    return int(text)


def _text(query: Query, name: str, default: str = "", longest: int = LONGEST) -> str:
    text = query.get(name, default)
    if len(text) > longest:
        raise DataError(f"{name} is longer than {longest} characters")
    return text


RUN_PAGES: dict[str, RunPage] = {
    "overview": lambda run, q: overview(run),
    "problems": lambda run, q: heat_map(run, _text(q, "sort", "hardest"), _number(q, "page"), _text(q, "search")),
    "problem": lambda run, q: problem(run, _text(q, "task")),
    "tree": lambda run, q: prefix_tree(run, _number(q, "step"), _text(q, "task"), _text(q, "by", "line")),
    "samples": lambda run, q: step_list(run, _number(q, "step") if "step" in q else None, _number(q, "page")),
    "sample": lambda run, q: sample(run, _number(q, "step"), _number(q, "row")),
    "locator": lambda run, q: locator(run, _text(q, "sort", "size"), _text(q, "kind")),
    "labels": lambda run, q: labels(run, _number(q, "page"), _text(q, "operator"), _text(q, "search")),
    "cluster": lambda run, q: cluster(run),
}
"""The pages of one run."""


def answer(runs: Runs, page: str, query: Query) -> dict[str, object]:
    """The data of a page.

    Args:
        runs: The runs that are shown.
        page: ``runs``, ``compare`` or one of ``RUN_PAGES``, which need ``run`` in the query.
        query: Parameters of the address.

    Raises:
        NoPageError: there is no such page.
        DataError: the page cannot be made.
    """
    if page == "runs":
        return run_table(runs)
    if page == "compare":
        names = _text(query, "runs", longest=LONGEST * MOST).split("/")  # folder names do not contain it
        return compare(runs, [name for name in names if name])
    if page not in RUN_PAGES:
        raise NoPageError(f"there is no page {page[:80]!r}")
    run = runs.named(_text(query, "run"))
    with run.history.lock:
        return RUN_PAGES[page](run, query)
