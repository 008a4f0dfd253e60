# Step 4 of the developer guide's procedure: import the key material. Anything else is for the caller to add.
#
# Takes KEY_ID, ImportToken.bin, EncryptedKeyMaterial.bin and the words that say when it expires.
# https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-import-key-material.html

aws kms import-key-material --key-id "$KEY_ID" \
    --encrypted-key-material fileb://EncryptedKeyMaterial.bin \
    --import-token fileb://ImportToken.bin \
    "$@"
