// Problems × steps, one problem, the prefix tree of its samples, and lists of samples.

import { choice, empty, h, number, pager, percent, plural, section, signed, status, table } from "./dom.js";
import { rateColours, signColour } from "./colours.js";
import { lines } from "./plots.js";
import { to } from "./page_runs.js";

const SORTS = [["hardest", "hardest"], ["easiest", "easiest"], ["improved", "improved most"],
  ["worsened", "worsened most"], ["sampled", "sampled most"], ["name", "name"]];

export function problemsPage(data, parameters) {
  const go = (change) => { location.hash = to("problems", { ...parameters, page: 0, ...change }); };
  const search = h("input", { type: "search", placeholder: "task id, or what it asks for", value: parameters.search || "",
    "aria-label": "search problems", onchange: (event) => go({ search: event.target.value }) });
  return [
    h("h1", {}, "Problems × steps"),
    h("p", { class: "says" }, "Percent of a problem's samples that pass, over the steps. Dark: none, bright: all; an empty "
      + "cell: not sampled there."),
    h("div", { class: "tools" }, search, choice("Order", "sort", SORTS, parameters.sort || "hardest",
      (sort) => go({ sort }))),
    data.rows.length ? heatMap(data) : empty("No samples yet, or no problem fits."),
    pager(data, (page) => go({ page })),
  ];
}

function heatMap(data) {
  const until = (i) => (i + 1 < data.steps.length ? data.steps[i + 1] - 1 : data.last);
  const when = (i) => (until(i) > data.steps[i] ? `steps ${data.steps[i]} to ${until(i)}` : `step ${data.steps[i]}`);
  const cell = (rate, i) => (rate === null ? h("td", {})
    : h("td", { style: rateColours(rate), title: `${when(i)}: ${percent(rate)}` }, Math.round(100 * rate)));
  const every = data.steps.length > 12 ? 4 : 1;
  const head = h("tr", {}, h("th", { scope: "col" }, "problem"), h("th", { scope: "col" }, "asks for"),
    h("th", { scope: "col", class: "n" }, "pass"), h("th", { scope: "col", class: "n" }, "samples"),
    data.steps.map((step, i) => h("th", { scope: "col", class: "step" }, i % every ? "" : step)));
  const row = (name, asks, one, attributes = {}) => h("tr", attributes, h("th", { scope: "row" }, name),
    h("td", { class: "asks", title: asks }, asks), h("td", { class: "n" }, percent(one.rate)), h("td", { class: "n" }, one.samples),
    one.rates.map(cell));
  const body = data.rows.map((one) =>
    row(h("a", { href: to("problem", { run: data.run, task: one.task }) }, one.task), one.asks, one));
  return h("div", { class: "scroll" }, h("table", { class: "heat" }, h("thead", {}, head),
    h("tbody", {}, row(`all ${data.count}`, "", data.all, { class: "all" }), body)));
}

export function problemPage(data) {
  const text = data.text;
  const rates = { label: "pass rate", x: data.curve.map((c) => c.step), y: data.curve.map((c) => c.passed / c.samples) };
  return [
    h("h1", {}, data.task, text ? h("span", { class: "state" }, ` difficulty ${text.difficulty}`) : null),
    text ? [h("pre", { class: "prompt" }, text.prompt), asked(text)] : h("p", { class: "note" },
      "This run has no problems.jsonl (an older version made it): prompt, tests and reference are not known."),
    rates.x.length > 1 ? h("div", { class: "charts" }, lines("Pass rate of its samples", "", [rates],
      { yaxis: { range: [-0.05, 1.05], tickformat: ".0%" } })) : null,
    data.steps.length ? null : empty("The steps that sampled it are thinned out (tracking.keep_samples)."),
    data.steps.map(({ step, samples, error }) => section(`Step ${step}`,
      error || `${samples.filter((s) => s.status === "passed").length} of ${samples.length} pass`,
      error ? null : h("p", {}, h("a", { href: to("tree", { run: data.run, task: data.task, step }) }, "Where they part: prefix tree")),
      error ? null : sampleTable(data.run, step, samples))),
  ];
}

function asked(text) {
  return [
    h("details", { open: text.tests.length <= 8 }, h("summary", {}, plural(text.tests.length, "test")), table([
      { title: "", class: "n", cell: (t, i) => i + 1 },
      { title: "given", cell: (t) => h("code", {}, t.given) }, { title: "expected", cell: (t) => h("code", {}, t.expected) },
    ], text.tests)),
    text.references.map((reference, i) => h("details", { open: i === 0 },
      h("summary", {}, i ? `reference ${i + 1}` : "reference"), h("pre", { class: "program" }, reference))),
  ];
}

export function sampleTable(run, step, samples, withTask = false) {
  const cut = (program) => program.split("\n").slice(0, 8).join("\n");
  return table([
    { title: "sample", cell: (s) => h("a", { href: to("sample", { run, step, row: s.row }) }, `#${s.row}`) },
    ...(withTask ? [{ title: "problem", cell: (s) => h("a", { href: to("problem", { run, task: s.task }) }, s.task) }] : []),
    { title: "verdict", cell: (s) => status(s.status) },
    { title: "tests", class: "n", cell: (s) => `${s.passed} of ${s.total}` },
    { title: "reward", class: "n", cell: (s) => (s.learnt ? signed(s.reward) : h("span", {
      title: "its prompt was filtered out: no sample of it differs in outcome" }, "filtered")) },
    { title: "lowest line", class: "n", says: "lowest PRM score of a line", cell: (s) => number(s.lowest) },
    { title: "weights", class: "n", says: "version that sampled it", cell: (s) => s.version ?? "–" },
    { title: "program", cell: (s) => h("pre", { class: "cut", title: s.program }, cut(s.program)) },
  ], samples);
}

export function samplesPage(data, parameters) {
  const go = (change) => { location.hash = to("samples", { ...parameters, ...change }); };
  if (!data.steps.length) return [h("h1", {}, "Samples"), empty("No step's samples are stored.")];
  const select = h("select", { "aria-label": "step", onchange: (e) => go({ step: e.target.value, page: 0 }) },
    data.steps.map((step) => h("option", { value: step, selected: step === data.step }, `step ${step}`)));
  return [h("h1", {}, "Samples"), h("p", { class: "tools" }, select, ` ${data.count} samples`),
    sampleTable(data.run, data.step, data.rows, true), pager(data, (page) => go({ page, step: data.step }))];
}

export function treePage(data, parameters) {
  const count = data.tree.count;
  return [
    h("h1", {}, "Prefix tree"),
    h("p", { class: "says" }, `${plural(count, "sample")} of `, h("a", { href: to("problem", { run: data.run, task: data.task }) },
      data.task), ` at step ${data.step}, left to right. Samples are together as far as their ${data.by === "state"
      ? "variables hold the same values" : "lines are equal"}. An edge says which share of the samples takes it and the `
      + "mean advantage of the lines after it, blue for more and orange for less than 0; the bar is the share that passes."),
    data.traced ? choice("Together while equal", "by", [["line", "lines"], ["state", "values of all variables"]], data.by,
      (by) => { location.hash = to("tree", { ...parameters, by }); }) : null,
    h("div", { class: "scroll" }, h("div", { class: "tree" }, branch(data, data.tree, largest(data.tree)))),
  ];
}

const largest = (node) => Math.max(Math.abs(node.advantage || 0), ...node.children.map(largest));

// An edge carries the share of all samples that take it, as its height, and what they earned behind it.
function edge(node, size) {
  return h("div", { class: "edge", title: `${plural(node.count, "sample")}, ${node.passed} pass` },
    h("span", {}, percent(node.share)), node.advantage === null ? null : h("span", {}, signed(node.advantage)),
    h("div", { class: "line", style: { height: `${2 + 10 * node.share}px`, background: node.advantage
      ? signColour(Math.sign(node.advantage) * Math.max(Math.abs(node.advantage), size / 3), size) : null } }));
}

function branch(data, node, size) {
  const facts = [`${node.passed} of ${node.count} pass`];
  if (node.score !== null) facts.push(`score ${number(node.score)}`);
  if (node.wrong) facts.push(`✗ first wrong line of ${node.wrong}`);
  const root = !node.lines.length;
  const box = h("div", { class: "node" },
    root ? h("b", {}, "all samples") : h("pre", {}, node.lines.join("\n")),
    h("div", { class: "facts" }, facts.join(" · ")),
    h("div", { class: "bar", title: `${node.passed} of ${node.count} pass` },
      h("div", { style: { width: `${(100 * node.passed) / node.count}%` } })),
    node.children.length ? null : h("div", { class: "rows" }, node.rows.map((row) =>
      h("a", { href: to("sample", { run: data.run, step: data.step, row }) }, `#${row} `))));
  return h("div", { class: "branch" }, root ? null : edge(node, size), box,
    node.children.length ? h("div", { class: "children" }, node.children.map((child) => branch(data, child, size))) : null);
}
