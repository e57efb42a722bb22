// The labelled programs, each with the way it came about.

import { choice, empty, h, pager, status, table } from "./dom.js";
import { to } from "./page_runs.js";

const MARK = { 1: ["✓", "right"], 0: ["✗", "wrong"], "-1": ["·", "no label"] };

export function labelsPage(data, parameters) {
  const go = (change) => { location.hash = to("labels", { ...parameters, page: 0, ...change }); };
  if (!data.operators.length) return [h("h1", {}, "Labels"), empty("This run has no labelled programs here: the stage label has not run.")];
  const options = [["", "all"], ...data.operators.map((o) => [o.name, `${o.name} (${o.rows})`, o.says])];
  const search = h("input", { type: "search", placeholder: "part of a task id", value: parameters.search || "",
    "aria-label": "search problems", onchange: (event) => go({ search: event.target.value }) });
  return [
    h("h1", {}, "Labels"),
    h("p", { class: "says" }, "Programs with a label a line: ✓ right, ✗ wrong, · none. A variant's tests decide, not the "
      + "operator's intention."),
    h("div", { class: "tools" }, search, choice("Made by", "operator", options, parameters.operator || "", (operator) => go({ operator }))),
    h("p", { class: "quiet" }, `${data.count} programs`),
    data.rows.map(card),
    pager(data, (page) => go({ page })),
  ];
}

function card(row) {
  const lineage = row.operator === "reference" ? ["reference solution"] : [
    row.original === null ? null : [h("code", {}, row.original.trim()), " → "], h("b", {}, row.operator), " → ",
    h("code", {}, row.changed === null ? "" : (row.lines[row.changed] || { text: "<end>" }).text.trim()), " → ",
    row.killed_by === null ? "no test failed" : [`killed by test ${row.killed_by + 1}`, row.test ? [": ", h("code", {}, row.test)] : ""],
  ];
  const lines = [...row.lines, { text: "<end>", label: row.end }];
  return h("article", { class: "card" }, h("h2", {}, row.task, " ", status(row.status)), h("p", { class: "lineage" }, lineage),
    table([
      { title: "label", cell: (line) => h("span", { class: `label${line.label}`, title: MARK[line.label][1] }, MARK[line.label][0]) },
      { title: "line", cell: (line, i) => h("pre", { class: i === row.changed ? "changed" : "" }, line.text) },
    ], lines, { class: "program" }), h("details", {}, h("summary", {}, "prompt"), h("pre", { class: "prompt" }, row.prompt)));
}
