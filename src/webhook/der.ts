/** The few elements of ASN.1 that a certificate is made of, in the distinguished encoding (ITU-T X.690). */

const element = (tag: number, ...parts: readonly Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content]);
};

/** Below 128 one byte; else 0x80 + the number of bytes, then the bytes: 300 is 82 01 2c. */
const lengthOf = (length: number): Buffer => {
  if (length < 0x80) return Buffer.from([length]);
  const digits = length.toString(16);
  const bytes = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([0x80 + bytes.length]), bytes]);
};

export const sequence = (...parts: readonly Buffer[]): Buffer => element(0x30, ...parts);
export const set = (...parts: readonly Buffer[]): Buffer => element(0x31, ...parts);
export const octetString = (content: Buffer): Buffer => element(0x04, content);
export const utf8String = (text: string): Buffer => element(0x0c, Buffer.from(text));
export const truth = (): Buffer => element(0x01, Buffer.from([0xff]));

/** A positive integer; a leading zero keeps its sign. */
export const integer = (content: Buffer): Buffer =>
  element(0x02, (content[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), content]) : content);

export const bitString = (content: Buffer, unusedBits = 0): Buffer => element(0x03, Buffer.from([unusedBits]), content);

/** [number], constructed or (as implicit strings are) primitive. */
export const tagged = (number: number, content: Buffer): Buffer => element(0xa0 + number, content);
export const implicit = (number: number, content: Buffer): Buffer => element(0x80 + number, content);

/** 1.2.840.10045.2.1: the first two arcs in one, each arc in groups of 7 bits, the highest bit says that more follow. */
export const objectIdentifier = (dotted: string): Buffer => {
  const [first = 0, second = 0, ...arcs] = dotted.split('.').map(Number);
  return element(0x06, Buffer.from([first * 40 + second, ...arcs.flatMap(base128)]));
};

const base128 = (arc: number): readonly number[] => {
  const groups = [arc & 0x7f];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) groups.unshift((rest & 0x7f) | 0x80);
  return groups;
};

/** RFC 5280, 4.1.2.5: two digits of the year until 2049, four from then on. 20261123120000Z */
export const time = (atMs: number): Buffer => {
  const text = `${new Date(atMs).toISOString().replaceAll(/[-:T]|\.\d+Z/g, '')}Z`;
  const isShort = new Date(atMs).getUTCFullYear() < 2050;
  return isShort ? element(0x17, Buffer.from(text.slice(2))) : element(0x18, Buffer.from(text));
};
