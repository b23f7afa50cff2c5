import { isDeepStrictEqual } from 'node:util';
import { parseEffectiveCapabilities } from '../../../src/linux/capabilities.ts';
import { parseCgroup2Root, parseOwnCgroup2 } from '../../../src/linux/cgroups.ts';
import { addressesIn, namesIn } from '../../../src/linux/interfaces.ts';
import { LinuxError } from '../../../src/linux/linux-error.ts';
import { neighboursIn } from '../../../src/linux/neighbours.ts';
import { addBodies } from '../../../src/linux/netlink.ts';
import { parseNumbers, parsePageBytes } from '../../../src/linux/node-facts.ts';
import { parseProcessStat } from '../../../src/linux/proc.ts';
import { parseRlimits } from '../../../src/linux/rlimits.ts';
import { addSockets } from '../../../src/linux/sock-diag.ts';
import { parseNetstat, parseSockstat, socketTotalsFor } from '../../../src/linux/sockets.ts';
import { isSameSysctlValue, parsePortList } from '../../../src/linux/sysctls.ts';
import { TcpTally } from '../../../src/linux/tcp-sockets.ts';
import { BOUND, doneMessage, LISTEN, socket, socketMessage, TIME_WAIT } from '../../linux/diag-bytes.ts';
import { type Decoder, requireTrue, unlessRefused } from '../decoder.ts';
import { recordedFiles, recordedMessages } from './linux-records.ts';

const isLinuxError = (error: unknown): boolean => error instanceof LinuxError;
const viewOf = (input: Buffer): DataView => new DataView(input.buffer, input.byteOffset, input.length);

const v6 = [0x20, 1, 0xd, 0xb8, ...Array<number>(12).fill(1)];
const sockets: readonly Uint8Array[] = [
  socketMessage(socket({ state: LISTEN, localPort: 1883, receive: 2, send: 4096 })),
  socketMessage(socket({ state: BOUND, localPort: 9000 })),
  socketMessage(socket({ state: TIME_WAIT })),
  socketMessage(socket({ local: v6, remote: v6 })),
  doneMessage(),
];

const diag: Decoder = {
  name: 'sock-diag',
  seeds: [Buffer.concat(sockets), ...sockets, doneMessage(-13)],
  check: (input) => {
    const tally = new TcpTally({ low: 32_768, high: 60_999 });
    unlessRefused(isLinuxError, () => addSockets(tally, viewOf(input)));
    const { states, listeners, destinations, ephemeralConnections, distinctPorts } = tally.result(10);
    const told = Object.values(states).reduce((sum, count) => sum + count, 0);
    requireTrue(told <= input.length / 88, 'no more sockets than there is room for');
    const listening = listeners.reduce((sum, listener) => sum + listener.sockets, 0);
    requireTrue(listening === states.listen, 'every listener is counted once');
    requireTrue(distinctPorts <= ephemeralConnections, 'a connection has one port');
    const spread = destinations.reduce(
      (sum, { established, timeWait, other }) => sum + established + timeWait + other,
      0,
    );
    requireTrue(spread <= ephemeralConnections, 'a connection has one destination');
  },
};

const call = { syscall: 'netlink', attempt: 'be told' };

const route: Decoder = {
  name: 'rtnetlink',
  seeds: recordedMessages,
  check: (input) => {
    const bodies: Buffer[] = [];
    unlessRefused(isLinuxError, () => addBodies(bodies, input, call));
    requireTrue(bodies.reduce((sum, { length }) => sum + length, 0) <= input.length, 'bodies are parts of the message');
    unlessRefused(isLinuxError, () => addressesIn(bodies, new Map([[1, 'lo']])));
    unlessRefused(isLinuxError, () => namesIn(bodies));
    unlessRefused(isLinuxError, () => neighboursIn(bodies, 1));
  },
};

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/** The words of a line, as a check that knows nothing of the format. */
const words = (text: string): ReadonlySet<string> => new Set(text.split(/[\s()]+/));

const stat: Decoder = {
  name: 'proc-stat',
  seeds: [recordedFiles.stat, '7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 5 6\n'],
  check: (input) => {
    const text = input.toString('utf8');
    const entry = parseProcessStat(text);
    if (entry === undefined) return;
    const { pid, parentPid, startTimeTicks } = entry;
    requireTrue([pid, parentPid, startTimeTicks].every(isCount), 'fields are counts');
    const told = new Set([...words(text)].map(Number));
    requireTrue(
      [pid, parentPid, startTimeTicks].every((value) => told.has(value)),
      'fields are in the text',
    );
    requireTrue(text.slice(text.lastIndexOf(')') + 2).split(' ')[19] !== '', 'a field that is not there is not 0');
  },
};

const proc: Decoder = {
  name: 'proc-files',
  seeds: Object.values(recordedFiles),
  words: ['unlimited', '18446744073709551616', ' cgroup2 ', '0::/', 'CapEff:\t'],
  check: (input) => {
    const text = input.toString('utf8');
    for (const { soft, hard } of parseRlimits(text).values()) requireTrue(soft >= 0 && hard >= 0, 'limits are numbers');
    const totals = socketTotalsFor({ sockstat: text, sockstat6: text, snmp: text, netstat: text });
    requireTrue(
      Object.values(totals).every((value: number) => !Number.isNaN(value)),
      'totals are numbers',
    );
    for (const value of [...parseSockstat(text).values(), ...parseNetstat(text).values()])
      requireTrue(!Number.isNaN(value), 'counters are numbers');
    requireTrue(parseNumbers(text).every(isCount), 'numbers are counts');
    parseEffectiveCapabilities(text);
    requireTrue(parseCgroup2Root(text)?.includes('\n') !== true, 'a root is one line');
    requireTrue(parseOwnCgroup2(text)?.startsWith('/') !== false, 'a cgroup is a path');
  },
};

const portLists: Decoder = {
  name: 'port-list',
  seeds: ['1883,8080-8081\n', '32768\t60999', '1,2,3'],
  words: ['-', ','],
  check: (input) => {
    const text = input.toString('utf8');
    const list = parsePortList(text);
    requireTrue(
      isDeepStrictEqual(
        list,
        list.toSorted((a, b) => a.low - b.low),
      ),
      'a list is in order',
    );
    requireTrue(isSameSysctlValue('net.ipv4.ip_local_reserved_ports', text, text), 'a value is the same as itself');
  },
};

const auxiliary: Decoder = {
  name: 'auxv',
  seeds: [Buffer.from('06000000000000000010000000000000', 'hex')],
  check: (input) => {
    const size = parsePageBytes(input);
    requireTrue(size === undefined || size >= 0, 'a page has a size');
  },
};

export const linuxDecoders: readonly Decoder[] = [diag, route, stat, proc, portLists, auxiliary];
