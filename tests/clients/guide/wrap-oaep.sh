# Step 3 of the developer guide's procedure: encrypt the key material with RSAES_OAEP_SHA_256.
#
# Takes PlaintextKeyMaterial.bin and WrappingPublicKey.bin; leaves EncryptedKeyMaterial.bin.
# https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-encrypt-key-material.html

openssl pkeyutl \
    -encrypt \
    -in PlaintextKeyMaterial.bin \
    -out EncryptedKeyMaterial.bin \
    -inkey WrappingPublicKey.bin \
    -keyform DER \
    -pubin \
    -pkeyopt rsa_padding_mode:oaep \
    -pkeyopt rsa_oaep_md:sha256 \
    -pkeyopt rsa_mgf1_md:sha256
