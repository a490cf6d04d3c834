// Debian's nginx as it is installed, but for a place of its own: one `listen` and one `proxy_pass`, nothing tuned unless
// a test wants it worse, or as the cache of docs/nginx-cache.conf.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

/** What buffers a stream whatever its server says. */
export const BUFFERING = "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;";

/** Starts one before `upstream`, with `more` in its configuration; resolves to its URL. */
export async function nginx(t, upstream, more = "") {
  const port = await freePort();
  await serve(t, port, () => `server { listen 127.0.0.1:${port}; location / { proxy_pass ${upstream}; ${more} } }`);
  return `http://127.0.0.1:${port}`;
}

/** One that caches before `upstream`, as docs/nginx-cache.conf says, for so many clients at once. */
export async function cache(t, upstream, clients) {
  const [port, statusPort] = [await freePort(), await freePort()];
  const documented = await readFile(path.join(import.meta.dirname, "../../docs/nginx-cache.conf"), "utf8");
  const status = `server { listen 127.0.0.1:${statusPort}; location / { stub_status; } }`;
  const place = (folder) => [
    ["listen 80;", `listen 127.0.0.1:${port};`],
    ["server 127.0.0.1:8080;", `server ${new URL(upstream).host};`],
    ["/var/cache/nginx/tidegate", `${folder}/cache`],
  ];
  await serve(t, port, (folder) => replaced(documented, place(folder)) + status, [["worker_connections 768;", `worker_connections ${2 * clients + 100};`]]);
  return {
    url: `http://127.0.0.1:${port}`,
    /** How many requests it has not answered yet. */
    async underWay() {
      const text = await (await fetch(`http://127.0.0.1:${statusPort}/`)).text();
      return Number(/Writing: (\d+)/.exec(text)[1]) - 1; // but for this one
    },
  };
}

/** Debian's configuration with `site(folder)` as its only site; stopped after the test. */
async function serve(t, port, site, changes = []) {
  const folder = await mkdtemp(path.join(tmpdir(), "tidegate-nginx-"));
  await chmod(folder, 0o755); // its workers are another user
  const debian = (await readFile("/etc/nginx/nginx.conf", "utf8")).replaceAll("/var/log/nginx", folder);
  const conf = replaced(debian, [
    ["/run/nginx.pid", `${folder}/nginx.pid`],
    ["include /etc/nginx/conf.d/*.conf;", ""],
    ["include /etc/nginx/sites-enabled/*;", site(folder)],
    ...changes,
  ]);
  await writeFile(path.join(folder, "nginx.conf"), conf);
  const child = spawn("/usr/sbin/nginx", ["-c", path.join(folder, "nginx.conf"), "-g", "daemon off;"], { stdio: ["ignore", "inherit", "inherit"] });
  t.after(async () => {
    if (child.exitCode === null && child.kill("SIGTERM")) await once(child, "exit");
    await rm(folder, { recursive: true, force: true });
  });
  await untilListening(port, child);
}

function replaced(text, pairs) {
  return pairs.reduce((text, [from, to]) => {
    assert.ok(text.includes(from), `there is ${from}`);
    return text.replace(from, () => to);
  }, text);
}

async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** nginx does not say when it listens. */
async function untilListening(port, child) {
  while (child.exitCode === null) {
    const socket = net.connect(port, "127.0.0.1");
    const up = await new Promise((resolve) => socket.on("connect", () => resolve(true)).on("error", () => resolve(false)));
    socket.destroy();
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("nginx ended");
}
