// Debian's nginx as it is installed, but for a place of its own: one `listen` and one `proxy_pass`, nothing tuned.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

/** Starts one before `upstream`, with what `more` says beside it; resolves to its URL. */
export async function nginx(t, upstream, more = "") {
  const folder = await mkdtemp(path.join(tmpdir(), "tidegate-nginx-"));
  await chmod(folder, 0o755); // its workers are another user
  const port = await freePort();
  const site = `server { listen 127.0.0.1:${port}; location / { proxy_pass ${upstream}; ${more} } }`;
  const debian = await readFile("/etc/nginx/nginx.conf", "utf8");
  const conf = debian
    .replace("/run/nginx.pid", `${folder}/nginx.pid`)
    .replaceAll("/var/log/nginx", folder)
    .replace("include /etc/nginx/conf.d/*.conf;", "")
    .replace("include /etc/nginx/sites-enabled/*;", site);
  assert.ok(conf.includes(site), "Debian's nginx.conf includes its sites");
  await writeFile(path.join(folder, "nginx.conf"), conf);
  const child = spawn("/usr/sbin/nginx", ["-c", path.join(folder, "nginx.conf"), "-g", "daemon off;"], { stdio: ["ignore", "inherit", "inherit"] });
  t.after(async () => {
    if (child.exitCode === null && child.kill("SIGTERM")) await once(child, "exit");
    await rm(folder, { recursive: true, force: true });
  });
  await untilListening(port, child);
  return `http://127.0.0.1:${port}`;
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
