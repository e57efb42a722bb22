// How one token's loss came about, number by number.

import { h, number, signed } from "./dom.js";

export function audit(data, i) {
  const t = data.tokens;
  const s = data.settings;
  const name = h("h3", {}, "Credit of ", h("code", {}, JSON.stringify(t.text[i])), ` (token ${i + 1} of ${t.id.length})`);
  if (!data.learnt) return h("div", { class: "audit" }, name, h("p", {}, "The learner did not get this sample: its prompt was filtered out."));
  const beta = Number(s["algorithm.kl_coef"] ?? 0);
  const inReward = (s["algorithm.kl_in"] ?? "reward") === "reward";
  const raw = t.return[i] - t.value[i];
  const gap = t.old_logprob[i] - t.logprob[i];
  const cap = Number(s["algorithm.is_cap"] ?? Infinity);
  const weight = Math.min(Math.exp(gap), cap);
  const rows = [
    ["reward of the shaping", signed(t.reward[i]), s["reward.name"] || ""],
    ["KL to the reference policy", number(t.kl[i]), inReward ? `costs ${number(beta)} × KL = ${number(beta * t.kl[i])} of the reward` : "is part of the loss"],
    ["value before the token", number(t.value[i]), i + 1 < t.value.length ? `next: ${number(t.value[i + 1])}` : "the last token: nothing follows"],
    ["return", number(t.return[i]), `estimator ${s["algorithm.estimator"] || "?"}, γ ${s["algorithm.gamma"] ?? "?"}, λ ${s["algorithm.lam"] ?? "?"}`],
    ["return − value", signed(raw), "advantage before whitening"],
    ["advantage", signed(t.advantage[i]), s["algorithm.whiten"] ? "whitened over the step's tokens" + (Number(s["algorithm.negative_scale"] ?? 1) !== 1 ? `; negative ones × ${s["algorithm.negative_scale"]}` : "") : "not whitened"],
    ["log-probability", number(t.logprob[i]), `sampler; the learner's policy said ${number(t.old_logprob[i])}, the reference ${number(t.reference_logprob[i])}`],
    ["importance weight", number(weight), `exp(learner − sampler), at most ${s["algorithm.is_cap"] ?? "∞"}`],
    ["weight in the loss", number(t.loss_weight[i]), `normaliser ${s["algorithm.normaliser"] || "?"}, over all tokens of the step`],
    ["loss at the step's start", signed(-t.advantage[i] * weight * t.loss_weight[i]), "−advantage × importance weight × weight; the ratio is 1 before the first update"],
  ];
  return h("div", { class: "audit" }, name, h("table", {}, h("tbody", {}, rows.map(([label, value, says]) => h("tr", {},
    h("th", { scope: "row" }, label), h("td", { class: "n" }, value), h("td", { class: "quiet" }, says))))));
}
