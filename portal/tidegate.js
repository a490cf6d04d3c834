// The Tidegate client for browsers and Node, without dependencies: `watch` and `publish`.
//
//   import { watch } from "/tidegate.js";                     // in a classic script: await import("/tidegate.js")
//   watch("orders/eu", { onChange: (changes, w) => console.log(w.cursor, w.rows.size, changes) });
//
// It reads the stream with fetch, resumes with its cursor, and waits with jitter before it comes back. What came after
// the last cursor is not true yet: it is kept aside and dropped on a cut. It never compares or computes cursors.

/**
 * @typedef {{op: string, cursor?: string, prev?: string, address?: string, key?: string, time?: string, data?: any,
 *   last?: boolean, count?: number, reason?: string, code?: string, message?: string, retry_ms?: number|null,
 *   heartbeat_ms?: number, tx?: string, tx_last?: boolean}} Frame
 * @typedef {{address: string, key: string, time: string, data: any}} Row
 * @typedef {{type?: string, title?: string, status?: number, code: string, detail?: string, hint?: string}} Problem
 * @typedef {{state: "connecting"|"open"|"waiting"|"closed", failures: number, retry_ms?: number, error?: TidegateError}} Status
 *   `closed` is final: by `close()`, or by a refusal that `error` tells.
 * @typedef {() => string|undefined|Promise<string|undefined>} Token asked before each request
 */

const HEARTBEAT_MS = 15_000; // until `begin` tells the server's own
const BACKOFF_MS = 500; // doubles with each failure in a row …
const BACKOFF_MS_MAX = 30_000; // … up to this; full jitter spreads those who were cut together
const PUBLISH_ATTEMPTS = 8; // about a minute; the server remembers an Idempotency-Key for longer
const PUBLISH_WAIT_MS = 30_000; // for one answer
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
  status = { state: "connecting", failures: 0 };
  /** @type {Promise<void>} Settles when the watch is over; rejects with the refusal that ended it. */
  done;
  #address; #options; #patience = HEARTBEAT_MS * 2.5; #failures = 0;
  #over = new AbortController();

  constructor(address, options = {}) {
    super({ ...options, history: options.from !== undefined || options.snapshot === false });
    this.#address = address;
    this.#options = options;
    this.done = this.#run();
    this.done.catch(() => {}); // onStatus tells it too
  }

  /** Ends the watch; no callback runs afterwards but `onStatus`. */
  close() {
    this.#over.abort();
  }

  async #run() {
    for (;;) {
      this.#tell({ state: "connecting" });
      const began = Date.now();
      const end = await this.#connect();
      this.cut();
      if (Date.now() - began > STEADY_MS) this.#failures = 0;
      const error = end.error && !this.#over.signal.aborted ? { error: end.error } : {};
      if (this.#over.signal.aborted || end.final) {
        this.#tell({ state: "closed", ...error });
        if (error.error) throw error.error;
        return;
      }
      const retry_ms = backoff(++this.#failures, end.retry_ms);
      this.#tell({ state: "waiting", retry_ms, ...error });
      await pause(retry_ms, this.#over.signal);
    }
  }

  /** One connection, to its end; resolves to why it ended. A cut gives nothing to say. */
  async #connect() {
    const { url, from, key, snapshot, format = "sse", chain = true, token } = this.#options;
    const dead = new AbortController();
    const end = () => dead.abort();
    this.#over.signal.addEventListener("abort", end);
    let timer = setTimeout(end, this.#patience);
    try {
      const headers = { Accept: MEDIA[format], ...(await bearer(token)) };
      // The header beats `from`, so the address stays the same: a history watch stays one.
      if (this.cursor) headers["Last-Event-ID"] = this.cursor;
      const target = endpoint(url, this.#address, { from, key, snapshot, chain: chain || undefined });
      const response = await fetch(target, { headers, signal: dead.signal, cache: "no-store" });
      if (response.status !== 200 || !response.headers.get("Content-Type")?.startsWith(MEDIA[format])) return await refusal(response);
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      let rest = "";
      for (let chunk; !(chunk = await reader.read()).done; ) {
        const lines = (rest + decoder.decode(chunk.value, { stream: true })).split("\n");
        rest = lines.pop(); // a line without its end may be half a frame
        if (rest.length > FRAME_CHARS_MAX) return failure("a frame is too large", null);
        for (const line of lines) {
          // Both encodings keep a frame on one line, and it says all that ids, event names and `retry` say.
          const text = line.startsWith("data:") ? line.slice(5) : line;
          const frame = text.trimStart().startsWith("{") ? JSON.parse(text) : null;
          if (frame) this.#frame(frame);
          if (this.#over.signal.aborted) return {};
          if (frame?.op === "close") return failure(frame.message, frame.retry_ms ?? null, { problem: frame });
        }
        clearTimeout(timer); // anything that comes is a sign of life, comments too
        timer = setTimeout(end, this.#patience);
      }
      return {};
    } catch (cause) {
      return { error: new TidegateError(dead.signal.aborted ? "the connection went silent" : "the connection failed", { cause }) };
    } finally {
      clearTimeout(timer);
      this.#over.signal.removeEventListener("abort", end);
      dead.abort();
    }
  }

  #frame(frame) {
    if (frame.op === "begin") {
      if (frame.heartbeat_ms > 0) this.#patience = frame.heartbeat_ms * 2.5;
      this.#tell({ state: "open" });
    } else if (frame.cursor) this.#failures = 0; // it got somewhere
    const changes = this.take(frame);
    call(this.#options.onFrame, frame, this);
    if (changes.length && !this.#over.signal.aborted) call(this.#options.onChange, changes, this);
  }

  #tell(status) {
    this.status = { failures: this.#failures, ...status };
    call(this.#options.onStatus, this.status, this);
  }
}

/**
 * Watches an address (percent-encoded, as frames have it) or a pattern such as `machine/*`.
 *
 * On a keyed channel `rows` follows the state; with `from` or `snapshot: false`, and on plain channels, the changes
 * are the events. `onChange` runs when changes became true, that is at each cursor; store `watch.cursor` (with your
 * own effects) and give it back as `after`, with `rows` on a keyed channel, to go on where you were.
 *
 * @param {string} address
 * @param {{url?: string|URL, after?: string, rows?: Map<string, Row>, from?: string, key?: string, snapshot?: boolean,
 *   format?: "sse"|"ndjson", chain?: boolean, token?: Token, onFrame?: (frame: Frame, watch: Watch) => void,
 *   onChange?: (changes: Frame[], watch: Watch) => void, onStatus?: (status: Status, watch: Watch) => void}} [options]
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

/** A cursor is an ETag but for its quotes. */
const quoted = (etag) => (etag === "*" || etag.includes('"') ? etag : `"${etag}"`);

function apply(rows, { op, address, key, time, data }) {
  if (op === "clear") rows.clear();
  else if (op === "delete") rows.delete(rowId(address, key));
  else if (key !== undefined) rows.set(rowId(address, key), { address, key, time, data });
}

/** Where the server is, unless told: where this file came from. */
function endpoint(url = new URL(".", import.meta.url), address, options) {
  const target = new URL(url);
  target.pathname = `${target.pathname.replace(/\/$/, "")}/v1/${address}`;
  for (const [name, value] of Object.entries(options)) if (value !== undefined) target.searchParams.set(name, value);
  return target;
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
    const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1)); // a longer timer would fire at once
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
