// What the machines did.

import { ago, empty, h, number, plural, section, table } from "./dom.js";
import { lines } from "./plots.js";
import { anatomy, tile } from "./page_overview.js";

const COUNTS = {
  submitted: "programs sent to the verifiers", answered: "verdicts that came back", waiting: "in the queue now: sent and not answered",
  retried: "sent again because a worker was lost", restarted: "workers that were started again",
  forbidden: "programs that tried what they may not", workers: "verifier processes",
};

export function clusterPage(data) {
  const shot = data.snapshot;
  const rate = data.verdicts;
  const lost = Object.values(shot.lost || {}).reduce((sum, count) => sum + count, 0);
  const restarts = (shot.nodes || []).flatMap((n) => n.actors).reduce((sum, actor) => sum + actor.restarts, 0);
  const v = shot.verifiers || {};
  return [
    h("h1", {}, "Cluster"),
    shot.time ? h("p", { class: "quiet" }, `As of ${ago(shot.time)}${data.state === "running" ? "" : ": the run is not going on"}.`)
      : h("p", { class: "note" },
        "This run has no cluster.json (an older version made it, or PPO has not begun): actors, queue and logs are not known."),
    shot.time ? h("div", { class: "tiles" },
      tile("nodes", number((shot.nodes || []).filter((n) => n.alive).length), `${plural((shot.nodes || []).length, "node")} known to Ray`),
      tile("verdicts per second", number(rate.y[rate.y.length - 1]), "newest step: samples over the seconds of sampling and verifying"),
      tile("queue", number(v.waiting), COUNTS.waiting),
      tile("lost requests", number(lost), "sent to an actor that died, and sent again"),
      tile("repeated programs", number(v.retried), COUNTS.retried),
      tile("restarts", number(restarts + (v.restarted || 0)), "of actors and of verifier workers")) : null,
    shot.nodes ? section("Actors by node", "", h("div", { class: "cards" }, shot.nodes.map(node))) : null,
    h("div", { class: "columns" },
      shot.verifiers ? section("Verifier queue", "submitted = answered + waiting", table([
        { title: "count", cell: ([name]) => name }, { title: "", class: "n", cell: ([, value]) => number(value, 9) },
        { title: "what", class: "quiet", cell: ([name]) => COUNTS[name] || "" },
      ], Object.entries(shot.verifiers))) : null,
      shot.lost ? section("Lost requests", "to an actor that died; sent again, by role", Object.keys(shot.lost).length ? table([
        { title: "role", cell: ([name]) => name }, { title: "lost", class: "n", cell: ([, value]) => value },
      ], Object.entries(shot.lost)) : empty("None.")) : null),
    shot.logs ? section("Log tails", "newest lines of the actors' error streams", shot.logs.length ? shot.logs.map((log) =>
      h("details", {}, h("summary", { title: log.name }, `${writer(log.name, shot.nodes)} (${plural(log.lines.length, "line")})`),
        h("pre", { class: "log" }, log.lines.join("\n"))))
      : empty("Nothing was written.")) : null,
    anatomy(data.anatomy),
    section("Over the steps", "", h("div", { class: "charts" }, rate.x.length ? lines("Verdicts per second",
      "samples over the seconds of sampling and verifying", [{ label: "verdicts", ...rate }]) : null, overSteps(data.curves))),
  ];
}

const TOGETHER = [["perf/lost/", "Lost requests", "by role"], ["verify/", "Verdicts", "share of all samples; those that occur"]];

// Metrics that belong together in one chart, the others in one each.
function overSteps(curves) {
  const kin = TOGETHER.map(([prefix, title, says]) => [title, says, curves.filter((c) => c.label.startsWith(prefix))
    .filter((c) => c.y.some((y) => y)).map((c) => ({ ...c, label: c.label.slice(prefix.length) }))]);
  const single = curves.filter((c) => !TOGETHER.some(([prefix]) => c.label.startsWith(prefix)));
  return [...kin.filter(([, , found]) => found.length).map(([title, says, found]) => lines(title, says, found)),
    ...single.map((c) => lines(c.label, "", [c]))];
}

// The actor that a log is of: Ray puts the number of the process at the end of its name.
function writer(name, nodes) {
  const pid = Number((/-(\d+)\.err$/.exec(name) || [])[1]);
  const actor = nodes.flatMap((n) => n.actors).find((a) => a.pid === pid);
  return actor ? `${actor.role}, process ${pid}` : Number.isNaN(pid) ? name : `process ${pid}`;
}

function node(one) {
  return h("div", { class: "card" }, h("h3", {}, one.name, one.alive ? "" : " ✗ gone"),
    h("p", { class: "quiet" }, `${number(one.cpus)} CPUs · ${number(one.gpus)} GPUs · ${number(one.memory_gb)} GB`),
    one.actors.length ? table([
      { title: "role", cell: (a) => a.role }, { title: "state", cell: (a) => a.state },
      { title: "process", class: "n", cell: (a) => a.pid }, { title: "restarts", class: "n", cell: (a) => a.restarts },
    ], one.actors) : empty("No actor of this run."));
}
