// What the machines did.

import { ago, empty, h, number, section, table } from "./dom.js";
import { lines } from "./plots.js";
import { anatomy } from "./page_overview.js";

export function clusterPage(data) {
  const shot = data.snapshot;
  const rate = data.verdicts;
  return [
    h("h1", {}, "Cluster"),
    shot.time ? h("p", { class: "quiet" }, `As of ${ago(shot.time)}.`) : h("p", { class: "note" },
      "This run has no cluster.json (an older version made it, or PPO has not begun): actors, queue and logs are not known."),
    shot.nodes ? section("Actors by node", "", shot.nodes.map(node)) : null,
    shot.verifiers ? section("Verifier queue", "submitted = answered + waiting", table([
      { title: "", cell: ([name]) => name }, { title: "", class: "n", cell: ([, value]) => number(value, 9) },
    ], Object.entries(shot.verifiers))) : null,
    shot.lost ? section("Lost requests", "sent again, by role", Object.keys(shot.lost).length ? table([
      { title: "role", cell: ([name]) => name }, { title: "lost", class: "n", cell: ([, value]) => value },
    ], Object.entries(shot.lost)) : empty("None.")) : null,
    h("div", { class: "charts" }, rate.x.length ? lines("Verdicts a second", "samples over the seconds of sampling and verifying",
      [{ label: "verdicts", ...rate }]) : null, data.curves.map((c) => lines(c.label, "", [c]))),
    anatomy(data.anatomy),
    shot.logs ? section("Log tails", "newest lines of the actors' error streams", shot.logs.length ? shot.logs.map((log) =>
      h("details", {}, h("summary", {}, `${log.name} (${log.lines.length} lines)`), h("pre", { class: "log" }, log.lines.join("\n"))))
      : empty("Nothing was written.")) : null,
  ];
}

function node(one) {
  return h("div", { class: "card" }, h("h3", {}, one.name, one.alive ? "" : " ✗ gone"),
    h("p", { class: "quiet" }, `${number(one.cpus)} CPUs · ${number(one.gpus)} GPUs · ${number(one.memory_gb)} GB`),
    one.actors.length ? table([
      { title: "role", cell: (a) => a.role }, { title: "state", cell: (a) => a.state },
      { title: "process", class: "n", cell: (a) => a.pid }, { title: "restarts", class: "n", cell: (a) => a.restarts },
    ], one.actors) : empty("No actor of this run."));
}

