/** Authenticated encryption of one text: AES-256-GCM with a fresh random nonce. Pure but for the nonce. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

export const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Base64 of both: what is written down of a sealed text. */
export interface Sealed {
  nonce: string;
  /** Ciphertext followed by the 128-bit tag. */
  sealed: string;
}

/** @param context authenticated but not stored: opening needs exactly the same */
export function sealText(key: Buffer, context: string, text: string): Sealed {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(context));
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return { nonce: nonce.toString("base64"), sealed: sealed.toString("base64") };
}

/** The text; null when key, context or any bit of it is another one. */
export function openText(key: Buffer, context: string, { nonce, sealed }: Sealed): string | null {
  const bytes = Buffer.from(sealed, "base64");
  const iv = Buffer.from(nonce, "base64");
  if (iv.length !== NONCE_BYTES || bytes.length < TAG_BYTES) return null;
  const decipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]).toString("utf8");
  } catch {
    return null;
  }
}
