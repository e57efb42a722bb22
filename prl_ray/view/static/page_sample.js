// One sample: what every line scored and earned, and how a token's loss came about.

import { choice, empty, h, number, plural, section, signed, status, table } from "./dom.js";
import { rateColours, signColour } from "./colours.js";
import { to } from "./page_runs.js";
import { audit } from "./audit.js";

const VIEWS = [
  ["score", "PRM score", "probability that the line is right, by the process reward model"],
  ["verdict", "line verdict", "right, first wrong, or not known, by execution"],
  ["reward", "reward", "sum of the rewards of the line's tokens"],
  ["advantage", "advantage", "mean over the line's tokens: what the policy's loss is weighed with"],
  ["value", "value", "mean of the critic's values over the line's tokens"],
  ["logprob", "log-probability", "the least likely token of the line, by the sampler"],
];
let view = "score";
const LINE_VERDICTS = { 1: "✓ right", 0: "✗ first wrong" };

export function samplePage(data) {
  const near = (row, text) => h("a", {
    href: row >= 0 && row < data.rows ? to("sample", { run: data.run, step: data.step, row }) : null }, text);
  const lines = h("div", {});
  const tokens = h("div", { class: "tokens", role: "group", "aria-label": "tokens of the line" });
  const figures = h("div", { "aria-live": "polite" });
  let chosen = firstOfInterest(data);
  const choose = (line) => { chosen = line; showLine(data, line, tokens, figures); };
  const draw = () => { lines.replaceChildren(lineTable(data, chosen, choose)); choose(chosen); };
  draw();
  return [
    h("h1", {}, h("a", { href: to("problem", { run: data.run, task: data.task }) }, data.task),
      ` · step ${data.step}, sample ${data.row}`),
    data.asks ? h("p", { class: "asks-for" }, data.asks) : null,
    h("p", { class: "tools" }, status(data.status), ` ${data.passed} of ${plural(data.total, "test")}`,
      ` · reward ${data.learnt ? signed(data.reward) : "none (filtered out before the learner)"}`,
      ` · group: ${{ failing: "all fail", mixed: "mixed", passing: "all pass" }[data.group_kind] || "no verdict"}`,
      data.finished ? "" : " · cut off by the length limit", " · ", near(data.row - 1, "‹ before"), " ",
      near(data.row + 1, "after ›"), " ",
      h("a", { href: to("tree", { run: data.run, task: data.task, step: data.step }) }, "prefix tree")),
    data.message ? h("p", { class: "note" }, h("code", {}, data.message)) : null,
    choice("Colour by", "view", VIEWS, view, (wanted) => { view = wanted; draw(); }),
    h("div", { class: "sample" },
      h("div", { class: "of-lines" }, lines, section("Tests", "", tests(data)), trace(data)),
      section("Tokens of the line", "Choose a line (click, or Tab and the arrow keys), then a token (click, or the arrow keys).",
        tokens, figures)),
    h("details", {}, h("summary", {}, "Prompt, as the model read it"), h("pre", { class: "prompt" }, data.prompt)),
    data.references.length ? h("details", {}, h("summary", {}, "Reference"),
      data.references.map((reference) => h("pre", { class: "program" }, reference))) : null,
  ];
}

function firstOfInterest(data) {
  const first = [data.wrong_line, data.error_line].find((line) => line !== null && line < data.lines.length);
  const scored = data.lines.filter((line) => line.score !== null);
  const lowest = scored.reduce((low, line) => (low === null || line.score < low.score ? line : low), null);
  return first ?? (lowest ? data.lines.indexOf(lowest) : Math.max(0, data.lines.length - 1));
}

const sizeOf = (values) => Math.max(...values.map((value) => Math.abs(value || 0)), 1e-9);

// Background for a figure of the chosen kind; `size` is what counts as full where it has a sign.
function colourOf(value, size) {
  if (value === null || value === undefined) return {};
  if (view === "score") return rateColours(value);
  if (view === "logprob") return rateColours(Math.exp(value));
  if (view === "verdict") return { background: signColour(value ? 1 : -1, 1.4) };
  return { background: signColour(value, size) };
}

function lineTable(data, chosen, choose) {
  const size = sizeOf(data.lines.map((line) => line[view]));
  const given = data.given.trim() ? h("tr", { class: "given" }, h("td", {}), h("td", { class: "code" },
    h("pre", {}, data.given.replace(/\n$/, ""))), h("td", { colspan: 6, class: "quiet" }, "given")) : null;
  const notes = (i) => [
    data.error_line === i ? h("span", { class: "flag", title: "the failing test's traceback names it" }, " ← fails here") : null,
    data.wrong_line === i ? h("span", { class: "flag", title: `found by ${data.wrong_found_by}` }, " ← first wrong line") : null,
  ];
  const rows = data.lines.map((line, i) => h("tr", {
    tabindex: 0, class: [line.neutral && "neutral", i === chosen && "chosen"].filter(Boolean).join(" "), "data-line": i,
    title: VIEWS.map(([key, label]) => `${label}: ${key === "verdict" ? LINE_VERDICTS[line.verdict] || "–" : number(line[key])}`).join("\n"),
    onclick: () => choose(i), onfocus: () => choose(i), onkeydown: (event) => keys(event, () => choose(i), "tr[tabindex]") },
    h("td", { class: "n" }, line.end ? "" : i + 1),
    h("td", { class: "code", style: colourOf(line[view], size) }, h("pre", {}, line.end ? "<end>" : line.text), notes(i)),
    h("td", { class: "n" }, number(line.score)), h("td", {}, LINE_VERDICTS[line.verdict] || (line.neutral ? "neutral" : "–")),
    h("td", { class: "n" }, signed(line.reward)), h("td", { class: "n" }, signed(line.advantage)),
    h("td", { class: "n" }, number(line.value)), h("td", { class: "n" }, number(line.logprob))));
  const head = h("tr", {}, ["", "line", ...VIEWS.map(([, label]) => label)].map((title, i) =>
    h("th", { scope: "col", class: i > 1 && i !== 3 ? "n" : "", title: (VIEWS[i - 2] || [])[2] }, title)));
  return h("div", { class: "scroll" }, h("table", { class: "lines" }, h("thead", {}, head), h("tbody", {}, given, rows)));
}

// Enter chooses; arrow keys go to the next or last one of its kind.
function keys(event, choose, kind) {
  const step = { ArrowDown: 1, ArrowRight: 1, j: 1, ArrowUp: -1, ArrowLeft: -1, k: -1 }[event.key];
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    choose();
  } else if (step) {
    event.preventDefault();
    const all = [...event.currentTarget.parentElement.querySelectorAll(kind)];
    const next = all[all.indexOf(event.currentTarget) + step];
    if (next) next.focus();
  }
}

const visible = (text) => (text === "" ? "∅" : text.replaceAll("\n", "⏎\n").replaceAll("\t", "⇥"));

function showLine(data, index, place, figures) {
  const line = data.lines[index];
  if (!line) return place.replaceChildren(empty("This sample has no lines."));
  const [first, last] = line.tokens;
  const t = data.tokens;
  const column = t[view] || t.advantage;
  const size = column ? sizeOf(column) : 0;
  const choose = (i) => {
    figures.replaceChildren(audit(data, i));
    for (const button of place.querySelectorAll("button")) button.setAttribute("aria-pressed", button.dataset.token === String(i));
  };
  const says = (i) => `token ${t.id[i]}\n` + ["logprob", "reward", "advantage", "value"].filter((name) => t[name])
    .map((name) => `${VIEWS.find(([key]) => key === name)[1]}: ${number(t[name][i])}`).join("\n");
  const buttons = [];
  for (let i = first; i <= last; i++) {
    const style = !column ? {} : t[view] ? colourOf(column[i], size) : { background: signColour(column[i], size) };
    buttons.push(h("button", { type: "button", "data-token": i, title: says(i), style, onclick: () => choose(i),
      onfocus: () => choose(i), onkeydown: (event) => keys(event, () => choose(i), "button") }, visible(t.text[i])));
  }
  place.replaceChildren(h("span", { class: "quiet" }, line.end ? "end: " : `line ${index + 1}: `), ...buttons);
  for (const row of document.querySelectorAll("tr[data-line]")) row.classList.toggle("chosen", row.dataset.line === String(index));
  choose(last);
}

function tests(data) {
  if (!data.tests.length) return empty("No test reported: the program did not come that far, or an older version ran it.");
  return table([
    { title: "", class: "n", cell: (t, i) => i + 1 },
    { title: "outcome", cell: (t) => (t.outcome === "did not run" ? "– did not run" : status(t.outcome)) },
    { title: "given", cell: (t) => h("code", {}, t.given || "not stored") },
    { title: "expected", cell: (t) => h("code", {}, t.expected) },
    { title: "got", cell: (t) => h("code", {}, t.got) },
  ], data.tests);
}

function trace(data) {
  if (!data.trace) {
    return section("Trace compared with the reference", "", empty("The lines of this sample were not executed. Runs with an estimator or locator "
      + "that reads line verdicts execute them (see docs/line-credit.md)."));
  }
  const { apart, compared, rows } = data.trace;
  return section("Trace compared with the reference", !compared
    ? "The reference was not traced: that is done where a sample fails."
    : apart === null ? "On this input no line leaves the states of the reference."
      : `⚠ From line ${apart + 1} on the variables hold values that the reference never has.`,
  h("p", { class: "says" }, "On one input of the tests: the values of all variables after each line, between bars; = is what is "
    + "returned, ! an error."),
  table([
    { title: "", class: "n", cell: (row, i) => (i === apart ? "⚠ " : "") + (i + 1) },
    { title: "line", cell: (row) => h("pre", {}, row.text) },
    { title: "values after it", cell: (row) => h("code", {}, row.own || "–") },
    { title: "reference", cell: (row) => h("pre", {}, row.line) },
    { title: "its values", cell: (row) => h("code", {}, row.reference || "–") },
  ], rows.filter((row) => row.text || row.line || row.own || row.reference), {}, (row, i) => ({ class: i === apart ? "apart" : "" })));
}
