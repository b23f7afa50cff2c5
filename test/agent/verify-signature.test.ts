import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KeyDirectory, type KeyError } from '../../src/agent/key-directory.ts';
import { judgePlan, rememberingJudge } from '../../src/agent/verify-signature.ts';
import { makeSigner, namespace, sectionOf } from './plans.ts';

const webhook = makeSigner();
const keys = new Map([['key-1', webhook.publicKey]]);
const genuine = webhook.annotationOf(sectionOf());

describe('an annotation', () => {
  test('that the webhook signed for this namespace verifies', () => {
    expect(judgePlan(genuine, namespace, keys)).toMatchObject({ state: 'Verified', section: sectionOf() });
  });

  const tampered = genuine.replace('8039', '9039');
  const longName = 'x'.repeat(9000);
  test.each([
    ['is changed by one digit', tampered, 'WrongSignature'],
    ['is signed by somebody else', makeSigner().annotationOf(sectionOf()), 'WrongSignature'],
    ['has a signature that is none', genuine.replace(/"signature":".*"/, '"signature":"AAAA"'), 'WrongSignature'],
    ['names a key that is unknown', webhook.annotationOf(sectionOf({ keyId: 'key-2' })), 'UnknownKey'],
    ['names a key of the prototype', webhook.annotationOf(sectionOf({ keyId: '__proto__' })), 'UnknownKey'],
    ['is longer than 8 KiB', genuine.replace('gateway', longName), 'TooLarge'],
    ['is empty', '', 'NotJson'],
    ['is no object', '[1, 2]', 'Malformed'],
    ['has a field of its own', genuine.replace('{', '{"privileged":true,'), 'Malformed'],
    ['is of another version', genuine.replace('"version":1', '"version":2'), 'Malformed'],
    ['has a path for a sysctl', genuine.replace('net.core.somaxconn', 'net/../kernel/core_pattern'), 'Malformed'],
    ['is nested without end', '['.repeat(4000), 'NotJson'],
  ])('that %s is rejected', (_, annotation, fault) => {
    expect(judgePlan(annotation, namespace, keys)).toMatchObject({ state: 'Rejected', fault });
  });

  test('that was signed for another namespace is rejected', () => {
    expect(judgePlan(genuine, 'other', keys)).toMatchObject({ state: 'Rejected', fault: 'WrongSignature' });
  });

  test('of any content is answered without throwing', () => {
    const judge = rememberingJudge(keys);
    const hostile = fc.oneof(
      fc.string(),
      fc.json(),
      fc.string().map((text) => genuine.replace('gateway', text)),
    );
    fc.assert(
      fc.property(hostile, (annotation) => {
        fc.pre(annotation !== genuine);
        expect(judge(annotation, namespace)).toMatchObject({ state: 'Rejected' });
      }),
    );
  });

  test('is remembered by its content and namespace together', () => {
    const judge = rememberingJudge(keys);
    expect(judge(genuine, namespace)).toBe(judge(genuine, namespace));
    expect(judge(genuine, 'other')).toMatchObject({ state: 'Rejected' });
  });
});

describe('the directory of keys', () => {
  let directory: string;
  let errors: KeyError[];
  const open = (): KeyDirectory => new KeyDirectory(directory, (error) => errors.push(error));
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'keys-'));
    errors = [];
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** As the kubelet does: a folder of its own for each version, and one symbolic link exchanged in one step. */
  const mount = (version: string, files: Readonly<Record<string, string>>): void => {
    mkdirSync(join(directory, `..${version}`));
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(directory, `..${version}`, name), text);
      rmSync(join(directory, name), { force: true });
      symlinkSync(join('..data', name), join(directory, name));
    }
    symlinkSync(`..${version}`, join(directory, '..data_tmp'));
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
  };

  test('is read again when the kubelet has exchanged it', () => {
    const next = makeSigner();
    mount('1', { 'key-1': webhook.published });
    const opened = open();
    expect(opened.keyIds).toEqual(['key-1']);
    expect(opened.reread()).toBe(false);
    mount('2', { 'key-1': webhook.published, 'key-2': `${next.published}\n` });
    expect(opened.reread()).toBe(true);
    expect(opened.keyIds).toEqual(['key-1', 'key-2']);
    const newest = next.annotationOf(sectionOf({ keyId: 'key-2' }));
    expect(opened.judge(newest, namespace)).toMatchObject({ state: 'Verified' });
  });

  test('leaves out what is no Ed25519 key, and says so', () => {
    writeFileSync(join(directory, 'key-1'), webhook.published);
    writeFileSync(join(directory, 'text'), 'no key at all');
    expect(open().keyIds).toEqual(['key-1']);
    expect(errors).toMatchObject([{ kind: 'Unreadable' }]);
  });

  test('keeps the keys of before while it cannot be read', () => {
    writeFileSync(join(directory, 'key-1'), webhook.published);
    const opened = open();
    rmSync(directory, { recursive: true });
    expect(opened.reread()).toBe(false);
    expect(opened.keyIds).toEqual(['key-1']);
  });

  test('may come later', () => {
    rmSync(directory, { recursive: true });
    const opened = open();
    expect(opened.keyIds).toEqual([]);
    mkdirSync(directory);
    writeFileSync(join(directory, 'key-1'), webhook.published);
    expect(opened.reread()).toBe(true);
    expect(opened.judge(genuine, namespace)).toMatchObject({ state: 'Verified' });
  });
});
