// Opening handshakes by the npm package `ws`. usage: node client_ws.cjs ws://127.0.0.1:PORT
const WebSocket = require('ws');

const base = process.argv[2];
const cases = [
  ['default'],
  ['subprotocols', ['chat', 'superchat']],
  ['no-deflate', [], { perMessageDeflate: false }],
];

async function main() {
  for (const [what, protocols, options] of cases) {
    const socket = new WebSocket(`${base}/chat?${what}`, protocols, options);
    await new Promise((done, failed) => socket.on('close', done).on('error', failed));
  }
}
main();
