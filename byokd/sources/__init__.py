"""Where material comes from: one file per kind of source, each an implementation of `ports.Source`.

A source is asked for a proof or for a sealed package and never hands out bytes. Sources that do see bytes (`file`,
`command`) say only how to fill a buffer; `plaintext` is the one place where that buffer is turned into a fingerprint
and ciphertext, and wiped. The engine knows the port alone and imports nothing from here.
"""
