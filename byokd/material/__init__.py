"""Key material in byokd's own hands: held, decoded, recognised, wrapped, wiped.

Nothing in this room logs, and nothing that it raises quotes what it was given. Material enters as a `Secret` and leaves
as a fingerprint or as ciphertext under KMS's public key.
"""
