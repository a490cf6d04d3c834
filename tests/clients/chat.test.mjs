// examples/chat by the commands of its own README, with its page in two Chromium profiles: people sign in with a real OpenID
// provider, and what they see follows their membership, on connections that stay open.

import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { launch, strict, untilText } from "./browser.mjs";
import { Example } from "./example.mjs";
import { freePort } from "./postgres.mjs";

const STAYS = { "node provider.mjs": /people sign in at/, "tidegate serve": /^listening on /m, "http.server": /Serving HTTP/ };
// The provider is there already, from its lock file: a test does not ask a registry.
const NPM = `#!/bin/sh\nln -sfn ${path.join(import.meta.dirname, "../provider/node_modules")} node_modules\n`;

async function signIn(page, name) {
  await page.click("#sign");
  await page.fill("input[name=login]", name);
  await page.fill("input[name=password]", "any");
  await page.click("button[type=submit]");
  // What the page may have of the account.
  await page.click("button[type=submit]");
  await untilText(page, "#who", new RegExp(`^${name}$`));
  await untilText(page, "#state", /^live$/);
}

async function shot(page, name) {
  if (!process.env.SHOTS) return;
  await mkdir(process.env.SHOTS, { recursive: true });
  await page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`) });
}

const say = async (page, text) => {
  await page.fill("#say input", text);
  await page.click("#say button");
};

test("the example of a chat", { timeout: 120_000 }, async (t) => {
  const example = await Example.prepare(t, { name: "chat", stays: STAYS, ports: [["9000", await freePort()]], tools: { npm: NPM } });
  await example.follow("Run it");
  const [ann, bob] = await Promise.all([launch(t), launch(t)].map(async (context) => (await context).newPage()));
  const room = "ann/lobby";

  await t.test("people sign in", async () => {
    for (const [page, name] of [[ann, "ann"], [bob, "bob"]]) {
      await page.goto(example.page);
      await signIn(page, name);
    }
  });
  const faultless = [ann, bob].map(strict);

  await t.test("a room is seen by those who are in it", async () => {
    await ann.fill("#make input", "lobby");
    await ann.click("#make button");
    await untilText(ann, "#room", new RegExp(`^${room}$`));
    await say(ann, "is anybody here?");
    await untilText(ann, "#said", /ann\s*is anybody here\?/);
    await untilText(bob, "#rooms", /^$/);
  });

  await t.test("who is added sees the room at once", async () => {
    await ann.fill("#add input", "bob");
    await ann.click("#add button");
    await bob.click(`#rooms button:text-is("${room}")`);
    await untilText(bob, "#said", /ann\s*is anybody here\?/);
    await say(bob, "me");
    for (const page of [ann, bob]) {
      await untilText(page, "#said", /bob\s*me/);
      await untilText(page, "#members", /ann.*bob/);
    }
    await shot(ann, "chat-ann");
    await shot(bob, "chat-bob");
  });

  await t.test("what the policies say, and what nobody is told without a token", async () => {
    await example.follow("Try");
    const answer = await fetch(`${example.gateway}/v1/rooms/ann/lobby/messages`);
    assert.equal(answer.status, 401);
  });

  await t.test("who writes under another name is refused", async () => {
    const headers = { Authorization: `Bearer ${await bob.evaluate(() => globalThis.token())}`, "Content-Type": "application/json" };
    const post = (by) => fetch(`${example.gateway}/v1/rooms/ann/lobby/messages`, { method: "POST", headers, body: JSON.stringify({ by, text: "x" }) });
    assert.equal((await post("ann")).status, 403);
    assert.equal((await post("bob")).status, 200);
  });

  await t.test("a kill -9 of the server changes nothing", async () => {
    await example.end("tidegate serve", "SIGKILL");
    await example.type("tidegate serve");
    for (const page of [ann, bob]) await untilText(page, "#state", /^live$/);
    await say(ann, "still here?");
    for (const page of [ann, bob]) await untilText(page, "#said", /still here\?/);
  });

  await t.test("who is removed sees nothing more", async () => {
    await ann.click('#members li:has-text("bob") button');
    await untilText(bob, "#message", /not in this room any more/);
    await untilText(bob, "#said", /^$/);
    await untilText(bob, "#rooms", /^$/);
    await say(ann, "gone");
    await untilText(ann, "#said", /gone/);
    assert.doesNotMatch(await bob.content(), /gone/);
    await shot(bob, "chat-bob-removed");
    faultless.forEach((check) => check());
  });

  await t.test("it can be undone", async () => {
    await example.end("tidegate serve", "SIGTERM");
    await example.follow("Leave nothing behind");
    await assert.rejects(readdir(path.join(example.folder, "tidegate-data")));
  });
});
