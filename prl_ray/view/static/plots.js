// Charts by Plotly, which is loaded when the first one is drawn.

import { h, spelled } from "./dom.js";
import { KINDS, dark } from "./colours.js";

let loading = null;

function plotly() {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  loading ||= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = "static/plotly.min.js";
    script.onload = () => done(window.Plotly);
    script.onerror = () => failed(new Error("the plots could not be loaded"));
    document.head.append(script);
  });
  return loading;
}

const escaped = (text) => spelled(String(text)).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function layout(extra) {
  const ink = dark() ? "#d8dee6" : "#27313c";
  const grid = dark() ? "#333d48" : "#e3e8ee";
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, automargin: true };
  const { xaxis, yaxis, ...others } = extra;
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: 11 }, height: 190,
    margin: { l: 44, r: 12, t: 6, b: 32 }, colorway: KINDS, hovermode: "x unified",
    hoverlabel: { bgcolor: dark() ? "#1d242c" : "#fff", font: { color: ink } }, showlegend: false,
    ...others, xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis },
  };
}

// The axis of steps: whole numbers only, all of them where they are few.
function stepAxis(x) {
  const steps = [...new Set(x)].sort((a, b) => a - b);
  const axis = { title: { text: "step", standoff: 4 } };
  return steps.length <= 12 ? { ...axis, tickmode: "array", tickvals: steps, ticktext: steps.map(String) } : axis;
}

// A range for values that are all equal, around them and not wider than they are; else none.
function flat(series) {
  const values = series.flatMap((s) => s.y).filter((y) => y !== null && y !== undefined);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (!values.length || low !== high) return {};
  const room = Math.max(Math.abs(low) * 0.2, 0.1);
  return { range: [low - room, low + room] };
}

// What stands for what: [name, colour, dash of a line or none for an area].
const legend = (entries) => h("span", { class: "legend" }, entries.map(([name, colour, dash]) => h("span", {},
  h("i", { class: dash ? `stroke ${dash}` : "swatch", style: dash ? { borderColor: colour } : { background: colour } }), name)));

// A figure with a caption; the drawing comes once it is in the page. `words` is what a screen reader says.
function chart(title, says, traces, { entries = [], words = "", ...extra } = {}) {
  const place = h("div", { class: "plot", role: "img", "aria-label": `${title}. ${words || says || ""}`,
    style: { minHeight: `${extra.height || 190}px` } });
  const figure = h("figure", { class: "chart" }, h("figcaption", {}, h("b", {}, title), says ? h("span", {}, says) : null,
    entries.length > 1 ? legend(entries) : null), place);
  plotly().then((library) => library.newPlot(place, traces, layout(extra), { displayModeBar: false, responsive: true }))
    .catch((error) => place.append(error.message));
  return figure;
}

const DASHES = ["solid", "dash", "dot", "dashdot"];

// Lines over steps: [{label, x, y}].
export function lines(title, says, series, extra = {}) {
  const colour = (s, i) => s.colour || KINDS[i % KINDS.length];
  const traces = series.map((s, i) => ({
    x: s.x, y: s.y, name: escaped(s.label), type: "scatter", mode: s.x.length < 12 ? "lines+markers" : "lines",
    line: { width: 2, color: colour(s, i), dash: DASHES[i % 4] },
  }));
  const last = series.map((s) => `${s.label}: ${s.y[s.y.length - 1]}`).join(", ");
  return chart(title, says, traces, { xaxis: stepAxis(series.flatMap((s) => s.x)), yaxis: flat(series), words: `newest ${last}`,
    entries: series.map((s, i) => [s.label, colour(s, i), DASHES[i % 4]]), ...extra });
}

// Stacked bars over steps: names to values, and to colours.
export function stacked(title, says, x, parts, colours, names = (n) => n, extra = {}) {
  const colour = (name, i) => colours[name] || KINDS[i % KINDS.length];
  const traces = Object.entries(parts).map(([name, y], i) => ({
    x, y, name: escaped(names(name)), type: "bar", marker: { color: colour(name, i) },
  }));
  return chart(title, says, traces, { barmode: "stack", bargap: 0.05, xaxis: stepAxis(x),
    entries: Object.keys(parts).map((name, i) => [names(name), colour(name, i)]), ...extra });
}

// Means with a band from the least to the greatest: [{label, rows: [[step, mean, low, high]]}].
export function bands(title, says, series) {
  const traces = series.flatMap(({ label, rows }, i) => {
    const colour = KINDS[i % KINDS.length];
    const x = rows.map((r) => r[0]);
    const edge = { x, type: "scatter", mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
    return [
      { ...edge, y: rows.map((r) => r[2]) },
      { ...edge, y: rows.map((r) => r[3]), fill: "tonexty", fillcolor: `${colour}33` },
      { x, y: rows.map((r) => r[1]), name: escaped(label), type: "scatter", mode: "lines", line: { color: colour, dash: DASHES[i % 4] } },
    ];
  });
  const x = series.flatMap(({ rows }) => rows.map((r) => r[0]));
  return chart(title, says, traces, { height: 240, xaxis: stepAxis(x),
    entries: series.map(({ label }, i) => [label, KINDS[i % KINDS.length], DASHES[i % 4]]) });
}
