// The real server as a process: started, killed, started again on the same port and data, stopped.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { publish } from "../../portal/tidegate.js";

/** The binary under test. */
export const BINARY = path.resolve(process.env.TIDEGATE_BIN ?? path.join(import.meta.dirname, "../../target/debug/tidegate"));
const START_MS_MAX = 20_000;

/** Channels that the tests use: figures that move by themselves, a chat, notes with keys, and ticks that a restart loses. */
export const usual = ({ listen, origins, folder }) => `
listen: 127.0.0.1:${listen}
admin: { listen: 127.0.0.1:0 }
heartbeat: 5s
origins: ${JSON.stringify(origins)}
log: { path: ${folder}/data }
sources:
  machine: { kind: system, interval: 1s }
channels:
  machine:
    title: This machine
    address: machine/{group}
    source: machine
    key: name
    access: { read: "true" }
  chat:
    title: Chat
    address: rooms/{room}/messages
    access: { read: "true", publish: "true" }
  notes:
    title: Notes
    address: notes/{who}
    key: id
    access: { read: "true", publish: "true" }
  ticks:
    address: ticks/{name}
    retain: none
    access: { read: "true", publish: "true" }
  closed:
    address: closed/{door}
`;

export class Gateway {
  /** Such as `http://127.0.0.1:40123`; the same after a restart. */
  url;
  /** The same of its admin listener; another after a restart. */
  admin;
  #process; #folder; #origins; #config; #log = "";

  /** Starts one and stops it after the test; `config` makes its config. @param {import("node:test").TestContext} t */
  static async start(t, { origins = [], config = usual } = {}) {
    const gateway = new Gateway();
    [gateway.#origins, gateway.#config] = [origins, config];
    gateway.#folder = await mkdtemp(path.join(tmpdir(), "tidegate-clients-"));
    t.after(async () => {
      await gateway.kill();
      await rm(gateway.#folder, { recursive: true, force: true });
    });
    await gateway.start();
    return gateway;
  }

  /** The host and port. */
  get host() {
    return new URL(this.url).host;
  }

  get folder() {
    return this.#folder;
  }

  async start() {
    const file = path.join(this.#folder, "tidegate.yaml");
    await writeFile(file, this.#config({ listen: this.url ? new URL(this.url).port : 0, origins: this.#origins, folder: this.#folder }));
    this.#process = spawn(BINARY, ["serve", "--config", file], { cwd: this.#folder, stdio: ["ignore", "pipe", "pipe"] });
    [this.url, this.admin] = await new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`${why}; it said:\n${this.#log}`));
      const timer = setTimeout(() => fail(`the server was not up within ${START_MS_MAX} ms`), START_MS_MAX);
      for (const stream of [this.#process.stdout, this.#process.stderr]) {
        stream.setEncoding("utf8").on("data", (text) => {
          this.#log = (this.#log + text).slice(-20_000);
          const lines = /^listening on (https?:\S+)\nadmin on (http:\S+)$/m.exec(this.#log);
          if (lines) resolve(lines.slice(1));
        });
      }
      this.#process.on("exit", (code, signal) => fail(`the server ended (${code ?? signal})`));
      this.#process.on("exit", () => clearTimeout(timer));
    });
    this.#log = "";
  }

  /** What a power switch does to a process. */
  async kill() {
    await this.#end("SIGKILL");
  }

  /** Asks it to stop; resolves to its exit code. */
  async stop() {
    return this.#end("SIGTERM");
  }

  async #end(signal) {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = once(child, "exit");
    child.kill(signal);
    return (await ended)[0];
  }

  async restart() {
    await this.kill();
    await this.start();
  }

  /** Publishes `{n}` for each number, one after the other, each acknowledged, over cuts and restarts. */
  async publishNumbers(address, from, to) {
    for (let n = from; n <= to; n++) await publish(address, { n, text: `number ${n}` }, { url: this.url, attempts: 30 });
  }

  /** The value of a metric, written as it stands there: with its labels. */
  async metric(name) {
    const line = (await (await fetch(`${this.admin}/metrics`)).text()).split("\n").find((line) => line.startsWith(`${name} `));
    assert.ok(line, `there is a metric ${name}`);
    return Number(line.slice(name.length));
  }

  async json(pathAndQuery) {
    const answer = await fetch(`${this.url}${pathAndQuery}`, { headers: { Accept: "application/json" } });
    assert.equal(answer.status, 200, `${pathAndQuery}: ${answer.status}`);
    return answer.json();
  }
}

/** `rows` of the JSON answer, or of a replica, as one comparable object. */
export const asState = (rows) => Object.fromEntries([...rows].map((row) => [`${row.address} ${row.key}`, row.data]).sort(([a], [b]) => (a < b ? -1 : 1)));
