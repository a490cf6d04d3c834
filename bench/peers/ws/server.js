// The broadcast of the library's own README, with a set of clients per name.
'use strict';

const http = require('node:http');
const { WebSocketServer, WebSocket } = require('ws');

const channels = new Map();

const server = http.createServer((request, response) => {
  const body = [];
  request.on('data', (piece) => body.push(piece));
  request.on('end', () => {
    const event = Buffer.concat(body);
    for (const client of channels.get(request.url) ?? []) {
      if (client.readyState === WebSocket.OPEN) client.send(event, { binary: false });
    }
    response.end();
  });
});

new WebSocketServer({ server }).on('connection', (client, request) => {
  const clients = channels.get(request.url) ?? new Set();
  channels.set(request.url, clients.add(client));
  client.on('error', console.error);
  client.on('close', () => clients.delete(client));
});

server.listen(Number(process.argv[2]), '127.0.0.1', 4096);
