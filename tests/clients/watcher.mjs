// What a test knows of one watching client, whatever it is: its frames in order, its cursor, how it ended.

const WAIT_MS_MAX = 25_000;

export class Watcher {
  frames = [];
  cursor = null;
  /** One entry for each connection that ended, as the client tells it. */
  ends = [];
  /** Set when the client gave up for good. */
  over = false;
  #waiting = new Set();
  #stop = [];

  constructor(t, name) {
    this.name = name;
    t.after(() => this.stop());
  }

  frame(frame) {
    if (frame.cursor) this.cursor = frame.cursor;
    this.frames.push(frame);
    this.#wake();
  }

  ended(how, over = false) {
    this.ends.push(how);
    this.over ||= over;
    this.#wake();
  }

  onStop(work) {
    this.#stop.push(work);
  }

  stop() {
    this.over = true;
    this.#wake();
    for (const work of this.#stop.splice(0)) work();
  }

  /** Resolves when `condition` holds. */
  until(what, condition) {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (!condition(this)) return false;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(this);
        return true;
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        const newest = this.frames.slice(-5).map((frame) => JSON.stringify(frame)).join("\n  ");
        reject(new Error(`${this.name}: no ${what} within ${WAIT_MS_MAX} ms; ends: ${JSON.stringify(this.ends)}; ${this.frames.length} frames, the newest:\n  ${newest}`));
      }, WAIT_MS_MAX);
      if (!check()) this.#waiting.add(check);
    });
  }

  untilOp(op, count = 1) {
    return this.until(`${count} × ${op}`, () => this.frames.filter((frame) => frame.op === op).length >= count);
  }

  untilNumber(n) {
    return this.until(`event number ${n}`, () => this.frames.some((frame) => frame.data?.n === n));
  }

  get numbers() {
    return this.frames.filter((frame) => frame.op === "append").map((frame) => frame.data.n);
  }

  #wake() {
    for (const check of [...this.#waiting]) check();
  }
}

/**
 * Gives a client that does not resume by itself what a careful user of it does: `connect(cursor)` again and again,
 * each time with the last cursor, until it says that there is no use.
 */
export async function resume(watcher, connect) {
  const RETRY_MS = 50; // while the server is down
  while (!watcher.over) {
    const { how, final = false } = await connect(watcher.cursor);
    watcher.ended(how, final);
    if (!watcher.over) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
