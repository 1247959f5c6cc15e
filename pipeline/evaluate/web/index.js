"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const elements = {};
for (const id of ["words", "state", "protocol", "shown", "head", "body"]) {
  elements[id] = document.getElementById(id);
}
const order = new Intl.Collator("en", { numeric: true });
const sorting = { column: "subject", down: false };

/* What a row is sorted by, its name, and, for a metric, its place, digits and full name. */
const columns = [
  { key: "subject", name: "Subject" },
  { key: "state", name: "State" },
  { key: "quality", name: "Quality" },
  ...data.metrics.map((metric, place) => ({ ...metric, place })),
  { key: "preset", name: "Preset" },
  { key: "group", name: "Group" },
  { key: "gaussians", name: "Gaussians", digits: 0 },
  { key: "seconds", name: "Training (s)", digits: 0 },
  { key: "date", name: "Trained" },
];

function add(parent, tag, text, kind) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  parent.append(element);
  return element;
}

function value(subject, column) {
  if (column.place === undefined) return subject[column.key];
  const scores = subject.scores[elements.protocol.value];
  return scores === undefined ? null : scores[column.place];
}

function option(select, choice, text) {
  add(select, "option", text).value = choice;
}

function cell(row, subject, column) {
  const found = value(subject, column);
  if (column.digits !== undefined) {
    const missing = column.place !== undefined && elements.protocol.value in subject.scores ? "NA" : "";
    add(row, "td", found === null ? missing : found.toFixed(column.digits), "number");
  } else if (column.key === "subject") {
    const name = add(row, "th");
    name.scope = "row";
    if (subject.report) add(name, "a", found).href = `${found}/report.html`;
    else name.textContent = found;
  } else if (column.key === "state") {
    const state = add(row, "td");
    add(state, "span", found, { evaluated: "pass", failed: "fail" }[found] || "warn");
    if (subject.why) add(state, "div", subject.why, "why");
  } else if (column.key === "quality") {
    add(row, "td", found, found.split(":")[0]);
  } else {
    add(row, "td", (found || "").slice(0, column.key === "date" ? "2026-11-28".length : undefined));
  }
}

const rows = new Map();
function rowOf(subject) {
  const row = document.createElement("tr");
  const picture = add(row, "td", undefined, "picture");
  if (subject.picture) {
    const image = add(picture, "img");
    image.src = `data:image/webp;base64,${subject.picture}`;
    image.alt = "";
  }
  for (const column of columns) cell(row, subject, column);
  return row;
}

function fits(subject) {
  const state = elements.state.value;
  const words = elements.words.value.toLowerCase().split(/\s+/);
  const text = [subject.subject, subject.group, subject.preset, subject.state, subject.why, subject.quality]
    .join(" ").toLowerCase();
  return (!state || subject.state === state) && words.every((word) => text.includes(word));
}

function compare(one, other) {
  const column = columns.find(({ key }) => key === sorting.column);
  const [a, b] = [value(one, column), value(other, column)];
  const empty = (v) => v === null || v === "";
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  const found = typeof a === "number" ? a - b : order.compare(a, b);
  return sorting.down ? -found : found;
}

function show() {
  const chosen = data.subjects.filter(fits).sort(compare);
  elements.body.replaceChildren(...chosen.map((subject) => rows.get(subject)));
  elements.shown.textContent = `${chosen.length} of ${data.subjects.length} subjects${data.note}`;
  for (const head of elements.head.children) {
    if (head.dataset.key === sorting.column) {
      head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
    } else head.removeAttribute("aria-sort");
  }
}

function fill() {
  for (const subject of data.subjects) rows.set(subject, rowOf(subject));
  show();
}

add(elements.head, "td");
for (const column of columns) {
  const head = add(elements.head, "th", undefined, column.digits === undefined ? "" : "number");
  head.scope = "col";
  head.dataset.key = column.key;
  const button = add(head, "button", column.name);
  button.type = "button";
  button.title = column.title || "";
  button.addEventListener("click", () => {
    sorting.down = sorting.column === column.key && !sorting.down;
    sorting.column = column.key;
    show();
  });
}
option(elements.state, "", "all");
for (const state of [...new Set(data.subjects.map((subject) => subject.state))].sort()) {
  option(elements.state, state, state);
}
for (const protocol of data.protocols) option(elements.protocol, protocol, protocol);
elements.words.addEventListener("input", show);
elements.state.addEventListener("input", show);
elements.protocol.addEventListener("input", fill);
fill();
