"""The API on the daemon's Unix socket: reads the store, writes orders, wakes the engine.

    socket ─▶ app ─▶ answers ─▶ store            a question: facts from the store, as a document
               │        └─────▶ documents        (the command line asks `answers` itself when the daemon is down)
               └───▶ orders ──▶ store ─▶ wake    an order: a row, a line of history, a nudge

Nothing here decides anything about a key or calls KMS, and no key material ever passes. Importing `answers`,
`documents` or `orders` does not load aiohttp: the command line starts fast.
"""
