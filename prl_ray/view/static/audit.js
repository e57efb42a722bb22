// How one token's loss came about, number by number: each follows from those above it.

import { h, number, signed } from "./dom.js";

export function audit(data, i) {
  const t = data.tokens;
  const name = h("h3", {}, "Credit of ", t.text[i] ? h("code", {}, JSON.stringify(t.text[i])) : "the end", ` (token ${i + 1} of ${t.id.length})`);
  if (!data.learnt) return h("div", { class: "audit" }, name, h("p", {}, "The learner did not get this sample: its prompt was filtered out."));
  const rows = [...rewardRows(data, i), ...advantageRows(data, i), ...lossRows(data, i)];
  return h("div", { class: "audit" }, name, h("table", {}, h("tbody", {}, rows.map(([label, value, says]) => h("tr", {},
    h("th", { scope: "row" }, label), h("td", { class: "n" }, value), h("td", { class: "quiet" }, says))))), checked(data));
}

function rewardRows(data, i) {
  const { tokens: t, settings: s, credit: c } = data;
  const cost = c.beta * t.kl[i];
  const last = i + 1 === t.id.length;
  const rows = [
    ["reward", signed(t.reward[i]), `of the shaping ${s["reward.name"] || ""}`],
    ["KL to the reference policy", signed(t.kl[i]), c.in_reward ? `costs ${number(c.beta)} × ${number(t.kl[i])} = ${number(cost)}` : "is part of the loss, not of the reward"],
  ];
  if (c.taken !== null && last) rows.push(["baseline", signed(-c.taken), "mean total of the other samples of the prompt, taken off at the last token"]);
  rows.push(["reward, KL included", signed(c.rewards[i]), "what the estimator reads"]);
  return rows;
}

function advantageRows(data, i) {
  const { tokens: t, settings: s, credit: c } = data;
  const rows = [];
  if (c.delta) {
    const next = i + 1 < t.value.length ? t.value[i + 1] : 0;
    const after = i + 1 < c.raw.length ? c.raw[i + 1] : 0;
    rows.push(["value before the token", number(t.value[i]), "by the critic"],
      ["value after it", number(next), i + 1 < t.value.length ? "before the next token" : "the last token: nothing follows"],
      ["δ", signed(c.delta[i]), `${number(c.rewards[i])} + ${number(c.gamma)} × ${number(next)} − ${number(t.value[i])}`],
      ["advantage, GAE", signed(c.raw[i]), `δ + ${number(c.gamma * c.lam)} × ${number(after)} of the next token`],
      ["return", number(t.return[i]), "advantage + value: what the critic learns"]);
  } else {
    rows.push(["total of the sample", signed(c.total), "sum of the rewards, KL included"],
      ["mean total of the others", c.others === null ? "–" : signed(c.others), "samples of the same prompt: the baseline"]);
    rows.push(...lineRows(data, i));
    rows.push(c.raw ? ["advantage", signed(c.raw[i]), c.lines ? "the sum over the token's lines" : `by ${s["algorithm.estimator"]}`]
      : ["difference", c.others === null ? "–" : signed(c.total - c.others), `${s["algorithm.estimator"]} says which lines carry it (docs/line-credit.md)`]);
  }
  if (c.raw && c.std !== null) {
    rows.push(["whitened", signed((c.raw[i] - c.mean) / c.std), c.mean ? `(${number(c.raw[i])} − ${number(c.mean)}) / ${number(c.std)}: mean and deviation of the step's ${c.counted} tokens`
      : `${number(c.raw[i])} / ${number(c.std)}: root mean square of the step's advantages`]);
  }
  const negative = t.advantage[i] < 0 && c.negative_scale !== 1;
  rows.push(["advantage in the loss", signed(t.advantage[i]), negative ? `negative ones × ${number(c.negative_scale)}` : "as stored"]);
  return rows;
}

const OUTCOMES = { passing: "all samples of the prompt pass", mixed: "some samples of the prompt pass, some fail", failing: "no sample of the prompt passes" };

// Estimators of lines: which rule holds for the sample, and what each of the token's lines gets from it.
function lineRows(data, i) {
  const found = data.credit.lines;
  if (!found) return [];
  const rows = [["group", found.kind, OUTCOMES[found.kind] || ""]];
  const at = data.lines.map((line, k) => k).filter((k) => data.lines[k].tokens[0] <= i && i <= data.lines[k].tokens[1]);
  if (found.rule === "nothing") return [...rows, ["rule", "no credit", "this kind of group teaches nothing here"]];
  if (found.rule === "outcome") return [...rows, ["rule", signed(found.difference), "the outcome: total minus the others' mean, on every token of the sample"]];
  if (found.rule === "located") {
    const here = at.includes(found.located);
    return [...rows, ["first wrong line", String(found.located + 1), `by the locator; it alone carries ${signed(found.difference)}, the total minus the others' mean`],
      [`line ${at.map((k) => k + 1).join(", ")}`, signed(here ? found.difference : 0), here ? "is that line" : "is not that line"]];
  }
  return [...rows, ...at.map((k) => [`line ${k + 1}`, ...(found.rule in VALUES ? valueOf(found.lines[k], VALUES[found.rule]) : comparison(found, k))])];
}

const VALUES = {
  states: "mean totals of the samples that pass through these states",
  completions: "shares of the policy's completions of these lines that pass",
};

function valueOf(line, meaning) {
  if (!line.compared) return [signed(0), "is not compared: neutral, or it changes no value"];
  return [signed(line.after - line.before), `value ${number(line.after)} after the line − ${number(line.before)} before it: ${meaning}`];
}

function comparison(found, k) {
  const line = found.lines[k];
  if (!line.compared) return [signed(0), "is not compared: neutral, or it changes no value"];
  if (!line.reached) return [signed(0), found.located === null ? "is no evidence: the first wrong line is not known" : `is no evidence: it follows the first wrong line, ${found.located + 1}`];
  if (!line.evident) return [signed(0), `is not known to be right: line ${found.located + 1} fails whatever stands before it`];
  const others = line.by_depth ? `of ${line.others} lines of this depth in the step: no other sample of the prompt reaches it` : `of the ${line.others} other samples that reach it`;
  const weight = found.weight === 1 ? "" : `${number(found.weight)} × `;
  return [signed(found.weight * (line.y - line.baseline)), `${weight}(${number(line.y)} − ${number(line.baseline)}): ${line.y ? "right" : "the first wrong line"}, less the share ${others} that are right there`];
}

function lossRows(data, i) {
  const { tokens: t, settings: s } = data;
  if (t.old_logprob[i] === null) return [["log-probability", number(t.logprob[i]), `by the sampler (weights ${t.version[i]}); the learner does not read this token: it follows the sample's last one with an advantage, and the loss counts no such tokens (algorithm.loss_tokens)`]];
  const cap = Number(s["algorithm.is_cap"] ?? Infinity);
  const weight = Math.min(Math.exp(t.old_logprob[i] - t.logprob[i]), cap);
  return [
    ["log-probability", number(t.logprob[i]), `by the sampler (weights ${t.version[i]}); the learner before the step ${number(t.old_logprob[i])}, the reference ${number(t.reference_logprob[i])}`],
    ["importance weight", number(weight), `exp(learner − sampler), at most ${s["algorithm.is_cap"] ?? "∞"}`],
    ["weight of the token", number(t.loss_weight[i]), `${s["algorithm.normaliser"] || ""} over all tokens of the step; 0 does not count`],
    ["loss", signed(-t.advantage[i] * weight * t.loss_weight[i]), `−(${number(t.advantage[i])}) × ${number(weight)} × ${number(t.loss_weight[i])}, before the first update: the ratio is 1`],
  ];
}

function checked(data) {
  const { right, raw } = data.credit;
  if (!raw) return null;
  return right
    ? h("p", { class: "calm" }, "✓ Computed again from the stored columns of the whole step: the advantage is the stored one.")
    : h("p", { class: "note" }, "The stored advantages are not those that these numbers give: a setting or a rule that the stored samples do not hold had its part.");
}
