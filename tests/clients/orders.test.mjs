// examples/orders by the commands of its own README, against a real Postgres, with its page in Chromium: rows appear,
// change, move, and go on over a `kill -9` of the server; at the end the page shows what the table holds.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { launch, strict, untilText } from "./browser.mjs";
import { BINARY } from "./gateway.mjs";
import { freePort, Postgres } from "./postgres.mjs";

const EXAMPLE = path.join(import.meta.dirname, "../../examples/orders");
/** Commands that go on until they are stopped, each in a terminal of its own, and what says that they are at work. */
const STAY = { "tidegate serve": /^listening on /m, "traffic.sql": null, "http.server": /Serving HTTP/ };

/** The example in a folder of its own and on ports of its own, with a shell to type its README into. */
class Example {
  #terminals = new Map(); #environment;

  static async prepare(t, postgres) {
    const example = new Example();
    example.folder = await mkdtemp(path.join(tmpdir(), "tidegate-orders-"));
    const [gateway, page] = [await freePort(), await freePort()];
    Object.assign(example, { page: `http://127.0.0.1:${page}/`, gateway: `http://127.0.0.1:${gateway}` });
    await cp(EXAMPLE, example.folder, { recursive: true });
    const ports = [["8080", gateway], ["8000", page], ["5432", postgres.port]];
    for (const name of ["README.md", "tidegate.yaml", "index.html"]) {
      const file = path.join(example.folder, name);
      const text = ports.reduce((text, [usual, own]) => text.replaceAll(usual, own), await readFile(file, "utf8"));
      await writeFile(file, name === "tidegate.yaml" ? `${text}admin: { listen: 127.0.0.1:0 }\n` : text);
    }
    // What a person has and a test does not: `sudo`, and a service manager.
    const tools = path.join(example.folder, "tools");
    await mkdir(tools);
    await writeFile(path.join(tools, "sudo"), `#!/bin/sh\n[ "$1" = -u ] && shift 2\nexec "$@"\n`);
    await writeFile(path.join(tools, "systemctl"), `#!/bin/sh\ncd /\nexec ${postgres.command("restart").join(" ")} >&2\n`);
    for (const name of await readdir(tools)) await chmod(path.join(tools, name), 0o755);
    example.#environment = { ...process.env, ...postgres.environment, PATH: `${tools}:${path.dirname(BINARY)}:${process.env.PATH}`, PYTHONUNBUFFERED: "1" };
    t.after(async () => {
      for (const name of Object.keys(STAY)) await example.end(name, "SIGKILL");
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
    const stays = Object.keys(STAY).find((name) => line.includes(name));
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
          if (STAY[name]?.test(terminal.said)) resolve();
        });
      }
      child.on("exit", (code, signal) => reject(new Error(`$ ${line} ended (${code ?? signal}):\n${terminal.said}`)));
      if (!STAY[name]) child.on("spawn", resolve);
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

test("the example of orders", { timeout: 150_000 }, async (t) => {
  const postgres = await Postgres.start(t);
  const example = await Example.prepare(t, postgres);
  await example.follow("Run it");

  const page = await (await launch(t)).newPage();
  const faultless = strict(page);
  await page.setViewportSize({ width: 1100, height: 860 });
  await page.goto(example.page);
  const number = async (id) => Number(await page.locator(`#${id}`).textContent());
  const more = async (id, by) => page.waitForFunction(([id, than]) => Number(document.getElementById(id).textContent) >= than, [id, (await number(id)) + by], { timeout: 30_000 });
  const shot = async (name) => {
    if (!process.env.SHOTS) return;
    await mkdir(process.env.SHOTS, { recursive: true });
    await page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`) });
  };

  await t.test("rows appear, and change", async () => {
    await untilText(page, "#state", /^live$/);
    await untilText(page, "#rows", /Ada|Grace|Yukihiro/);
    await more("changes", 20);
  });

  await t.test("they survive a kill -9 of the server", async () => {
    await example.end("tidegate serve", "SIGKILL");
    await untilText(page, "#state", /back in|connecting/);
    assert.ok((await number("orders")) > 0, "what was there stays while the server is away");
    await example.type("tidegate serve");
    await untilText(page, "#state", /^live$/);
    await untilText(page, "#cuts", /[1-9]/);
    await more("changes", 20);
    assert.deepEqual(await Promise.all(["lost", "doubled", "gaps"].map(number)), [0, 0, 0]);
    await shot("orders");
  });

  await t.test("they survive a stop of the server while the shop goes on, and a restart of Postgres", async () => {
    await example.end("tidegate serve", "SIGTERM");
    await example.type(`psql "$SHOP_DB_URL" -c "UPDATE orders SET customer = 'While away' WHERE id = (SELECT max(id) FROM orders)"`);
    await example.type("tidegate serve");
    await untilText(page, "#rows", /While away/);
    await example.end("traffic.sql", "SIGINT");
    await example.type("sudo systemctl restart postgresql");
    await example.type(`psql "$SHOP_DB_URL" -f traffic.sql`);
    await more("changes", 20);
    assert.deepEqual(await Promise.all(["lost", "doubled", "gaps"].map(number)), [0, 0, 0]);
  });

  await t.test("a new column is announced", async () => {
    await example.type(`psql "$SHOP_DB_URL" -c "ALTER TABLE orders ADD COLUMN note text"`);
    await untilText(page, "#message", /note.*added/);
  });

  /** What the page shows, as psql prints it. */
  const shown = () => page.evaluate(() => [...document.querySelectorAll("#rows tr")].map((row) => [0, 1, 2, 3, 4].map((at) => row.cells[at].textContent).join("|")));

  await t.test("at the end the page shows what the table holds", async () => {
    await example.end("traffic.sql", "SIGINT");
    // Wherever they were, in one step.
    await example.type(`psql "$SHOP_DB_URL" -c "UPDATE orders SET region = 'eu' WHERE id % 2 = 0"`);
    await example.type(`psql "$SHOP_DB_URL" -c "INSERT INTO orders (region, customer, total) VALUES ('us', 'The last', 1.00)"`);
    await untilText(page, "#rows", /The last/);
    const held = await postgres.rows("shop", "SELECT id, region, customer, status, total FROM orders ORDER BY id DESC");
    assert.deepEqual(await shown(), held);
    assert.deepEqual(await Promise.all(["lost", "doubled", "gaps"].map(number)), [0, 0, 0]);
  });

  await t.test("a region is an address", async () => {
    await page.click("[data-region=eu]");
    const held = await postgres.rows("shop", "SELECT id, region, customer, status, total FROM orders WHERE region = 'eu' ORDER BY id DESC");
    await untilText(page, "#orders", new RegExp(`^${held.length}$`));
    assert.deepEqual(await shown(), held);
    faultless();
  });

  await t.test("it can be undone", async () => {
    await example.end("tidegate serve", "SIGTERM");
    await example.follow("Leave nothing behind");
    assert.deepEqual(await postgres.rows("postgres", "SELECT slot_name FROM pg_replication_slots"), []);
    assert.deepEqual(await postgres.rows("postgres", "SELECT datname FROM pg_database WHERE datname = 'shop'"), []);
    await assert.rejects(readdir(path.join(example.folder, "tidegate-data")));
  });
});
