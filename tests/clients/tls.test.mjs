// Browsers and libraries over TLS: HTTP/2 where they choose it, WebSockets on HTTP/1.1 beside it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import http2 from "node:http2";
import path from "node:path";
import { test } from "node:test";
import { publish } from "../../portal/tidegate.js";
import { launch, quietPage } from "./browser.mjs";
import { python, tidegate, ws } from "./clients.mjs";
import { Gateway, usual } from "./gateway.mjs";

// The certificate signs itself, and is made for one run.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";

const ROOM = "rooms/lobby/messages";

/** The usual config with a certificate that is made in its folder. */
const config = (given) => {
  const [cert, key] = ["cert.pem", "key.pem"].map((name) => path.join(given.folder, name));
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
  execFileSync("openssl", [...args, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert], { stdio: "ignore" });
  return `${usual(given)}tls: { cert: ${cert}, key: ${key} }\n`;
};

test("TLS", { timeout: 90_000 }, async (t) => {
  const gateway = await Gateway.start(t, { config });
  assert.match(gateway.url, /^https:/);
  process.env.SSL_CERT_FILE = path.join(gateway.folder, "cert.pem"); // which Python reads

  await t.test("EventSource and WebSocket in Chromium, over HTTP/2 and beside it", async (t) => {
    const browser = await quietPage(await launch(t, ["--ignore-certificate-errors"]), gateway.url);
    const protocol = await browser.page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
    assert.equal(protocol, "h2");
    const clients = [];
    for (const kind of ["EventSource", "WebSocket", "tidegate.js"]) clients.push(await browser.open(t, kind, ROOM));
    // More than the six connections that HTTP/1.1 would allow.
    await browser.page.evaluate((target) => {
      window.opened = 0;
      window.more = Array.from({ length: 20 }, () => new EventSource(target));
      for (const source of window.more) source.addEventListener("begin", () => window.opened++);
    }, `/v1/${ROOM}`);
    await browser.page.waitForFunction(() => window.opened === 20, null, { timeout: 20_000 });
    for (const client of clients) await client.untilOp("begin");
    await gateway.publishNumbers(ROOM, 1, 3);
    for (const client of clients) assert.deepEqual((await client.untilNumber(3)).numbers, [1, 2, 3]);
    await browser.page.evaluate(() => window.more.forEach((source) => source.close()));
  });

  await t.test("npm ws, Python websockets and fetch of node", async (t) => {
    const clients = [ws(t, gateway.url, ROOM), python(t, gateway.url, ROOM), tidegate(t, gateway.url, ROOM), tidegate(t, gateway.url, ROOM, { format: "ndjson" })];
    for (const client of clients) await client.untilOp("begin");
    await gateway.publishNumbers(ROOM, 4, 6);
    for (const client of clients) assert.deepEqual((await client.untilNumber(6)).numbers, [4, 5, 6]);
  });

  await t.test("many watches and a publish on one connection of node's http2", async () => {
    const session = http2.connect(gateway.url);
    const stream = (headers, body) => {
      const request = session.request(headers);
      request.setEncoding("utf8");
      request.end(body);
      return request;
    };
    const texts = [];
    const watches = Array.from({ length: 50 }, (_, index) => {
      texts[index] = "";
      const watch = stream({ ":path": `/v1/${ROOM}`, accept: "application/x-ndjson" });
      return new Promise((resolve, reject) => {
        watch.on("error", reject);
        watch.on("data", (text) => {
          texts[index] += text;
          if (texts[index].includes('"op":"begin"') && !watch.begun) resolve(watch);
          watch.begun ||= texts[index].includes('"op":"begin"');
          if (texts[index].includes('"n":7')) watch.close();
        });
      });
    });
    const begun = await Promise.all(watches);
    await publish(ROOM, { n: 7 }, { url: gateway.url });
    await Promise.all(begun.map((watch) => watch.closed || new Promise((resolve) => watch.on("close", resolve))));
    for (const text of texts) assert.match(text, /"n":7/);
    // Awaited: the server is killed next, and a session still open would then fail a test that has ended.
    session.close();
    await once(session, "close");
  });
});
