// All runs, and runs compared with each other.

import { ago, append, empty, h, number, percent, plural, section, signed, table, words } from "./dom.js";
import { bands, lines } from "./plots.js";

const chosen = new Set();
let filter = "";
const to = (page, parameters) => `#/${page}?${new URLSearchParams(parameters)}`;
const STATES = { running: "▶ running", finished: "✓ finished", stopped: "■ stopped", empty: "empty", unreadable: "✗" };

export function runsPage(data) {
  const place = h("div", {});
  const button = h("a", { class: "button", role: "button" }, "Compare");
  const draw = () => {
    const names = [...chosen].filter((name) => data.rows.some((row) => row.run === name));
    button.textContent = names.length ? `Compare ${plural(names.length, "run")}` : "Compare: choose runs";
    if (names.length) button.href = to("compare", { runs: names.join("/") });
    else button.removeAttribute("href");
    const wanted = filter.toLowerCase();
    const rows = data.rows.filter((row) =>
      `${row.run} ${row.state} ${Object.values(row.settings).join(" ")}`.toLowerCase().includes(wanted));
    place.replaceChildren(rows.length ? table(columns(data, draw), rows) : empty("No run fits the filter."));
  };
  const search = h("input", {
    type: "search", placeholder: "name, state or setting", value: filter, "aria-label": "filter runs",
    oninput: (event) => { filter = event.target.value; draw(); } });
  draw();
  return [
    h("h1", {}, "Runs"),
    h("p", { class: "tools" }, search, button),
    data.rows.length ? place : empty("There is no run in the given folders yet. This page looks again by itself."),
    data.experiments.map((one) => experiment(one, new Set(data.rows.map((row) => row.run)))),
  ];
}

function columns(data, draw) {
  const pick = (row) => h("input", {
    type: "checkbox", checked: chosen.has(row.run), "aria-label": `choose ${row.run}`,
    onchange: (event) => { chosen[event.target.checked ? "add" : "delete"](row.run); draw(); } });
  const passes = (policy) => (row) => {
    const found = (row.evaluation || {})[policy];
    return found ? `${percent(found[0])}${found[1] === null ? "" : ` ± ${(100 * found[1]).toFixed(1)}`}` : "";
  };
  const policies = Object.entries(data.policies).filter(([name]) => data.rows.some((row) => (row.evaluation || {})[name]));
  const shown = data.columns.filter((key) => data.rows.some((row) => row.settings[key]));
  return [
    { title: "", cell: pick },
    { title: "run", cell: (row) => h("a", { href: to("overview", { run: row.run }) }, row.run) },
    { title: "state", cell: (row) => [h("span", { class: "status" }, STATES[row.state] || row.state),
      row.error ? ` ${row.error}` : "", row.alarms ? h("span", { class: "flag", title: "alarms, see the overview" }, ` ⚠ ${row.alarms}`) : null] },
    { title: "newest", class: "n", says: "time of the newest metrics", cell: (row) => ago(row.time) },
    { title: "step", class: "n", cell: (row) => number(row.step, 9) },
    { title: "pass rate", class: "n", says: "of the samples of the newest step", cell: (row) => percent(row.pass_rate) },
    { title: "pass@1 val.", class: "n", says: "newest validation", cell: (row) => percent(row.validation) },
    { title: "reward", class: "n", cell: (row) => signed(row.reward) },
    { title: "KL", class: "n", cell: (row) => number(row.kl) },
    ...policies.map(([name, label]) => ({ title: label, class: "n", says: "sampled pass@1 on held-out problems",
      cell: passes(name) })),
    ...shown.map((key) => ({ title: words(key.replace(/\.name$/, "").split(".").pop()), says: key, cell: (row) => row.settings[key] || "" })),
  ];
}

function experiment(data, known) {
  if (data.error) return section(`Experiment ${data.name}`, data.error);
  const runsOf = (arm) => arm.seeds.map((seed) => `${data.name}-${arm.arm}-s${seed}`).filter((name) => known.has(name));
  const interval = (over) => over
    ? `${(100 * over.value).toFixed(1)} (${(100 * over.low).toFixed(1)} … ${(100 * over.high).toFixed(1)})` : "";
  const other = (arm) => (arm.over_other ? `${interval(arm.over_other)} over ${arm.against}` : "");
  const curves = [...new Set(data.arms.flatMap((arm) => Object.keys(arm.curves)))];
  return section(`Experiment ${data.name}`, "",
    data.hypotheses.map((text) => h("p", { class: "says" }, text)),
    table([
      { title: "arm", cell: (arm) => (runsOf(arm).length
        ? h("a", { href: to("compare", { runs: runsOf(arm).join("/") }), title: "its runs" }, arm.arm) : arm.arm) },
      { title: "what", cell: (arm) => arm.says },
      { title: "seeds", class: "n", cell: (arm) => arm.seeds.length },
      { title: "pass@1", class: "n", cell: (arm) => percent(arm.pass1) },
      { title: "points over the baseline, paired (95%)", class: "n",
        cell: (arm) => (arm.arm === data.baseline ? "baseline" : interval(arm.over)) },
      { title: "p (Holm)", class: "n", cell: (arm) => (arm.over ? number(arm.over.holm_p) : "") },
      ...data.arms.some((arm) => arm.over_other) ? [{ title: "over another arm", class: "n",
        says: "of equal cost, for example", cell: other }] : [],
    ], data.arms),
    data.missing.length ? h("p", { class: "quiet" }, `Not run yet: ${data.missing.join(", ")}`) : null,
    h("div", { class: "charts wide" }, curves.map((metric) => bands(metric, "mean over the seeds, least to greatest",
      data.arms.filter((arm) => arm.curves[metric]).map((arm) => ({ label: arm.arm, rows: arm.curves[metric] }))))));
}

export function comparePage(data) {
  const differ = table([
    { title: "setting", cell: (row) => h("code", {}, row.key) },
    ...data.runs.map((name, i) => ({ title: name, cell: (row) => row.values[i] ?? "–" })),
  ], data.differences);
  const gaps = Object.entries(data.missing).flatMap(([name, said]) => said.map((text) => `${name}: ${text}`));
  const arms = data.arms.filter((arm) => arm.runs.length > 1);
  const page = [
    h("h1", {}, data.runs.length === 1 ? "One run" : `${data.runs.length} runs compared`),
    h("p", {}, data.runs.map((run) => [h("a", { href: to("overview", { run }) }, run), " "])),
    gaps.map((text) => h("p", { class: "note" }, text)),
    arms.length ? h("p", { class: "says" }, "Runs that differ in the seed alone are one arm: its mean, and a band from the least "
      + `to the greatest. ${arms.map((arm) => `${arm.label}: ${arm.runs.join(", ")}`).join(" · ")}.`) : null,
    h("div", { class: "charts wide" }, data.charts.map((c) => (c.bands
      ? bands(c.title, c.says, c.bands)
      : lines(c.title, c.says, c.lines, { height: 240 })))),
    section("Settings that differ", "", data.differences.length ? differ : empty(data.runs.length > 1
      ? "None: only names and folders do." : "Choose more runs in the table of all runs.")),
  ];
  return append(h("div", {}), page);
}

export { STATES, to };
