// Opening handshakes by Node's own WebSocket (undici's). usage: node --experimental-websocket client_node.cjs ws://127.0.0.1:PORT
const base = process.argv[2];

async function main() {
  for (const [what, protocols] of [['default', []], ['subprotocols', ['chat', 'superchat']]]) {
    const socket = new WebSocket(`${base}/chat?${what}`, protocols);
    await new Promise((done) => (socket.onclose = done));
  }
}
main();
