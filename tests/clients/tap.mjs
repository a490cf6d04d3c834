// A wire tap between a client and the server: passes all bytes on, and tells of each WebSocket what was agreed and how
// its frames came. Clients do not show whether a message was compressed; the bytes do.

import { once } from "node:events";
import net from "node:net";

const HEAD_END = "\r\n\r\n";
/** RSV1 and a text opcode: a compressed message (RFC 7692). */
const isDeflated = (first) => (first & 0x4f) === 0x41;

/**
 * Starts one before `upstream`. `url` is where clients connect; `sockets` has one entry for each WebSocket:
 * `agreed` the answer's extensions, `server` and `client` the texts that each sent: how many, how many of them
 * deflated, and their bytes on the wire.
 */
export async function tap(t, upstream) {
  const { hostname, port } = new URL(upstream);
  const sockets = [];
  const open = new Set();
  const listener = net.createServer({ noDelay: true }, (client) => {
    const server = net.connect(Number(port), hostname).setNoDelay();
    const seen = { agreed: null, server: counts(), client: counts() };
    watch(client, (head) => /^upgrade: *websocket/im.test(head), () => seen.client);
    watch(server, (head) => {
      if (!head.startsWith("HTTP/1.1 101")) return false;
      seen.agreed = /^sec-websocket-extensions: *(.*)$/im.exec(head)?.[1].trim() ?? "";
      sockets.push(seen);
      return true;
    }, () => seen.server);
    for (const [from, to] of [[client, server], [server, client]]) {
      open.add(from);
      from.on("data", (bytes) => to.write(bytes)).on("end", () => to.end()).on("error", () => to.destroy());
      from.on("close", () => (open.delete(from), to.destroySoon()));
    }
  });
  await once(listener.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    for (const socket of open) socket.destroy();
    listener.close();
  });
  return { url: `http://127.0.0.1:${listener.address().port}`, sockets };
}

const counts = () => ({ texts: 0, deflated: 0, bytes: 0 });

/** Reads one direction: a head, and behind one that `begins` a WebSocket its frames. */
function watch(socket, begins, into) {
  let rest = Buffer.alloc(0);
  let frames = null; // not known yet
  socket.on("data", (bytes) => {
    if (frames === false) return;
    rest = Buffer.concat([rest, bytes]);
    if (frames === null) {
      const end = rest.indexOf(HEAD_END);
      if (end < 0) return;
      frames = begins(rest.subarray(0, end).toString("latin1"));
      rest = rest.subarray(end + HEAD_END.length);
    }
    while (frames && rest.length >= 2) {
      const length = frameLength(rest);
      if (length === null || rest.length < length) return;
      const opcode = rest[0] & 0x0f;
      if (opcode === 1) {
        into().texts += 1;
        into().deflated += isDeflated(rest[0]) ? 1 : 0;
        into().bytes += length;
      }
      rest = rest.subarray(length);
    }
  });
}

/** Bytes of the frame that begins here, header and all; null if its header is not whole. */
function frameLength(bytes) {
  const [short, mask] = [bytes[1] & 0x7f, bytes[1] & 0x80 ? 4 : 0];
  if (short < 126) return 2 + mask + short;
  if (short === 126) return bytes.length < 4 ? null : 4 + mask + bytes.readUInt16BE(2);
  return bytes.length < 10 ? null : 10 + mask + Number(bytes.readBigUInt64BE(2));
}
