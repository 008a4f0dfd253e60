"""The configuration: one TOML file, `conf.d/*.toml` beside it, and key lists in CSV.

    files ─▶ read (merge, lines) ─▶ check (schema) ─▶ lanes, roster (what only shows across settings) ─▶ Config
                    └──────────────────────┴──────────────── problems ────────────┘

The whole is checked before any of it counts: `load` either returns a `Config` in which every bound holds, or raises one
`ConfigError` with every problem found, each with file, line, place and way out. A bad setting is set aside, so that it
hides no other. Nothing here asks AWS, reads material or looks at the environment: the same files give the same Config
everywhere.
"""
