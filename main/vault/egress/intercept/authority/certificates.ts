/** X.509 certificates on P-256: the authority that sandboxes trust, and what it signs. Pure but for keys and serials. */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIpv4Literal } from "../../../../contract/egress.ts";

export interface KeyAndCertificate {
  key: KeyObject;
  /** PEM. */
  certificate: string;
}

export interface Validity {
  /** Milliseconds since the epoch. */
  from: number;
  to: number;
}

const ECDSA_SHA256 = "1.2.840.10045.4.3.2";
const COMMON_NAME = "2.5.4.3";
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
/** The longest common name that a certificate can have. */
const MAX_COMMON_NAME = 64;

/** Read when the first certificate is made: most launches of the broker need none. */
const asn1 = async () => ({
  ...(await import("@peculiar/asn1-x509")),
  ...(await import("@peculiar/asn1-schema")),
});

export function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

/**
 * A certificate authority's own certificate, which can sign certificates of servers and nothing else. Made again with the
 * same name and key it takes the former one's place: what either signed is trusted by both.
 * @param name of the authority, as programs show it
 */
export function authorityCertificate(name: string, key: KeyObject, validity: Validity): Promise<string> {
  return certificate({ name, publicKey: key, issuer: { name, key }, validity, host: null });
}

/**
 * A key and a certificate for one host.
 * @param host canonical name or IPv4 address
 * @param authority its name and key
 */
export async function hostCertificate(
  host: string,
  authority: { name: string; key: KeyObject },
  validity: Validity,
): Promise<KeyAndCertificate> {
  const key = newKey();
  return { key, certificate: await certificate({ name: host, publicKey: key, issuer: authority, validity, host }) };
}

interface Wanted {
  name: string;
  /** The subject's; its private half is not looked at. */
  publicKey: KeyObject;
  issuer: { name: string; key: KeyObject };
  validity: Validity;
  /** Null for an authority. */
  host: string | null;
}

async function certificate({ name, publicKey, issuer, validity, host }: Wanted): Promise<string> {
  const x = await asn1();
  const extension = (extnID: string, critical: boolean, value: unknown) =>
    new x.Extension({ extnID, critical, extnValue: new x.OctetString(x.AsnConvert.serialize(value)) });
  const named = (text: string) =>
    new x.Name([
      new x.RelativeDistinguishedName([
        new x.AttributeTypeAndValue({ type: COMMON_NAME, value: new x.AttributeValue({ utf8String: text }) }),
      ]),
    ]);
  const idOf = (key: KeyObject) => new x.OctetString(createHash("sha1").update(spki(key)).digest());
  const usage = host === null ? x.KeyUsageFlags.keyCertSign : x.KeyUsageFlags.digitalSignature;
  const extensions = [
    extension(
      x.id_ce_basicConstraints,
      true,
      host === null
        ? new x.BasicConstraints({ cA: true, pathLenConstraint: 0 })
        : new x.BasicConstraints({ cA: false }),
    ),
    extension(x.id_ce_keyUsage, true, new x.KeyUsage(usage)),
    extension(x.id_ce_extKeyUsage, false, new x.ExtendedKeyUsage([SERVER_AUTH])),
    extension(x.id_ce_subjectKeyIdentifier, false, new x.SubjectKeyIdentifier(idOf(publicKey))),
    extension(
      x.id_ce_authorityKeyIdentifier,
      false,
      new x.AuthorityKeyIdentifier({ keyIdentifier: new x.KeyIdentifier(idOf(issuer.key)) }),
    ),
  ];
  if (host !== null) {
    const named = new x.GeneralName(isIpv4Literal(host) ? { iPAddress: host } : { dNSName: host });
    extensions.push(extension(x.id_ce_subjectAltName, false, new x.SubjectAlternativeName([named])));
  }
  const algorithm = new x.AlgorithmIdentifier({ algorithm: ECDSA_SHA256 });
  const signed = new x.TBSCertificate({
    version: x.Version.v3,
    serialNumber: toArrayBuffer(serial()),
    signature: algorithm,
    issuer: named(issuer.name),
    validity: new x.Validity({ notBefore: new Date(validity.from), notAfter: new Date(validity.to) }),
    subject: named(name.slice(0, MAX_COMMON_NAME)),
    subjectPublicKeyInfo: x.AsnConvert.parse(spki(publicKey), x.SubjectPublicKeyInfo),
    extensions: new x.Extensions(extensions),
  });
  const signature = sign("sha256", Buffer.from(x.AsnConvert.serialize(signed)), issuer.key);
  const whole = new x.Certificate({
    tbsCertificate: signed,
    signatureAlgorithm: algorithm,
    signatureValue: toArrayBuffer(signature),
  });
  const base64 = Buffer.from(x.AsnConvert.serialize(whole)).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}(?=.)/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
}

const spki = (key: KeyObject): Buffer =>
  (key.type === "private" ? createPublicKey(key) : key).export({ type: "spki", format: "der" });

/** Positive, and of the same length always. */
function serial(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}

const toArrayBuffer = (bytes: Buffer): ArrayBuffer => Uint8Array.from(bytes).buffer;
