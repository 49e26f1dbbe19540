// A ladder as the program draws it: time goes down, to scale but for pauses that are cut, and arrows are slanted.
// Words keep their distance from each other, and thin lines lead from them to their moments.

const LADDER = { widest: 960, tall: 420, line: 15, letter: 7.3, away: 14, axis: 44 }; // pixels
const KINDS = { tcp: "TCP", clear: "in the clear", encrypted: "encrypted", data: "application data", again: "sent again", lost: "lost" };
const [FAILED, LOST, COMPLETE] = [1, 2, 4]; // flags of an arrow
const OTHER = { client: "server", server: "client" };

function shape(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function drawLadder({ ends, ladder }, width) {
  const arrows = ladder.arrows.map(([sender, parts, flags, frames, time, begin, end]) =>
    ({ sender, parts, flags, frames, time, begin, end }));
  const told = arrows.map((arrow) => element("li", null, inWords(arrow)));
  return element("div", null, element("ol", { class: "unseen" }, ...told), picture(ends, ladder, arrows, width));
}

function inWords({ sender, parts, frames, time, flags }) {
  const what = parts.map(([kind, text]) => `${KINDS[kind]}: ${text}`).join("; ");
  const failed = flags & FAILED ? ", the handshake failed by this" : "";
  return `${time ? `${time}, ` : ""}${sender} to ${OTHER[sender]}${failed}, ${what}, frame ${frames}`.replaceAll("\u00a0", " ");
}

function picture(ends, ladder, arrows, widest) {
  const width = Math.min(widest, LADDER.widest);
  const between = Math.max((width - LADDER.axis) / 3, 80);
  const beside = (width - LADDER.axis - between) / 2;
  const x = { client: LADDER.axis + beside, server: LADDER.axis + beside + between };
  const letters = Math.floor((beside - LADDER.away) / LADDER.letter);
  const titles = ["client", "server"].map((side, at) => wrap(`${side} ${ends[at]}`, Math.floor(width / 2 / LADDER.letter) - 2));
  const head = LADDER.line * (Math.max(...titles.map((lines) => lines.length)) + 2);
  const words = { client: wordsOf("client", ladder.near, arrows, letters), server: wordsOf("server", ladder.near, arrows, letters) };
  const room = (said) => said.reduce((sum, one) => sum + (one.lines.length + 0.4) * LADDER.line, 0);
  const tall = Math.max(LADDER.tall, room(words.client), room(words.server));
  const y = (thousandths) => head + (tall * thousandths) / 1000;
  const placed = Object.values(words).flatMap((said) => apart(said, y));
  const low = Math.max(head + tall, ...placed.map(({ middle, lines }) => middle + (lines.length * LADDER.line) / 2)) + 12;
  const foot = wrap(ladder.origin, Math.floor((width - LADDER.axis) / LADDER.letter));
  const height = low + LADDER.line * (foot.length + 1);
  const texts = (lines, at, top, kind) => lines.map((text, number) =>
    shape("text", { x: at, y: top + number * LADDER.line, class: kind }, text));
  return shape("svg", { class: "ladder", viewBox: `0 0 ${width} ${height}`, "aria-hidden": true },
    ...ladder.bands.flatMap((band) => drawBand(band, ladder.near, x, y)),
    ...drawTicks(ladder.ticks, width, x, y),
    ...texts(titles[0], LADDER.axis, LADDER.line, "end"), ...texts(titles[1], width, LADDER.line, "end right"),
    ...arrows.map((arrow) => drawArrow(arrow, x, y)),
    ...["client", "server"].map((side) => shape("path", { class: "life", d: `M${x[side]} ${head - 10}V${low}` })),
    ...ladder.pauses.flatMap((pause) => drawPause(pause, x, y)),
    ...placed.flatMap((one) => drawWords(one, x)),
    ...texts(foot, LADDER.axis, low + LADDER.line * 1.5, "quiet"));
}

// What is written beside a lifeline: the messages that left it, and times if they were measured there.
function wordsOf(side, near, arrows, letters) {
  return arrows.flatMap(({ sender, parts, frames, time, begin, end, flags }) => {
    const sent = sender === side;
    const measured = [side === near && time, sent && `frame${frames.includes("-") ? "s" : ""} ${frames}`];
    const lines = wrap(measured.filter(Boolean).join(" · "), letters).map((text) => ["quiet", text]);
    const kinds = (kind) => (flags & FAILED ? "failed" : kind);
    if (sent) lines.push(...parts.flatMap(([kind, text]) => wrap(text, letters).map((line) => [kinds(kind), line])));
    if (flags & COMPLETE && side === near) lines.push(...wrap("handshake complete", letters).map((text) => ["complete", text]));
    return lines.length ? [{ side, sent, at: sent ? begin : end, lines }] : [];
  });
}

// Each text at its moment, or as close below it as is free. An arrival that is answered at once has the same time.
function apart(said, y) {
  let free = 0;
  const shown = said.filter((one, number) => {
    const after = said[number + 1];
    return one.lines[1] || one.sent || !after || y(after.at) - y(one.at) > LADDER.line;
  });
  return shown.map((one) => {
    const half = (LADDER.line * (one.lines.length + 0.4)) / 2;
    const middle = Math.max(y(one.at), free + half);
    free = middle + half;
    return { ...one, moment: y(one.at), middle };
  });
}

function drawWords({ side, lines, moment, middle }, x) {
  const way = side === "client" ? -1 : 1;
  const top = middle - ((lines.length - 1) * LADDER.line) / 2 + 4;
  return [
    shape("path", { class: "leader", d: `M${x[side]} ${moment}L${x[side] + way * (LADDER.away - 5)} ${middle}` }),
    ...lines.map(([kind, text], number) => shape("text", {
      x: x[side] + way * LADDER.away, y: top + number * LADDER.line, class: `${kind}${way < 0 ? " right" : ""}` }, text)),
  ];
}

// In parts if it is encrypted in part; what was lost arrives nowhere.
function drawArrow(arrow, x, y) {
  const { sender, parts, begin, end, flags } = arrow;
  const [left, arrives] = [[x[sender], y(begin)], [x[OTHER[sender]], y(end)]];
  const reach = flags & LOST ? 0.55 : 1;
  const at = (share) => [0, 1].map((axis) => left[axis] + (arrives[axis] - left[axis]) * share * reach);
  const made = shape("g", { class: flags & FAILED ? "arrow failed" : "arrow" }, shape("title", {}, inWords(arrow)));
  parts.forEach(([kind], number) => {
    const [from, to] = [at(number / parts.length), at((number + 1) / parts.length)];
    made.append(shape("path", { class: kind, d: `M${from.join(" ")}L${to.join(" ")}` }));
  });
  const [tip, last] = [at(1), parts[parts.length - 1][0]];
  const angle = (Math.atan2(arrives[1] - left[1], arrives[0] - left[0]) * 180) / Math.PI;
  const mark = flags & LOST ? "M-5 -5L5 5M-5 5L5 -5" : "M0 0L-9 -4V4Z";
  made.append(shape("path", { class: `${flags & LOST ? "cross" : "tip"} ${last}`, d: mark, transform: `translate(${tip.join(" ")}) rotate(${angle})` }));
  return made;
}

function drawBand([top, bottom, number, name], near, x, y) {
  const made = [shape("rect", { class: `band${number}`, x: x.client, y: y(top), width: x.server - x.client, height: y(bottom) - y(top) })];
  if (y(bottom) - y(top) < 3 * LADDER.line) return made;
  const way = near === "client" ? 1 : -1;
  const lines = name.split(/ (.*)/, 2).filter(Boolean);
  const first = (y(top) + y(bottom)) / 2 - ((lines.length - 1) * LADDER.line) / 2 + 4;
  return [...made, ...lines.map((text, line) => shape("text", {
    class: way > 0 ? "quiet" : "quiet right", x: x[near] + way * 7, y: first + line * LADDER.line }, text))];
}

function drawTicks(ticks, width, x, y) {
  let last = -Infinity;
  const made = ticks.length ? [shape("text", { class: "quiet right", x: LADDER.axis - 10, y: y(0) - LADDER.line * 1.7 }, "ms")] : [];
  for (const [place, text] of ticks) {
    if (y(place) < last + 2 * LADDER.line) continue;
    last = y(place);
    made.push(shape("path", { class: "tick", d: `M${LADDER.axis - 6} ${last}H${LADDER.axis}M${x.client} ${last}H${x.server}` }),
      shape("text", { class: "quiet right", x: LADDER.axis - 10, y: last + 4 }, text));
  }
  return made;
}

function drawPause([place, text], x, y) {
  const middle = y(place);
  const cut = (at) => [
    shape("path", { class: "gap", d: `M${at} ${middle - 4}V${middle + 4}` }),
    shape("path", { class: "break", d: `M${at - 7} ${middle - 2}L${at + 7} ${middle - 7}M${at - 7} ${middle + 7}L${at + 7} ${middle + 2}` }),
  ];
  return [...cut(x.client), ...cut(x.server),
    shape("text", { class: "pause", x: (x.client + x.server) / 2, y: middle + 4 }, text)];
}

// Lines of so many letters. A name and its size (a no-break space) stay together if they fit; longer names break at "_".
function wrap(text, letters) {
  const most = Math.max(letters, 4);
  const whole = text.split(" ").flatMap((word) => (word.length > most ? word.split("\u00a0") : [word]));
  const words = whole.flatMap((word) => (word.length > most ? word.match(/[^_]+_?|_/g) : [word]).map((part, at) => [part, at > 0]));
  const lines = [];
  for (const [word, follows] of words) {
    const longer = lines.length ? `${lines[lines.length - 1]}${follows ? "" : " "}${word}` : word;
    if (lines.length && longer.length <= most) lines[lines.length - 1] = longer;
    else for (let at = 0; at < word.length; at += most) lines.push(word.slice(at, at + most));
  }
  return lines.map((line) => line.replaceAll("\u00a0", " "));
}
