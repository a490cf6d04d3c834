// examples/auction by the commands of its own README, with its pages in Chromium: bids are taken in their order, over a
// `kill -9` of the server and of the auctioneer, and each lot closes behind the bids that came before.

import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { launch, strict, untilText } from "./browser.mjs";
import { Example } from "./example.mjs";

const STAYS = { "# a second one": /lots are open/, "tidegate serve": /^listening on /m, "auctioneer.mjs": /lots are open/, "http.server": /Serving HTTP/ };

test("the example of an auction", { timeout: 120_000 }, async (t) => {
  const example = await Example.prepare(t, { name: "auction", stays: STAYS });
  await example.follow("Run it");
  const context = await launch(t);
  const [hall, phone] = [await context.newPage(), await context.newPage()];
  const faultless = [hall, phone].map(strict);
  await hall.goto(example.page);
  await phone.goto(`${example.page}?phone`);
  const price = (page, lot, wanted) => untilText(page, `#lot-${lot} .price`, new RegExp(`^${wanted}$`));

  await t.test("bids are taken in their order, and only higher ones", async () => {
    await price(hall, "vase", 100);
    await example.follow("Try");
    for (const page of [hall, phone]) await price(page, "vase", 120);
    await hall.fill("#bidder", "Yukihiro");
    await hall.click("#lot-clock button");
    for (const page of [hall, phone]) await price(page, "clock", 260);
    await untilText(hall, "#taken", /Yukihiro: 260 for the clock.*Grace: 120 for the vase/);
    if (process.env.SHOTS) {
      await mkdir(process.env.SHOTS, { recursive: true });
      await hall.screenshot({ path: path.join(process.env.SHOTS, "auction.png") });
    }
  });

  await t.test("who bids while the auctioneer is away is judged afterwards", async () => {
    await example.end("auctioneer.mjs", "SIGKILL");
    await hall.click("#lot-map button");
    await hall.click("#lot-map button");
    await example.type("node auctioneer.mjs");
    for (const page of [hall, phone]) await price(page, "map", 50);
  });

  await t.test("two auctioneers take a bid once, and a kill -9 of the server loses none", async () => {
    await example.type("node auctioneer.mjs # a second one");
    await example.end("tidegate serve", "SIGKILL");
    await example.type("tidegate serve");
    await untilText(hall, "#state", /^live$/);
    await hall.click("#lot-map button");
    for (const page of [hall, phone]) await price(page, "map", 60);
    const lot = await (await fetch(`${example.gateway}/v1/lots/main?key=map`)).json();
    assert.deepEqual([lot.bids, lot.bidder], [2, "Yukihiro"]);
  });

  await t.test("a lot closes behind the bids that came before", async () => {
    for (const name of ["# a second one", "auctioneer.mjs"]) await example.end(name, "SIGKILL");
    await example.type("curl -d '{\"amount\":500,\"bidder\":\"The last\"}' " + `${example.gateway}/v1/bids/vase`);
    // As if the time were over: the auctioneer finds it so when it comes.
    const now = new Date().toISOString();
    for (const key of ["vase", "clock", "map"]) {
      const lot = await (await fetch(`${example.gateway}/v1/lots/main?key=${key}`)).json();
      const put = { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...lot, closes: now }) };
      assert.equal((await fetch(`${example.gateway}/v1/lots/main?key=${key}`, put)).status, 200);
    }
    await example.type("node auctioneer.mjs");
    for (const page of [hall, phone]) {
      await untilText(page, "#lot-vase .left", /^closed$/);
      await untilText(page, "#lot-vase .who", /^goes to The last$/);
      await untilText(page, "#lot-clock .who", /^goes to Yukihiro$/);
    }
    faultless.forEach((check) => check());
  });

  await t.test("it can be undone", async () => {
    await example.end("auctioneer.mjs", "SIGTERM");
    await example.end("tidegate serve", "SIGTERM");
    await example.follow("Leave nothing behind");
    await assert.rejects(readdir(path.join(example.folder, "tidegate-data")));
  });
});
