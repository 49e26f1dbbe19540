// A table of many rows, of which only the visible ones and some around them are in the document.

const SPARE = 12;
const PAGE = 15;
const PRINTED = 1000; // maximum number of printed rows
const PHONE = matchMedia("(max-width: 40rem)");
const CUT = 13; // width in characters to which columns are cut
const FOLDED = { source: 20, outcome: 22, verdict: 36 }; // the same of what then takes two lines
const NAMED = 33; // width in characters up to which a capture's name comes before other columns
const NAMES = ["client", "server", "certificate"]; // columns that say which connection or certificate a row is

class Grid {
  constructor(name, noun, open) {
    Object.assign(this, { name, noun, open, rows: [], shown: [], places: new Map(), texts: [], drawn: new Map() });
    this.columns = settings.columns[name];
    this.titles = this.columns.map((column) => column.title);
    this.sorting = { at: -1, down: false };
    this.filters = []; // pairs of a column's number and a value
    this.folds = []; // pairs of a column's number and the characters that fit on a line, of columns that take two lines
    this.current = this.selected = null;
    this.height = 28;
    const part = (what) => document.getElementById(`${name}-${what}`);
    [this.table, this.body, this.scroll] = [part("grid"), part("body"), part("scroll")];
    [this.words, this.count, this.paper, this.chips] = [part("words"), part("count"), part("paper"), part("chips")];
    this.heads = [...this.table.querySelectorAll("thead th")];
    this.boxes = [...this.table.closest("section").querySelectorAll(".columns input")];
    [this.above, this.below] = [new Space(), new Space()];
    this.none = element("tr", { class: "none" }, element("td", null, `No matching ${noun}.`));
    this.body.append(this.above.row, this.below.row, this.none);
  }

  async start() {
    this.rows = await unpack(`${this.name}-rows`);
    this.table.style.width = "1000ch";
    this.character = this.table.offsetWidth / 1000;
    this.table.style.width = "";
    if (PHONE.matches) {
      this.fitPhone();
      for (const box of this.boxes) box.checked = this.columns[box.dataset.at].shown;
    }
    this.arrange();
    this.heads.forEach((head, at) => head.firstElementChild.addEventListener("click", () => this.sort(at)));
    this.words.addEventListener("input", () => this.select());
    for (const box of this.boxes) box.addEventListener("change", () => this.chooseColumns());
    this.scroll.addEventListener("scroll", () => this.draw());
    this.body.addEventListener("click", (event) => this.clicked(event.target));
    this.body.addEventListener("keydown", (event) => this.pressed(event));
    window.addEventListener("resize", () => { this.arrange(); this.draw(); });
    window.addEventListener("beforeprint", () => this.drawRows(0, Math.min(PRINTED, this.shown.length)));
    window.addEventListener("afterprint", () => this.draw());
    this.select();
    const row = this.body.querySelector("tr[tabindex]");
    if (row) this.height = row.getBoundingClientRect().height || this.height;
    this.draw();
  }

  // The width in characters that a column takes at least.
  least(column) {
    const folded = column.title === "source" && PHONE.matches ? CUT : FOLDED[column.title]; // there, it takes three lines
    return column.whole ? column.width : Math.min(column.width, folded ?? CUT);
  }

  // The width of the table's box, in characters.
  room() {
    return this.scroll.clientWidth / this.character;
  }

  // Show the first columns that fit into the width of a phone; the reader can show others.
  fitPhone() {
    const wanted = this.columns.filter((column) => column.shown && column.narrow).sort((a, b) => a.narrow - b.narrow);
    for (const column of this.columns) column.shown = false;
    let room = this.room();
    for (const column of wanted) {
      column.shown = this.least(column) <= room;
      if (column.shown) room -= this.least(column);
    }
  }

  // Each column first gets its least width. What is left goes to outcomes, so that they take one line, and to names; then to
  // what most rows need, and last to all that would be cut.
  arrange() {
    const shown = this.columns.filter((column) => column.shown);
    const widths = new Map(shown.map((column) => [column, this.least(column)]));
    const taken = () => shown.reduce((sum, column) => sum + widths.get(column), 0);
    const room = this.room();
    this.table.style.minWidth = `${taken()}ch`;
    const give = (columns, need) => {
      const needs = columns.map((column) => Math.max(0, need(column) - widths.get(column)));
      const given = divided(needs, Math.max(0, room - taken()));
      columns.forEach((column, at) => widths.set(column, widths.get(column) + given[at]));
    };
    give(shown.filter((column) => column.title === "outcome"), (column) => column.width);
    give(shown.filter((column) => NAMES.includes(column.title)), (column) => column.usual);
    give(shown.filter((column) => column.title === "source"), (column) => Math.min(column.width, NAMED));
    give(shown.filter((column) => column.title !== "verdict"), (column) => column.usual);
    give(shown, (column) => column.width);
    const around = this.table.querySelectorAll("col");
    this.columns.forEach((column, at) => {
      around[at].style.width = `${widths.get(column) ?? 0}ch`;
      for (const one of [around[at], this.heads[at]]) one.classList.toggle("hidden", !column.shown);
    });
    for (const row of [this.above.row, this.below.row, this.none]) row.firstElementChild.colSpan = shown.length;
    this.folds = this.columns.flatMap((column, at) => (column.title in FOLDED && column.shown ? [[at, widths.get(column) - 2]] : []));
  }

  // Show the columns that are ticked.
  chooseColumns() {
    for (const box of this.boxes) this.columns[box.dataset.at].shown = box.checked;
    for (const row of this.drawn.values()) row.remove();
    this.drawn = new Map();
    this.arrange();
    this.draw();
  }

  // Filter by values of some columns, and remove all other filters.
  show(chosen) {
    this.words.value = "";
    this.filters = Object.entries(chosen).map(([title, value]) => [this.titles.indexOf(title), value]);
    this.select();
  }

  // Filter by a value, too.
  filter(at, value) {
    if (!this.filters.some((one) => one[0] === at && one[1] === value)) this.filters.push([at, value]);
    this.select();
    [...this.chips.querySelectorAll(".chip")].at(-1).focus({ preventScroll: true });
  }

  drop(number) {
    this.filters.splice(number, 1);
    this.select();
    (this.chips.querySelectorAll(".chip")[number] ?? this.words).focus({ preventScroll: true });
  }

  drawChips() {
    const chips = this.filters.map(([at, value], number) => {
      const chip = button(`${this.titles[at]}: ${value}`, () => this.drop(number), "chip");
      chip.setAttribute("aria-label", `Remove the filter ${this.titles[at]}: ${value}`);
      return chip;
    });
    if (chips.length || this.words.value) {
      chips.push(button("Show all", () => { this.show({}); this.words.focus({ preventScroll: true }); }, "link"));
    }
    this.chips.replaceChildren(...chips.map((chip) => element("li", null, chip)));
    this.chips.hidden = !chips.length;
  }

  select() {
    const words = this.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.shown = [];
    this.rows.forEach((row, number) => {
      const fits = this.filters.every(([at, value]) => row[at] === value
        || this.values(at, row[at]).some((one) => unmarked(one) === unmarked(value)));
      if (fits && words.every((word) => this.text(number).includes(word))) this.shown.push(number);
    });
    if (this.sorting.at >= 0) this.order();
    this.places = new Map(this.shown.map((number, at) => [number, at]));
    const [some, all] = [this.shown.length, this.rows.length].map((many) => many.toLocaleString("en"));
    this.count.textContent = `${some} of ${all} ${this.noun}${this.rows.length === 1 ? "" : "s"}`;
    const more = this.shown.length > PRINTED ? `; the first ${PRINTED.toLocaleString("en")} are printed` : "";
    this.paper.textContent = `${this.count.textContent}${more}.`;
    this.table.setAttribute("aria-rowcount", this.shown.length + 1);
    this.drawChips();
    this.scroll.scrollTop = 0;
    this.draw();
  }

  // The values of a cell that one can filter by.
  values(at, text) {
    const { filters } = this.columns[at];
    return filters === "no" || !text ? [] : filters === "one" ? [text] : text.split(", ");
  }

  text(number) {
    return (this.texts[number] ??= this.rows[number].join("\n").toLowerCase());
  }

  sort(at) {
    const { at: before, down } = this.sorting;
    this.sorting = at !== before ? { at, down: false } : down ? { at: -1, down: false } : { at, down: true };
    this.heads.forEach((head, place) => {
      const order = this.sorting.down ? "descending" : "ascending";
      head.setAttribute("aria-sort", place === this.sorting.at ? order : "none");
    });
    this.select();
  }

  // Numbers come before text, and empty cells last in both directions.
  order() {
    const { at, down } = this.sorting;
    const keys = new Map(this.shown.map((number) => [number, key(this.rows[number][at])]));
    this.shown.sort((a, b) => compare(keys.get(a), keys.get(b), down ? -1 : 1) || a - b);
  }

  draw() {
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / this.height) - SPARE);
    const many = Math.ceil(this.scroll.clientHeight / this.height) + 2 * SPARE;
    this.drawRows(first, Math.min(this.shown.length, first + many));
  }

  // Rows that stay visible are not moved, because one of them may have the focus. The total height never shrinks.
  drawRows(first, last) {
    const focused = document.activeElement?.closest?.("tr[tabindex]")?.dataset.number;
    const before = this.drawn;
    this.drawn = new Map();
    for (let at = first; at < last; at += 1) {
      const number = this.shown[at];
      this.drawn.set(number, this.mark(before.get(number) ?? this.row(number), number, at));
    }
    this.above.make(first * this.height);
    this.below.make((this.shown.length - last) * this.height);
    for (const [number, row] of before) if (!this.drawn.has(number)) row.remove();
    let above = this.above.row;
    for (const row of this.drawn.values()) {
      if (above.nextSibling !== row) above.after(row);
      above = row;
    }
    this.none.hidden = this.shown.length > 0;
    if (focused !== undefined && !this.body.contains(document.activeElement)) this.drawn.get(Number(focused))?.focus({ preventScroll: true });
  }

  row(number) {
    const row = element("tr");
    row.dataset.number = number;
    this.columns.forEach((column, at) => {
      const text = this.rows[number][at];
      const kinds = [column.right ? "right" : "", column.shown ? "" : "hidden", tone(column.title, text), column.title === "source" ? "name" : ""];
      const parts = this.values(at, text).flatMap((value, place) => [place ? ", " : null,
        element("span", { class: `value ${column.title === "findings" ? weight(value) : ""}`.trim(), role: "button", tabindex: -1, "data-at": at, "data-value": value }, value)]);
      const cell = element("td", { class: kinds.filter(Boolean).join(" ") }, ...(parts.length ? parts : [text || "-"]));
      if (text) cell.title = text;
      row.append(cell);
    });
    return row;
  }

  mark(row, number, at) {
    const reached = this.places.has(this.current) ? this.current : this.shown[0];
    row.setAttribute("aria-rowindex", at + 2);
    row.setAttribute("aria-selected", number === this.selected);
    row.setAttribute("tabindex", number === reached ? 0 : -1);
    for (const [at, room] of this.folds) row.cells[at].classList.toggle("reason", this.rows[number][at].length > room);
    return row;
  }

  clicked(place) {
    const [row, value] = [place.closest("tr[tabindex]"), place.closest(".value")];
    if (!row || window.getSelection().toString()) return;
    if (value) this.filter(Number(value.dataset.at), value.dataset.value);
    else this.open(Number(row.dataset.number));
  }

  pressed(event) {
    const row = event.target.closest("tr[tabindex]");
    if (!row) return;
    const at = this.places.get(Number(row.dataset.number));
    const end = this.shown.length - 1;
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + PAGE, PageUp: at - PAGE, Home: 0, End: end };
    const value = event.target.closest(".value");
    const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (side) this.goAside(row, value, side);
    else if (event.key in steps) this.go(Math.max(0, Math.min(end, steps[event.key])));
    else if (value && (event.key === "Enter" || event.key === " ")) this.filter(Number(value.dataset.at), value.dataset.value);
    else if (event.key === "Enter" || event.key === " ") this.open(Number(row.dataset.number));
    else return;
    event.preventDefault();
  }

  go(at) {
    this.current = this.shown[at];
    this.reveal(at);
    this.draw();
    this.drawn.get(this.current)?.focus({ preventScroll: true });
  }

  // Go to the next value of a row that is in sight; before the first one is the row itself.
  goAside(row, value, by) {
    const values = [...row.querySelectorAll(".value")].filter((one) => one.offsetParent);
    const at = Math.min(values.indexOf(value) + by, values.length - 1);
    (values[at] ?? row).focus();
  }

  reveal(at) {
    const head = this.table.tHead.offsetHeight;
    const [top, bottom] = [at * this.height, (at + 1) * this.height + head - this.scroll.clientHeight];
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    else if (bottom > this.scroll.scrollTop) this.scroll.scrollTop = bottom;
  }

  // Mark the row whose details are open; remove the filters if they hide it.
  choose(number) {
    if (!this.places.has(number)) this.show({});
    this.current = this.selected = number;
    this.reveal(this.places.get(number));
    this.draw();
  }

  back() {
    this.selected = null;
    this.go(this.places.get(this.current) ?? 0);
  }

  neighbour(number, by) {
    return this.shown[this.places.get(number) + by];
  }
}

// A spacer in place of rows that are not in the document.
class Space {
  constructor() {
    this.row = element("tr", { class: "space", "aria-hidden": true }, element("td"));
  }

  make(height) {
    this.row.firstElementChild.style.height = `${height}px`;
    this.row.hidden = height <= 0;
  }
}

function key(text) {
  if (text === "") return { kind: 2 };
  const number = Number(text);
  return Number.isNaN(number) ? { kind: 1, value: text } : { kind: 0, value: number };
}

function compare(a, b, sign) {
  if (a.kind === 2 || b.kind === 2) return a.kind === b.kind ? 0 : a.kind === 2 ? 1 : -1;
  if (a.kind !== b.kind) return sign * (a.kind - b.kind);
  return sign * (a.value < b.value ? -1 : a.value > b.value ? 1 : 0);
}

// Divide a room among columns so that none has more than it needs: what one does not need is for the others.
function divided(needs, room) {
  const given = needs.map(() => 0);
  let many = needs.length;
  for (const at of [...needs.keys()].sort((a, b) => needs[a] - needs[b])) {
    given[at] = Math.min(needs[at], room / many);
    room -= given[at];
    many -= 1;
  }
  return given;
}

// What only keys show has a star behind it, and is found together with what anyone sees.
function unmarked(value) {
  return value.replace(/\*$/, "");
}

function tone(title, text) {
  if (!text) return "quiet";
  if (title === "stream" || title === "certificate") return "opens";
  if (title === "outcome") return text.startsWith("established") ? "good" : "bad";
  if (title === "verdict") return /^not|revoked|on a CRL$/.test(text) && text !== "not on a CRL" ? "bad" : "good";
  return title === "problems" ? "odd" : "";
}

// The tone of a finding, as that of its severity's badge.
function weight(code) {
  return { low: "odd", info: "quiet" }[settings.severities[unmarked(code)]] ?? "bad";
}
