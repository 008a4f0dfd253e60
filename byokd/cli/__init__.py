"""The command line: one file per command group, and none with logic of its own.

    main ─▶ status, keys, queue, orders ─▶ reach ─▶ client ─▶ the daemon's socket
      │                   │                   └───▶ the store, read-only, when the daemon is down
      │                   └─▶ rows ─▶ listing ─▶ a table, or plain lines where nobody watches
      └───▶ run, config, localkms             documents in JSON, as the API gives them (`--json`)

`byokd --version` must start in a blink, so that no module here imports more than Typer and Rich's console at its top;
what a command needs, it imports when it runs.
"""
