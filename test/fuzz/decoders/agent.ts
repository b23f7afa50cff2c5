import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { KeyDirectory, KeyError } from '../../../src/agent/key-directory.ts';
import { judgePlan } from '../../../src/agent/verify-signature.ts';
import { appliedOf, covers, decodeAnnotation, encodeAnnotation, sectionHash } from '../../../src/api/pod-annotation.ts';
import { makeSigner, namespace, sectionOf } from '../../agent/plans.ts';
import { type Decoder, requireTrue } from '../decoder.ts';

const signer = makeSigner();
const keys = new Map([['key-1', signer.publicKey]]);
const sections = [
  sectionOf(),
  sectionOf({
    sysctls: { 'net.core.somaxconn': '5499', 'net.ipv4.ip_local_reserved_ports': '1883,8080' },
    reservedPorts: [1883],
    sourceAddresses: { provider: 'PodNetwork', extra: 3, spread: 'Transparent', ports: 'Spread' },
    flows: [{ name: 'out', direction: 'Outbound', port: 443, targets: ['198.51.100.7'] }],
  }),
];

const annotation: Decoder = {
  name: 'plan-annotation',
  seeds: sections.map((section) => signer.annotationOf(section)),
  words: ['net.', 'version', 'PodNetwork', '1e999'],
  check: (input) => {
    const text = input.toString('utf8');
    const judged = judgePlan(text, namespace, keys);
    const isKnown =
      judged.state === 'Verified' && sections.some((section) => isDeepStrictEqual(judged.section, section));
    requireTrue(judged.state === 'Rejected' || isKnown, 'nobody else signs');
    requireTrue(
      judged.state === 'Verified' || !/[\p{Cc}\p{Bidi_Control}]/u.test(judged.message),
      'a reason is plain text',
    );
    const decoded = decodeAnnotation(text);
    if ('fault' in decoded) return;
    const again = decodeAnnotation(encodeAnnotation(decoded.section, Buffer.alloc(64)));
    requireTrue(
      'section' in again && sectionHash(again.section) === sectionHash(decoded.section),
      'a plan is written as read',
    );
    const applied = appliedOf(decoded.section);
    requireTrue(covers(applied, applied), 'a plan has all that it asks for');
  },
};

const folder = join(tmpdir(), `keys-fuzz-${randomUUID()}`);

const keyFiles: Decoder = {
  name: 'key-files',
  seeds: [signer.published, `${signer.published}\n`],
  check: (input) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'key-1'), input);
    const errors: unknown[] = [];
    const directory = new KeyDirectory(folder, { onChange: () => undefined, onError: (error) => errors.push(error) });
    requireTrue(directory.keyIds.length + errors.length === 1, 'a file is a key or an error');
    requireTrue(
      errors.every((error) => error instanceof KeyError),
      'an error names the key',
    );
    const judged = directory.judge(signer.annotationOf(sectionOf()), namespace);
    requireTrue(judged.state === 'Rejected' || isSame(input), 'another key verifies nothing');
  },
  end: () => rmSync(folder, { recursive: true, force: true }),
};

/** Base64 as Node reads it may be written in many ways. */
const isSame = (input: Buffer): boolean =>
  Buffer.from(input.toString('utf8'), 'base64').includes(Buffer.from(signer.published, 'base64').subarray(12, 44));

export const agentDecoders: readonly Decoder[] = [annotation, keyFiles];
