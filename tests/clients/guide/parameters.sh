# Step 2 of the developer guide's procedure: download the wrapping public key and the import token.
#
# Takes KEY_ID, WRAPPING_ALGORITHM and WRAPPING_KEY_SPEC; leaves WrappingPublicKey.bin and ImportToken.bin.
# https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-get-public-key-and-token.html

aws kms get-parameters-for-import --key-id "$KEY_ID" \
    --wrapping-algorithm "$WRAPPING_ALGORITHM" --wrapping-key-spec "$WRAPPING_KEY_SPEC" \
    --query '[PublicKey, ImportToken]' --output text >parameters.txt
cut -f 1 parameters.txt >PublicKey.b64
cut -f 2 parameters.txt >ImportToken.b64
openssl enc -d -base64 -A -in PublicKey.b64 -out WrappingPublicKey.bin
openssl enc -d -base64 -A -in ImportToken.b64 -out ImportToken.bin
