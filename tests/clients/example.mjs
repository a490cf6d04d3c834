// An example by the commands of its own README.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { BINARY } from "./gateway.mjs";
import { freePort } from "./postgres.mjs";

/** An example in a folder of its own and on ports of its own, with a shell to type its README into. */
export class Example {
  #terminals = new Map(); #environment; #stays;

  /**
   * `name` is its folder; `stays` has the commands that go on until they are stopped, each in a terminal of its own, and what
   * says that they are at work; `ports` are more ports than those of the server and the page, `tools` more programs.
   */
  static async prepare(t, { name, stays, ports: more = [], tools: programs = {}, environment = {} }) {
    const example = new Example();
    example.#stays = stays;
    example.folder = await mkdtemp(path.join(tmpdir(), `tidegate-${name}-`));
    const [gateway, page] = [await freePort(), await freePort()];
    Object.assign(example, { page: `http://127.0.0.1:${page}/`, gateway: `http://127.0.0.1:${gateway}` });
    await cp(path.join(import.meta.dirname, "../../examples", name), example.folder, { recursive: true });
    const ports = [["8080", gateway], ["8000", page], ...more];
    for (const name of (await readdir(example.folder)).filter((name) => /\.(md|yaml|html|mjs)$/.test(name))) {
      const file = path.join(example.folder, name);
      const text = ports.reduce((text, [usual, own]) => text.replaceAll(usual, own), await readFile(file, "utf8"));
      await writeFile(file, name === "tidegate.yaml" ? `${text}admin: { listen: 127.0.0.1:0 }\n` : text);
    }
    const tools = path.join(example.folder, "tools");
    await mkdir(tools);
    for (const [name, text] of Object.entries(programs)) await writeFile(path.join(tools, name), text, { mode: 0o755 });
    example.#environment = { ...process.env, ...environment, PATH: `${tools}:${path.dirname(BINARY)}:${process.env.PATH}`, PYTHONUNBUFFERED: "1" };
    t.after(async () => {
      for (const name of Object.keys(example.#stays)) await example.end(name, "SIGKILL");
      await rm(example.folder, { recursive: true, force: true });
    });
    return example;
  }

  /** Runs the commands of one section of the README, in order. */
  async follow(title) {
    const readme = await readFile(path.join(this.folder, "README.md"), "utf8");
    const section = readme.split(/^## /m).find((section) => section.startsWith(`${title}\n`));
    assert.ok(section, `the README has no section "${title}"`);
    const lines = [...section.matchAll(/^```sh\n([^]*?)^```$/gm)].flatMap(([, block]) => block.trimEnd().split("\n"));
    assert.ok(lines.length > 0, `"${title}" has no commands`);
    for (const line of lines) await this.type(line);
  }

  /** Types a line into a shell. */
  async type(line) {
    const set = /^export (\w+)=(\S+)$/.exec(line);
    const stays = Object.keys(this.#stays).find((name) => line.includes(name));
    if (set) this.#environment[set[1]] = set[2];
    else if (stays) await this.#stay(stays, line);
    else await promisify(execFile)("bash", ["-c", line], { cwd: this.folder, env: this.#environment }).catch(({ stdout, stderr }) => assert.fail(`$ ${line}\n${stdout}${stderr}`));
  }

  async #stay(name, line) {
    const child = spawn("bash", ["-c", `exec ${line}`], { cwd: this.folder, env: this.#environment, stdio: ["ignore", "pipe", "pipe"] });
    const terminal = { line, child, said: "", ended: once(child, "exit") };
    this.#terminals.set(name, terminal);
    await new Promise((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text) => {
          terminal.said = (terminal.said + text).slice(-20_000);
          if (this.#stays[name]?.test(terminal.said)) resolve();
        });
      }
      child.on("exit", (code, signal) => reject(new Error(`$ ${line} ended (${code ?? signal}):\n${terminal.said}`)));
      if (!this.#stays[name]) child.on("spawn", resolve);
    });
  }

  /** Ends what stays, if it is there. */
  async end(name, signal) {
    const terminal = this.#terminals.get(name);
    if (!terminal) return;
    this.#terminals.delete(name);
    if (terminal.child.exitCode !== null || terminal.child.signalCode !== null) assert.fail(`$ ${terminal.line} ended by itself:\n${terminal.said}`);
    terminal.child.kill(signal);
    await terminal.ended;
  }
}
