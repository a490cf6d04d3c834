// Conditional writes of tidegate.js: in Node, and from a page of another origin in Chromium.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { publish } from "../../portal/tidegate.js";
import { launch } from "./browser.mjs";
import { Gateway } from "./gateway.mjs";

const failed = (error) => error.problem?.code === "precondition-failed";

test("a publish goes on from the cursor of the one before, once", async (t) => {
  const { url } = await Gateway.start(t);
  const say = (n, options) => publish("rooms/far/messages", { n }, { url, ...options });
  const first = await say(1, { create: true });
  await assert.rejects(say(2, { create: true }), failed);
  const second = await say(2, { ifMatch: first.cursor });
  await assert.rejects(say(3, { ifMatch: first.cursor }), (error) => failed(error) && error.problem.etag === `"${second.cursor}"`);
  const put = (text, options) => publish("notes/ann", { text }, { url, key: "1", ...options });
  const row = await put("a", { create: true });
  await put("b", { ifMatch: row.cursor });
  await put("c", { ifMatch: "*" });
  await assert.rejects(put("d", { ifMatch: row.cursor }), failed);
});

test("a page of a listed origin writes under a condition, and reads the ETag", async (t) => {
  const site = createServer((_, answer) => answer.end("<!doctype html>")).listen(0, "127.0.0.1");
  t.after(() => site.close());
  await once(site, "listening");
  const origin = `http://127.0.0.1:${site.address().port}`;
  const { url } = await Gateway.start(t, { origins: [origin] });
  const page = await (await launch(t)).newPage();
  await page.goto(origin);
  const put = (headers) =>
    page.evaluate(
      async ([url, headers]) => {
        const answer = await fetch(`${url}/v1/notes/ann?key=1`, { method: "PUT", headers, body: "{}" });
        return [answer.status, answer.headers.get("ETag")];
      },
      [url, headers],
    );
  const [status, etag] = await put({ "If-None-Match": "*", "Content-Type": "application/json" });
  assert.equal(status, 200);
  assert.deepEqual(await put({ "If-None-Match": "*", "Content-Type": "application/json" }), [412, etag]);
  assert.equal((await put({ "If-Match": etag, "Content-Type": "application/json" }))[0], 200);
});
