// The clients that run without a browser. Each opens a watch and reports its frames to a Watcher.

import { spawn } from "node:child_process";
import path from "node:path";
import { EventSource } from "eventsource";
import WebSocket from "ws";
import { watch } from "../../portal/tidegate.js";
import { resume, Watcher } from "./watcher.mjs";

export const OPS = ["begin", "reset", "bookmark", "gap", "notice", "close"];
const ACCEPT = { sse: "text/event-stream", ndjson: "application/x-ndjson" };

const END = "\x1e"; // what curl writes behind the body, so that a cut within a line is seen

const target = (url, address, query) => {
  const target = new URL(`${url}/v1/${address}`);
  for (const [name, value] of Object.entries(query)) if (value !== null && value !== undefined) target.searchParams.set(name, value);
  return target.href;
};

/** Runs a program; `line` gets each line of its output as it comes. Resolves to its exit code. */
export function run(watcher, program, args, line) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    watcher.onStop(() => child.kill("SIGKILL"));
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      lines.forEach(line);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? signal));
  });
}

/** Reads SSE as its specification says, so that what curl prints is checked as a stream of events. */
function sseReader(event) {
  let [id, type, data] = [undefined, "message", []];
  return (line) => {
    if (line === "") {
      if (data.length > 0) event({ id, type, data: data.join("\n") });
      [id, type, data] = [undefined, "message", []];
    } else if (line.startsWith("id: ")) id = line.slice(4);
    else if (line.startsWith("event: ")) type = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
    else if (!line.startsWith(":") && !line.startsWith("retry: ")) throw new Error(`no line of ours: ${line}`);
  };
}

/** `curl -N`, started again with `after` when it ends. */
export function curl(t, url, address, { format, query = {}, coding, name = `curl ${[format, coding].filter(Boolean).join(" ")}` }) {
  const watcher = new Watcher(t, name);
  watcher.events = [];
  resume(watcher, async (cursor) => {
    let status = 0;
    const sse = sseReader((event) => {
      watcher.events.push(event);
      watcher.frame(JSON.parse(event.data));
    });
    const read = (line) => {
      const [text, end] = line.split(END);
      if (end) status = Number(end); // and `text` is half a line
      else if (format === "sse") sse(text);
      else watcher.frame(JSON.parse(text));
    };
    const args = ["-sNf", "--noproxy", "*", "-w", `${END}%{http_code}\n`, "-H", `Accept: ${ACCEPT[format]}`, ...(coding ? ["--compressed", "-H", `Accept-Encoding: ${coding}`] : []), target(url, address, { ...query, after: cursor ?? query.after })];
    const how = await run(watcher, "curl", args, read);
    return { how, final: status >= 400 && status < 500 };
  });
  return watcher;
}

/** Long-polling with curl: the cursor of each answer is the question of the next. */
export function longPoll(t, url, address, { after, name = "curl long-poll" }) {
  const watcher = new Watcher(t, name);
  watcher.cursor = after;
  resume(watcher, async () => {
    const lines = [];
    const args = ["-s", "--noproxy", "*", "-w", "\n%{http_code} %header{tidegate-cursor}\n", target(url, address, { after: watcher.cursor, wait: "10s" })];
    const code = await run(watcher, "curl", args, (line) => lines.push(line));
    const [status, cursor] = (lines.pop() ?? "").split(" ");
    if (status === "204") watcher.cursor = cursor;
    if (status === "200") {
      const { frames, cursor } = JSON.parse(lines.join("\n"));
      frames.forEach((frame) => watcher.frame(frame));
      watcher.cursor = cursor;
    }
    return { how: `${code} ${status}`, final: status.startsWith("4") };
  });
  return watcher;
}

/** npm `eventsource`: it resumes by itself. */
export function eventSource(t, url, address, { query = {}, name = "npm eventsource" } = {}) {
  const watcher = new Watcher(t, name);
  const source = new EventSource(target(url, address, query));
  watcher.onStop(() => source.close());
  const take = (event) => watcher.frame(JSON.parse(event.data));
  for (const op of OPS) source.addEventListener(op, take);
  source.onmessage = take;
  source.onerror = (event) => watcher.ended(event.code ?? "cut", source.readyState === EventSource.CLOSED);
  return watcher;
}

/** npm `ws`, opened again with `after`. */
export function ws(t, url, address, { query = {}, name = "npm ws", options = {} } = {}) {
  const watcher = new Watcher(t, name);
  resume(watcher, (cursor) => {
    const socket = new WebSocket(target(url, address, { ...query, after: cursor ?? query.after }).replace("http", "ws"), "tidegate.v1", options);
    watcher.socket = socket;
    watcher.onStop(() => socket.terminate());
    socket.on("message", (data) => watcher.frame(JSON.parse(data)));
    return new Promise((resolve) => {
      socket.on("unexpected-response", (_, answer) => resolve({ how: answer.statusCode, final: answer.statusCode < 500 }));
      socket.on("close", (code) => resolve({ how: code, final: code >= 4400 && code < 4500 }));
      socket.on("error", () => {});
    });
  });
  return watcher;
}

/** npm `ws` with a watch of each address on one socket, each resumed by its own cursor. */
export function wsMany(t, url, addresses) {
  const watchers = addresses.map((address) => new Watcher(t, `${address} on one npm ws`));
  const socketOf = new Watcher(t, "npm ws of many watches");
  resume(socketOf, () => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/_ws`, "tidegate.v1");
    socketOf.onStop(() => socket.terminate());
    const named = new Map();
    let on;
    socket.on("open", () => addresses.forEach((address, ref) => {
      const after = watchers[ref].cursor ?? undefined;
      socket.send(JSON.stringify({ do: "watch", ref, address, after, chain: true }));
    }));
    socket.on("message", (data) => {
      const frame = JSON.parse(data);
      if (frame.op === "on") on = named.get(frame.watch);
      else if (frame.op === "done") named.set(frame.watch, watchers[frame.ref]);
      else if (frame.op === "problem") watchers[frame.ref].ended(frame.code, frame.retry_ms === null);
      else on.frame(frame);
    });
    return new Promise((resolve) => {
      socket.on("close", (code) => {
        for (const watcher of watchers) watcher.ended(code);
        resolve({ how: code, final: code >= 4400 && code < 4500 });
      });
      socket.on("error", () => {});
    });
  });
  return watchers;
}

/** Python `websockets`: watch_ws.py resumes by itself. */
export function python(t, url, address, { query = {}, name = "Python websockets" } = {}) {
  return runPython(t, name, ["watch_ws.py", target(url, address, query).replace("http", "ws")]);
}

/** Python `httpx`: watch_http.py resumes by itself. */
export function pythonHttp(t, url, address, { coding, name = `Python httpx ${coding}` }) {
  return runPython(t, name, ["watch_http.py", target(url, address, {}), coding]);
}

function runPython(t, name, [script, ...args]) {
  const watcher = new Watcher(t, name);
  const here = import.meta.dirname;
  const line = (text) => {
    const said = JSON.parse(text);
    if (said.op) watcher.frame(said);
    else watcher.ended(said.ended, said.final);
  };
  run(watcher, path.join(here, ".venv/bin/python"), [path.join(here, script), ...args], line);
  return watcher;
}

/** /tidegate.js in node: it resumes by itself. `watcher.watch` is what it returned. */
export function tidegate(t, url, address, { format = "sse", query = {}, name = `tidegate.js ${format} in node` } = {}) {
  const watcher = new Watcher(t, name);
  watcher.watch = watch(address, {
    url,
    format,
    ...query,
    onFrame: (frame) => watcher.frame(frame),
    onStatus: ({ state, error }) => state !== "connecting" && state !== "open" && watcher.ended(error?.status || state, state === "closed"),
  });
  watcher.onStop(() => watcher.watch.close());
  return watcher;
}
