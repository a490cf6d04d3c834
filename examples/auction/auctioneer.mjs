// The auctioneer: opens the lots, judges bids in their order, closes lots at their time. The only one who writes lots.
//
// It keeps nothing. Each lot is written on the condition that it still is what was read, so a second auctioneer, or this
// one after a `kill -9`, does no harm: whoever comes second reads again. Bids are judged from the first one on at every
// start; one that was judged before is no longer higher than the price. That a lot closes is an event among its bids, so
// that what came before it is judged before it.

const SERVER = process.env.SERVER ?? "http://127.0.0.1:8080";
const MINUTES = Number(process.env.MINUTES ?? 5);
const HALL = "lots/main";
const LOTS = { vase: ["A vase, about 1900", 100], clock: ["A clock that goes", 250], map: ["A map of nowhere", 40] };

const source = await (await fetch(`${SERVER}/tidegate.js`)).text();
const { publish, watch } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const closes = new Date(Date.now() + MINUTES * 60_000).toISOString();
for (const [lot, [title, price]] of Object.entries(LOTS)) {
  // Only if it is not there: of an auction that goes on, nothing is opened again.
  const fresh = { lot, title, price, bidder: null, bids: 0, closes, closed: false };
  await publish(HALL, fresh, { url: SERVER, key: lot, create: true }).catch(unlessOthersWere);
}

// One bid after the other, in the order of the log.
let judged = Promise.resolve();
watch("bids/*", {
  url: SERVER,
  from: "start",
  onChange: (bids) => (judged = bids.reduce((before, bid) => before.then(() => judge(bid)), judged).catch(giveUp)),
});

const clocks = new Map();
watch(HALL, {
  url: SERVER,
  onChange: (_, { rows }) => {
    if (clocks.size === 0) console.log(`${rows.size} lots are open`);
    for (const { key, data } of rows.values()) if (!clocks.has(key)) clocks.set(key, setTimeout(() => close(key), Date.parse(data.closes) - Date.now()));
  },
});

const close = (lot) => publish(`bids/${lot}`, { closing: true }, { url: SERVER, idempotencyKey: `closing-${lot}` }).catch(giveUp);

/** A bid counts by the time at which it came, however late it is judged. */
async function judge({ address, time, data }) {
  const lot = decodeURIComponent(address.split("/")[1]);
  const { amount, bidder, closing } = data ?? {};
  const changed = await change(lot, ({ price, bids, closes, closed }) => {
    if (closed) return null;
    if (closing === true) return time >= closes && { closed: true };
    const higher = Number.isFinite(amount) && amount > price && typeof bidder === "string" && time < closes;
    return higher && { price: amount, bidder, bids: bids + 1 };
  });
  if (changed) console.log(changed.closed ? `${lot} is closed` : `${bidder} bids ${amount} for the ${lot}`);
}

/** Writes what `next` makes of a lot; resolves to that, or to nothing where there is nothing to write. */
async function change(lot, next) {
  for (;;) {
    // While the server is away it is asked again; the watches and `publish` do that by themselves.
    const answer = await fetch(`${SERVER}/v1/${HALL}?key=${encodeURIComponent(lot)}`).catch(() => null);
    if (answer?.status === 404) return null;
    if (!answer?.ok) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      continue;
    }
    const [held, ifMatch] = [await answer.json(), answer.headers.get("etag")];
    const changed = next(held);
    if (!changed) return null;
    const written = await publish(HALL, { ...held, ...changed }, { url: SERVER, key: lot, ifMatch }).catch(unlessOthersWere);
    if (written) return changed;
  }
}

function unlessOthersWere(error) {
  if (error.problem?.code !== "precondition-failed") throw error;
}

function giveUp(error) {
  console.error(error);
  process.exit(1);
}
