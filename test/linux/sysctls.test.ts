import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  isSameSysctlValue,
  isSufficientSysctl,
  normalSysctlValue,
  readSysctl,
  sysctlPathFor,
  writeSysctl,
} from '../../src/linux/sysctls.ts';

const invalid = expect.objectContaining({ kind: 'InvalidInput' });

describe('names', () => {
  test.each([
    ['net.ipv4.ip_local_port_range', '/proc/sys/net/ipv4/ip_local_port_range'],
    ['net.netfilter.nf_conntrack_max', '/proc/sys/net/netfilter/nf_conntrack_max'],
  ])('%s is the file %s', (name, path) => {
    expect(sysctlPathFor(name)).toBe(path);
    expect(sysctlPathFor(name, '/node/proc')).toBe(`/node${path}`);
  });

  test.each([
    'fs.nr_open',
    'kernel.core_pattern',
    'net',
    'net.',
    'net..ipv4',
    'net.../../kernel.core_pattern',
    'net/ipv4/tcp_mem',
    'net.ipv4.tcp_mem\n',
    'net.ipv4.tcp mem',
    'net.ipv4.tcp_mem\0',
    'NET.ipv4.tcp_mem',
    '',
  ])('%j is no name', (name) => {
    expect(() => sysctlPathFor(name)).toThrow(invalid);
  });

  test('whatever is accepted stays below sys/net', () => {
    const name = fc.string({ unit: fc.constantFrom('net', '.', '/', '..', 'a', '_', '-', '9', ' ', '\n', 'A') });
    const inputs = fc.oneof(
      name,
      name.map((rest) => `net.${rest}`),
    );
    fc.assert(
      fc.property(inputs, (input) => {
        const path = pathOrEmpty(input);
        expect(path).toMatch(/^$|^\/proc\/sys\/net(\/[a-z0-9_-]+)+$/);
      }),
    );
  });
});

describe('values', () => {
  test.each([
    ['net.ipv4.ip_local_port_range', ['32768\t60999\n', '32768 60999'], true],
    ['net.ipv4.ip_local_port_range', ['32768 60999', '32768 60998'], false],
    ['net.ipv4.tcp_mem', [' 1\t 2  3', '1 2 3'], true],
    ['net.ipv4.ip_local_reserved_ports', ['8081,8080,1883', '1883,8080-8081\n'], true],
    ['net.ipv4.ip_local_reserved_ports', ['1000-1010,1005-1020,1021', '1000-1021'], true],
    ['net.ipv4.ip_local_reserved_ports', ['1000-1010,1002', '1000-1010'], true],
    ['net.ipv4.ip_local_reserved_ports', ['', '\n'], true],
    ['net.ipv4.ip_local_reserved_ports', ['8080,8082', '8080-8082'], false],
  ])('%s: %j mean the same: %s', (name, [a, b], isSame) => {
    expect(isSameSysctlValue(name, a ?? '', b ?? '')).toBe(isSame);
  });

  test('normalising twice changes nothing', () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        expect(normalSysctlValue(normalSysctlValue(value))).toBe(normalSysctlValue(value));
      }),
    );
  });
});

describe('the kernel', () => {
  test('says the port range with one blank', () => {
    expect(readSysctl('net.ipv4.ip_local_port_range')).toMatch(/^\d+ \d+$/);
  });

  test('does not have every name', () => {
    expect(() => readSysctl('net.ipv4.no_such_setting')).toThrow(
      expect.objectContaining({ kind: 'NotFound', errno: 2, message: 'cannot read net.ipv4.no_such_setting: ENOENT' }),
    );
    expect(() => writeSysctl('net.ipv4.no_such_setting', '1')).toThrow(expect.objectContaining({ kind: 'NotFound' }));
  });

  test.each(['1\n2', 'é', 'x'.repeat(4096), '\0'])('is not asked to take %j', (value) => {
    expect(() => writeSysctl('net.core.somaxconn', value)).toThrow(invalid);
  });
});

function pathOrEmpty(name: string): string {
  try {
    return sysctlPathFor(name);
  } catch {
    return '';
  }
}

test.each([
  ['net.core.somaxconn', ['4096', '65535'], true],
  ['net.core.somaxconn', ['4096', '128'], false],
  ['net.ipv4.tcp_tw_reuse', ['1', '2'], false],
  ['net.ipv4.tcp_keepalive_time', ['300', '7200'], false],
  ['net.ipv4.ip_local_port_range', ['10240 65535', '1024\t65535'], true],
  ['net.ipv4.ip_local_port_range', ['10240 65535', '10240 60999'], false],
  ['net.ipv4.ip_local_reserved_ports', ['8081,8080', '8080-8081'], true],
  ['net.core.somaxconn', ['4096', ''], false],
])('%s, wanted and there %o: %s', (name, [wanted = '', actual = ''], suffices) => {
  expect(isSufficientSysctl(name, wanted, actual)).toBe(suffices);
});
