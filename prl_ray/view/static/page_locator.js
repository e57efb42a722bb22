// How well line scores find the first wrong line, and where score and tests disagree.

import { choice, empty, h, number, percent, section, status, table } from "./dom.js";
import { lines } from "./plots.js";
import { to } from "./page_runs.js";

const BY = { executed: "execution found", traceback: "the traceback names" };
const GUESSES = [["prm", "line with the lowest PRM score", "PRM"], ["surprise", "line with the sampler's least likely token", "surprise"],
  ["place", "the most frequent place", "place"]];
const LOCATOR_SORTS = [["size", "how far off"], ["surprise", "the sampler's surprise"], ["step", "newest"]];
const LOCATOR_KINDS = [["", "all"], ["low line in a pass", "passes with a low line"], ["no low line in a failure", "failures without one"],
  ["wrong place", "wrong place"]];

export function locatorPage(data, parameters) {
  const go = (change) => { location.hash = to("locator", { ...parameters, ...change }); };
  return [
    h("h1", {}, "Locator"),
    h("p", { class: "says" }, "Every failing program has a first wrong line. Each guess names a line; a guess is worth "
      + "something if it is right more often than the place that is most often wrong."),
    data.quality.length ? [guesses(data.quality), h("div", { class: "charts wide" }, data.quality.map(overVersions))]
      : h("p", { class: "note" }, "No first wrong line is known in this run: lines were not executed, and no traceback "
        + "names one. Lines of failures are executed with algorithm.locator_check or an estimator that reads line verdicts."),
    section("Where score and tests disagree", `Newest ${data.steps.length} steps. Low: below ${data.low}; a failure without a low `
      + `line: all above ${data.high}.`,
    h("div", { class: "tools" }, choice("Show", "kind", LOCATOR_KINDS, parameters.kind || "", (kind) => go({ kind })),
      choice("Order by", "sort", LOCATOR_SORTS, parameters.sort || "size", (sort) => go({ sort }))),
    data.unread.map((text) => h("p", { class: "note" }, text)),
    data.queue.length < data.count ? h("p", { class: "quiet" }, `The first ${data.queue.length} of ${data.count}.`) : null,
    data.queue.length ? queue(data) : empty("Nothing, or no PRM scored the lines.")),
    data.curves.length ? section("Metrics of the PRM and the locator", "",
      h("div", { class: "charts" }, data.curves.map((c) => lines(c.label, "", [c])))) : null,
  ];
}

// One row a guess, one column a way by which the first wrong line is known.
function guesses(quality) {
  const verdict = (all, key) => (key === "place" || all[key] === null ? ""
    : all[key] > all.place ? " ✓ better than the place" : " ✗ no better than the place");
  return table([
    { title: "guess", cell: ([, label]) => label },
    ...quality.map(({ kind, all }) => ({
      title: `right, of ${all.known} lines that ${BY[kind]}`,
      cell: ([key]) => [h("b", {}, percent(all[key])), key === "place" ? ` line ${all.at + 1}` : verdict(all, key)],
    })),
  ], GUESSES);
}

function overVersions({ kind, rows }) {
  const series = GUESSES.filter(([key]) => rows.some((row) => row[key] !== null))
    .map(([key, , label]) => ({ label, x: rows.map((r) => r.step), y: rows.map((r) => r[key]) }));
  return lines(`Right, of the lines that ${BY[kind]}`, "by weight version; each step makes one", series,
    { height: 230, yaxis: { range: [-0.03, 1.05], tickformat: ".0%" } });
}

function queue(data) {
  return table([
    { title: "sample", class: "whole", cell: (r) => h("a", { href: to("sample", { run: data.run, step: r.step, row: r.row }) },
      `step ${r.step} #${r.row}`) },
    { title: "what", class: "whole", cell: (r) => r.kind },
    { title: "verdict", cell: (r) => status(r.status) },
    { title: "lowest line", cell: (r) => [h("span", { class: "quiet" }, `${r.line + 1}: `), h("code", {}, r.text.trim())] },
    { title: "score", class: "n", cell: (r) => number(r.score) },
    { title: "goes wrong", class: "whole", cell: (r) => (r.wrong === null ? "–" : `line ${r.wrong + 1} (${r.by})`) },
    { title: "log-prob.", class: "n", says: "the least likely token of the lowest line: the sampler's surprise", cell: (r) => number(r.logprob) },
    { title: "off by", class: "n", says: "how far the score is from what the tests say", cell: (r) => number(r.size) },
  ], data.queue);
}
