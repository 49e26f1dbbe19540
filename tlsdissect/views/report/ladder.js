// A ladder: one arrow per flight; the distance between arrows grows with the time between them.

const STRETCH = 30; // pixels for the longest wait
const KINDS = { tcp: "TCP", clear: "in the clear", encrypted: "encrypted", data: "application data", again: "sent again" };

function drawLadder({ ends, rtt, arrows }) {
  const timed = (at) => at > 0 && arrows[at - 1][4] !== null && arrows[at][4] !== null;
  const waits = arrows.map((arrow, at) => (timed(at) ? arrow[4] - arrows[at - 1][4] : 0));
  const longest = Math.max(...waits) || 1;
  const head = element("tr", null,
    element("th", { scope: "col" }, "ms"), element("th", { scope: "col", class: "minor" }, "round trips"),
    element("th", { scope: "col", class: "lane" }, element("span", null,
      element("bdi", null, `client ${ends[0]}`), element("bdi", null, `server ${ends[1]}`))),
    element("th", { scope: "col" }, "bytes"), element("th", { scope: "col", class: "minor" }, "frames"));
  const rows = arrows.map((arrow, at) => drawArrow(arrow, rtt, Math.sqrt(Math.max(waits[at], 0) / longest)));
  return element("table", { class: "ladder" }, element("thead", null, head), element("tbody", null, ...rows));
}

function drawArrow([sender, kind, labels, frames, ms, bytes], rtt, wait) {
  const way = sender === "client" ? "client to server" : "server to client";
  const words = element("span", { class: "words" },
    element("span", { class: "unseen" }, `${way}, ${KINDS[kind]}: `), labels.join(", "));
  const lane = element("td", { class: "lane" }, words, element("span", { class: "shaft", "aria-hidden": true }));
  lane.style.paddingTop = `${6 + Math.round(STRETCH * wait)}px`;
  return element("tr", { class: `${sender} ${kind}` },
    element("td", null, ms === null ? "" : ms.toFixed(3)),
    element("td", { class: "minor" }, rtt && ms !== null ? (ms / rtt).toFixed(1) : ""), lane,
    element("td", null, bytes === null ? "" : bytes.toLocaleString("en")), element("td", { class: "minor" }, frames));
}
