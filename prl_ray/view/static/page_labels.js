// The labelled programs, each with the way it came about.

import { empty, h, pager, plural, select, status, table } from "./dom.js";
import { to } from "./page_runs.js";

const MARK = { 1: ["✓", "right"], 0: ["✗", "wrong"], "-1": ["·", "no label"] };

export function labelsPage(data, parameters) {
  const go = (change) => { location.hash = to("labels", { ...parameters, page: 0, ...change }); };
  if (!data.operators.length) return [h("h1", {}, "Labels"), empty("This run has no labelled programs here: the stage label has not run.")];
  const options = [["", "everything"], ...data.operators.map((o) => [o.name, `${o.name} (${o.rows})`])];
  const chosen = data.operators.find((o) => o.name === parameters.operator);
  const search = h("input", { type: "search", placeholder: "part of a task id", value: parameters.search || "",
    "aria-label": "search problems", onchange: (event) => go({ search: event.target.value }) });
  return [
    h("h1", {}, "Labels"),
    h("p", { class: "says" }, "Programs with one label per line: ✓ right, ✗ wrong, · none. A variant's tests decide, not the "
      + "operator's intention."),
    h("div", { class: "tools" }, search, select("Made by", options, parameters.operator || "", (operator) => go({ operator })),
      h("span", { class: "quiet" }, plural(data.count, "program"))),
    chosen && chosen.says ? h("p", { class: "says" }, chosen.says) : null,
    h("div", { class: "cards" }, data.rows.map(card)),
    pager(data, (page) => go({ page })),
  ];
}

function card(row) {
  const lines = [...row.lines, { text: "<end>", label: row.end }];
  return h("article", { class: "card" }, h("h2", {}, row.task, " ", status(row.status)), lineage(row),
    table([
      { title: "label", cell: (line) => h("span", { class: `label${line.label}`, title: MARK[line.label][1] }, MARK[line.label][0]) },
      { title: "line", cell: (line, i) => [
        i === row.changed && row.original !== null ? h("pre", { class: "before", title: "the reference's line" }, row.original.trimEnd()) : null,
        h("pre", { class: i === row.changed ? "changed" : "" }, line.text)] },
    ], lines, { class: "program" }), h("details", {}, h("summary", {}, "prompt"), h("pre", { class: "prompt" }, row.prompt)));
}

// Reference line → operator or teacher → variant → the tests that decided.
function lineage(row) {
  if (row.operator === "reference") return h("p", { class: "lineage" }, "reference solution");
  const changed = row.changed === null ? null : (row.lines[row.changed] || { text: "<end>" }).text.trim();
  const killed = row.killed_by === null
    ? (row.passed ? "all tests pass" : "a test failed; which one is not known")
    : [`killed by test ${row.killed_by + 1}`, row.test ? [": ", h("code", {}, row.test)] : ""];
  return h("ol", { class: "lineage" },
    row.original === null ? null : h("li", {}, "reference line ", h("code", {}, row.original.trim())),
    h("li", {}, h("b", {}, row.operator), row.says ? ` (${row.says})` : ""),
    changed === null ? null : h("li", {}, "variant ", h("code", {}, changed)),
    h("li", {}, killed));
}
