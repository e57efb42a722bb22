// Addresses, header, theme, and looking again while a run grows.
// An address is #/PAGE?parameters, with the parameters that the page's data is asked with.

import { append, h, spelled } from "./dom.js";
import { about, ask, exported, open } from "./data.js";
import { runsPage, comparePage } from "./page_runs.js";
import { overviewPage } from "./page_overview.js";
import { problemsPage, problemPage, treePage, samplesPage } from "./page_problems.js";
import { samplePage } from "./page_sample.js";
import { locatorPage } from "./page_locator.js";
import { labelsPage } from "./page_labels.js";
import { clusterPage } from "./page_cluster.js";

const PAGES = {
  runs: runsPage, compare: comparePage, overview: overviewPage, problems: problemsPage, problem: problemPage,
  tree: treePage, samples: samplesPage, sample: samplePage, locator: locatorPage, labels: labelsPage,
  cluster: clusterPage,
};
const TABS = [
  ["overview", "Overview", "o"], ["problems", "Problems", "p"], ["samples", "Samples", "s"],
  ["locator", "Locator", "l"], ["labels", "Labels", "a"], ["cluster", "Cluster", "c"],
];
const LOOK_AGAIN_MS = 4000;
let shown = { where: "", data: "" };
let turn = 0;

export function parse(hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
  return { page: path || "runs", parameters: Object.fromEntries(new URLSearchParams(query || "")) };
}

function header(page, parameters) {
  const run = parameters.run;
  const link = (name, text, key) => h("a", {
    href: `#/${name}?${new URLSearchParams({ run })}`, title: `key: ${key}`,
    "aria-current": page === name ? "page" : null }, text);
  const theme = h("button", { type: "button", title: "dark or light", onclick: switchTheme }, "◐ theme");
  return [
    h("nav", { "aria-label": "pages" }, h("a", { class: "brand", href: "#/runs" }, "prl_ray"),
      run ? [h("span", { class: "run", title: run }, run), TABS.map((tab) => link(...tab))] : null,
      theme),
    exported() ? h("p", { class: "exported" }, about()) : null,
  ];
}

function switchTheme() {
  const root = document.documentElement;
  const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // A file in a sandboxed frame may keep nothing: the choice then lasts as long as the page.
  }
  show(true);
}

// What a reader has opened, focused and scrolled to; the function puts it back into the page's new content.
function remembered(main) {
  const scrolled = window.scrollY;
  const titles = (open) => [...main.querySelectorAll(open ? "details[open] > summary" : "details > summary")];
  const opened = new Set(titles(true).map((summary) => summary.textContent));
  const closed = new Set(titles(false).map((summary) => summary.textContent).filter((title) => !opened.has(title)));
  const label = main.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  return () => {
    for (const summary of titles(false)) {
      if (opened.has(summary.textContent)) summary.parentElement.open = true;
      if (closed.has(summary.textContent)) summary.parentElement.open = false;
    }
    const same = [...main.querySelectorAll("[aria-label]")].find((element) => element.getAttribute("aria-label") === label);
    if (label && same) same.focus({ preventScroll: true });
    window.scrollTo(0, scrolled);
  };
}

async function show(again = false) {
  const mine = ++turn;
  const { page, parameters } = parse(location.hash);
  const main = document.getElementById("main");
  const where = location.hash;
  let content;
  let text = "";
  try {
    const draw = PAGES[page];
    if (!draw) throw new Error(`There is no page ${page}.`);
    const data = await ask(page, draw.parameters ? draw.parameters(parameters) : parameters);
    text = JSON.stringify(data);
    if (mine !== turn || (!again && where === shown.where && text === shown.data)) return;
    content = draw(data, parameters);
    const restore = where === shown.where ? remembered(main) : () => window.scrollTo(0, 0);
    main.replaceChildren();
    append(main, content);
    restore();
  } catch (error) {
    if (mine !== turn) return;
    main.replaceChildren(h("div", { class: "error", role: "alert" }, h("h1", {}, "This page cannot be shown"),
      h("p", {}, error.message), h("p", {}, h("a", { href: "#/runs" }, "All runs"))));
  }
  const head = document.getElementById("header");
  head.replaceChildren();
  append(head, header(page, parameters));
  document.title = spelled([parameters.task || page, parameters.run, "prl_ray"].filter(Boolean).join(" · "));
  if (where !== shown.where) main.focus({ preventScroll: true });
  shown = { where, data: text };
  document.body.dataset.ready = where || "#/";
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const { run } = parse(location.hash).parameters;
  const tab = TABS.find(([, , key]) => key === event.key);
  if (event.key === "r") location.hash = "#/runs";
  else if (tab && run) location.hash = `#/${tab[0]}?${new URLSearchParams({ run })}`;
});

window.addEventListener("hashchange", () => show());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(true));

async function start() {
  try {
    const theme = localStorage.getItem("theme");
    if (theme) document.documentElement.dataset.theme = theme;
  } catch {
    // See switchTheme.
  }
  await open();
  await show();
  if (!exported()) setInterval(() => document.hidden || show(), LOOK_AGAIN_MS);
}

start();
