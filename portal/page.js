// The live page: `/`, and the HTML answer of every address.
//
// It is a watcher like any other: `watch` of /tidegate.js keeps the replica, view.js shows it, this file puts the
// page around it: channels, state, counters, what to type in a terminal, and the form to publish.

import { publish, watch } from "/tidegate.js";
import { FilterBox } from "/_assets/filter.js";
import { clip, clock, Events, FrameLog, make, Rate, readable, Tables } from "/_assets/view.js";

const PAINT_MS = 150; // between two paints; a busy channel must not cost the whole browser
const NEWEST = 100; // events read before the stream begins
const PLACES = ["after", "from", "key", "snapshot"]; // a watch with one of these does not just begin now
const OPTIONS = ["after", "from", "key", "mode", "rate"];

const $ = (id) => document.getElementById(id);

start();

async function start() {
  const wanted = location.pathname.startsWith("/v1/") ? location.pathname.slice(4) : "";
  const list = await readList();
  const { channels } = list;
  const channel = wanted ? channels.find(({ pattern }) => fits(pattern, wanted)) : channels[0];
  const address = wanted || channel?.pattern || "";
  showChannels(channels, channel);
  $("go").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("go-address").value.trim().replace(/^\/?(v1\/)?/, "");
    if (text) location.href = `/v1/${text}`;
  });
  if (!address) return refuse({ title: "There is no channel to watch", detail: "The config lists none that you may read." });
  $("address").textContent = readable(address);
  $("go-address").value = address;
  document.title = `${readable(address)} · Tidegate`;
  $("about").textContent = channel ? about(channel) : "";
  follow(address, channel, await offerProof(list, address));
}

/** What the server has to show, if it offers an action. */
async function offerProof(list, address) {
  if (!list.actions) return null;
  const { Proof } = await import("/_assets/proof.js");
  return new Proof($("proof"), list, address, readList);
}

/** The channels that may be watched, and the server's actions. */
async function readList() {
  for (;;) {
    const answer = await fetch("/v1/", { headers: { Accept: "application/json" } }).catch(() => null);
    if (answer?.ok) return answer.json();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

function fits(pattern, address) {
  const [own, other] = [pattern.split("/"), address.split("/")];
  return own.length === other.length && own.every((part, at) => part === "*" || part === other[at]);
}

function about({ title, kind, source, publish }) {
  const from = source ? `from source ${source}` : publish ? "open to publish" : "published by applications";
  return [title, kind === "keyed" ? "keyed: the last value of each key" : "plain: one event after another", from].filter(Boolean).join(" · ");
}

function showChannels(channels, current) {
  for (const channel of channels) {
    const link = make("a", "", make("b", "", channel.channel), make("code", "", channel.address), make("small", "muted", channel.title ?? ""));
    link.href = `/v1/${channel.pattern}`;
    if (channel === current) link.setAttribute("aria-current", "page");
    const tags = [channel.kind, channel.source && `source ${channel.source}`, channel.publish && "publish", channel.loading && "loading"].filter(Boolean);
    link.append(make("div", "tags", ...tags.map((tag) => make("span", "tag", tag))));
    if (channel.loading) link.querySelector(".tag:last-child").dataset.loading = "";
    $("channels").append(make("li", "", link));
  }
}

/** Watches the address and shows what comes, until the page is left; another view of it is another watch. */
function follow(address, channel, proof) {
  const query = new URLSearchParams(location.search);
  const given = Object.fromEntries(OPTIONS.filter((name) => query.has(name)).map((name) => [name, query.get(name)]));
  if (query.get("snapshot") === "false") given.snapshot = false;
  const keyed = channel?.kind === "keyed" && given.from === undefined && given.snapshot !== false;
  const wild = address.split("/").includes("*");
  const frames = new FrameLog($("frames"), $("pause"));
  const rate = new Rate();
  const line = proof?.line(address, "SSE");
  let [shown, asked] = [null, null]; // a watch that was asked for is shown once its server has accepted it

  const box = new FilterBox($("view"), () => begin(box.view));
  const showCurl = offerCurl(address, channel, () => ({ view: shown?.view ?? box.view, cursor: shown?.watching.cursor }));
  const paint = throttled(() => {
    showCurl();
    frames.paint();
    if (!shown) return;
    shown.live.paint(shown.watching);
    showFacts(shown);
  });

  async function begin(view) {
    asked?.watching?.close();
    const own = (asked = { view, cuts: 0, live: keyed ? new Tables($("tables"), wild) : new Events($("events"), wild) });
    const options = { ...given, ...view };
    // A plain stream begins now; the newest events are read first, and the stream goes on from their cursor.
    if (!keyed && PLACES.every((name) => !(name in given))) {
      const newest = await readNewest(address, view);
      if (own !== asked) return;
      own.live.add(newest?.frames ?? []);
      options.after = newest?.cursor;
    }
    own.watching = watch(address, {
      ...options,
      url: location.origin,
      onFrame: (frame, watching) => {
        rate.count();
        frames.add(frame);
        if (frame.op === "begin") box.began(frame, view);
        showNotice(frame);
        proof?.frame(line, frame, watching);
        paint();
      },
      onChange: (changes) => {
        own.live.add(changes);
        if (!view.filter) line?.changes(changes); // a filter leaves numbers out
        paint();
      },
      onStatus: (status, watching) => {
        const { state, error } = status;
        if (state === "waiting") own.cuts++;
        if (own === asked && state === "open") show(own, watching);
        if (own !== asked && own !== shown) return;
        const mistake = own === asked && error?.problem?.status === 400 && Object.keys(view).length > 0;
        if (mistake) box.refused(error.problem, view, shown !== null);
        else if (state === "closed" && error) refuse({ title: error.message, ...error.problem, detail: error.problem?.detail ?? error.problem?.message });
        if (own === asked && shown) return;
        proof?.status(line, status);
        showStatus(status);
        paint();
      },
    });
  }

  function show(own, watching) {
    shown?.watching.close();
    if (shown) line?.again();
    [shown, asked] = [Object.assign(own, { watching }), null];
    for (const id of ["tables", "events"]) $(id).replaceChildren();
    $("refusal").hidden = $("events").hidden = true;
    box.clear();
    showCurl(true);
    window.tidegate = watching; // for the console
  }

  begin(box.view);
  if (channel?.publish) offerPublish(address, channel);
  $("cursor-copy").addEventListener("click", (event) => copy(event.target, shown.watching.cursor));
  addEventListener("pagehide", () => [shown, asked].forEach((own) => own?.watching?.close()));
  addEventListener("pageshow", ({ persisted }) => persisted && location.reload()); // back from the browser's cache
}

async function readNewest(address, view) {
  const answer = await fetch(`/v1/${address}?${new URLSearchParams({ ...view, limit: NEWEST })}`, { headers: { Accept: "application/json" } }).catch(() => null);
  return answer?.ok ? answer.json() : null; // a refusal is told by the watch
}

function showStatus({ state, transport, error, retry_ms }) {
  const words = { connecting: "connecting", open: transport === "poll" ? "polling" : "live", waiting: `back in ${((retry_ms ?? 0) / 1000).toFixed(1)} s`, closed: "ended" };
  $("state").textContent = words[state];
  $("state").dataset.state = state;
  $("state").title = error?.message ?? (transport === "poll" ? "Something between this page and the server holds streams back, so it asks by long-poll." : "");
}

/** What the server says beside the data. That a channel is loading ends with its first state, the rest stays to be read. */
function showNotice({ op, code, message, time }) {
  const [loading, whole] = [$("notice").dataset.code === "loading", op === "reset" || op === "append" || op === "bookmark"];
  if (op === "notice") {
    $("notice").hidden = false;
    $("notice").dataset.code = code;
    $("notice").replaceChildren(make("b", "", [code, clock(time)].filter(Boolean).join(" · ")), clip(message ?? ""));
    if (code === "loading") $("state").textContent = $("state").dataset.state = "loading";
  } else if (loading && whole) {
    $("notice").hidden = true;
    $("notice").dataset.code = "";
    [$("state").textContent, $("state").dataset.state] = ["live", "open"];
    for (const tag of document.querySelectorAll(".channels [aria-current] .tag[data-loading]")) tag.remove();
  }
}

function refuse({ title, detail, hint }) {
  $("refusal").hidden = false;
  $("refusal-title").textContent = title ?? "";
  $("refusal-detail").textContent = detail ?? "";
  $("refusal-hint").textContent = hint ?? "";
}

function showFacts({ watching, cuts, live }) {
  for (const name of ["lost", "doubled", "gaps"]) {
    $(name).textContent = watching[name];
    $(name).toggleAttribute("data-bad", watching[name] > 0);
  }
  $("cuts").textContent = cuts;
  $("cursor").textContent = watching.cursor ?? "none yet";
  $("cursor-copy").hidden = !watching.cursor;
  $("count").textContent = live.summary(watching);
  $("empty").hidden = live.size > 0;
}

/** Runs `work` soon, and not more often than every {@link PAINT_MS}. */
function throttled(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => requestAnimationFrame(() => ((waiting = false), work())), PAINT_MS);
  };
}

/** Lines to type; `now` tells the view that is shown, and its cursor. */
function offerCurl(address, channel, now) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const at = (more) => quoted(`${location.origin}/v1/${address}?${new URLSearchParams({ ...now().view, ...more })}`.replace(/\?$/, ""));
  const lines = [
    ["Watch, as SSE", () => `curl -N -H 'Accept: text/event-stream' ${at()}`],
    ["Watch, as NDJSON", () => `curl -N -H 'Accept: application/x-ndjson' ${at()}`],
    ["Read once", () => `curl ${at()}`],
    ["Long-poll", () => `curl ${at({ after: now().cursor ?? "CURSOR", wait: "30s" })}`],
  ];
  if (channel?.publish) {
    const put = channel.kind === "keyed";
    const target = quoted(`${location.origin}/v1/${concrete(address, channel)}${put ? "?key=1" : ""}`);
    lines.push(["Publish", () => `curl ${put ? "-X PUT " : ""}-H 'Content-Type: application/json' -d '{"text":"hello"}' ${target}`]);
  }
  const shown = lines.map(([label, text]) => {
    const [code, button] = [make("code", "", text()), make("button", "copy", "Copy")];
    button.type = "button";
    button.addEventListener("click", () => copy(button, (code.textContent = text())));
    $("curls").append(make("li", "", make("span", "muted", label), code, button));
    return () => (code.textContent = text());
  });
  // Once there is a cursor to show; later ones only when copied, so that a line can be selected, or of another view.
  let told = false;
  return (anew = false) => {
    if (!anew && (told || !now().cursor)) return;
    told = Boolean(now().cursor);
    shown.forEach((show) => show());
  };
}

/** An address to write to; a pattern is none. */
const concrete = (address, channel) => (address.includes("*") ? channel.address.replace(/\{(\w+)\}/g, "$1") : address);

async function copy(button, text) {
  // Outside of https and localhost a page has no clipboard.
  const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  const before = button.textContent;
  button.textContent = done ? "Copied" : "Select it by hand";
  setTimeout(() => (button.textContent = before), 1_500);
}

function offerPublish(address, channel) {
  const form = $("publish");
  $("publish-section").hidden = false;
  $("key-label").hidden = channel.kind !== "keyed";
  form.address.value = concrete(address, channel);
  if (channel.kind === "keyed") form.key.value = "1";
  form.data.value = '{"text": "hello"}';
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const began = performance.now();
    let [text, bad] = ["…", false];
    $("published").textContent = text;
    try {
      const { cursor } = await publish(form.address.value.trim(), JSON.parse(form.data.value), { url: location.origin, key: form.key.value || undefined });
      text = `durable after ${Math.round(performance.now() - began)} ms, at ${cursor}`;
    } catch (error) {
      [text, bad] = [[error.problem?.title ?? "Not published", error.message, error.problem?.hint].filter(Boolean).join(" · "), true];
    }
    $("published").textContent = text;
    $("published").toggleAttribute("data-bad", bad);
  });
}
