// Many watches on one WebSocket, over a server that is killed, killed in the midst of publishing, and drained: each has
// every event once and in order, and resumes by its own cursor.

import assert from "node:assert/strict";
import { test } from "node:test";
import { wsMany } from "./clients.mjs";
import { Gateway } from "./gateway.mjs";

const ROOMS = ["rooms/a/messages", "rooms/b/messages", "rooms/c/messages"];
const numbers = (last) => Array.from({ length: last }, (_, at) => at + 1);

test("three watches on one socket have every event once, over kill -9 and drain", { timeout: 90_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  const watchers = wsMany(t, gateway.url, ROOMS);
  const publish = (from, to) => Promise.all(ROOMS.map((room) => gateway.publishNumbers(room, from, to)));
  const all = (wait) => Promise.all(watchers.map(wait));
  await all((watcher) => watcher.untilOp("begin"));

  await gateway.restart();
  await publish(1, 20);
  await all((watcher) => watcher.untilNumber(20));

  const publishing = publish(21, 120);
  await watchers[0].untilNumber(60);
  await gateway.restart();
  await publishing;
  // However fast the others passed, these reach only who has come back.
  await publish(121, 130);
  await all((watcher) => watcher.untilNumber(130));

  assert.equal(await gateway.stop(), 0);
  await all((watcher) => watcher.untilOp("close"));
  await gateway.start();
  await publish(131, 140);
  await all((watcher) => watcher.untilNumber(140));

  for (const watcher of watchers) {
    assert.deepEqual(watcher.numbers, numbers(140), watcher.name);
    assert.ok(watcher.ends.length >= 3, `it was cut ${watcher.ends.length} times`);
    assert.ok(watcher.ends.includes(4503), `the drain told its code: ${watcher.ends}`);
    assert.equal(watcher.frames.find((frame) => frame.op === "close").code, "draining");
    let held = null;
    for (const { op, cursor, prev } of watcher.frames.filter((frame) => frame.cursor)) {
      if (op !== "begin" && prev) assert.equal(prev, held, "the chain holds");
      held = cursor;
    }
  }
});
