// One run at a glance.

import { ago, duration, empty, h, number, percent, section, signed, table, words } from "./dom.js";
import { GROUPS, GROUP_WORDS, KINDS, OTHERS, VERDICTS } from "./colours.js";
import { lines, stacked } from "./plots.js";
import { STATES } from "./page_runs.js";

export const tile = (label, value, says) => h("div", { class: "tile", title: says },
  h("span", { class: "label" }, label), h("span", { class: "value" }, value));

export function overviewPage(data) {
  return [
    h("h1", {}, data.run, " ", h("span", { class: "state" }, STATES[data.state] || data.state)),
    data.missing.map((text) => h("p", { class: "note" }, text)),
    alarms(data),
    h("div", { class: "tiles" },
      tile("step", number(data.step, 9), `newest metrics ${ago(data.time)}`),
      tile("pass rate", percent(data.pass_rate), "share of the newest step's samples that pass all tests"),
      tile("validation", percent(data.validation), "pass@1 of the newest validation on held-out problems"),
      tile("reward", signed(data.reward), "mean sum of the shaped rewards per program"),
      tile("KL", number(data.kl), "to the policy that PPO started from, mean per token"),
      tile("entropy", number(data.entropy), "of the policy, mean per token"),
      tile("tokens", number(data.tokens), "mean per program"),
      tile("step time", duration(data.step_s), "of the newest step")),
    evaluation(data.evaluation),
    section("Is it learning?", "", h("div", { class: "charts" }, drawn(data.charts, true))),
    section("Which groups teach", "A group is one prompt's samples. Where all fail or all pass, the outcome alone gives "
      + "no gradient.", data.groups.steps.length
      ? h("div", { class: "charts thirds" }, groups(data.groups), verdicts(data.verdicts)) : empty("No samples yet.")),
    anatomy(data.anatomy),
    section("What it does to get there", "", h("div", { class: "charts" }, drawn(data.charts, false))),
    h("p", { class: "quiet" }, "Stages: ", data.stages.map((s) => `${s.name} ${duration(s.seconds)}`).join(" · ") || "–"),
  ];
}

const drawn = (charts, first) => charts.filter((c) => c.first === first).map((c) => lines(c.title, c.says, c.lines));

// pass@k on the held-out problems, as in report.md.
function evaluation(found) {
  if (!found) return null;
  const cells = (columns) => columns.map((title, i) => ({ title, class: i ? "n" : "", cell: (row) => row[i] }));
  return section("On held-out problems", found.says,
    h("div", { class: "columns" }, found.tables.map(({ title, columns, rows }) => h("div", {},
      title ? h("p", { class: "says" }, title) : null, table(cells(columns), rows))),
    h("div", {}, found.gains.map((text) => h("p", { class: "gain" }, text)))));
}

function alarms(data) {
  if (!data.alarms.length) return h("p", { class: "calm" }, "✓ no alarm");
  return h("div", { class: "alarms", role: "alert" }, data.alarms.map((alarm) => h("div", { class: "alarm" },
    h("b", {}, `⚠ ${alarm.title}: `), alarm.seen, h("div", { class: "do" }, alarm.do))));
}

function groups(data) {
  const some = Object.values(data.gradient).some((values) => values.some((v) => v));
  return [
    stacked("Groups per step", "mean number", data.steps, data.groups, GROUPS, (k) => GROUP_WORDS[k]),
    some ? stacked("Share of the gradient", "of the summed size of all advantages", data.steps, data.gradient, GROUPS,
      (k) => GROUP_WORDS[k], { yaxis: { tickformat: ".0%" } }) : empty("No advantages are stored."),
  ];
}

const verdicts = (data) => stacked("Verdicts", "mean number of samples per step", data.steps, data.counts, VERDICTS, words);

const LARGEST = 7;

// Stacked bars of the largest phases, a table of all of them that is the legend too, and the bottleneck in words.
export function anatomy(data) {
  if (!data.phases.length) return section("Where a step's time goes", "", empty("No step has been made yet."));
  const x = data.phases.reduce((best, p) => (p.x.length > best.length ? p.x : best), []);
  const sorted = [...data.phases].sort((a, b) => b.share - a.share);
  const large = sorted.slice(0, LARGEST);
  const rest = sorted.slice(LARGEST).map((p) => aligned(p, x));
  const colours = Object.fromEntries(large.map((p, i) => [p.label, KINDS[i]]));
  const parts = Object.fromEntries(large.map((p) => [p.label, aligned(p, x)]));
  if (rest.length) parts["all others"] = x.map((_, i) => rest.reduce((sum, y) => sum + (y[i] || 0), 0));
  const slow = data.slowest;
  const said = h("p", {}, "The bottleneck is ", h("b", {}, slow.label), `: ${percent(slow.share)} of the time. What moves it: `,
    h("code", {}, slow.setting), ".");
  return section("Where a step's time goes", "", said, h("div", { class: "charts wide anatomy" },
    stacked("Seconds per step", "phases may overlap", x, parts, { ...colours, "all others": OTHERS }, (n) => n,
      { height: 340, entries: [] }),
    table([
      { title: "", cell: (p) => h("span", { class: "swatch", style: { background: colours[p.label] || OTHERS } }) },
      { title: "phase", cell: (p) => p.label }, { title: "share", class: "n", cell: (p) => percent(p.share) },
      { title: "what moves it", cell: (p) => h("code", {}, p.setting) },
    ], sorted)));
}

const aligned = (phase, x) => {
  const found = new Map(phase.x.map((step, i) => [step, phase.y[i]]));
  return phase.x.length === x.length ? phase.y : x.map((step) => found.get(step) ?? 0);
};
