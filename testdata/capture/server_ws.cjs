// A server by the npm package `ws`. usage: node server_ws.cjs PORT
const { WebSocketServer } = require('ws');

new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  perMessageDeflate: true,
  handleProtocols: (offered) => (offered.has('chat') ? 'chat' : false),
  verifyClient: ({ req, origin }, answer) => {
    if (req.url === '/denied') {
      answer(false, 401, 'Unauthorized', { 'WWW-Authenticate': 'Basic realm="chat"' });
    } else if (origin !== 'http://example.com') {
      answer(false, 403, 'Forbidden');
    } else {
      answer(true);
    }
  },
}).on('listening', () => console.log('ready'));
