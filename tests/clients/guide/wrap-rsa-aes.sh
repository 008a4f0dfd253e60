# Step 3 of the developer guide's procedure: encrypt the key material with RSA_AES_KEY_WRAP_SHA_256.
#
# A one-time AES key wraps the material (RFC 5649); the wrapping public key wraps the AES key; both are sent as one.
# Takes PlaintextKeyMaterial.bin and WrappingPublicKey.bin; leaves EncryptedKeyMaterial.bin.
# https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-encrypt-key-material.html

openssl rand -out aes-key.bin 32
openssl enc -id-aes256-wrap-pad \
    -K "$(od -A n -t x1 -v aes-key.bin | tr -d ' \n')" \
    -iv A65959A6 \
    -in PlaintextKeyMaterial.bin \
    -out key-material-wrapped.bin
openssl pkeyutl \
    -encrypt \
    -in aes-key.bin \
    -out aes-key-wrapped.bin \
    -inkey WrappingPublicKey.bin \
    -keyform DER \
    -pubin \
    -pkeyopt rsa_padding_mode:oaep \
    -pkeyopt rsa_oaep_md:sha256 \
    -pkeyopt rsa_mgf1_md:sha256
cat aes-key-wrapped.bin key-material-wrapped.bin >EncryptedKeyMaterial.bin
