// examples/orders by the commands of its own README, against a real Postgres, with its page in Chromium: rows appear,
// change, move, and go on over a `kill -9` of the server; at the end the page shows what the table holds.

import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { launch, strict, untilText } from "./browser.mjs";
import { Example } from "./example.mjs";
import { Postgres } from "./postgres.mjs";

const STAYS = { "tidegate serve": /^listening on /m, "traffic.sql": null, "http.server": /Serving HTTP/ };

test("the example of orders", { timeout: 150_000 }, async (t) => {
  const postgres = await Postgres.start(t);
  const example = await Example.prepare(t, {
    name: "orders",
    stays: STAYS,
    ports: [["5432", postgres.port]],
    // What a person has and a test does not: `sudo`, and a service manager.
    tools: {
      sudo: `#!/bin/sh\n[ "$1" = -u ] && shift 2\nexec "$@"\n`,
      systemctl: `#!/bin/sh\ncd /\nexec ${postgres.command("restart").join(" ")} >&2\n`,
    },
    environment: postgres.environment,
  });
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
