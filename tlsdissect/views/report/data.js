// Unpacks the page's data. All of its text becomes text nodes, never markup.

const settings = JSON.parse(document.getElementById("settings").textContent);
const KEPT = 16; // unpacked blocks of details that are cached
const blocks = new Map();
const loaded = new Promise((done) => document.addEventListener("DOMContentLoaded", done));

async function unpack(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

// Returns the content of a block; undefined if the page has none of this name.
async function load(id) {
  // Blocks come after this script; before something follows one, a part of it may be missing.
  if (!document.getElementById(id)?.nextSibling) await loaded;
  if (!blocks.has(id) && document.getElementById(id)) {
    if (blocks.size >= KEPT) blocks.delete(blocks.keys().next().value);
    blocks.set(id, await unpack(id));
  }
  return blocks.get(id);
}

// Returns the details of a row, which are packed in blocks; null if the page has none.
async function details(name, number) {
  const block = await load(`${name}-details-${Math.floor(number / settings.together)}`);
  const one = block?.entries[number % settings.together];
  if (!one?.records) return one ?? null;
  const texts = await Promise.all(one.texts.map((text) => (Array.isArray(text) ? value(text[0]) : text)));
  const arrows = one.ladder.arrows.map(([number, ...moments]) => [...block.arrows[number], ...moments]);
  return { ...one, texts, pattern: block.patterns[one.pattern], layouts: block.layouts, ladder: { ...one.ladder, arrows } };
}

// Returns the nodes of a DER value, of which the page has each once, before all details.
async function value(digest) {
  const many = document.querySelectorAll("script[id^=values-]").length;
  return (await load(`values-${parseInt(digest.slice(0, 8), 16) % many}`))[digest];
}

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Keep each date of a sentence on one line: browsers break it after its hyphens.
function dated(text) {
  return String(text).split(/(\d{4}-\d\d-\d\d(?:T[\d:.]+Z)?)/)
    .map((part, at) => (at % 2 ? element("span", { class: "date" }, part) : part));
}

function button(text, act, kind = "plain") {
  const made = element("button", { type: "button", class: kind }, text);
  made.addEventListener("click", act);
  return made;
}
