// gzip and zstd as clients in wide use read them: each event is seen before the next is written, the end comes as a
// `close` frame whatever a client makes of a gzip that never ends, and proxies pass it all.

import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { createGunzip } from "node:zlib";
import { launch } from "./browser.mjs";
import { curl, pythonHttp, tidegate } from "./clients.mjs";
import { Gateway } from "./gateway.mjs";
import { nginx } from "./nginx.mjs";
import { Watcher } from "./watcher.mjs";

const ROOM = "rooms/lobby/messages";
/** As the servers of busy sites have it: everything is compressed that is not yet. */
const GZIP_ON = "gzip on; gzip_min_length 0; gzip_proxied any; gzip_types *;";

/** EventSource in Chromium. `coding` is what the server answered. */
async function chromium(t, url, name) {
  const watcher = new Watcher(t, name);
  const page = await (await launch(t)).newPage();
  await page.goto(`${url}/tidegate.js`);
  page.on("response", async (response) => {
    if (response.url().includes("/v1/")) watcher.coding = response.headers()["content-encoding"];
  });
  await page.exposeBinding("report", (_, text) => watcher.frame(JSON.parse(text)));
  await page.exposeBinding("failed", (_, state) => watcher.ended(state, state === 2));
  await page.evaluate((path) => {
    const source = new EventSource(path);
    const take = ({ data }) => window.report(data);
    for (const op of ["begin", "bookmark", "close"]) source.addEventListener(op, take);
    source.onmessage = take;
    source.onerror = () => window.failed(source.readyState);
  }, `/v1/${ROOM}`);
  return watcher;
}

/** node's zlib as it is by default, which fails at the end of what never ends. */
function gunzip(t, url) {
  const watcher = new Watcher(t, "node http and createGunzip");
  const request = http.get(`${url}/v1/${ROOM}`, { headers: { Accept: "application/x-ndjson", "Accept-Encoding": "gzip" } }, (answer) => {
    let rest = "";
    const plain = answer.pipe(createGunzip());
    plain.setEncoding("utf8").on("data", (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) watcher.frame(JSON.parse(line));
    });
    plain.on("error", (error) => watcher.ended(error.code)).on("end", () => watcher.ended("end"));
  });
  watcher.onStop(() => request.destroy());
  return watcher;
}

test("compressed streams", { timeout: 120_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  const { url } = gateway;
  const untuned = await nginx(t, url);
  const compressing = await nginx(t, url, GZIP_ON);
  const zstdOnly = await nginx(t, url, "proxy_set_header Accept-Encoding zstd;");
  const browsers = {
    gzip: await chromium(t, url, "EventSource in Chromium"),
    zstd: await chromium(t, zstdOnly, "EventSource in Chromium, zstd through nginx"),
  };
  const strict = gunzip(t, url);
  const clients = [
    ...Object.values(browsers),
    strict,
    ...["gzip", "zstd"].flatMap((coding) => [
      curl(t, url, ROOM, { format: "sse", coding }),
      curl(t, url, ROOM, { format: "ndjson", coding }),
      curl(t, untuned, ROOM, { format: "sse", coding, name: `curl sse ${coding} through nginx` }),
      curl(t, compressing, ROOM, { format: "sse", coding, name: `curl sse ${coding} through nginx with gzip on` }),
      pythonHttp(t, url, ROOM, { coding }),
    ]),
    tidegate(t, url, ROOM),
    tidegate(t, compressing, ROOM, { name: "tidegate.js through nginx with gzip on" }),
  ];
  await Promise.all(clients.map((client) => client.untilOp("begin")));
  for (const [coding, browser] of Object.entries(browsers)) assert.equal(browser.coding, coding);

  await t.test("each event is seen before the next is written", async () => {
    for (let n = 1; n <= 5; n++) {
      await gateway.publishNumbers(ROOM, n, n);
      await Promise.all(clients.map((client) => client.untilNumber(n)));
    }
    await Promise.all(clients.map((client) => client.untilOp("bookmark")));
    for (const client of clients) {
      assert.deepEqual(client.numbers, [1, 2, 3, 4, 5], client.name);
      assert.deepEqual(client.ends, [], `${client.name} was cut`);
    }
  });

  await t.test("the last frame is the close, and clients come back", async () => {
    assert.equal(await gateway.stop(), 0);
    await Promise.all(clients.map((client) => client.untilOp("close")));
    await strict.until("end", ({ ends }) => ends.length > 0);
    await gateway.start();
    await gateway.publishNumbers(ROOM, 6, 6);
    // A browser does not come back after the 502 of a proxy.
    const back = clients.filter((client) => client !== strict && client !== browsers.zstd);
    await Promise.all(back.map((client) => client.untilNumber(6)));
    for (const client of back) assert.deepEqual(client.numbers, [1, 2, 3, 4, 5, 6], client.name);
  });
  for (const client of clients) t.diagnostic(`${client.name}: the end in order was seen as ${client.ends[0]}`);
});

test("compressed answers", { timeout: 60_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  await gateway.publishNumbers(ROOM, 1, 50);
  const answer = await fetch(`${gateway.url}/v1/${ROOM}`);
  assert.equal(answer.headers.get("content-encoding"), "gzip");
  assert.match(answer.headers.get("vary"), /accept-encoding/);
  assert.equal((await answer.json()).frames.length, 50);
  const page = await (await launch(t)).newPage();
  const loaded = await page.goto(`${gateway.url}/v1/${ROOM}?as=json`);
  assert.equal(loaded.headers()["content-encoding"], "zstd");
  assert.equal((await loaded.json()).frames.length, 50);
});
