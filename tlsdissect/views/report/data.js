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

// Returns the details of a row, which are packed in blocks; null if the page has none.
async function details(name, number) {
  const id = `${name}-details-${Math.floor(number / settings.together)}`;
  // Details come after this script; before something follows them, a part of them may be missing.
  if (!document.getElementById(id)?.nextSibling) await loaded;
  if (!blocks.has(id) && document.getElementById(id)) {
    if (blocks.size >= KEPT) blocks.delete(blocks.keys().next().value);
    blocks.set(id, await unpack(id));
  }
  const block = blocks.get(id);
  const one = block?.entries[number % settings.together];
  return one ? { ...one, layouts: block.layouts } : null;
}

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function button(text, act, kind = "plain") {
  const made = element("button", { type: "button", class: kind }, text);
  made.addEventListener("click", act);
  return made;
}
