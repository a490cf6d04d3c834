// What a source has to tell, as the page tells it: that a table is not read yet, and that its columns changed.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { launch, strict, untilText } from "./browser.mjs";
import { Gateway } from "./gateway.mjs";
import { freePort, Postgres } from "./postgres.mjs";

test("the page tells what a source tells", { timeout: 90_000 }, async (t) => {
  const port = await freePort();
  const config = ({ listen, folder }) => `
listen: 127.0.0.1:${listen}
admin: { listen: 127.0.0.1:0 }
log: { path: ${folder}/data }
sources:
  shop: { kind: postgres, url: "postgres://shop:shop@127.0.0.1:${port}/postgres" }
channels:
  notes: { address: notes, source: shop, table: notes, key: id, access: { read: "true" } }
`;
  const gateway = await Gateway.start(t, { config });
  const page = await (await launch(t)).newPage();
  const faultless = strict(page);
  await page.goto(gateway.url);
  const shot = async (name) => {
    if (!process.env.SHOTS) return;
    await mkdir(process.env.SHOTS, { recursive: true });
    await page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`) });
  };

  await t.test("a table that is not read yet", async () => {
    await untilText(page, "#notice", /^loading/);
    await untilText(page, "#state", /^loading$/);
    assert.match(await page.locator("#channels").textContent(), /loading/);
    await shot("loading");
  });

  const postgres = await Postgres.start(t, { port, settings: "wal_level = logical\n" });
  await postgres.rows("postgres", "CREATE ROLE shop LOGIN REPLICATION PASSWORD 'shop'; GRANT CREATE ON SCHEMA public TO shop; GRANT CREATE ON DATABASE postgres TO shop");
  await postgres.rows("postgres", "SET ROLE shop; CREATE TABLE notes (id int PRIMARY KEY, text text); INSERT INTO notes VALUES (1, 'first')");

  await t.test("its first state", async () => {
    await untilText(page, "#tables", /first/);
    await untilText(page, "#state", /^live$/);
    assert.ok(await page.locator("#notice").isHidden());
    assert.doesNotMatch(await page.locator("#channels").textContent(), /loading/);
  });

  await t.test("a column that came", async () => {
    await postgres.rows("postgres", "ALTER TABLE notes ADD COLUMN stars int; INSERT INTO notes VALUES (2, 'second', 5)");
    await untilText(page, "#tables", /second/);
    await untilText(page, "#notice", /^schema.*stars/);
    assert.deepEqual(await Promise.all(["#lost", "#doubled", "#gaps"].map((id) => page.locator(id).textContent())), ["0", "0", "0"]);
    await shot("schema");
  });
  faultless();
});
