// What a client sends on each of two connections. The same in every language: workload.mjs, workload.py, and
// crates/xtask/src/interop/workload.rs.
//
// A message is an array of its fragments, all text or all binary; most messages have one.

const encoder = new TextEncoder();

/** Returns `count` distinct trades of about 150 bytes as JSON: alone they compress little, after one another well. */
function trades(count) {
  const symbols = ["BTC-USD", "ETH-USD", "SOL-EUR", "DOGE-USD"];
  return Array.from({ length: count }, (_, i) => JSON.stringify({
    type: "trade",
    id: 7_000_001 + i * 37,
    symbol: symbols[i % symbols.length],
    side: i % 3 === 0 ? "sell" : "buy",
    price: `${(i * 7919) % 90_000}.${(i * 31) % 100}`,
    quantity: `0.${(i * 104_729) % 1_000_000}`,
    maker: `account-${(i * 6151) % 100_000}`,
    sequence: 99_000_000 + i,
  }));
}

/** Returns bytes that do not compress: the high bytes of a linear congruential generator. */
function noise(length) {
  const bytes = new Uint8Array(length);
  for (let i = 0, state = 1; i < length; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** Many messages that resemble each other. */
export const similar = trades(200).map((text) => [text]);

/** Messages of every kind and size. */
export function mixed() {
  const greeting = "Grüße, 世界 👋";
  const json = trades(6).join("\n");
  const page = trades(7200).join("\n");
  return [
    [""], ["Hello"], ["Hello"], ["Hello"], [greeting], [greeting],
    [json], [json], [noise(1000)], [new Uint8Array()], ["Hello"],
    [page], ["Hello"], [noise(1 << 20)], ["Hello"], [encoder.encode(page)], [json],
    ["Hel", "", "lo"], ["", greeting, ""], [json, greeting, json], [noise(300), encoder.encode(json)], ["Hello"],
  ];
}

/** Returns the whole message of these fragments: a string or a `Uint8Array`. */
export function whole(fragments) {
  if (fragments.length === 1 || typeof fragments[0] === "string") {
    return fragments.reduce((text, fragment) => text + fragment);
  }
  const bytes = new Uint8Array(fragments.reduce((length, fragment) => length + fragment.length, 0));
  let end = 0;
  for (const fragment of fragments) {
    bytes.set(fragment, end);
    end += fragment.length;
  }
  return bytes;
}

/** Returns the length of a message in bytes. */
export function byteLength(message) {
  return typeof message === "string" ? encoder.encode(message).length : message.length;
}

/** Compares an echo, a string or a `Uint8Array`, with the message that was sent. */
export function check(echo, message, number) {
  const isSame = typeof message === "string"
    ? echo === message
    : typeof echo !== "string" && echo.length === message.length && echo.every((byte, i) => byte === message[i]);
  if (!isSame) {
    throw new Error(`the echo of message ${number} differs: ${typeof echo} of length ${echo.length}, ` +
      `sent ${typeof message} of length ${message.length}`);
  }
}
