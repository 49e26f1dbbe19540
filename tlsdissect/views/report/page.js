// The page itself. The address names the open details (#connection-3), so that the browser's Back button works.

const grids = {};

class Panel {
  constructor(kind, name, draw) {
    Object.assign(this, { kind, draw, name, grid: grids[name], place: document.getElementById(`${name}-detail`) });
    this.place.addEventListener("keydown", (event) => { if (event.key === "Escape") this.close(); });
  }

  async open(number) {
    const row = this.grid.rows[number];
    if (!row) return;
    const one = await details(this.name, number);
    this.grid.choose(number);
    const heading = element("h3", { tabindex: -1 }, this.title(row));
    const step = (text, by) => {
      const next = this.grid.neighbour(number, by);
      const made = button(text, () => visit(this.kind, next));
      made.disabled = next === undefined;
      return made;
    };
    const buttons = [step("Previous", -1), step("Next", 1), button("Back to the table", () => this.close())];
    this.place.replaceChildren(
      element("div", { class: "top" }, heading, element("div", null, ...buttons)), ...this.draw(one, row, grids));
    this.place.hidden = false;
    heading.focus({ preventScroll: true });
    heading.scrollIntoView({ block: "nearest" });
  }

  title(row) {
    const at = (title) => row[this.grid.titles.indexOf(title)];
    return this.kind === "connection" ? `Stream ${at("stream")} of ${at("source")}` : `Certificate: ${at("certificate")}`;
  }

  close() {
    this.place.hidden = true;
    this.place.replaceChildren();
    history.replaceState(null, "", `#${this.name}`);
    this.grid.back();
    this.grid.scroll.scrollIntoView({ block: "nearest" });
  }
}

function visit(kind, number) {
  const address = `#${kind}-${number}`;
  if (location.hash === address) route();
  else location.hash = address;
}

const panels = {};

async function route() {
  const asked = /^#(connection|certificate)-(\d+)$/.exec(location.hash);
  if (asked) await panels[asked[1]]?.open(Number(asked[2]));
}

function chooseScheme() {
  const root = document.documentElement;
  const dark = root.style.colorScheme ? root.style.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.style.colorScheme = dark ? "light" : "dark";
}

// Show the rows that have certain values in certain columns.
function showRows(event) {
  const { show, filters } = event.currentTarget.dataset;
  grids[show].show(JSON.parse(filters));
  document.getElementById(show).scrollIntoView();
  grids[show].words.focus({ preventScroll: true });
}

// Paper has no clicks: everything that is folded is printed.
function unfold() {
  for (const one of document.querySelectorAll("section > details, .failure details")) one.open = true;
}

async function start() {
  const kinds = [["connection", "connections", drawConnection], ["certificate", "certificates", drawCertificate]];
  for (const [kind, name, draw] of kinds) {
    if (!document.getElementById(`${name}-grid`)) continue;
    grids[name] = new Grid(name, kind, (number) => visit(kind, number));
    panels[kind] = new Panel(kind, name, draw);
    await grids[name].start();
  }
  const scheme = document.getElementById("scheme");
  scheme.hidden = false;
  scheme.addEventListener("click", chooseScheme);
  for (const one of document.querySelectorAll("[data-show]")) one.addEventListener("click", showRows);
  window.addEventListener("beforeprint", unfold);
  window.addEventListener("hashchange", route);
  await route();
  document.getElementById("waiting").hidden = true;
  document.documentElement.dataset.ready = performance.now();
}

start().catch((error) => {
  const trouble = document.getElementById("trouble");
  trouble.textContent = `This browser cannot show the tables: ${error.message}`;
  trouble.hidden = false;
});
