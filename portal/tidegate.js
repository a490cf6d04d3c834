// The Tidegate client for browsers and Node, without dependencies: `watch` and `publish`.
//
//   import { watch } from "/tidegate.js";                     // in a classic script: await import("/tidegate.js")
//   watch("orders/eu", { onChange: (changes, w) => console.log(w.cursor, w.rows.size, changes) });
//
// It reads the stream with fetch, resumes with its cursor, and waits with jitter before it comes back. What came after
// the last cursor is not true yet: it is kept aside and dropped on a cut. It never compares or computes cursors. Where
// something in between holds a stream back, it asks by long-poll instead, with the same cursor.

/**
 * @typedef {{op: string, cursor?: string, prev?: string, address?: string, key?: string, time?: string, data?: any,
 *   last?: boolean, count?: number, reason?: string, code?: string, message?: string, retry_ms?: number|null,
 *   heartbeat_ms?: number, index?: string, tx?: string, tx_last?: boolean, conflated?: number, patch?: object,
 *   patches?: object[]}} Frame
 *   Of a row that is patched, `data` is what it became.
 * @typedef {{address: string, key: string, time?: string, data: any}} Row
 *   `time` is empty where a long-poll for one key had its value alone, and `undefined` where a row has changed since `at`.
 * @typedef {{type?: string, title?: string, status?: number, code: string, detail?: string, hint?: string, column?: number}} Problem
 * @typedef {{state: "connecting"|"open"|"waiting"|"closed", transport: "sse"|"ndjson"|"poll", failures: number,
 *   retry_ms?: number, error?: TidegateError}} Status
 *   `closed` is final: by `close()`, or by a refusal that `error` tells.
 * @typedef {() => string|undefined|Promise<string|undefined>} Token asked before each request, and when the token of a watch ends soon
 */

const HEARTBEAT_MS = 15_000; // until `begin` tells the server's own
const BACKOFF_MS = 500; // doubles with each failure in a row …
const BACKOFF_MS_MAX = 30_000; // … up to this; full jitter spreads those who were cut together
const HELD_BACK_MS = 4_000; // what a server sends at once and is not here by then is held back, as proxies do that buffer
const POLL_WAIT_S = 25; // proxies cut at 30 s and more
const POLL_GRACE_MS = 15_000; // an answer that takes longer than its wait and this is none
const STREAM_AGAIN_MS = 60_000; // who polls looks so often whether streams pass
const TIMER_MS_MAX = 2 ** 31 - 1; // a longer timer would fire at once
const PUBLISH_ATTEMPTS = 8; // about a minute; the server remembers an Idempotency-Key for longer
const PUBLISH_WAIT_MS = 30_000; // for one answer
const RENEW_MS = 3_000; // so often a fresh token is asked for, once the one of a watch ends soon
const RENEW_ATTEMPTS = 8; // it is told half a minute before
const STEADY_MS = 5_000; // a connection that lasted so long was no failure, whatever ended it
const FRAME_CHARS_MAX = 64 * 1024 * 1024; // far above what a server sends
const SEEN_MAX = 1_000; // cursors remembered, to tell a doubled frame from a lost one
const MEDIA = { sse: "text/event-stream", ndjson: "application/x-ndjson" };
const DATA_OPS = new Set(["upsert", "delete", "append", "clear"]);

/** A request that was refused for good, or given up. */
export class TidegateError extends Error {
  /** @param {string} message @param {{problem?: Problem|null, status?: number, cause?: unknown}} about */
  constructor(message, { problem = null, status = 0, cause } = {}) {
    super(message, { cause });
    Object.assign(this, { name: "TidegateError", problem, status });
  }
}

/** Where a row stands in {@link Replica.rows}. An address has no line end, so no two rows share one. */
export const rowId = (address, key) => `${address}\n${key}`;

/** What the frames of one watch add up to. It knows nothing of connections but that they can be cut. */
export class Replica {
  /** @type {Map<string, Row>} The state at `cursor`; empty on plain and history watches. */
  rows;
  /** @type {string|null} */
  cursor;
  /** Frames that `prev` proves missing, frames that came twice (and were dropped), announced gaps. */
  lost = 0; doubled = 0; gaps = 0;
  #history; // changes are events here; they build no rows
  #fresh = null; // rows since a `reset`; they replace `rows` at the snapshot's last frame
  #pending = []; // changes since the last cursor
  #gap; // where the last gap led
  #link = null; // what the next `prev` has to be; null where nothing can be said
  #seen = new Set();

  constructor({ after = null, rows = new Map(), history = false } = {}) {
    Object.assign(this, { cursor: after, rows });
    this.#history = history;
  }

  /**
   * Takes the next frame; gives the changes that became true by it: none, those up to its cursor, or
   * the last frame of a snapshot, by which `rows` is another Map.
   * @param {Frame} frame @returns {Frame[]}
   */
  take(frame) {
    const { op, cursor, prev } = frame;
    if (op === "begin") {
      if (cursor && this.cursor === null) this.cursor = this.#link = cursor;
      return [];
    }
    if (op === "gap" || op === "reset") {
      if (op === "reset") this.#fresh = new Map();
      // A cut between a gap and the next cursor brings the same gap again.
      else if (!frame.to || frame.to !== this.#gap) this.gaps++;
      if (op === "gap") this.#gap = frame.to;
      this.#pending = [];
      this.#link = frame.to ?? null;
      this.#seen.clear();
      return [];
    }
    const change = DATA_OPS.has(op);
    if (change && cursor && this.#seen.has(cursor)) {
      this.doubled++;
      return [];
    }
    if (this.#fresh && op === "snapshot" && !frame.last) apply(this.#fresh, frame);
    else if (this.#fresh && change) apply(this.#fresh, frame);
    else if (change) this.#pending.push(frame);
    const last = this.#fresh !== null && op === "snapshot" && frame.last === true;
    if (!cursor || (this.#fresh && !last)) return [];
    if (prev && this.#link && prev !== this.#link) this.lost++;
    this.cursor = this.#link = cursor;
    if (change && this.#seen.add(cursor).size > SEEN_MAX) this.#seen.delete(this.#seen.values().next().value);
    const changes = this.#pending.splice(0);
    if (last) [this.rows, this.#fresh] = [this.#fresh, null];
    else if (!this.#history) changes.forEach((frame) => apply(this.rows, frame));
    return last ? [frame] : changes;
  }

  /** The connection was cut: what came after the last cursor comes again. */
  cut() {
    [this.#fresh, this.#pending] = [null, []];
  }
}

/** A live read of an address; it goes on over cuts and restarts until `close()` or a final refusal. */
export class Watch extends Replica {
  /** @type {Status} */
  status;
  /** How often a stream was held back, and long-poll took over. */
  fallbacks = 0;
  /** @type {Promise<void>} Settles when the watch is over; rejects with the refusal that ended it. */
  done;
  #address; #options; #history; #fallback; #transport; #failures = 0;
  #id; // of the stream, by which it is given a fresh token
  #shown; // the token that it has
  #heartbeat = HEARTBEAT_MS;
  #due = true; // more comes at once: `begin`, or what follows a frame that is not the end of anything
  #over = new AbortController();
  #changed = new AbortController();

  constructor(address, options = {}) {
    const history = options.from !== undefined || options.snapshot === false;
    super({ ...options, history });
    [this.#address, this.#options, this.#history] = [address, options, history];
    this.#fallback = options.fallback === false ? { afterMs: Infinity } : { afterMs: HELD_BACK_MS, againMs: STREAM_AGAIN_MS, ...options.fallback };
    this.#transport = this.#format;
    this.done = this.#run();
    this.done.catch(() => {}); // onStatus tells it too
  }

  /** Ends the watch; no callback runs afterwards but `onStatus`. */
  close() {
    this.#over.abort();
  }

  /**
   * Goes on with another view, from where it is; what is not given is not asked for any more. With another `filter` or
   * other `fields` the rows come anew.
   * @param {{filter?: string, fields?: string|string[], mode?: "full"|"patch"|"json-patch", rate?: string}} [view]
   */
  change({ filter, fields, mode, rate } = {}) {
    this.#options = { ...this.#options, filter, fields, mode, rate };
    this.#changed.abort();
  }

  get #format() {
    return this.#options.format ?? "sse";
  }

  async #run() {
    for (;;) {
      this.#tell({ state: "connecting" });
      const began = Date.now();
      this.#changed = new AbortController();
      const changed = this.#changed.signal;
      const end = await (this.#transport === "poll" ? this.#poll() : this.#stream());
      this.cut();
      if (Date.now() - began > STEADY_MS) this.#failures = 0;
      const error = end.error && !this.#over.signal.aborted ? { error: end.error } : {};
      if (this.#over.signal.aborted || end.final) {
        this.#tell({ state: "closed", ...error });
        if (error.error) throw error.error;
        return;
      }
      if (changed.aborted) continue;
      if (end.transport) {
        this.#transport = end.transport;
        continue;
      }
      const retry_ms = backoff(++this.#failures, end.retry_ms);
      this.#tell({ state: "waiting", retry_ms, ...error });
      await pause(retry_ms, this.#over.signal);
    }
  }

  /** One stream, to its end; resolves to why it ended. A cut gives nothing to say. */
  async #stream() {
    this.#due = true;
    let [start, due] = [null, true];
    const end = await this.#talk([], async (signal, alive) => {
      // Anything that comes is a sign of life, comments too; but half a frame has another half, which was sent with it.
      const patience = ({ half } = {}) => {
        due = half || this.#due;
        alive(Math.min(due ? this.#fallback.afterMs : Infinity, this.#heartbeat * 2.5));
      };
      patience();
      const response = await this.#open(signal);
      start = response.headers.get("Tidegate-Cursor");
      return this.#follow(framesOf(response), patience);
    });
    if (!end.silent || !due || this.#fallback.afterMs === Infinity) return end;
    this.cursor ??= start; // the head may have come through, and says where the watch begins
    this.fallbacks++;
    return { transport: "poll" };
  }

  /** Long-polls until something ends it, which may be that streams pass again. */
  async #poll() {
    const { from, at, key, snapshot, rate } = this.#options;
    const asked = { cursor: this.cursor, from, at, key, snapshot, history: this.#history, pace: rate && paceMs(rate) };
    const passed = new AbortController();
    const look = setInterval(async () => (await this.#passes(passed.signal)) && passed.abort(), this.#fallback.againMs);
    const end = await this.#talk([passed.signal], (signal, alive) => this.#follow(polled((query) => this.#read(query, signal, alive), asked, signal)));
    const passes = passed.signal.aborted;
    clearInterval(look);
    passed.abort();
    return passes ? { transport: this.#format } : end;
  }

  /** Whether the beginning of a stream comes through at once. */
  async #passes(signal) {
    const end = await this.#talk([signal], async (signal, alive) => {
      alive(this.#fallback.afterMs);
      for await (const [begin] of framesOf(await this.#open(signal))) if (begin) return { passes: true };
      return {};
    });
    return end.passes;
  }

  async #follow(batches, each) {
    for await (const frames of batches) {
      for (const frame of frames) {
        this.#frame(frame);
        if (this.#over.signal.aborted) return {};
        if (frame.op === "close") return failure(frame.message, frame.retry_ms ?? null, { problem: frame });
      }
      each?.(frames);
    }
    return {};
  }

  async #open(signal) {
    const { from, at, key, snapshot, filter, fields, mode, rate, chain = true } = this.#options;
    // The header beats `from` and `at`, so the address stays the same: a history watch stays one.
    const headers = { Accept: MEDIA[this.#format], ...(this.cursor && { "Last-Event-ID": this.cursor }) };
    const response = await this.#get({ from, at, key, snapshot, filter, fields, mode, rate, chain: chain || undefined }, headers, signal);
    if (response.status !== 200 || !response.headers.get("Content-Type")?.startsWith(MEDIA[this.#format])) throw await refusal(response);
    return response;
  }

  /** An answer as JSON, `rows` or `frames` and its cursor; `more`, and `page` of rows, say that there is another. */
  async #read(query, signal, alive) {
    const { filter, fields, chain = true } = this.#options;
    alive(POLL_WAIT_S * 1_000 + POLL_GRACE_MS);
    // A cache in between may look at the URL alone.
    const as = query.after && "json";
    const response = await this.#get({ ...query, as, filter, fields, chain: chain || undefined }, { Accept: "application/json" }, signal);
    const cursor = response.headers.get("Tidegate-Cursor");
    const next = /<([^>]*)>;\s*rel="next"/.exec(response.headers.get("Link"))?.[1];
    const linked = next && new URL(next, "http://any").searchParams;
    if (response.status === 204) return { frames: [], cursor, turn: linked?.get("turn") ?? undefined };
    // One key of one address is answered by its bare value, which has no more of its row.
    const address = this.#address;
    const bare = query.key !== undefined && !query.after && !this.#history && !address.split("/").includes("*");
    const refused = response.status === 200 ? null : await refusal(response);
    if (bare && refused?.error.problem?.code === "key-not-found") return { rows: [], cursor };
    if (refused) throw refused;
    const body = await response.json();
    alive(Infinity);
    if (bare) return { rows: [{ address, key: query.key, time: "", data: body }], cursor };
    return { ...body, more: next !== undefined, page: linked?.get("page") };
  }

  async #get(query, headers, signal) {
    const { url, token } = this.#options;
    this.#shown = await bearer(token);
    return fetch(endpoint(url, this.#address, query), { headers: { ...headers, ...this.#shown }, signal, cache: "no-store" });
  }

  /** Gives the stream a fresh token. Without one it ends with the old one, and is asked for again with its cursor. */
  async #renew() {
    const [id, { url, token }, { signal }] = [this.#id, this.#options, this.#over];
    for (let attempt = 0; token && attempt < RENEW_ATTEMPTS && id === this.#id && !signal.aborted; attempt++) {
      const shown = await bearer(token);
      if (shown.Authorization && shown.Authorization !== this.#shown?.Authorization) {
        const renewed = await fetch(endpoint(url, `_watches/${id}/token`, {}), { method: "POST", headers: shown, signal });
        if (renewed.ok) this.#shown = shown;
        return;
      }
      await pause(RENEW_MS, signal);
    }
  }

  /** Runs `work` to its end: its own, a signal's, or that nothing said `alive` in the time that it gave itself. */
  async #talk(signals, work) {
    const dead = new AbortController();
    const end = () => dead.abort();
    const ends = [this.#over.signal, this.#changed.signal, ...signals];
    for (const signal of ends) signal.addEventListener("abort", end);
    let [timer, silent] = [undefined, false];
    const alive = (ms) => {
      clearTimeout(timer);
      timer = setTimeout(() => ((silent = true), end()), Math.min(ms, TIMER_MS_MAX));
    };
    if (ends.some(({ aborted }) => aborted)) end();
    try {
      return await work(dead.signal, alive);
    } catch (cause) {
      if (cause.error instanceof TidegateError) return cause; // a refusal
      return { silent, error: new TidegateError(silent ? "the connection went silent" : "the connection failed", { cause }) };
    } finally {
      clearTimeout(timer);
      for (const signal of ends) signal.removeEventListener("abort", end);
      end();
    }
  }

  #frame(frame) {
    if (frame.heartbeat_ms > 0) this.#heartbeat = frame.heartbeat_ms;
    if (frame.op === "begin") this.#id = frame.watch;
    if (frame.op === "notice" && frame.code === "token-expiring") this.#renew().catch(() => {}); // the stream's end tells
    if (frame.op !== "close" && this.status.state !== "open") this.#tell({ state: "open" });
    if (frame.cursor && frame.op !== "begin") this.#failures = 0; // it got somewhere
    this.#due = !frame.cursor && (frame.op === "snapshot" || DATA_OPS.has(frame.op));
    const changes = this.take(frame);
    call(this.#options.onFrame, frame, this);
    if (changes.length && !this.#over.signal.aborted) call(this.#options.onChange, changes, this);
  }

  #tell(status) {
    this.status = { failures: this.#failures, transport: this.#transport, ...status };
    call(this.#options.onStatus, this.status, this);
  }
}

/**
 * Watches an address (percent-encoded, as frames have it) or a pattern such as `machine/*`.
 *
 * On a keyed channel `rows` follows the state; with `from` or `snapshot: false`, and on plain channels, the changes
 * are the events. With `at`, a time, `rows` begins as it was then, and the changes since follow. `onChange` runs when changes became true, that is at each cursor; store `watch.cursor` (with your
 * own effects) and give it back as `after`, with `rows` on a keyed channel, to go on where you were.
 *
 * `filter`, `fields`, `mode` and `rate` are those of the protocol; with `mode`, rows and changes are whole all the same.
 * A stream of which nothing comes within `fallback.afterMs` is given up for long-poll, and tried again after
 * `fallback.againMs`; `status.transport` tells. A long-poll has no `begin`, and each change by its whole value.
 *
 * @param {string} address
 * @param {{url?: string|URL, after?: string, rows?: Map<string, Row>, from?: string, at?: string, key?: string, snapshot?: boolean,
 *   filter?: string, fields?: string|string[], mode?: "full"|"patch"|"json-patch", rate?: string,
 *   fallback?: false|{afterMs?: number, againMs?: number}, format?: "sse"|"ndjson", chain?: boolean, token?: Token,
 *   onFrame?: (frame: Frame, watch: Watch) => void, onChange?: (changes: Frame[], watch: Watch) => void,
 *   onStatus?: (status: Status, watch: Watch) => void}} [options]
 * @returns {Watch}
 */
export const watch = (address, options) => new Watch(address, options);

/**
 * Publishes one event, or all of an array as one batch; resolves once it is durable. With `key` it is a PUT.
 * Retries carry the same Idempotency-Key, so the event is there once however often the answer was lost.
 * `ifMatch`: only if nothing came after this cursor or ETag, the last of the address (of the key); `create`: only if there is
 * nothing yet. Else it rejects with the code `precondition-failed`, and `problem.etag` is what holds now.
 *
 * @param {string} address
 * @param {any} data
 * @param {{url?: string|URL, key?: string, ifMatch?: string, create?: boolean, idempotencyKey?: string, token?: Token,
 *   attempts?: number}} [options]
 * @returns {Promise<{cursor: string, count: number}>} rejects with a {@link TidegateError}
 */
export async function publish(address, data, options = {}) {
  const { url, key, ifMatch, create = false, idempotencyKey = randomId(), token, attempts = PUBLISH_ATTEMPTS } = options;
  const body = JSON.stringify(data);
  const condition = { ...(ifMatch !== undefined && { "If-Match": quoted(ifMatch) }), ...(create && { "If-None-Match": "*" }) };
  for (let failures = 1; ; failures++) {
    let refused;
    try {
      const headers = { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey, ...condition, ...(await bearer(token)) };
      const method = key === undefined ? "POST" : "PUT";
      const signal = AbortSignal.timeout(PUBLISH_WAIT_MS);
      const response = await fetch(endpoint(url, address, { key }), { method, headers, body, signal });
      if (response.ok) return await response.json();
      refused = await refusal(response);
    } catch (cause) {
      refused = { error: new TidegateError("the connection failed", { cause }) };
    }
    if (refused.final || failures >= attempts) throw refused.error;
    await pause(backoff(failures, refused.retry_ms));
  }
}

/**
 * Takes a ticket for a watch that cannot send headers, such as an `EventSource` or a `WebSocket` of your own: open it
 * with `?ticket=…`. It is good for one watch and its reconnects, for a minute; {@link watch} needs none.
 *
 * @param {string} [address] the only one that it is for
 * @param {{url?: string|URL, token?: Token}} [options]
 * @returns {Promise<{ticket: string, expires: string, expires_in: number}>} rejects with a {@link TidegateError}
 */
export async function ticket(address, { url, token } = {}) {
  const headers = { "Content-Type": "application/json", ...(await bearer(token)) };
  const body = JSON.stringify({ address });
  const response = await fetch(endpoint(url, "_tickets", {}), { method: "POST", headers, body, cache: "no-store" });
  if (response.ok) return response.json();
  throw (await refusal(response)).error;
}

/** A cursor is an ETag but for its quotes. */
const quoted = (etag) => (etag === "*" || etag.includes('"') ? etag : `"${etag}"`);

function apply(rows, frame) {
  const { op, address, key, time } = frame;
  if (op === "clear") return rows.clear();
  if (key === undefined) return;
  const id = rowId(address, key);
  if (op === "delete") return rows.delete(id);
  if (frame.patch || frame.patches) {
    const held = rows.get(id);
    if (!held) return; // who resumes without its rows cannot know what a patch makes of them
    frame.data = frame.patch ? merged(held.data, frame.patch) : frame.patches.reduce(patched, held.data);
  }
  rows.set(id, { address, key, time, data: frame.data });
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

// Both make a copy of what they change, since a row that was given away does not change. Members go through a Map,
// since `object[name] = …` takes `__proto__` for something else.

/** RFC 7396. */
function merged(data, patch) {
  if (!isObject(patch)) return patch;
  const members = new Map(isObject(data) ? Object.entries(data) : []);
  for (const [name, value] of Object.entries(patch)) value === null ? members.delete(name) : members.set(name, merged(members.get(name), value));
  return Object.fromEntries(members);
}

/** RFC 6902, one operation of those that a server sends: `add`, `remove`, `replace`, `move`. */
function patched(data, { op, path, from, value }) {
  if (op !== "move") return edited(data, steps(path), op, value);
  const taken = steps(from).reduce((part, name) => part[name], data);
  return edited(edited(data, steps(from), "remove"), steps(path), "add", taken);
}

const steps = (pointer) => pointer.split("/").slice(1).map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));

function edited(data, [name, ...rest], op, value) {
  if (name === undefined) return value;
  if (Array.isArray(data)) {
    const at = Number(name);
    if (rest.length) return data.with(at, edited(data[at], rest, op, value));
    return data.toSpliced(at, op === "add" ? 0 : 1, ...(op === "remove" ? [] : [value]));
  }
  const members = new Map(Object.entries(data));
  if (rest.length) members.set(name, edited(members.get(name), rest, op, value));
  else op === "remove" ? members.delete(name) : members.set(name, value);
  return Object.fromEntries(members);
}

/** Where the server is, unless told: where this file came from. */
function endpoint(url = new URL(".", import.meta.url), address, options) {
  const target = new URL(url);
  target.pathname = `${target.pathname.replace(/\/$/, "")}/v1/${address}`;
  for (const [name, value] of Object.entries(options)) if (value !== undefined) target.searchParams.set(name, value);
  return target;
}

/** The frames of a stream, those of each piece that comes together; `half`: it ends with half a line. */
async function* framesOf(response) {
  const decoder = new TextDecoder();
  let rest = "";
  for (let reader = response.body.getReader(), chunk; !(chunk = await reader.read()).done; ) {
    const lines = (rest + decoder.decode(chunk.value, { stream: true })).split("\n");
    rest = lines.pop(); // a line without its end may be half a frame
    if (rest.length > FRAME_CHARS_MAX) throw failure("a frame is too large", null);
    // Both encodings keep a frame on one line, and it says all that ids, event names and `retry` say.
    const texts = lines.map((line) => (line.startsWith("data:") ? line.slice(5) : line).trimStart());
    yield Object.assign(texts.filter((text) => text.startsWith("{")).map((text) => JSON.parse(text)), { half: rest !== "" });
  }
}

/** The frames that a stream would have but for `begin`, by questions: the rows up to a cursor, then what comes after. */
async function* polled(read, { cursor, from, at, key, snapshot, history, pace }, signal) {
  let turn = Math.floor(Date.now() / (POLL_WAIT_S * 1_000)); // who begins beside others is with them: their wait is cached as one
  for (;;) {
    while (cursor === null) {
      let { rows, frames, page, ...answer } = await read({ from, at, key, snapshot });
      cursor = answer.cursor;
      if (frames) {
        // Of a plain channel these are its newest events, and a stream has what comes after.
        yield [...(history ? frames : []), { op: "bookmark", cursor }];
        break;
      }
      yield [{ op: "reset", reason: "start" }];
      for (answer.count = 0; rows; { rows, page } = page ? await read({ at, key, snapshot, page }) : {}) {
        yield rows.map((row) => ({ op: "snapshot", ...row }));
        answer.count += rows.length;
      }
      // The cursor is that of their beginning, so what changed until their end has to follow. Rows as of a time are of it.
      for (let more = at === undefined; more && cursor !== null; ) {
        ({ frames, cursor, more } = await read({ key, after: cursor }));
        yield frames.filter(({ op }) => op !== "reset").map((frame) => ({ ...frame, cursor: undefined, prev: undefined }));
      }
      if (cursor !== null) yield [{ op: "snapshot", last: true, count: answer.count, cursor }];
      at = undefined; // whoever has to begin again does so with the rows of now
    }
    const answer = await read({ after: cursor, wait: `${POLL_WAIT_S}s`, turn, key, snapshot: history ? false : undefined });
    turn = answer.turn; // without one the cursor is another
    // Without a cursor there is a `reset`, and the rows, which it comes with again, have to be asked for.
    cursor = answer.cursor;
    yield [...answer.frames.filter(({ op }) => op !== "reset"), ...(cursor === null ? [] : [{ op: "bookmark", cursor }])];
    if (pace) await pause(pace, signal);
  }
}

/** The time between the ticks of a rate such as `2/s`. */
function paceMs(rate) {
  const [count, unit] = rate.split("/");
  return (unit === "m" ? 60_000 : 1_000) / count;
}

async function bearer(token) {
  const value = await token?.();
  return value ? { Authorization: `Bearer ${value}` } : {};
}

/** An answer that is no stream: a problem of ours says whether to come back, else the status does. */
async function refusal(response) {
  const body = await response.json().catch(() => null);
  const problem = typeof body?.code === "string" ? body : null;
  const after = response.headers.get("Retry-After");
  const after_ms = after === null ? undefined : Math.max(0, /^\d+$/.test(after) ? after * 1000 : Date.parse(after) - Date.now()) || 0;
  const temporary = response.ok || response.status >= 500 || [408, 425, 429].includes(response.status);
  const retry_ms = problem ? (problem.retry_ms ?? null) : (after_ms ?? (temporary ? 0 : null));
  return failure(problem?.detail ?? `HTTP ${response.status}`, retry_ms, { problem, status: response.status });
}

const failure = (message, retry_ms, about) => ({ final: retry_ms === null, retry_ms, error: new TidegateError(message, about) });

const backoff = (failures, retry_ms) => (retry_ms ?? 0) + Math.random() * Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (failures - 1));

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(ms, TIMER_MS_MAX));
    signal?.addEventListener("abort", done);
    if (signal?.aborted) done();
  });

/** A mistake in a callback is the page's own; it must not look like a cut. */
function call(callback, ...args) {
  try {
    callback?.(...args);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

// randomUUID is missing on plain http pages.
const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
