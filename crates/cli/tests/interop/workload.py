"""What a client sends on each of two connections. The same in every language: see workload.mjs.

A message is a list of its fragments, all text or all binary; most messages have one.
"""

import json


def trades(count):
    """Return distinct trades of about 150 bytes as JSON: alone they compress little, after one another well."""
    symbols = ["BTC-USD", "ETH-USD", "SOL-EUR", "DOGE-USD"]
    return [
        json.dumps(
            {
                "type": "trade",
                "id": 7_000_001 + i * 37,
                "symbol": symbols[i % len(symbols)],
                "side": "sell" if i % 3 == 0 else "buy",
                "price": f"{i * 7919 % 90_000}.{i * 31 % 100}",
                "quantity": f"0.{i * 104_729 % 1_000_000}",
                "maker": f"account-{i * 6151 % 100_000}",
                "sequence": 99_000_000 + i,
            },
            separators=(",", ":"),
        )
        for i in range(count)
    ]


def noise(length):
    """Return bytes that do not compress: the high bytes of a linear congruential generator."""
    state, result = 1, bytearray()
    for _ in range(length):
        state = (state * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
        result.append(state >> 24)
    return bytes(result)


def similar():
    """Return many messages that resemble each other."""
    return [[text] for text in trades(200)]


def mixed():
    """Return messages of every kind and size."""
    greeting = "Grüße, 世界 👋"
    text = "\n".join(trades(6))
    page = "\n".join(trades(7200))
    return [
        [""], ["Hello"], ["Hello"], ["Hello"], [greeting], [greeting],
        [text], [text], [noise(1000)], [b""], ["Hello"],
        [page], ["Hello"], [noise(1 << 20)], ["Hello"], [page.encode()], [text],
        ["Hel", "", "lo"], ["", greeting, ""], [text, greeting, text], [noise(300), text.encode()], ["Hello"],
    ]  # fmt: skip


def whole(fragments):
    """Return the whole message of these fragments."""
    return fragments[0][:0].join(fragments)


def byte_length(message):
    """Return the length of a message in bytes."""
    return len(message.encode() if isinstance(message, str) else message)
