// One run at a glance.

import { ago, duration, empty, h, number, percent, section, signed, words } from "./dom.js";
import { GROUPS, GROUP_WORDS, VERDICTS } from "./colours.js";
import { lines, stacked } from "./plots.js";
import { STATES } from "./page_runs.js";

const tile = (label, value, says) => h("div", { class: "tile", title: says },
  h("span", { class: "label" }, label), h("span", { class: "value" }, value));

export function overviewPage(data) {
  return [
    h("h1", {}, data.run, " ", h("span", { class: "state" }, STATES[data.state] || data.state)),
    data.missing.map((text) => h("p", { class: "note" }, text)),
    alarms(data),
    h("div", { class: "tiles" },
      tile("step", number(data.step, 9), `newest metrics ${ago(data.time)}`),
      tile("pass rate", percent(data.pass_rate), "share of the newest step's samples that pass all tests"),
      tile("pass@1 validation", percent(data.validation), "newest validation on held-out problems"),
      tile("reward", signed(data.reward), "mean sum of the shaped rewards of a program"),
      tile("KL", number(data.kl), "to the policy that PPO started from, mean a token"),
      tile("entropy", number(data.entropy), "of the policy, mean a token"),
      tile("tokens", number(data.tokens), "mean of a program"),
      tile("a step", duration(data.step_s), "seconds of the newest step")),
    h("div", { class: "charts" }, data.charts.map((c) => lines(c.title, c.says, c.lines))),
    section("Which groups teach", "A group is one prompt's samples. Where all fail or all pass, the outcome alone gives "
      + "no gradient.", groups(data.groups)),
    section("Verdicts", "Mean number of samples a step, by verdict.", verdicts(data.verdicts)),
    anatomy(data.anatomy),
    h("p", { class: "quiet" }, "Stages: ", data.stages.map((s) => `${s.name} ${duration(s.seconds)}`).join(" · ") || "–"),
  ];
}

function alarms(data) {
  if (!data.alarms.length) return h("p", { class: "calm" }, "✓ no alarm");
  return h("div", { class: "alarms", role: "alert" }, data.alarms.map((alarm) => h("div", { class: "alarm" },
    h("b", {}, `⚠ ${alarm.title}: `), alarm.seen, h("div", { class: "do" }, alarm.do))));
}

function groups(data) {
  if (!data.steps.length) return empty("No samples yet.");
  const some = (parts) => Object.values(parts).some((values) => values.some((v) => v));
  return h("div", { class: "charts wide" },
    stacked("Groups a step", "mean number", data.steps, data.groups, GROUPS, (k) => GROUP_WORDS[k]),
    some(data.gradient)
      ? stacked("Share of the gradient", "of the summed size of all advantages", data.steps, data.gradient, GROUPS,
        (k) => GROUP_WORDS[k], { yaxis: { tickformat: ".0%" } })
      : empty("No advantages are stored."));
}

function verdicts(data) {
  if (!data.steps.length) return empty("No samples yet.");
  return h("div", { class: "charts wide" }, stacked("Samples", "", data.steps, data.counts, VERDICTS, words));
}

export function anatomy(data) {
  if (!data.phases.length) return section("Where a step's time goes", "", empty("No step has been made yet."));
  const x = data.phases.reduce((best, p) => (p.x.length > best.length ? p.x : best), []);
  const parts = Object.fromEntries(data.phases.map((p) => [p.label, aligned(p, x)]));
  const slow = data.slowest;
  return section("Where a step's time goes",
    `${percent(slow.share)} is ${slow.label}. What moves it: ${slow.setting}.`,
    h("div", { class: "charts wide" }, stacked("Seconds a step", "phases may overlap", x, parts, {}, (n) => n,
      { height: 260, yaxis: { title: { text: "seconds" } } })));
}

const aligned = (phase, x) => {
  const found = new Map(phase.x.map((step, i) => [step, phase.y[i]]));
  return phase.x.length === x.length ? phase.y : x.map((step) => found.get(step) ?? 0);
};
