// The tree of a connection: the content of a record is added to the document when it is opened.

function drawTree({ records, nodes }) {
  const tree = element("div", { class: "tree" });
  for (const [sender, frame, ms, meaning, parts] of records) {
    const when = ms === null ? "" : `, ${ms.toFixed(3)} ms`;
    const title = `frame ${frame}, ${sender}${when}: ${meaning ?? "record"}`;
    const names = parts.map(([number]) => nodes[number][0]).filter((name) => !HEADS.has(name) && name !== meaning);
    const more = names.length ? element("span", { class: "value" }, ` ${names.join(", ")}`) : null;
    const record = element("details", null, element("summary", null, title, more));
    record.addEventListener("toggle", () => fill(record, nodes, parts, frame), { once: true });
    tree.append(record);
  }
  return tree;
}

const HEADS = new Set(["type", "version", "legacy_record_version", "length"]); // header fields of a record

function fill(record, nodes, parts, frame) {
  const items = parts.map(([number, spans]) => drawNode(nodes, number, { spans, at: 0, frame }, null));
  record.append(element("ul", null, ...items));
}

function setOpen(tree, open) {
  for (const one of tree.querySelectorAll("details")) one.open = open;
}

function drawNode(nodes, number, place, cited) {
  const [name, size, value, meaning, remark, reference, problem, children] = nodes[number];
  const start = place.at;
  const line = [element("span", { class: "place" }), element("span", null, name)];
  const said = describe(value, meaning);
  if (said) line.push(" ", element("span", { class: "value" }, said));
  if (remark) line.push(" ", element("span", { class: "odd" }, remark));
  if (problem) line.push(" ", element("strong", { class: "bad" }, problem));
  if (children && reference && reference !== cited) line.push(" ", element("cite", null, reference));
  let item;
  if (children) {
    const inside = children.map((child) => drawNode(nodes, child, place, reference ?? cited));
    item = element("li", null,
      element("details", { open: "" }, element("summary", null, ...line), element("ul", null, ...inside)));
  } else {
    place.at += size ?? 0;
    item = element("li", null, ...line);
  }
  line[0].textContent = stretch(place.spans, start, start + (size ?? 0), place.frame);
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
