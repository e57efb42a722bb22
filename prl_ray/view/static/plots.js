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
    margin: { l: 44, r: 12, t: 6, b: 32 }, colorway: KINDS, hovermode: "x unified", legend: { orientation: "h", y: 1.18 },
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

// A figure with a caption; the drawing comes once it is in the page. `words` is what a screen reader says.
export function chart(title, says, traces, extra = {}, words = "") {
  const place = h("div", { class: "plot", role: "img", "aria-label": `${title}. ${words || says || ""}`,
    style: { minHeight: `${extra.height || 190}px` } });
  const figure = h("figure", { class: "chart" }, h("figcaption", {}, h("b", {}, title), says ? h("span", {}, says) : null), place);
  plotly().then((library) => library.newPlot(place, traces, layout(extra), { displayModeBar: false, responsive: true }))
    .catch((error) => place.append(error.message));
  return figure;
}

// Lines over steps: [{label, x, y}].
export function lines(title, says, series, extra = {}) {
  const traces = series.map((s, i) => ({
    x: s.x, y: s.y, name: escaped(s.label), type: "scatter", mode: s.x.length < 12 ? "lines+markers" : "lines",
    line: { width: 2, color: s.colour || KINDS[i % KINDS.length], dash: ["solid", "dash", "dot", "dashdot"][i % 4] },
  }));
  const last = series.map((s) => `${s.label}: ${s.y[s.y.length - 1]}`).join(", ");
  const axes = { xaxis: stepAxis(series.flatMap((s) => s.x)), yaxis: flat(series) };
  return chart(title, says, traces, { showlegend: series.length > 1, ...axes, ...extra }, `newest ${last}`);
}

// Stacked areas or bars over steps: names to values.
export function stacked(title, says, x, parts, colours, names = (n) => n, extra = {}) {
  const traces = Object.entries(parts).map(([name, y], i) => ({
    x, y, name: escaped(names(name)), type: "bar", marker: { color: colours[name] || KINDS[i % KINDS.length] },
  }));
  return chart(title, says, traces, {
    barmode: "stack", bargap: 0.05, showlegend: true, xaxis: stepAxis(x), ...extra });
}

// Means with a band from the least to the greatest: [{label, rows: [[step, mean, low, high]]}].
export function bands(title, says, series) {
  const traces = series.flatMap(({ label, rows }, i) => {
    const colour = KINDS[i % KINDS.length];
    const x = rows.map((r) => r[0]);
    const edge = { x, type: "scatter", mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
    return [
      { ...edge, y: rows.map((r) => r[2]) },
      { ...edge, y: rows.map((r) => r[3]), fill: "tonexty", fillcolor: `${colour}33` },
      { x, y: rows.map((r) => r[1]), name: escaped(label), type: "scatter", mode: "lines", line: { color: colour } },
    ];
  });
  const x = series.flatMap(({ rows }) => rows.map((r) => r[0]));
  return chart(title, says, traces, { showlegend: true, height: 240, xaxis: stepAxis(x) });
}
