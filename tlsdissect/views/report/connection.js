// The details of a connection or certificate, below its table.

function drawConnection(one, row, grids) {
  if (!one) return [facts(settings.columns.connections.map((column, at) => [column.title, row[at]])), absent()];
  const parts = [facts(one.facts)];
  if (one.findings.length) parts.push(element("h4", null, "Findings"), found(one.findings));
  if (one.problems.length) {
    const lines = one.problems.map(([code, detail]) => element("li", null, element("code", null, code), ` ${detail}`));
    parts.push(element("h4", null, "Problems and inferences"), element("ul", { class: "list" }, ...lines));
  }
  const shown = one.certificates.filter((number) => number < grids.certificates?.rows.length);
  if (shown.length) {
    const links = shown.map((number) => element("li", null, link("certificate", number, grids.certificates.rows[number][0])));
    parts.push(element("h4", null, "Certificates"), element("ul", { class: "list" }, ...links));
  }
  parts.push(element("h4", null, "What happened"), verdict(one.verdict), ...story(one.said));
  if (!one.ladder) {
    const why = "This connection was read from a dataset, which has no packets: there is no ladder, and no tree of its records.";
    return [...parts, element("p", null, why)];
  }
  parts.push(element("h4", null, "Ladder"), drawLadder(one, document.querySelector("main").clientWidth - 34));
  const tree = drawTree(one);
  const buttons = [button("Open all", () => setOpen(tree, true)), " ", button("Close all", () => setOpen(tree, false))];
  return [...parts, element("h4", null, "Records and messages"), element("p", null, ...buttons), tree];
}

function drawCertificate(one, row) {
  if (!one) return [absent()];
  const parts = [facts(one.facts)];
  if (one.connection !== null) parts.push(element("p", null, link("connection", one.connection, "First connection with this certificate")));
  if (one.findings.length) parts.push(element("h4", null, "Findings"), found(one.findings));
  if (one.problems.length) {
    const lines = one.problems.map((text) => element("li", null, text));
    parts.push(element("h4", null, "Problems"), element("ul", { class: "list" }, ...lines));
  }
  return parts;
}

function absent() {
  return element("p", null, "This page has no further details of it: see the summary.");
}

function facts(pairs) {
  const lines = pairs.filter(([, text]) => text).map(([label, text]) =>
    element("div", null, element("dt", null, label), element("dd", null, text)));
  return element("dl", { class: "facts" }, ...lines);
}

function found(findings) {
  const lines = findings.map(([severity, code, detail, rule]) => element("li", null,
    element("span", { class: `badge ${severity}` }, severity), element("code", null, code), " ", ...dated(detail), " ",
    element("cite", null, rule)));
  return element("ul", { class: "list" }, ...lines);
}

function verdict(line) {
  const tone = { "✗": "bad", "✓": "good" }[line[0]] ?? "";
  return element("p", null, element("strong", { class: tone }, line));
}

// Topics in the order in which the sentences come: how a failed handshake ended is said first.
function story(said) {
  return [...new Set(said.map(([about]) => about))].flatMap((number) => {
    const lines = said.filter(([about]) => about === number).map(([, text]) => element("li", null, ...dated(text)));
    return [element("h5", null, settings.topics[number]), element("ul", { class: "sentences" }, ...lines)];
  });
}

function link(kind, number, text) {
  return element("a", { href: `#${kind}-${number}` }, text);
}
