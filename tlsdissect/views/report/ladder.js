// A ladder: one arrow per flight, to scale but for pauses that are cut.

const TALL = 320; // pixels of all waits together
const KINDS = { tcp: "TCP", clear: "in the clear", encrypted: "encrypted", data: "application data", again: "sent again", lost: "lost" };

function drawLadder({ ends, arrows }) {
  const inTrips = arrows.some((arrow) => arrow[5]); // on a short path, nothing is told in round trips
  const trips = (tag, text, attributes) => (inTrips ? [element(tag, { class: "minor", ...attributes }, text)] : []);
  const head = element("tr", null,
    element("th", { scope: "col" }, "ms"), ...trips("th", "round trips", { scope: "col" }),
    element("th", { scope: "col", class: "lane" }, element("span", null,
      element("bdi", null, `client ${ends[0]}`), element("bdi", null, `server ${ends[1]}`))),
    element("th", { scope: "col" }, "bytes"), element("th", { scope: "col", class: "minor" }, "frames"));
  const rows = arrows.map((arrow) => drawArrow(arrow, trips));
  return element("table", { class: "ladder" }, element("thead", null, head), element("tbody", null, ...rows));
}

function drawArrow([sender, kind, labels, frames, time, inTrips, bytes, wait, pause, failed], trips) {
  const way = sender === "client" ? "client to server" : "server to client";
  const words = element("span", { class: "words" },
    element("span", { class: "unseen" }, `${way}, ${KINDS[kind]}${failed ? ", the handshake failed by this" : ""}: `), labels.join(", "));
  const cut = pause ? [element("span", { class: "pause" }, pause)] : [];
  const lane = element("td", { class: "lane" }, ...cut, words, element("span", { class: "shaft", "aria-hidden": true }));
  lane.style.paddingTop = `${6 + Math.round((TALL * (wait ?? 0)) / 1000)}px`;
  return element("tr", { class: `${sender} ${kind}${failed ? " failed" : ""}` },
    element("td", null, time ?? ""), ...trips("td", inTrips ?? ""), lane,
    element("td", null, bytes?.toLocaleString("en") ?? ""), element("td", { class: "minor" }, frames));
}
