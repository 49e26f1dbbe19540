"use strict";
// The page's data was packed by the program that wrote it; all text of it becomes text nodes, never markup.

const HEIGHT = 28;
const SPARE = 12;
const columns = read("columns");
const blocks = new Map();
let rows = [];
let shown = [];
let sorting = { column: null, down: false };
let selected = null;

const grid = document.getElementById("grid");
const body = document.getElementById("rows");
const detail = document.getElementById("detail");
const search = document.getElementById("search");
const version = document.getElementById("version");
const outcome = document.getElementById("outcome");

function read(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

async function unpack(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function compare(left, right) {
  const [a, b] = [Number(left), Number(right)];
  if (left === "") return right === "" ? 0 : 1;
  if (right === "") return -1;
  if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
  return left < right ? -1 : left > right ? 1 : 0;
}

function select() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const versionAt = columns.findIndex((column) => column.title === "TLS");
  const outcomeAt = columns.findIndex((column) => column.title === "outcome");
  shown = rows.map((_, number) => number).filter((number) => {
    const row = rows[number];
    if (version.value && row[versionAt] !== version.value) return false;
    if (outcome.value && row[outcomeAt] !== outcome.value) return false;
    const text = words.length ? row.join("\n").toLowerCase() : "";
    return words.every((word) => text.includes(word));
  });
  if (sorting.column !== null) {
    const sign = sorting.down ? -1 : 1;
    shown.sort((a, b) => sign * compare(rows[a][sorting.column], rows[b][sorting.column]) || a - b);
  }
  document.getElementById("count").textContent = `${shown.length} of ${rows.length} connections`;
  grid.setAttribute("aria-rowcount", shown.length + 1);
  body.style.height = `${shown.length * HEIGHT}px`;
  draw();
}

function draw() {
  const first = Math.max(0, Math.floor(grid.scrollTop / HEIGHT) - SPARE);
  drawRows(first, Math.min(shown.length, first + Math.ceil(window.innerHeight / HEIGHT) + 2 * SPARE));
}

function drawRows(first, last) {
  const focused = document.activeElement?.dataset?.number;
  const made = [];
  for (let at = first; at < last; at += 1) made.push(drawRow(shown[at], at));
  body.replaceChildren(...made);
  if (focused !== undefined) body.querySelector(`[data-number="${focused}"]`)?.focus({ preventScroll: true });
}

function drawRow(number, at) {
  const here = selected === null ? at === 0 : selected === number;
  const row = element("div", null, {
    role: "row", "aria-rowindex": at + 2, "aria-selected": selected === number, tabindex: here ? 0 : -1,
  });
  row.dataset.number = number;
  row.style.top = `${at * HEIGHT}px`;
  columns.forEach((column, index) => {
    const text = rows[number][index];
    const cell = element("div", text || "-", { role: "gridcell", class: `${column.right ? "right" : ""} ${tone(column, text)}` });
    cell.style.width = `${column.width}ch`;
    if (text.length > column.width - 2) cell.title = text;
    row.append(cell);
  });
  return row;
}

function tone(column, text) {
  if (!text) return "quiet";
  if (column.title === "outcome") return text.startsWith("established") ? "good" : "bad";
  return column.title === "problems" ? "odd" : "";
}

async function open(number) {
  selected = number;
  draw();
  body.querySelector(`[data-number="${number}"]`)?.focus({ preventScroll: true });
  const together = read("together");
  const at = Math.floor(number / together);
  if (!document.getElementById(`block-${at}`)) {
    detail.replaceChildren(element("h2", "Connection"), element("p", "The details of this connection are not in this page."));
    return;
  }
  if (!blocks.has(at)) blocks.set(at, await unpack(`block-${at}`));
  const block = blocks.get(at);
  const one = block.connections[number % together];
  const facts = element("table");
  columns.forEach((column, index) => {
    if (!rows[number][index]) return;
    const line = element("tr");
    line.append(element("th", column.title, { scope: "row" }), element("td", rows[number][index]));
    facts.append(line);
  });
  const parts = [element("h2", `Connection ${rows[number][0]}`), facts];
  if (one.said.length) {
    const list = element("ul");
    list.append(...one.said.map((sentence) => element("li", sentence)));
    parts.push(element("h3", "What happened"), list);
  }
  if (one.ladder) parts.push(element("h3", "Ladder"), element("pre", one.ladder, { tabindex: 0, role: "region", "aria-label": "Ladder" }));
  parts.push(element("h3", "Records and messages"), drawTree(one.records, block.nodes));
  detail.replaceChildren(...parts);
}

function drawTree(records, nodes) {
  const tree = element("div", null, { class: "tree" });
  for (const [sender, frame, ms, meaning, parts] of records) {
    const list = element("ul");
    for (const [number, spans] of parts) list.append(drawNode(nodes, number, { spans, at: 0, frame }, null));
    const record = element("details");
    record.append(element("summary", `frame ${frame}, ${sender}, ${ms} ms: ${meaning ?? "record"}`), list);
    tree.append(record);
  }
  return tree;
}

function drawNode(nodes, number, place, cited) {
  const [name, size, value, meaning, remark, reference, problem, children] = nodes[number];
  const item = element("li");
  const start = place.at;
  const line = document.createDocumentFragment();
  const where = element("span", null, { class: "place" });
  line.append(where, element("span", name));
  const said = describe(value, meaning);
  if (said) line.append(" ", element("span", said, { class: "value" }));
  if (remark) line.append(" ", element("span", remark, { class: "odd" }));
  if (problem) line.append(" ", element("strong", problem, { class: "bad" }));
  if (children && reference && reference !== cited) line.append(" ", element("cite", reference));
  if (children) {
    const inner = element("details", null, { open: "" });
    const summary = element("summary");
    const list = element("ul");
    for (const child of children) list.append(drawNode(nodes, child, place, reference ?? cited));
    summary.append(line);
    inner.append(summary, list);
    item.append(inner);
  } else {
    place.at += size ?? 0;
    item.append(line);
  }
  where.textContent = stretch(place.spans, start, start + (size ?? 0), place.frame);
  return item;
}

function describe(value, meaning) {
  if (value === null || value === undefined) return meaning ?? "";
  if (typeof value === "number") return meaning ? `${value} (${meaning})` : String(value);
  if (value.startsWith("0x") && meaning && meaning !== value) return `${meaning} (${value})`;
  return (meaning ?? value) || "(empty)";
}

function stretch(spans, start, end, frame) {
  if (start === end) return "";
  const [first, last] = [byteAt(spans, start, frame), byteAt(spans, end - 1, frame)];
  return first === last ? first : `${first}-${last}`;
}

function byteAt(spans, at, frame) {
  for (const [where, offset, length] of spans) {
    if (at < length) return `${where === frame ? "" : `${where}:`}${offset === null ? "?" : offset + at}`;
    at -= length;
  }
  return "?";
}

function sortBy(index) {
  sorting = { column: index, down: sorting.column === index && !sorting.down };
  document.querySelectorAll("[role=columnheader]").forEach((head, at) => {
    head.setAttribute("aria-sort", at === index ? (sorting.down ? "descending" : "ascending") : "none");
  });
  select();
}

function move(by) {
  const here = document.activeElement?.dataset?.number;
  const at = shown.indexOf(here === undefined ? selected : Number(here)) + by;
  if (at < 0 || at >= shown.length) return;
  const top = at * HEIGHT;
  if (top < grid.scrollTop) grid.scrollTop = top;
  if (top + 2 * HEIGHT > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + 2 * HEIGHT - grid.clientHeight;
  draw();
  body.querySelector(`[data-number="${shown[at]}"]`)?.focus({ preventScroll: true });
}

async function start() {
  rows = await unpack("table");
  document.querySelectorAll("[role=columnheader]").forEach((head, index) => {
    head.style.width = `${columns[index].width}ch`;
  });
  document.querySelectorAll("[role=columnheader] button").forEach((button, index) => {
    button.addEventListener("click", () => sortBy(index));
  });
  grid.addEventListener("scroll", draw);
  window.addEventListener("beforeprint", () => drawRows(0, shown.length));
  window.addEventListener("afterprint", draw);
  body.addEventListener("click", (event) => {
    const row = event.target.closest("[role=row]");
    if (row) open(Number(row.dataset.number));
  });
  body.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 };
    if (event.key in steps) move(steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") open(Number(event.target.dataset.number));
    else return;
    event.preventDefault();
  });
  for (const control of [search, version, outcome]) control.addEventListener("input", select);
  select();
  document.documentElement.dataset.ready = "";
}

start();
