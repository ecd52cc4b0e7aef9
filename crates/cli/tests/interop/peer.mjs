// The peer over Node's `ws`:
//
//     node peer.mjs client OPTIONS URL    sends the workload, checks the echoes, and prints their lengths or an error
//     node peer.mjs server OPTIONS        prints its URL, and echoes until its stdin ends
//
// OPTIONS is JSON: the parameters of permessage-deflate by their names in RFC 7692.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import https from "node:https";
import { WebSocket, WebSocketServer } from "ws";
import { byteLength, check, mixed, similar, whole } from "./workload.mjs";

/** The longest time that the client takes, in seconds. */
const LIMIT = 60;

function settings(json) {
  const options = JSON.parse(json);
  return {
    // By default `ws` does not compress messages below 1 KiB.
    threshold: 0,
    serverNoContextTakeover: options.server_no_context_takeover,
    clientNoContextTakeover: options.client_no_context_takeover,
    serverMaxWindowBits: options.server_max_window_bits,
    clientMaxWindowBits: options.client_max_window_bits,
  };
}

function send(ws, fragments, binary) {
  fragments.forEach((fragment, i) => ws.send(fragment, { binary, fin: i === fragments.length - 1 }));
}

/** Sends all messages at once, and checks the echoes. Returns the number of bytes of the messages. */
function exchange(url, perMessageDeflate, workload) {
  return new Promise((resolve, reject) => {
    const messages = workload.map(whole);
    const ws = new WebSocket(url, { perMessageDeflate });
    let echoes = 0;
    ws.on("error", reject);
    ws.on("open", () => {
      if (ws.extensions !== "permessage-deflate") reject(new Error(`agreed to ${JSON.stringify(ws.extensions)}`));
      workload.forEach((fragments) => send(ws, fragments, typeof fragments[0] !== "string"));
    });
    ws.on("message", (data, isBinary) => {
      try {
        check(isBinary ? new Uint8Array(data) : data.toString(), messages[echoes], echoes + 1);
      } catch (error) {
        reject(error);
        ws.terminate();
      }
      echoes += 1;
      if (echoes === messages.length) ws.close(1000);
    });
    ws.on("close", (code) => {
      if (code !== 1000 || echoes !== messages.length) {
        reject(new Error(`closed with code ${code} after ${echoes} of ${messages.length} echoes`));
      }
      resolve(messages.reduce((sum, message) => sum + byteLength(message), 0));
    });
  });
}

async function client(options, url) {
  const timeout = setTimeout(() => {
    console.log(`not done in ${LIMIT} s`);
    process.exit(1);
  }, LIMIT * 1000);
  try {
    const bytes = [];
    for (const workload of [similar, mixed()]) bytes.push(await exchange(url, settings(options), workload));
    console.log(JSON.stringify(bytes));
  } catch (error) {
    console.log(`${error}`);
  }
  clearTimeout(timeout);
}

function server(options) {
  // With a certificate in the environment, over TLS.
  const { TLS_CERTIFICATE: cert, TLS_KEY: key } = process.env;
  const http = cert ? https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }) : createServer();
  const wss = new WebSocketServer({ server: http, perMessageDeflate: settings(options) });
  http.listen(0, "127.0.0.1", () => console.log(`${cert ? "wss" : "ws"}://127.0.0.1:${http.address().port}/`));
  wss.on("connection", (ws) => {
    let count = 0;
    ws.on("error", (error) => console.error(`${error}`));
    ws.on("message", (data, isBinary) => {
      // Every third echo has two fragments, which may split a code point.
      const middle = Math.floor(data.length / 2);
      count += 1;
      send(ws, count % 3 === 0 ? [data.subarray(0, middle), data.subarray(middle)] : [data], isBinary);
    });
  });
  process.stdin.resume().on("end", () => process.exit());
}

const [role, options, url] = process.argv.slice(2);
await (role === "client" ? client(options, url) : server(options));
