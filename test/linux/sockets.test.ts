import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseNetstat, parseSockstat, readSocketFiles, socketTotalsFor } from '../../src/linux/sockets.ts';

const sockstat = [
  'sockets: used 13',
  'TCP: inuse 5 orphan 1 tw 7 alloc 9 mem 254',
  'UDP: inuse 2 mem 3',
  'FRAG: inuse 0 memory 0',
].join('\n');
const snmp = [
  'Ip: Forwarding DefaultTTL',
  'Ip: 2 64',
  'Tcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens CurrEstab',
  'Tcp: 1 -1 40 30 4',
].join('\n');
const netstat = [
  'TcpExt: ListenOverflows ListenDrops TCPTimeWaitOverflow',
  'TcpExt: 11 12 13',
  'IpExt: InOctets',
  'IpExt: 18446744073709551615',
  '',
].join('\n');

describe('socketTotalsFor', () => {
  test('picks each total from its file', () => {
    const sockstat6 = 'TCP6: inuse 6\nUDP6: inuse 1\n';
    expect(socketTotalsFor({ sockstat, sockstat6, snmp, netstat })).toEqual({
      tcpInUse: 5,
      tcp6InUse: 6,
      tcpEstablished: 4,
      tcpTimeWait: 7,
      machineTcpAllocated: 9,
      machineTcpOrphans: 1,
      machineTcpMemoryPages: 254,
      activeOpens: 40,
      passiveOpens: 30,
      listenOverflows: 11,
      listenDrops: 12,
      timeWaitOverflows: 13,
    });
  });

  test('leaves out what no file says', () => {
    expect(socketTotalsFor({ sockstat: 'TCP: inuse 5', snmp: '', netstat: '' })).toEqual({ tcpInUse: 5 });
  });
});

describe('the parsers', () => {
  test('read negative numbers of snmp and skip pairs that do not match', () => {
    expect(parseNetstat(snmp).get('Tcp.MaxConn')).toBe(-1);
    expect([...parseNetstat('A: x y\nA: 1\nB: z\nB: 2\nC: w\nD: 3\nE: v\nE: one\nF: u')]).toEqual([['B.z', 2]]);
  });

  test('leave out a name of sockstat without a number', () => {
    expect([...parseSockstat('TCP: inuse 5x orphan tw 7\nno protocol\n')]).toEqual([['TCP.tw', 7]]);
  });

  test('read back what is printed in their form', () => {
    const field = fc.stringMatching(/^[A-Za-z]{1,8}$/);
    const values = fc.dictionary(field, fc.nat(), { minKeys: 1, maxKeys: 8 });
    fc.assert(
      fc.property(fc.dictionary(field, values, { maxKeys: 4 }), (protocols) => {
        const entries = Object.entries(protocols).map(([name, fields]) => [name, Object.entries(fields)] as const);
        const expected = new Map(entries.flatMap(([name, fields]) => fields.map(([f, n]) => [`${name}.${f}`, n])));
        const inTurn = entries.map(([name, fields]) => `${name}: ${fields.map(([f, n]) => `${f} ${n}`).join(' ')}`);
        const inPairs = entries.map(
          ([name, fields]) =>
            `${name}: ${fields.map(([f]) => f).join(' ')}\n${name}: ${fields.map(([, n]) => n).join(' ')}`,
        );
        expect(parseSockstat(inTurn.join('\n'))).toEqual(expected);
        expect(parseNetstat(inPairs.join('\n'))).toEqual(expected);
      }),
    );
  });

  test('take any text', () => {
    const text = fc.string({ unit: fc.oneof(fc.constantFrom('TCP', ':', ' ', '\n', '7', '-', 'inuse'), fc.string()) });
    fc.assert(
      fc.property(text, (input) => {
        const numbers = [...parseSockstat(input).values(), ...parseNetstat(input).values()];
        expect(numbers.every((number) => Number.isFinite(number))).toBe(true);
      }),
    );
  });
});

test('what was lost is left out where nobody asks', () => {
  const totals = socketTotalsFor(readSocketFiles(undefined, { lost: false }));
  expect(totals).toHaveProperty('activeOpens');
  expect(totals).not.toHaveProperty('listenDrops');
});

test('this kernel says every total', () => {
  const totals = socketTotalsFor(readSocketFiles());
  expect(Object.keys(totals)).toEqual(expect.arrayContaining(['tcpInUse', 'tcpEstablished', 'timeWaitOverflows']));
  expect(Object.values(totals).every((total) => Number.isInteger(total) && total >= 0)).toBe(true);
});
