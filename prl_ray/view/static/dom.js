// Elements and numbers. Text from a run only ever becomes a text node or an attribute value, never markup.

// h("a", {href: "#/", class: "x", onclick: f}, "text", child, …): an element. Children that are null are left out.
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : spelled(String(value)));
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of [children].flat(9)) {
    if (child === null || child === undefined || child === false) continue;
    if (child instanceof Node) element.append(child);
    else appendText(element, String(child));
  }
  return element;
}

// Characters that are not seen, or that change the order in which others are seen: a program with them would look like
// another one than it is. They are spelled out.
const ODD = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;
const spelling = (character) => `‹U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}›`;
export const spelled = (text) => text.replace(ODD, spelling);

function appendText(element, text) {
  let from = 0;
  for (const found of text.matchAll(ODD)) {
    element.append(text.slice(from, found.index));
    const mark = document.createElement("span");
    mark.className = "odd";
    mark.textContent = spelling(found[0]);
    element.append(mark);
    from = found.index + found[0].length;
  }
  element.append(text.slice(from));
}

export const number = (value, digits = 3) =>
  value === null || value === undefined ? "–" : Math.abs(value) >= 1e5 ? value.toExponential(1) : trim(value, digits);
const trim = (value, digits) => String(Number(value.toPrecision(digits)));
export const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)}%`);
export const signed = (value) => (value === null || value === undefined ? "–" : (value > 0 ? "+" : "") + number(value));

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 90) return `${number(seconds, 2)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

export function ago(time) {
  return time ? `${duration(Math.max(0, Date.now() / 1000 - time))} ago` : "–";
}

export const words = (text) => String(text).replaceAll("_", " ");
const MARKS = { passed: "✓", failed: "✗" };
export function status(name) {
  return h("span", { class: `status ${name === "passed" ? "good" : "bad"}` }, `${MARKS[name] || "✗"} ${words(name)}`);
}

// A table: columns are {title, cell: row -> content, class, title text}.
export function table(columns, rows, attributes = {}, rowAttributes = () => ({})) {
  const head = h("tr", {}, columns.map((c) => h("th", { scope: "col", class: c.class, title: c.says }, c.title)));
  const body = rows.map((row, i) =>
    h("tr", rowAttributes(row, i), columns.map((c) => h("td", { class: c.class }, c.cell(row, i)))));
  return h("div", { class: "scroll" }, h("table", attributes, h("thead", {}, head), h("tbody", {}, body)));
}

export function section(title, says, ...children) {
  return h("section", {}, h("h2", {}, title), says ? h("p", { class: "says" }, says) : null, children);
}

export function empty(text) {
  return h("p", { class: "empty" }, text);
}

// Radio buttons in a row; changed(value) at each choice.
export function choice(label, name, options, chosen, changed) {
  return h("fieldset", { class: "choice" }, h("legend", {}, label), options.map(([value, text, says]) =>
    h("label", { title: says }, h("input", {
      type: "radio", name, value, checked: value === chosen, onchange: () => changed(value) }), text)));
}

// A list to choose from, for more options than radio buttons can show.
export function select(label, options, chosen, changed) {
  return h("label", { class: "select" }, label, " ", h("select", { onchange: (event) => changed(event.target.value) },
    options.map(([value, text]) => h("option", { value, selected: value === chosen }, text))));
}

export function pager(data, go) {
  if (data.pages <= 1) return null;
  const button = (text, page, off) =>
    h("button", { type: "button", disabled: off, onclick: () => go(page) }, text);
  return h("p", { class: "pager" }, button("‹ before", data.page - 1, data.page <= 0),
    ` page ${data.page + 1} of ${data.pages} `, button("after ›", data.page + 1, data.page >= data.pages - 1));
}
