// Proof on demand: a server that offers an action, such as its own death, gets a button for it here, and the counters
// of everything that this page watches beside it.
//
// What must stay zero is counted, not claimed: the watches ask for `chain`, so each frame names the cursor before it;
// and events with a `sequence` are counted through for each address.

import { Replica } from "/tidegate.js";
import { make, readable } from "/_assets/view.js";

const RETRY_MS = 250; // of a socket that was cut; jittered, so that they do not all come at once
const REST_MS = 1_200; // between two presses; long enough to see what happened
const SLICE_MS = 250; // one bar of the timeline
const SLICES = 240; // a minute
const PAINT_MS = 150;
const BAR_HEIGHT = 40;
const ZEROS = ["lost", "doubled", "gaps", "resets"];

/** What is counted of one watch. */
export class Line {
  frames = 0; reconnects = 0; resets = 0; resumed = null; state = "connecting";
  numbered = 0; gone = 0; repeated = 0; // events with a `sequence`, and what it told
  #begun = false; #whole = false; #sequences = new Map();

  constructor(address, transport) {
    [this.address, this.transport] = [address, transport];
  }

  get lost() {
    return (this.replica?.lost ?? 0) + this.gone;
  }

  get doubled() {
    return (this.replica?.doubled ?? 0) + this.repeated;
  }

  get gaps() {
    return this.replica?.gaps ?? 0;
  }

  /** Another watch takes its place: it begins anew, and what it passes over is not lost. */
  again() {
    [this.#begun, this.#whole] = [false, false];
    this.#sequences.clear();
  }

  /** Counts a frame as it came. */
  frame({ op }, replica) {
    this.replica = replica;
    this.frames++;
    if (op === "begin") {
      if (this.#begun) [this.reconnects, this.resumed] = [this.reconnects + 1, replica.cursor];
      [this.#begun, this.state] = [true, "open"];
    } else if (op === "reset") {
      // The first one begins the watch, and another before its snapshot was whole is still that one.
      if (this.#whole) this.resets++;
    } else if (op === "gap") this.#sequences.clear(); // announced, so what is missing was told
    if (replica.cursor) this.#whole = true;
  }

  /** Counts through what became true. */
  changes(changes) {
    for (const { op, address, data } of changes) {
      const number = op === "append" ? data?.sequence : undefined;
      if (!Number.isSafeInteger(number)) continue;
      this.numbered++;
      const before = this.#sequences.get(address);
      if (before === undefined || number > before) this.#sequences.set(address, number);
      if (number > before) this.gone += number - before - 1;
      else if (before !== undefined) this.repeated++;
    }
  }
}

/** A watch over a WebSocket; of connections that stay, a browser opens more of these to one server than of any other. */
class Socket extends Replica {
  #url; #line; #changed; #closed = false; #socket;

  constructor(address, line, changed) {
    super();
    this.#url = new URL(`/v1/${address}?chain=true`, location.href.replace(/^http/, "ws"));
    [this.#line, this.#changed] = [line, changed];
    this.#open();
  }

  close() {
    this.#closed = true;
    this.#socket.close();
  }

  #open() {
    if (this.cursor) this.#url.searchParams.set("after", this.cursor);
    this.#socket = new WebSocket(this.#url, "tidegate.v1");
    this.#socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      this.#line.changes(this.take(frame));
      this.#line.frame(frame, this);
      this.#changed(frame);
    };
    this.#socket.onclose = ({ code }) => {
      this.cut();
      const final = this.#closed || (code >= 4400 && code < 4500); // 44xx: do not come back
      this.#line.state = final ? "closed" : "waiting";
      this.#changed();
      if (!final) setTimeout(() => this.#open(), RETRY_MS * (0.5 + Math.random()));
    };
  }
}

/** The panel. */
export class Proof {
  #root; #lines = []; #sockets = []; #rows = new Map(); #pressed = null; #down = false; #kills = 0; #back = null;
  #slices = [{ frames: 0, kill: false }]; #waiting = false; #ask;

  /** @param ask resolves to the list of channels and actions as it is now */
  constructor(root, { channels, actions }, own, ask) {
    [this.#root, this.#ask] = [root, ask];
    this.#button.addEventListener("click", () => this.#press());
    this.#offer(actions);
    for (const { pattern } of channels) {
      if (pattern === own) continue;
      const line = this.line(pattern, "WebSocket");
      this.#sockets.push(new Socket(pattern, line, (frame) => this.#changed(frame)));
    }
    setInterval(() => this.#tick(), SLICE_MS);
    addEventListener("pagehide", () => this.#sockets.forEach((socket) => socket.close()));
    root.hidden = false;
  }

  /** Counts a watch, too, that somebody else holds. */
  line(address, transport) {
    const line = new Line(address, transport);
    this.#lines.unshift(line);
    return line;
  }

  /** For a watch of somebody else: a frame came. */
  frame(line, frame, watch) {
    line.frame(frame, watch);
    this.#changed(frame);
  }

  /** For a watch of somebody else: its connection has another state. */
  status(line, { state }) {
    if (state !== "connecting" || line.state !== "waiting") line.state = state;
    this.#changed();
  }

  get #button() {
    return this.#part("button");
  }

  #part(name) {
    return this.#root.querySelector(`[data-part="${name}"]`);
  }

  #offer(actions) {
    const action = actions?.[0];
    this.#button.disabled = !action || this.#pressed !== null;
    if (!action) return;
    this.#button.textContent = action.title;
    this.#button.dataset.path = action.path;
  }

  async #press() {
    this.#pressed = performance.now();
    [this.#down, this.#back] = [false, null];
    this.#kills++;
    this.#slices.at(-1).kill = true;
    this.#button.disabled = true;
    this.#paint();
    // A server that dies gives no answer; whether it did shows in the watches.
    const answer = await fetch(this.#button.dataset.path, { method: "POST" }).catch(() => null);
    if (!answer) return;
    this.#say(answer.ok ? "The server answered, and lives." : (await answer.json().catch(() => null))?.detail ?? `HTTP ${answer.status}`);
    this.#pressed = null;
    this.#kills--;
    this.#button.disabled = false;
  }

  #changed(frame) {
    if (frame) this.#slices.at(-1).frames++;
    const whole = this.#lines.every(({ state }) => state === "open" || state === "closed");
    if (this.#pressed !== null && !whole) this.#down = true;
    else if (this.#pressed !== null && this.#down && this.#back === null) this.#revived();
    if (this.#waiting) return;
    this.#waiting = true;
    setTimeout(() => requestAnimationFrame(() => ((this.#waiting = false), this.#paint())), PAINT_MS);
  }

  async #revived() {
    this.#back = performance.now() - this.#pressed;
    const [list] = await Promise.all([this.#ask(), new Promise((resolve) => setTimeout(resolve, REST_MS - this.#back))]);
    this.#pressed = null;
    this.#offer(list.actions);
    this.#changed();
  }

  #say(text) {
    this.#part("story").textContent = text;
  }

  #tick() {
    this.#slices = [...this.#slices, { frames: 0, kill: false }].slice(-SLICES);
    const most = Math.max(8, ...this.#slices.map(({ frames }) => frames));
    const x = (at) => SLICES - this.#slices.length + at;
    const bars = this.#slices.map(({ frames }, at) => (frames ? `M${x(at)} ${BAR_HEIGHT}v${-Math.max(1, (frames / most) * BAR_HEIGHT).toFixed(1)}h.8V${BAR_HEIGHT}z` : ""));
    const kills = this.#slices.map(({ kill }, at) => (kill ? `M${x(at) + 0.4} 0V${BAR_HEIGHT}` : ""));
    this.#part("bars").setAttribute("d", bars.join(""));
    this.#part("kills").setAttribute("d", kills.join(""));
  }

  #paint() {
    const sum = (name) => this.#lines.reduce((sum, line) => sum + line[name], 0);
    const figure = (name, value) => {
      const node = this.#part(name);
      node.textContent = value.toLocaleString("en");
      if (ZEROS.includes(name)) node.toggleAttribute("data-bad", value > 0);
    };
    figure("count", this.#kills);
    for (const name of ["frames", "reconnects", ...ZEROS]) figure(name, sum(name));
    for (const line of this.#lines) this.#row(line);
    if (this.#pressed !== null && this.#back === null) this.#say(this.#down ? "Killed. The watches come back with their cursors …" : "Killing …");
    else if (this.#back !== null) this.#say(`All ${this.#lines.length} watches were back ${Math.round(this.#back)} ms after the kill, each where it was. ${sum("numbered").toLocaleString("en")} numbered trades counted through so far.`);
  }

  #row(line) {
    if (!this.#rows.has(line)) {
      const row = make("tr", "", make("td", "mono", readable(line.address)), make("td", "muted", line.transport), ...["state", "frames", "reconnects", "resumed", ...ZEROS].map((name) => make("td", name === "state" || name === "resumed" ? name : "number")));
      this.#part("watches").append(row);
      this.#rows.set(line, [...row.cells].slice(2));
    }
    const [state, frames, reconnects, resumed, ...zeros] = this.#rows.get(line);
    state.dataset.state = line.state;
    state.textContent = { open: "live", waiting: "cut", connecting: "connecting", closed: "ended" }[line.state];
    frames.textContent = line.frames.toLocaleString("en");
    reconnects.textContent = line.reconnects;
    resumed.replaceChildren(make("code", "", line.resumed ?? "–"));
    resumed.title = line.resumed ?? "";
    ZEROS.forEach((name, at) => {
      zeros[at].textContent = line[name];
      zeros[at].toggleAttribute("data-bad", line[name] > 0);
    });
  }
}
