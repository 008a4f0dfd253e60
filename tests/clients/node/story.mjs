// AWS's JavaScript client with nothing added: import, use, expiry, reimport and rotation of one key.
//
// Endpoint, Region and credentials come from the environment, as for AWS. Whenever time has to pass, a line on standard
// output says for which key, and a line on standard input says that it has. Every claim is an assert; the last line is "done".

import assert from "node:assert/strict";
import { constants, createPublicKey, publicEncrypt, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";

import {
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GetParametersForImportCommand,
  ImportKeyMaterialCommand,
  KMSClient,
  KMSInvalidStateException,
  ListKeyRotationsCommand,
  RotateKeyOnDemandCommand,
} from "@aws-sdk/client-kms";

const client = new KMSClient({});
const lines = createInterface({ input: process.stdin });

const timePassed = async (KeyId) => {
  console.log(`time has to pass for ${KeyId}`);
  await once(lines, "line");
};

const importMaterial = async (KeyId, material, terms, WrappingKeySpec = "RSA_4096") => {
  const { PublicKey, ImportToken } = await client.send(
    new GetParametersForImportCommand({ KeyId, WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec }),
  );
  const key = createPublicKey({ key: Buffer.from(PublicKey), format: "der", type: "spki" });
  const padding = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
  const EncryptedKeyMaterial = publicEncrypt(padding, material);
  const answer = await client.send(
    new ImportKeyMaterialCommand({ KeyId, ImportToken, EncryptedKeyMaterial, ...terms }),
  );
  return answer.KeyMaterialId;
};

const metadata = async (KeyId) => (await client.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata;

const encrypt = async (KeyId, text) =>
  (await client.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from(text) }))).CiphertextBlob;

const decrypt = async (CiphertextBlob) =>
  Buffer.from((await client.send(new DecryptCommand({ CiphertextBlob }))).Plaintext).toString();

const forever = { ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE" };

const { KeyMetadata } = await client.send(new CreateKeyCommand({ Origin: "EXTERNAL" }));
const { KeyId } = KeyMetadata;
assert.equal(KeyMetadata.KeyState, "PendingImport");

const material = randomBytes(32);
const first = await importMaterial(KeyId, material, forever);
const before = await encrypt(KeyId, "the books");
assert.equal(await decrypt(before), "the books");

// A Date of JavaScript has milliseconds, and the client sends them.
const ValidTo = new Date(Date.now() + Number(process.argv[2]));
assert.equal(await importMaterial(KeyId, material, { ValidTo }), first);
const told = await metadata(KeyId);
assert.equal(told.ExpirationModel, "KEY_MATERIAL_EXPIRES");
assert.equal(Math.floor(told.ValidTo / 1000), Math.floor(ValidTo / 1000));

await timePassed(KeyId);
assert.equal((await metadata(KeyId)).KeyState, "PendingImport");
await assert.rejects(decrypt(before), (error) => {
  assert(error instanceof KMSInvalidStateException);
  assert.equal(error.message, `${KeyMetadata.Arn} is pending import.`);
  return true;
});

assert.equal(await importMaterial(KeyId, material, forever, "RSA_2048"), first);
assert.equal(await decrypt(before), "the books");

const second = await importMaterial(KeyId, randomBytes(32), { ...forever, ImportType: "NEW_KEY_MATERIAL" });
await client.send(new RotateKeyOnDemandCommand({ KeyId }));
const after = await encrypt(KeyId, "the new books");
assert.equal(await decrypt(before), "the books");
assert.equal(await decrypt(after), "the new books");
assert.equal((await metadata(KeyId)).CurrentKeyMaterialId, second);
const { Rotations } = await client.send(
  new ListKeyRotationsCommand({ KeyId, IncludeKeyMaterial: "ALL_KEY_MATERIAL" }),
);
assert.deepEqual(
  Rotations.map((each) => [each.KeyMaterialId, each.KeyMaterialState]),
  [[first, "NON_CURRENT"], [second, "CURRENT"]],
);

console.log("done");
process.exit(0);
