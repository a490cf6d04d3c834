// The demo's page in Chromium: its button kills the server five times while data flows, and what must stay zero does.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { launch, strict, untilText } from "./browser.mjs";
import { BINARY } from "./gateway.mjs";

const KILLS = 5;
const ZEROS = ["lost", "doubled", "gaps", "resets"];

/** Starts the demo, and ends it after the test; resolves to its URL. */
async function demo(t) {
  const folder = await mkdtemp(path.join(tmpdir(), "tidegate-demo-"));
  const child = spawn(BINARY, ["demo", "--listen", "127.0.0.1:0", "--data", path.join(folder, "data")], { stdio: ["ignore", "pipe", "ignore"] });
  t.after(async () => {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    assert.deepEqual(await ended, [0, null], "the demo ends in order, and its server with it");
    await rm(folder, { recursive: true, force: true });
  });
  let said = "";
  return new Promise((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text) => {
      said += text;
      const line = /^listening on (http:\S+)$/m.exec(said);
      if (line) resolve(line[1]);
    });
    child.on("exit", (code, signal) => reject(new Error(`the demo ended (${code ?? signal}): ${said}`)));
  });
}

test("the demo survives its button", { timeout: 120_000 }, async (t) => {
  const url = await demo(t);
  const context = await launch(t);
  const page = await context.newPage();
  const faultless = strict(page);
  await page.setViewportSize({ width: 1280, height: 1000 });
  await page.goto(url);
  const part = (name) => `#proof [data-part="${name}"]`;
  const number = async (name) => Number((await page.locator(part(name)).textContent()).replaceAll(",", ""));
  /** The numbers of the column of each watch. */
  const column = (name) =>
    page.evaluate((name) => {
      const at = [...document.querySelectorAll("#proof th")].findIndex((head) => head.textContent === name);
      return [...document.querySelectorAll("#proof tbody tr")].map((row) => row.cells[at].textContent);
    }, name);
  const more = (name, than) => page.waitForFunction(([selector, than]) => Number(document.querySelector(selector).textContent.replaceAll(",", "")) > than, [part(name), than], { timeout: 20_000 });

  const names = new Set();
  for (let kills = 1; kills <= KILLS; kills++) {
    await page.waitForFunction((selector) => !document.querySelector(selector).disabled, part("button"), { timeout: 20_000 });
    names.add(await page.locator(part("button")).textContent());
    await more("frames", (await number("frames")) + 10); // data flows
    await page.click(part("button"));
    await untilText(page, part("story"), /All 3 watches were back \d+ ms after the kill/);
    await untilText(page, part("count"), new RegExp(`^${kills}$`));
    await more("reconnects", kills * 3 - 1);
  }
  await more("frames", (await number("frames")) + 30);
  assert.equal(names.size, KILLS, `each time another process: ${[...names]}`);

  assert.deepEqual(await Promise.all(ZEROS.map(number)), [0, 0, 0, 0]);
  assert.deepEqual((await column("watch")).sort(), ["machine/*", "rooms/*/messages", "synthetic-market/*"]);
  assert.deepEqual(await column("state"), ["live", "live", "live"]);
  for (const reconnects of await column("reconnects")) assert.ok(Number(reconnects) >= KILLS, `${reconnects} reconnects`);
  for (const cursor of await column("resumed at")) assert.match(cursor, /^t[\w-]{20,}$/);
  for (const name of ZEROS) assert.deepEqual(await column(name), ["0", "0", "0"], name);
  assert.match(await page.locator(part("story")).textContent(), /[1-9]\d+ numbered trades counted through/);
  if (process.env.SHOTS) {
    await mkdir(process.env.SHOTS, { recursive: true });
    await page.screenshot({ path: path.join(process.env.SHOTS, "demo.png") });
  }

  await t.test("what a filter leaves out is not lost, and another filter is no reset", async () => {
    await page.goto(`${url}/v1/synthetic-market/*`);
    await untilText(page, "#events", /price/);
    for (const [filter, cost] of [["data.size > 250", /^Evaluated/], ['data.symbol == "TIDE"', /^Indexed by data\.symbol/]]) {
      await page.getByLabel("Filter").fill(filter);
      await untilText(page, "#view-cost", cost);
      await more("frames", (await number("frames")) + 20);
    }
    const { seen, kept } = await page.evaluate(() => ({ seen: [...document.querySelectorAll("#events li")].map((line) => line.textContent), kept: window.tidegate.status.state }));
    assert.ok(seen.length > 3 && seen.every((line) => line.includes("TIDE")), seen.join("\n"));
    assert.deepEqual([kept, await Promise.all(ZEROS.map(number))], ["open", [0, 0, 0, 0]]);
  });
  faultless();
});

test("the demo's counters see what they are for", { timeout: 60_000 }, async (t) => {
  const page = await (await launch(t)).newPage();
  await page.goto(`${await demo(t)}/tidegate.js`);
  const counted = await page.evaluate(async () => {
    const { Line } = await import("/_assets/proof.js");
    const { Replica } = await import("/tidegate.js");
    let [line, replica] = [new Line("a", "none"), new Replica()];
    const feed = (frame) => (line.changes(replica.take(frame)), line.frame(frame, replica));
    const trade = (cursor, prev, sequence) => feed({ op: "append", address: "a", cursor, prev, data: { sequence } });
    const seen = [];
    const note = () => seen.push([line.lost, line.doubled, line.gaps, line.resets, line.reconnects]);
    feed({ op: "begin", cursor: "c0" });
    trade("c1", "c0", 1), trade("c2", "c1", 2), note();
    trade("c4", "c2", 4), note(); // the chain holds, yet a number is missing
    trade("c6", "c5", 5), note(); // the numbers hold, yet the chain is broken
    trade("c6", "c5", 5), note(); // a frame again
    trade("c7", "c6", 5), note(); // a number again
    feed({ op: "gap", from: "c7", to: "c9", reason: "retention" }), trade("c10", "c9", 90), note();
    feed({ op: "begin" }), feed({ op: "reset", reason: "view" }), note();
    [replica] = [new Replica(), line.again()]; // another watch of the page
    feed({ op: "begin" }), feed({ op: "reset", reason: "start" }), trade("d9", "d8", 7), note();
    return seen;
  });
  assert.deepEqual(counted, [[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [2, 0, 0, 0, 0], [2, 1, 0, 0, 0], [2, 2, 0, 0, 0], [2, 2, 1, 0, 0], [2, 2, 1, 1, 1], [1, 1, 0, 1, 1]]);
});
