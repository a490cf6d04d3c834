// The live page in Chromium: it moves, it counts, it survives a kill, and what is published stays text.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { publish } from "../../portal/tidegate.js";
import { launch, strict, untilText } from "./browser.mjs";
import { Gateway } from "./gateway.mjs";

const ROOM = "rooms/lobby/messages";
const HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>";

test("the page", { timeout: 90_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  const context = await launch(t);

  /** A page whose faults fail the test; `SHOTS` names a folder for pictures to look at. */
  async function open(t, pathname, { width = 1280, height = 900, dark = false } = {}) {
    const page = await context.newPage();
    const faultless = strict(page);
    t.after(() => page.close());
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
    await page.goto(gateway.url + pathname);
    const shot = async (name) => {
      if (!process.env.SHOTS) return;
      await mkdir(process.env.SHOTS, { recursive: true });
      await page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`), fullPage: width < 500 });
    };
    return { page, faultless, shot };
  }
  const text = (page, selector) => page.locator(selector).textContent();

  await t.test("at / shows figures that move, also over a kill and a restart", async (t) => {
    const { page, faultless, shot } = await open(t, "/");
    await untilText(page, "#state", /live/);
    await untilText(page, "#tables", /cpu/);
    const before = await text(page, "#tables");
    await page.waitForFunction((before) => document.querySelector("#tables").textContent !== before, before);
    await untilText(page, "#rate", /[1-9]/);
    assert.match(await text(page, "#curls"), /curl -N -H 'Accept: text\/event-stream' 'http:\/\/127\.0\.0\.1:\d+\/v1\/machine\/\*'/);
    assert.match(await text(page, "#frames"), /"op":"upsert"/);
    assert.deepEqual((await page.locator("#channels b").allTextContents()).sort(), ["chat", "machine", "notes", "ticks"]);
    const heads = await page.locator("#tables th:visible").allTextContents();
    assert.ok(heads.includes("address") && !heads.includes("group"), "a column that repeats the address is not shown");
    await shot("home");

    await gateway.kill();
    await untilText(page, "#state", /back in|connecting/);
    const held = await text(page, "#tables");
    assert.match(held, /cpu/, "what was there stays while the server is away");
    await gateway.start();
    await untilText(page, "#cuts", /[1-9]/);
    await page.waitForFunction((held) => document.querySelector("#tables").textContent !== held, held);
    assert.deepEqual(await Promise.all(["#lost", "#doubled", "#gaps"].map((id) => text(page, id))), ["0", "0", "0"]);
    faultless();
  });

  await t.test("loses and doubles nothing over a kill and a restart", async (t) => {
    await gateway.publishNumbers(ROOM, 1, 3);
    const { page, faultless, shot } = await open(t, `/v1/${ROOM}`);
    // A line at a time: the hour of the next one would read as a digit of the number.
    const newest = "#events li:first-child";
    await untilText(page, newest, /number 3(?!\d)/); // what was there before the page
    await untilText(page, "#state", /live/);
    await gateway.publishNumbers(ROOM, 4, 30);
    await untilText(page, newest, /number 30(?!\d)/);
    // Nothing is waited for in between: however fast events pass, the kill comes amid these.
    const publishing = gateway.publishNumbers(ROOM, 31, 60);
    await gateway.kill();
    await untilText(page, "#state", /back in|connecting/);
    await gateway.start();
    await publishing;
    await untilText(page, newest, /number 60(?!\d)/);
    await untilText(page, "#state", /live/);
    const shown = await page.locator("#events li").allTextContents();
    assert.deepEqual(shown.map((line) => Number(/number (\d+)/.exec(line)[1])), Array.from({ length: 60 }, (_, at) => 60 - at));
    await untilText(page, "#cuts", /[1-9]/);
    assert.deepEqual(await Promise.all(["#lost", "#doubled", "#gaps"].map((id) => text(page, id))), ["0", "0", "0"]);
    await shot("chat");
    faultless();
  });

  await t.test("shows hostile payloads as text", async (t) => {
    const { page, faultless, shot } = await open(t, "/v1/notes/*", { dark: true });
    const address = `notes/${encodeURIComponent(HOSTILE.replaceAll("/", ":"))}`;
    await publish(address, { [HOSTILE]: HOSTILE, nested: [{ [HOSTILE]: 1 }] }, { url: gateway.url, key: HOSTILE });
    await publish("notes/ann", HOSTILE, { url: gateway.url, key: "1" });
    await untilText(page, "#tables", /<img src=x onerror=alert\(1\)>[^]*<script>alert\(2\)/);
    await untilText(page, "#frames", /notes\/ann/);
    assert.equal(await page.locator("main img, main script").count(), 0);
    await shot("hostile-dark");
    faultless();
  });

  await t.test("follows rows as they change, move in and go", async (t) => {
    const { page, faultless } = await open(t, "/v1/notes/table");
    await untilText(page, "#state", /live/);
    for (const key of ["10", "9"]) await publish("notes/table", { text: `note ${key}`, stars: 1 }, { url: gateway.url, key });
    await untilText(page, "#tables", /note 9[^]*note 10/);
    await publish("notes/table", { text: "note 10", stars: 5 }, { url: gateway.url, key: "10" });
    await untilText(page, "#tables", /note 105/);
    await fetch(`${gateway.url}/v1/notes/table?key=9`, { method: "DELETE" });
    await page.waitForFunction(() => !document.querySelector("#tables").textContent.includes("note 9"));
    assert.deepEqual(await page.locator("#tables th").allTextContents(), ["key", "text", "stars", "time"]);
    faultless();
  });

  await t.test("shows what passes the filter, as it is typed, and what that costs", async (t) => {
    const { page, faultless, shot } = await open(t, "/v1/notes/*", { dark: true });
    const put = (id, data) => publish("notes/filtered", { id, ...data }, { url: gateway.url });
    for (const [id, symbol, price] of [["a", "TIDE", 5], ["b", "TIDE", 50], ["c", "EBB", 70]]) await put(id, { symbol, price, by: { name: "x", mail: "y" } });
    await untilText(page, "#tables", /TIDE[^]*EBB/);
    assert.equal(await page.locator("#view-cost").isVisible(), false, "what is not filtered costs nothing to explain");

    await page.getByLabel("Filter").pressSequentially("data.price > 10");
    await untilText(page, "#view-cost", /^Evaluated for each event of this address/);
    await page.waitForFunction(() => document.querySelector("#count").textContent === "2 rows");
    await put("a", { symbol: "TIDE", price: 11 });
    await untilText(page, "#count", /3 rows/);
    await put("b", { symbol: "TIDE", price: 1 });
    await untilText(page, "#count", /2 rows/);
    assert.match(await text(page, "#curls"), /filter=data\.price\+%3E\+10/);

    await page.getByLabel("Filter").fill('data.symbol == "TIDE" && data.price > 10');
    await untilText(page, "#view-cost", /^Indexed by data\.symbol: an event costs one lookup/);
    await untilText(page, "#count", /1 row$/);
    await page.getByLabel("Fields").fill("price");
    await page.getByLabel("Fields").press("Enter");
    await page.waitForFunction(() => [...document.querySelectorAll("#tables th:not([hidden])")].map((th) => th.textContent).join() === "address,key,price,time");
    await shot("filter-dark");

    // In the middle of a mistake what was there stays, and goes on.
    await page.getByLabel("Filter").fill('data.symbol == "TIDE" && dat.price > 10');
    await untilText(page, "#view-mistake", /column 26[^]*did you mean `data`/);
    assert.deepEqual([await text(page, "#view-mistake mark"), await page.getByLabel("Filter").getAttribute("aria-invalid")], ["d", "true"]);
    assert.deepEqual([await text(page, "#state"), await text(page, "#count"), await page.locator("#refusal").isVisible()], ["live", "1 row", false]);
    assert.match(await text(page, "#view-cost"), /as it was before/);
    assert.doesNotMatch(await text(page, "#curls"), /dat\./, "what does not work is not offered");
    await put("a", { symbol: "TIDE", price: 12 });
    await untilText(page, "#tables", /12/);
    await shot("filter-mistake-dark");
    faultless();
  });

  await t.test("keeps its filter in its address, on a phone too", async (t) => {
    const { page, faultless, shot } = await open(t, `/v1/${ROOM}?filter=${encodeURIComponent("data.n in [2, 3, 61]")}`, { width: 390, height: 844 });
    await untilText(page, "#view-cost", /^Indexed by data\.n/);
    await untilText(page, "#events", /number 3[^]*number 2/); // the newest that pass
    await gateway.publishNumbers(ROOM, 60, 62);
    await untilText(page, "#events", /number 61[^]*number 3[^]*number 2/);
    assert.equal(await page.locator("#events li").count(), 3);
    await page.getByLabel("Filter").fill("data.n ==");
    await untilText(page, "#view-mistake", /column 10/);
    await shot("filter-phone");
    const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= window, `a phone would scroll sideways: ${wide} > ${window}`);
    // By the keyboard alone: from the filter to the fields and back, and Enter does not leave the page.
    await page.getByLabel("Filter").fill("");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), "fields");
    await page.keyboard.press("Enter");
    await untilText(page, "#events", /number 62[^]*number 61[^]*number 60/);
    assert.equal(new URL(page.url()).search, "");
    faultless();
  });

  await t.test("publishes from its form, and tells a refusal", async (t) => {
    const { page, faultless, shot } = await open(t, "/v1/rooms/*/messages", { width: 390, height: 844 });
    await page.fill("#publish [name=address]", "rooms/form/messages");
    await page.fill("#publish [name=data]", '{"text": "typed by hand"}');
    await page.click("#publish button");
    await untilText(page, "#published", /durable after \d+ ms/);
    await untilText(page, "#events", /rooms\/form\/messages[^]*typed by hand/);
    await page.fill("#publish [name=data]", "{nonsense");
    await page.click("#publish button");
    await untilText(page, "#published", /JSON/);
    const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= window, `a phone would scroll sideways: ${wide} > ${window}`);
    await shot("chat-phone");
    faultless();
  });

  await t.test("fits a phone, in the dark too", async (t) => {
    const { page, faultless, shot } = await open(t, "/", { width: 390, height: 844, dark: true });
    await untilText(page, "#tables", /cpu/);
    const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= window, `a phone would scroll sideways: ${wide} > ${window}`);
    await shot("home-phone-dark");
    faultless();
  });

  await t.test("says what an unknown address is near to", async (t) => {
    const { page, shot } = await open(t, "/v1/room/lobby/messages");
    await untilText(page, "#refusal", /rooms\/\{room\}\/messages/);
    assert.equal(await text(page, "#state"), "ended");
    await shot("unknown");
  });
});
