// An HTTP peer that says exactly the bytes a test gives it, for what a real server never says on demand: a cut at
// a given byte, silence, half a frame. Tests of behaviour run against the real server instead.

import net from "node:net";

/**
 * @typedef {{method: string, path: string, headers: Record<string, string>, body: string}} Request
 * @typedef {{status?: number, headers?: Record<string, string>, body?: Buffer|string, hold?: boolean, chunk?: number}} Answer
 *   `hold` keeps the connection open after the body; `chunk` sends so many bytes at a time, each in its own segment.
 * @param {import("node:test").TestContext} t
 * @param {(request: Request, index: number) => Answer|null} script null cuts without a byte
 */
export async function peer(t, script) {
  const requests = [];
  const sockets = new Set();
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)));
    let head = Buffer.alloc(0);
    socket.on("data", async (bytes) => {
      head = Buffer.concat([head, bytes]);
      const request = parse(head);
      if (!request) return;
      head = Buffer.alloc(0);
      requests.push(request);
      const answer = script(request, requests.length - 1);
      if (!answer) return socket.destroy();
      const { status = 200, headers = {}, body = "", hold = false, chunk } = answer;
      const lines = Object.entries({ "Content-Type": "text/event-stream", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`HTTP/1.1 ${status} Scripted\r\n${lines.join("")}Connection: close\r\n\r\n`);
      const all = Buffer.from(body);
      for (let at = 0; at < all.length; at += chunk ?? all.length) {
        await new Promise((resolve) => socket.write(all.subarray(at, at + (chunk ?? all.length)), () => setImmediate(resolve)));
      }
      if (!hold) socket.end();
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

function parse(bytes) {
  const text = bytes.toString("latin1");
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [first, ...lines] = text.slice(0, end).split("\r\n");
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
  const body = bytes.subarray(end + 4);
  if (body.length < Number(headers["content-length"] ?? 0)) return null;
  const [method, path] = first.split(" ");
  return { method, path, headers, body: body.toString() };
}
