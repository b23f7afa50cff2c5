import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { release } from 'node:os';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { addressText } from '../../src/linux/inet-diag-message.ts';
import { LinuxError } from '../../src/linux/linux-error.ts';
import { addSockets, readTcpSockets } from '../../src/linux/sock-diag.ts';
import { type TcpSockets, TcpTally } from '../../src/linux/tcp-sockets.ts';
import { loadSocketCalls, newSocketAddress, writeSocketAddress } from '../../src/prove/socket-calls.ts';
import {
  BOUND,
  datagram,
  type DiagSocket,
  doneMessage,
  LISTEN,
  message,
  socket,
  socketMessage,
  TIME_WAIT,
} from './diag-bytes.ts';

const range = { low: 40_000, high: 40_099 };
const any = [0, 0, 0, 0];
const mapped = (address: readonly number[]): readonly number[] => [...Array<number>(10).fill(0), 255, 255, ...address];

function told(sockets: readonly DiagSocket[], most = Infinity): TcpSockets {
  const tally = new TcpTally(range);
  for (const each of sockets) addSockets(tally, datagram(socketMessage(each)));
  return tally.result(most);
}

const port = (localPort: number, changes: Partial<DiagSocket> = {}): DiagSocket => socket({ localPort, ...changes });

describe('the tally', () => {
  test('counts ports to each destination, what was closed apart', () => {
    const { destinations, states, distinctPorts, ephemeralConnections } = told([
      port(40_000),
      port(40_001),
      port(40_002, { state: TIME_WAIT }),
      port(40_099, { state: 8 }),
      port(39_999),
      port(40_100),
      port(40_000, { remotePort: 9093 }),
    ]);
    const from = { localAddress: '10.0.0.2', address: '10.0.0.5' };
    expect(destinations).toEqual([
      { ...from, port: 9092, established: 2, timeWait: 1, other: 1, outside: 2 },
      { ...from, port: 9093, established: 1, timeWait: 0, other: 0, outside: 0 },
    ]);
    expect(states).toMatchObject({ established: 5, timeWait: 1, closeWait: 1, listen: 0 });
    expect({ distinctPorts, ephemeralConnections }).toEqual({ distinctPorts: 4, ephemeralConnections: 5 });
  });

  test('takes an IPv4 address that is mapped into IPv6 for the same', () => {
    const { destinations } = told([
      port(40_000),
      port(40_001, { local: mapped([10, 0, 0, 2]), remote: mapped([10, 0, 0, 5]) }),
    ]);
    expect(destinations).toMatchObject([{ address: '10.0.0.5', established: 2 }]);
  });

  test('keeps what a listener accepted out of the ports, and the fullest queue of those that share a port', () => {
    const waiting = { state: LISTEN, local: any, remote: any, remotePort: 0 };
    const { listeners, destinations, takenPorts } = told([
      port(8080, { ...waiting, receive: 3, send: 128 }),
      port(8080, { ...waiting, receive: 9, send: 64 }),
      port(40_050, { ...waiting, receive: 0, send: 4096 }),
      port(8080, { remotePort: 51_000 }),
      port(40_050, { remotePort: 51_001 }),
      port(40_050, { remotePort: 51_001, state: TIME_WAIT }),
    ]);
    expect(listeners).toEqual([
      { address: '0.0.0.0', port: 8080, sockets: 2, backlog: 64, waiting: 9, connections: 1 },
      { address: '0.0.0.0', port: 40_050, sockets: 1, backlog: 4096, waiting: 0, connections: 1 },
    ]);
    expect(destinations).toEqual([]);
    expect(takenPorts).toEqual([8080, 40_050]);
  });

  test('adds up the bytes in buffers, not the queues of listeners', () => {
    const { receiveQueueBytes, sendQueueBytes, takenPorts } = told([
      port(40_000, { receive: 4_000_000_000, send: 1 }),
      port(40_001, { receive: 4_000_000_000, send: 2 }),
      port(80, { state: LISTEN, receive: 7, send: 4096 }),
      port(40_009, { state: BOUND }),
    ]);
    expect({ receiveQueueBytes, sendQueueBytes }).toEqual({ receiveQueueBytes: 8_000_000_000, sendQueueBytes: 3 });
    expect(takenPorts).toEqual([80, 40_009]);
  });

  test('names the destinations with most ports, however many there are', () => {
    const many = Array.from({ length: 5000 }, (_, at) =>
      port(40_000 + (at % 100), { remote: [10, 1, at >> 8, at & 255] }),
    );
    const busy = Array.from({ length: 3 }, (_, at) => port(40_000 + at, { remote: [10, 2, 0, 1] }));
    const { destinations, destinationCount } = told([...many, ...busy, ...many], 2);
    expect(destinationCount).toBe(5001);
    expect(destinations).toMatchObject([{ address: '10.2.0.1', established: 3 }, { established: 2 }]);
  });
});

test.each([
  [[0, 0, 0xffff, 0x0a00_0005], '10.0.0.5'],
  [[0, 0, 0, 0], '::'],
  [[0x2001_0db8, 0, 0, 1], '2001:db8::1'],
  [[0, 0, 0xffff, 0xffff_ffff], '255.255.255.255'],
])('the words %j are %s', (words, text) => {
  expect(addressText(new Uint32Array(words))).toBe(text);
});

describe('a datagram', () => {
  const whole = socketMessage(socket());

  test('that ends the dump is the last', () => {
    const tally = new TcpTally(range);
    expect(addSockets(tally, datagram(whole, whole))).toBe(false);
    expect(addSockets(tally, datagram(whole, doneMessage(), whole))).toBe(true);
    expect(tally.result(1).states.established).toBe(3);
  });

  test('says that the sockets changed meanwhile', () => {
    const tally = new TcpTally(range);
    addSockets(tally, datagram(whole, socketMessage(socket(), 0, 2 | 0x10)));
    expect(tally.result(1).wasInterrupted).toBe(true);
    expect(told([socket()]).wasInterrupted).toBe(false);
  });

  test.each([
    ['a refusal', [message(2, new Uint8Array([0xff, 0xff, 0xff, 0xff]))], { kind: 'NotPermitted', errno: 1 }],
    ['a dump that failed', [doneMessage(-12)], { kind: 'SystemCall', errno: 12 }],
    ['half a header', [whole.subarray(0, 10)], { kind: 'SystemCall' }],
    ['a message that is cut', [whole.subarray(0, 40)], { kind: 'SystemCall' }],
    ['a length of 0', [new Uint8Array(16)], { kind: 'SystemCall' }],
    ['a socket that is too short', [message(18, new Uint8Array(71))], { kind: 'SystemCall' }],
  ])('with %s is an error', (_, parts, expected) => {
    expect(() => addSockets(new TcpTally(range), datagram(...parts))).toThrow(expect.objectContaining(expected));
  });

  test('of any bytes is read to its end or is a LinuxError', () => {
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ minLength: 72, maxLength: 90 }).map((payload) => message(18, payload)),
      fc.tuple(fc.nat(200), fc.nat(30)).map(([cut, type]) => message(type, new Uint8Array(80)).subarray(0, cut)),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        expect(isReadOrRefused(datagram(...parts))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

function isReadOrRefused(bytes: DataView): boolean {
  const tally = new TcpTally(range);
  try {
    return typeof addSockets(tally, bytes) === 'boolean' && tally.result(3).destinations.length <= 3;
  } catch (error) {
    return error instanceof LinuxError;
  }
}

test('sockets are counted the same, whichever way they are cut into datagrams', () => {
  const few = fc.record({
    state: fc.constantFrom(1, 2, 4, 5, 6, 8, 9, 11),
    localPort: fc.integer({ min: 39_990, max: 40_110 }),
    remote: fc.constantFrom([10, 0, 0, 5], [10, 0, 0, 6], mapped([10, 0, 0, 5]), mapped([10, 9, 9, 9])),
    remotePort: fc.integer({ min: 1, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(few.map(socket), { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (sockets, size) => {
      const tally = new TcpTally(range);
      for (let from = 0; from < sockets.length; from += size)
        addSockets(tally, datagram(...sockets.slice(from, from + size).map((each) => socketMessage(each, from % 12))));
      const { destinations, ...rest } = tally.result(Infinity);
      const all = destinations.map((each) => each.established + each.timeWait + each.other + each.outside);
      expect(all.reduce((sum, count) => sum + count, 0)).toBe(sockets.length);
      expect({ destinations, ...rest }).toEqual(told(sockets));
    }),
  );
});

async function listening(backlog: number, host = '127.0.0.1'): Promise<Server> {
  const server = createServer();
  server.listen({ port: 0, host, backlog });
  await once(server, 'listening');
  return server;
}

async function connected(to: number): Promise<Socket> {
  const client = connect(to, '127.0.0.1');
  await once(client, 'connect');
  return client;
}

function kernelBefore(major: number, minor: number): boolean {
  const [ownMajor = 0, ownMinor = 0] = release().split('.').map(Number);
  return ownMajor < major || (ownMajor === major && ownMinor < minor);
}

describe('the sockets of this namespace', () => {
  test('are a listener with its backlog and what it accepted, and the ports of its clients', async () => {
    const server = await listening(77);
    const { port: to } = server.address() as AddressInfo;
    const clients = await Promise.all(Array.from({ length: 5 }, () => connected(to)));
    const { listeners, destinations, states } = readTcpSockets(Infinity);
    for (const client of clients) client.destroy();
    server.close();
    expect(listeners).toContainEqual(
      expect.objectContaining({ address: '127.0.0.1', port: to, backlog: 77, sockets: 1, connections: 5 }),
    );
    expect(destinations).toContainEqual(
      expect.objectContaining({ localAddress: '127.0.0.1', address: '127.0.0.1', port: to, established: 5 }),
    );
    expect(states.established).toBeGreaterThanOrEqual(10);
  });

  test('of a listener for IPv6 and IPv4 are connections by IPv4', async () => {
    const server = await listening(9, '::');
    const { port: to } = server.address() as AddressInfo;
    const client = await connected(to);
    const { listeners, destinations } = readTcpSockets(Infinity);
    client.destroy();
    server.close();
    expect(listeners).toContainEqual(expect.objectContaining({ address: '::', port: to, backlog: 9, connections: 1 }));
    expect(destinations).toContainEqual(expect.objectContaining({ address: '127.0.0.1', port: to, established: 1 }));
  });

  test.skipIf(kernelBefore(6, 8))('are those too that are only bound', () => {
    const calls = loadSocketCalls();
    const fd = calls.openSocket();
    expect(calls.bind(fd, writeSocketAddress(newSocketAddress(), 0x7f00_0001, 29_999))).toBe(0);
    const { takenPorts, states } = readTcpSockets(1);
    calls.close(fd);
    expect(takenPorts).toContain(29_999);
    expect(states.bound).toBeGreaterThanOrEqual(1);
  });
});
