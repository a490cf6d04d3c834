// Headless Chromium, and the clients that run in it.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";
import { OPS } from "./clients.mjs";
import { Watcher } from "./watcher.mjs";

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** A browser with its own empty profile, closed after the test. */
export async function launch(t, args = []) {
  const profile = await mkdtemp(path.join(tmpdir(), "tidegate-chromium-"));
  const context = await chromium.launchPersistentContext(profile, { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: [...ARGS, ...args] });
  t.after(async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return context;
}

/** A page of the server's own origin in which nothing runs yet. */
export async function quietPage(context, url) {
  const page = await context.newPage();
  await page.goto(`${url}/tidegate.js`);
  const watchers = new Map();
  await page.exposeBinding("report", (_, name, said) => {
    const { frame, ended, over } = JSON.parse(said);
    if (frame) watchers.get(name).frame(frame);
    else watchers.get(name).ended(ended, over);
  });
  /** Runs `client` of the table below in the page. */
  const open = async (t, kind, address, query = {}) => {
    const watcher = new Watcher(t, `${kind} in Chromium`);
    watchers.set(kind, watcher);
    await page.evaluate(IN_PAGE[kind], { kind, target: `/v1/${address}?${new URLSearchParams(query)}`, address, query, ops: OPS });
    return watcher;
  };
  return { page, open };
}

// Each runs in the page and sees nothing of this file.
const IN_PAGE = {
  EventSource: ({ kind, target, ops }) => {
    const source = new EventSource(target);
    const take = (event) => window.report(kind, `{"frame":${event.data}}`);
    for (const op of ops) source.addEventListener(op, take);
    source.onmessage = take;
    source.onerror = () => window.report(kind, JSON.stringify({ ended: "error", over: source.readyState === EventSource.CLOSED }));
  },
  WebSocket: ({ kind, target }) => {
    let cursor = null;
    const open = () => {
      const url = new URL(target, location.href.replace("http", "ws"));
      if (cursor) url.searchParams.set("after", cursor);
      const socket = new WebSocket(url, "tidegate.v1");
      socket.onmessage = ({ data }) => {
        cursor = JSON.parse(data).cursor ?? cursor;
        window.report(kind, `{"frame":${data}}`);
      };
      socket.onclose = ({ code }) => {
        const over = code >= 4400 && code < 4500;
        window.report(kind, JSON.stringify({ ended: code, over }));
        if (!over) setTimeout(open, 50);
      };
    };
    open();
  },
  "tidegate.js": async ({ kind, address, query }) => {
    const { watch } = await import("/tidegate.js");
    window.watching = watch(address, {
      ...query,
      onFrame: (frame) => window.report(kind, JSON.stringify({ frame })),
      onStatus: ({ state, error }) => {
        if (state === "waiting" || state === "closed") window.report(kind, JSON.stringify({ ended: error?.status || state, over: state === "closed" }));
      },
    });
  },
};
export const IN_BROWSER = Object.keys(IN_PAGE);

/** Resolves once the text of an element fits; the page itself tells, nobody polls for luck. */
export async function untilText(page, selector, pattern) {
  await page.waitForFunction(([selector, source]) => new RegExp(source).test(document.querySelector(selector)?.textContent ?? ""), [selector, pattern.source], { timeout: 20_000 });
}

/** What must not happen in a page of ours: an error, a refused resource, a script of a payload. That a filter is refused may. */
export function strict(page) {
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("dialog", (dialog) => (faults.push(`a dialog: ${dialog.message()}`), dialog.dismiss()));
  page.on("console", (message) => message.type() === "error" && !/status of 400|ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_SOCKET_NOT_CONNECTED|ERR_EMPTY_RESPONSE|net::ERR_FAILED/.test(message.text()) && faults.push(message.text()));
  return () => assert.deepEqual(faults, []);
}
