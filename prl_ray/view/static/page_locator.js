// How well line scores find the first wrong line, and where score and tests disagree.

import { choice, empty, h, number, percent, section, table } from "./dom.js";
import { lines } from "./plots.js";
import { to } from "./page_runs.js";

const BY = { executed: "first wrong lines that execution found", traceback: "lines that the failing test's traceback names" };
const LOCATOR_SORTS = [["size", "how far off"], ["surprise", "the sampler's surprise"], ["step", "newest"]];
const LOCATOR_KINDS = [["", "all"], ["low line in a pass", "passes with a low line"], ["no low line in a failure", "failures without one"],
  ["wrong place", "wrong place"]];

export function locatorPage(data, parameters) {
  const go = (change) => { location.hash = to("locator", { ...parameters, ...change }); };
  return [
    h("h1", {}, "Locator"),
    h("p", { class: "says" }, "A failing program goes wrong at one line first. These are the shares that each guess finds; the "
      + "most frequent place is what must be beaten."),
    data.quality.length ? data.quality.map(quality) : h("p", { class: "note" },
      "No first wrong line is known in this run: lines were not executed, and no traceback names one."),
    h("div", { class: "charts" }, data.curves.map((c) => lines(c.label, "", [c]))),
    section("Where score and tests disagree", `Newest ${data.steps.length} steps. Low: below ${data.low}; a failure without a low `
      + `line: all above ${data.high}.`,
    h("div", { class: "tools" }, choice("Show", "kind", LOCATOR_KINDS, parameters.kind || "", (kind) => go({ kind })),
      choice("Order by", "sort", LOCATOR_SORTS, parameters.sort || "size", (sort) => go({ sort }))),
    data.queue.length ? queue(data) : empty("Nothing, or no PRM scored the lines.")),
  ];
}

function quality(found) {
  const all = found.all;
  const series = [["prm", "lowest PRM score"], ["surprise", "least likely token"], ["place", "most frequent place"]]
    .filter(([key]) => found.rows.some((row) => row[key] !== null))
    .map(([key, label]) => ({ label, x: found.rows.map((r) => r.step), y: found.rows.map((r) => r[key]) }));
  return section(`By ${BY[found.kind]}`, `${all.known} failures; the most frequent place is line ${all.at + 1}.`,
    table([
      { title: "guess", cell: ([, label]) => label },
      { title: "finds", class: "n", cell: ([key]) => percent(all[key]) },
    ], [["prm", "line with the lowest PRM score"], ["surprise", "line with the sampler's least likely token"],
      ["place", "the most frequent place"]]),
    h("div", { class: "charts wide" }, lines("Share found", "a step makes a weight version", series,
      { yaxis: { range: [0, 1], tickformat: ".0%" } })));
}

function queue(data) {
  return table([
    { title: "sample", cell: (r) => h("a", { href: to("sample", { run: data.run, step: r.step, row: r.row }) },
      `step ${r.step} #${r.row}`) },
    { title: "what", cell: (r) => r.kind },
    { title: "verdict", cell: (r) => r.status.replaceAll("_", " ") },
    { title: "lowest line", cell: (r) => h("pre", { class: "cut" }, r.text) },
    { title: "score", class: "n", cell: (r) => number(r.score) },
    { title: "goes wrong", cell: (r) => (r.wrong === null ? "–" : `line ${r.wrong + 1} (${r.by})`) },
    { title: "log-prob.", class: "n", says: "the least likely token of the lowest line", cell: (r) => number(r.logprob) },
    { title: "off by", class: "n", cell: (r) => number(r.size) },
  ], data.queue);
}
