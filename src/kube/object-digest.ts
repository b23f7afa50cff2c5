/**
 * 32 bits of which object this is and how old: FNV-1a over its uid and resourceVersion, then mixed so that every bit depends on
 * all of them. The XOR over a cache does not depend on the order, costs one hash a change, and tells two caches apart with
 * a chance of error of 2⁻³².
 */
export function objectDigest(uid: string, resourceVersion: string): number {
  return mixed(fold(fold(offsetBasis, uid), resourceVersion));
}

/** Of FNV-1a with 32 bits (RFC 9923). */
const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;

function fold(start: number, text: string): number {
  let hash = start;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), prime);
  return hash;
}

/** The last step of MurmurHash3 with 32 bits. */
function mixed(hash: number): number {
  const first = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  const second = Math.imul(first ^ (first >>> 13), 0xc2b2ae35);
  return (second ^ (second >>> 16)) >>> 0;
}
