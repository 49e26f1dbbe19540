// The tree of a connection: the content of a record is added to the document when it is opened.

function drawTree({ pattern, records, texts, layouts }) {
  const tree = element("div", { class: "tree" });
  pattern.forEach(([sender, meaning, parts], number) => {
    const [frame, ms, spans] = records[number];
    const when = ms === null ? "" : `, ${ms.toFixed(3)} ms`;
    const title = `frame ${frame}, ${sender}${when}: ${meaning ?? "record"}`;
    const names = parts.flatMap(([number]) => layouts[number].map(([name]) => name)).filter((name) => !HEADS.has(name) && name !== meaning);
    const more = names.length ? element("span", { class: "value" }, ` ${names.join(", ")}`) : null;
    const record = element("details", null, element("summary", null, title, more));
    record.addEventListener("toggle", () => fill(record, { layouts, texts }, parts, { spans, at: 0, frame }), { once: true });
    tree.append(record);
  });
  return tree;
}

const HEADS = new Set(["type", "version", "legacy_record_version", "length"]); // header fields of a record

function fill(record, shared, parts, place) {
  const items = parts.flatMap((part) => drawPart(shared, part, place, null));
  record.append(element("ul", null, ...items));
}

function setOpen(tree, open) {
  for (const one of tree.querySelectorAll("details")) one.open = open;
}

// A part without byte ranges of its own follows the part before it in the record.
function drawPart(shared, [number, texts = [], spans = null, inner = []], record, cited) {
  const place = spans ? { spans, at: 0, frame: record.frame } : record;
  const text = (at) => (Array.isArray(texts) ? texts[at] : shared.texts[texts + at]);
  const drawInner = (reference) => inner.flatMap((part) => drawPart(shared, part, place, reference));
  return drawNodes(shared.layouts[number], place, text, cited, drawInner);
}

// A node without a name stands for those of a DER value.
function drawNodes(nodes, place, text, cited, drawInner) {
  return nodes.flatMap((node) => (node[0] === "" ? drawNodes(text(node[2]), place, text, cited)
    : [drawNode(node, place, text, cited, drawInner)]));
}

// A text is a number if it differs between messages of the same layout. The parts in a node follow its own fields.
function drawNode([name, size = 0, value, remark, reference, problem, children = []], place, text, cited, drawInner) {
  const start = place.at;
  const line = [element("span", { class: "place" }), element("span", null, name)];
  const said = typeof value === "number" ? text(value) : value;
  if (said) line.push(" ", element("span", { class: "value" }, said));
  if (remark) line.push(" ", element("span", { class: "odd" }, remark));
  if (problem) line.push(" ", element("strong", { class: "bad" }, problem));
  if (reference && reference !== cited) line.push(" ", element("cite", null, reference));
  const inside = drawNodes(children, place, text, reference ?? cited);
  if (drawInner) inside.push(...drawInner(reference ?? cited));
  let item;
  if (inside.length) {
    item = element("li", null,
      element("details", { open: "" }, element("summary", null, ...line), element("ul", null, ...inside)));
  } else {
    place.at += size;
    item = element("li", null, ...line);
  }
  line[0].textContent = stretch(place.spans, start, start + size, place.frame);
  return item;
}

// A frame is named where it is not the one before it.
function stretch(spans, start, end, frame) {
  const [first, last] = [byteAt(spans, start), byteAt(spans, end - 1)];
  if (start === end || !first || !last) return "";
  const from = named(first, frame);
  if (start === end - 1 || first.byte === null || last.byte === null) return from;
  return `${from}-${named(last, first.frame)}`;
}

function named({ frame, byte }, before) {
  return `${frame === before ? "" : `${frame}:`}${byte ?? "?"}`;
}

function byteAt(spans, at) {
  for (const [frame, offset, length] of spans) {
    if (at < length) return { frame, byte: offset === null ? null : offset + at };
    at -= length;
  }
  return null;
}
