// What the live page shows of a watch: tables, events, frames and their rate.
//
// Payloads are hostile: they reach the document as text, never as markup, and never without an end.

import { rowId } from "/tidegate.js";

const ROWS_MAX = 300; // in the document at once; the replica holds all
const EVENTS_MAX = 100;
const FRAMES_MAX = 40;
const TEXT_CHARS_MAX = 600; // of one payload
const COLUMNS_MAX = 10; // a row with more members is shown as one cell
const SHAPES_MAX = 12; // tables on the page
const RATE_SECONDS = 60;
const CONTROL_OPS = new Set(["begin", "reset", "bookmark", "gap", "notice", "close"]);

/** The rows of a keyed address: a table for each shape that rows have, so that columns fit. */
export class Tables {
  size = 0;
  #root; #wild; #shapes = new Map(); #rows = new Map(); #changed = new Set(); #whole = false;
  #order = new Intl.Collator("en", { numeric: true });

  constructor(root, wild) {
    this.#root = root;
    this.#wild = wild;
  }

  add(changes) {
    for (const { op, address, key } of changes) {
      if (op === "snapshot" || op === "clear") this.#whole = true;
      else this.#changed.add(rowId(address, key));
    }
  }

  paint({ rows }) {
    const short = this.#rows.size < ROWS_MAX && rows.size > this.#rows.size;
    const ids = this.#whole || short ? new Set([...this.#rows.keys(), ...this.#changed, ...rows.keys()]) : this.#changed;
    const flash = !this.#whole || this.size > 0;
    for (const id of ids) this.#place(id, rows.get(id), flash);
    [this.#whole, this.#changed, this.size] = [false, new Set(), rows.size];
  }

  summary({ rows }) {
    const more = rows.size - this.#rows.size;
    return `${rows.size} ${rows.size === 1 ? "row" : "rows"}${more > 0 ? `, the first ${this.#rows.size} shown` : ""}`;
  }

  #place(id, row, flash) {
    const shown = this.#rows.get(id);
    const shape = row && this.#shapeOf(row.data);
    if (shown && shown.shape === shape) return shown.fill(row, flash);
    if (shown) {
      shown.shape.drop(shown);
      this.#rows.delete(id);
    }
    if (row && this.#rows.size < ROWS_MAX) this.#rows.set(id, shape.insert(row, flash, this.#order));
  }

  #shapeOf(data) {
    const names = isObject(data) ? Object.keys(data) : null;
    const fits = names && names.length > 0 && names.length <= COLUMNS_MAX;
    let name = fits ? JSON.stringify(names.toSorted()) : "";
    if (!this.#shapes.has(name) && this.#shapes.size >= SHAPES_MAX) name = "";
    if (!this.#shapes.has(name)) this.#shapes.set(name, new Shape(this.#root, name ? names : null, this.#wild));
    return this.#shapes.get(name);
  }
}

/** One table: rows with the same members, in order of address and key. */
class Shape {
  #columns; #wild; #body; #box; #heads; #rows = [];
  #repeats; // columns that say in every row what its key or address says; they are not shown
  #shownRepeats = -1;

  constructor(root, columns, wild) {
    [this.#columns, this.#wild] = [columns, wild];
    this.#repeats = new Set(columns?.keys());
    this.#heads = (columns ?? ["data"]).map((name) => make("th", "", clip(name)));
    const fixed = (wild ? ["address", "key"] : ["key"]).map((name) => make("th", "", name));
    const table = make("table", "", make("thead", "", make("tr", "", ...fixed, ...this.#heads, make("th", "", "time"))));
    this.#body = table.createTBody();
    this.#box = make("div", "scroll", table);
    root.append(this.#box);
  }

  insert(row, flash, order) {
    const place = `${row.address}\n${row.key}`;
    const at = this.#rows.findIndex((other) => order.compare(other.place, place) > 0);
    const shown = { place, shape: this, line: make("tr"), values: [], fill: (row, flash) => this.#fill(shown, row, flash) };
    const fixed = make("td", "key", clip(row.key));
    if (this.#wild) shown.line.append(make("td", "", addressLink(row.address)));
    shown.line.append(fixed, ...(this.#columns ?? ["data"]).map(() => make("td")), make("td", "muted"));
    shown.cells = [...shown.line.children].slice(this.#wild ? 2 : 1);
    this.#body.insertBefore(shown.line, this.#rows[at]?.line ?? null);
    this.#rows.splice(at < 0 ? this.#rows.length : at, 0, shown);
    this.#box.hidden = false;
    this.#fill(shown, row, flash);
    return shown;
  }

  drop(shown) {
    shown.line.remove();
    this.#rows = this.#rows.filter((other) => other !== shown);
    this.#box.hidden = this.#rows.length === 0;
  }

  #fill(shown, row, flash) {
    const values = this.#columns ? this.#columns.map((name) => row.data[name]) : [row.data];
    values.forEach((value, at) => {
      const text = JSON.stringify(value);
      if (shown.values[at] === text) return;
      shown.values[at] = text;
      const cell = shown.cells[at];
      cell.className = !this.#columns ? "wide" : typeof value === "number" ? "number" : "";
      if (this.#columns && typeof value === "number") this.#heads[at].className = "number";
      cell.title = this.#columns ? clip(text) : "";
      if (!repeats(value, row)) this.#repeats.delete(at);
      cell.replaceChildren(this.#columns ? inline(value, this.#columns[at]) : members(value));
      if (flash) highlight(cell);
    });
    shown.cells.at(-1).textContent = clock(row.time);
    if (this.#shownRepeats !== this.#repeats.size) this.#rows.forEach((other) => this.#hideRepeats(other.cells));
    else this.#hideRepeats(shown.cells);
    this.#hideRepeats(this.#heads);
    this.#shownRepeats = this.#repeats.size;
  }

  #hideRepeats(cells) {
    this.#heads.forEach((_, at) => (cells[at].hidden = this.#repeats.has(at)));
  }
}

/** Whether a member says no more than where its row is. */
function repeats(value, { address, key }) {
  if (typeof value !== "string" && typeof value !== "number") return false;
  return String(value) === key || address.split("/").includes(encodeURIComponent(value));
}

/** The newest events of a plain address, or of a history. */
export class Events {
  size = 0;
  #root; #wild; #waiting = []; #seen = 0;

  constructor(root, wild) {
    [this.#root, this.#wild] = [root, wild];
  }

  add(changes) {
    this.#seen += changes.length;
    this.#waiting = [...this.#waiting, ...changes].slice(-EVENTS_MAX);
  }

  paint() {
    const lines = this.#waiting.reverse().map((frame) => {
      const line = make("li", "", make("time", "", clock(frame.time)));
      if (this.#wild && frame.address) line.append(addressLink(frame.address));
      if (frame.op !== "append") line.append(make("b", "", frame.key === undefined ? frame.op : `${frame.op} ${clip(frame.key)}`));
      if (frame.data !== undefined) line.append(members(frame.data));
      return line;
    });
    const flash = this.size > 0;
    this.#root.prepend(...lines);
    while (this.#root.childElementCount > EVENTS_MAX) this.#root.lastElementChild.remove();
    if (flash) lines.forEach(highlight);
    [this.#waiting, this.size] = [[], this.#seen];
    this.#root.hidden = this.size === 0;
  }

  summary() {
    if (this.#seen === 0) return "since this page was opened";
    return `${this.#seen} ${this.#seen === 1 ? "event" : "events"}${this.#seen > EVENTS_MAX ? `, the newest ${EVENTS_MAX} shown` : ""}`;
  }
}

/** The newest frames, as JSON. */
export class FrameLog {
  #root; #waiting = []; #paused = false;

  constructor(root, pause) {
    this.#root = root;
    pause.addEventListener("click", () => {
      this.#paused = !this.#paused;
      pause.setAttribute("aria-pressed", this.#paused);
      pause.textContent = this.#paused ? "Go on" : "Pause";
    });
  }

  add(frame) {
    if (!this.#paused) this.#waiting = [...this.#waiting, frame].slice(-FRAMES_MAX);
  }

  paint() {
    const lines = this.#waiting.reverse().map((frame) => make("li", CONTROL_OPS.has(frame.op) ? "control" : "", make("b", "", clip(String(frame.op))), clip(JSON.stringify(frame))));
    this.#waiting = [];
    this.#root.prepend(...lines);
    while (this.#root.childElementCount > FRAMES_MAX) this.#root.lastElementChild.remove();
  }
}

/** Frames of each of the last seconds, and the line that shows them. */
export class Rate {
  #now = 0; #seconds = [];

  constructor() {
    setInterval(() => this.#tick(), 1_000);
  }

  count() {
    this.#now++;
  }

  #tick() {
    this.#seconds = [...this.#seconds, this.#now].slice(-RATE_SECONDS);
    this.#now = 0;
    const recent = this.#seconds.slice(-5);
    const mean = recent.reduce((sum, count) => sum + count, 0) / recent.length;
    document.getElementById("rate").textContent = mean >= 100 ? Math.round(mean) : mean.toFixed(1);
    const most = Math.max(1, ...this.#seconds);
    const from = RATE_SECONDS - this.#seconds.length;
    document.getElementById("line").setAttribute("points", this.#seconds.map((count, at) => `${from + at},${(15 - (count / most) * 14).toFixed(1)}`).join(" "));
  }
}

/** A value in a cell. Units come last in names, so bytes can be told. */
function inline(value, name) {
  if (value === null || value === undefined) return make("span", "none", "null");
  if (typeof value === "string") return document.createTextNode(clip(value));
  if (typeof value !== "number") return document.createTextNode(clip(JSON.stringify(value)));
  const bytes = /(^|_)bytes(_per_second)?$/.exec(name);
  if (bytes && value >= 1024) {
    const power = Math.min(5, Math.floor(Math.log2(value) / 10));
    return document.createTextNode(`${(value / 1024 ** power).toFixed(1)} ${"KMGTP"[power - 1]}iB${bytes[2] ? "/s" : ""}`);
  }
  return document.createTextNode(Number.isInteger(value) ? String(value) : String(Number(value.toFixed(4))));
}

/** A whole payload on a line: names and values of an object, else its JSON. */
function members(value) {
  const entries = isObject(value) ? Object.entries(value).slice(0, 2 * COLUMNS_MAX) : [];
  if (entries.length === 0) return make("span", "members mono", clip(JSON.stringify(value)));
  return make("span", "members", ...entries.map(([name, part]) => make("span", "", make("i", "", clip(name)), inline(part, name))));
}

function addressLink(address) {
  const link = make("a", "mono", clip(readable(address)));
  link.href = `/v1/${address}`;
  return link;
}

function highlight(node) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  node.animate([{ backgroundColor: getComputedStyle(document.documentElement).getPropertyValue("--flash") }, { backgroundColor: "transparent" }], 1_200);
}

/** For people; what is sent stays encoded. */
export function readable(address) {
  try {
    return decodeURI(address);
  } catch {
    return address;
  }
}

/** An element of ours around text. */
export function make(tag, className = "", ...content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...content);
  return node;
}

/** So much of a payload, and no more. */
export const clip = (text) => (text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX)} …` : text);
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
/** The time of day of a frame. */
export const clock = (time) => (/T(\d\d:\d\d:\d\d\.\d{3})Z$/.exec(time ?? "") ?? ["", time ?? ""])[1];
