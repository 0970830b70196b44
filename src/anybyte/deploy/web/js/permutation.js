// The secret permutation of the byte values, and sealed files: the same as privacy/{permutation,keys,seal}.py.

import { sha256 } from "./sha256.js";

const KIND = "anybyte byte permutation";
const DOMAIN = new TextEncoder().encode("anybyte byte permutation 1\0");
const MAGIC = [0x89, 0x41, 0x42, 0x53, 0x45, 0x41, 0x4c, 0x31];
const FINGERPRINT_SIZE = 32;
const DIGEST_SIZE = 8;
const HEAD_SIZE = MAGIC.length + FINGERPRINT_SIZE + DIGEST_SIZE;

export class Permutation {
  /** @param {Uint8Array} table 256 bytes: what becomes of each value */
  constructor(table) {
    if (table.length !== 256)
      throw new Error(`a permutation of the byte values has 256 entries, this has ${table.length}`);
    const missing = 256 - new Set(table).size;
    if (missing) throw new Error(`not a permutation: ${missing} of the 256 byte values do not occur`);
    this.table = table;
    this.fingerprint = sha256(Uint8Array.from([...DOMAIN, ...table]));
  }

  /** @param {Uint8Array} data @returns {Uint8Array} */
  apply(data) {
    const changed = new Uint8Array(data.length);
    for (let i = 0; i < data.length; i++) changed[i] = this.table[data[i]];
    return changed;
  }
}

/** The permutation in the text of a key file, as `anybyte privacy keygen` writes it. */
export function readKey(text, name) {
  let content = null;
  try {
    content = JSON.parse(text);
  } catch {
    // Said below. The parser's own message would quote from the file.
  }
  const table = content?.kind === KIND ? content.permutation : null;
  if (typeof table !== "string") throw new Error(`${name} is not a key file (anybyte privacy keygen makes one)`);
  if (!/^[0-9a-f]{512}$/i.test(table))
    throw new Error(`${name} is a damaged key: its permutation is not 512 hexadecimal digits`);
  try {
    return new Permutation(fromHex(table));
  } catch (error) {
    throw new Error(`${name} is a damaged key: ${error.message}`);
  }
}

/** A file of permuted bytes, marked with whose key they were made with. */
export function seal(payload, fingerprint, digest) {
  const sealed = new Uint8Array(HEAD_SIZE + payload.length);
  sealed.set(MAGIC);
  sealed.set(fromHex(fingerprint), MAGIC.length);
  sealed.set(fromHex(digest), MAGIC.length + FINGERPRINT_SIZE);
  sealed.set(payload, HEAD_SIZE);
  return sealed;
}

export function isSealed(data) {
  return data.length >= MAGIC.length && MAGIC.every((value, i) => data[i] === value);
}

/** @returns {{fingerprint: string, digest: string, payload: Uint8Array}} */
export function unseal(data) {
  if (data.length <= HEAD_SIZE) throw new Error(`this is a sealed file with nothing in it: ${data.length} bytes`);
  const end = MAGIC.length + FINGERPRINT_SIZE;
  return {
    fingerprint: toHex(data.subarray(MAGIC.length, end)),
    digest: toHex(data.subarray(end, HEAD_SIZE)),
    payload: data.subarray(HEAD_SIZE),
  };
}

/** A fingerprint in messages: its first 16 digits. */
export function short(fingerprint) {
  return `${fingerprint.slice(0, 16)}...`;
}

export function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function toHex(data) {
  return Array.from(data, (value) => value.toString(16).padStart(2, "0")).join("");
}
