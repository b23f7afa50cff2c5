import { execFileSync } from 'node:child_process';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { canRaiseNofile, parseEffectiveCapabilities, readEffectiveCapabilities } from '../../src/linux/capabilities.ts';

test.each([
  // linux/capability.h: SYS_ADMIN 21, SYS_RESOURCE 24, CHECKPOINT_RESTORE 40, the last one
  ['0000000000000000', []],
  ['0000000000200000', ['CAP_SYS_ADMIN']],
  ['0000000001000000', ['CAP_SYS_RESOURCE']],
  ['8000010000000001', ['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE']],
])('the mask %s names %j', (mask, names) => {
  expect([...parseEffectiveCapabilities(`Name:\tsh\nCapPrm:\tffff\nCapEff:\t${mask}\nSeccomp:\t0\n`)]).toEqual(names);
});

test('a text without the line names nothing', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(parseEffectiveCapabilities(`x${text.replaceAll('CapEff', '')}`).size).toBe(0);
    }),
  );
});

test('a process that dropped a capability does not have it, and a mask of the rest', () => {
  const status = execFileSync('setpriv', [
    '--bounding-set=-sys_resource',
    '--inh-caps=-all',
    'cat',
    '/proc/self/status',
  ]);
  const capabilities = parseEffectiveCapabilities(status.toString());
  expect(canRaiseNofile(capabilities)).toBe(false);
  expect(capabilities).toContain('CAP_NET_ADMIN');
});

test('this process and its pid have the same', () => {
  expect(readEffectiveCapabilities()).toEqual(readEffectiveCapabilities({ pid: process.pid }));
});

test('a process that is not there is gone', () => {
  expect(() => readEffectiveCapabilities({ pid: 2 ** 30 })).toThrow(expect.objectContaining({ kind: 'Gone' }));
});

test('CAP_SYS_RESOURCE raises nofile', () => {
  expect(canRaiseNofile(new Set(['CAP_SYS_RESOURCE']))).toBe(true);
  expect(canRaiseNofile(new Set(['CAP_SYS_ADMIN']))).toBe(false);
});
