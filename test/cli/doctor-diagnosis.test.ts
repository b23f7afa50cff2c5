import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bindingAmong, diagnose } from '../../src/cli/doctor-diagnosis.ts';
import { countedDescriptors } from '../../src/cli/doctor-processes.ts';
import { usedLimit } from '../../src/cli/doctor-limits.ts';
import { doctorText, headline } from '../../src/cli/doctor-text.ts';
import { destination, gateway, listener, observation, sockets, states, withSettings } from './observations.ts';

const to = (established: number, address = '10.0.0.5') => destination({ established, address });
const headlineOf = (changes: Parameters<typeof observation>[0]): string => headline(diagnose(observation(changes)));

describe('what binds first', () => {
  it.each([
    {
      fact: 'is the ports to one destination',
      changes: { sockets: sockets({ destinations: [to(24_100)] }), processes: [gateway({ descriptors: 24_105 })] },
      said: '24,100 of 28,232 ports to 10.0.0.5:9092; 4,132 left; this binds first',
    },
    {
      fact: 'is the descriptors of a process that has 1,024',
      changes: {
        sockets: sockets({ destinations: [to(900)] }),
        processes: [gateway({ descriptors: 910, soft: 1024 })],
      },
      said: '910 of 1,024 descriptors in process 4711 (gateway); 114 left; this binds first',
    },
    {
      fact: 'of two that are half full is the one with fewest left',
      changes: {
        sockets: sockets({ destinations: [to(24_100)] }),
        processes: [gateway({ descriptors: 25_000, soft: 30_000 })],
      },
      said: '24,100 of 28,232 ports to 10.0.0.5:9092; 4,132 left; this binds first',
    },
    {
      fact: 'is not a process that holds next to nothing',
      changes: {
        sockets: sockets({ destinations: [to(20_000)] }),
        processes: [gateway({ pid: 7, command: 'sleep', descriptors: 4, soft: 1024 })],
      },
      said: '20,000 of 28,232 ports to 10.0.0.5:9092; 8,232 left; this binds first',
    },
    {
      fact: 'where nothing is half full is the fullest',
      changes: {
        sockets: sockets({ destinations: [to(2000)] }),
        processes: [gateway({ descriptors: 100, soft: 1024 })],
      },
      said: '100 of 1,024 descriptors in process 4711 (gateway); 924 left; no limit is half used, this one most',
    },
    {
      fact: 'is conntrack',
      changes: {
        settings: withSettings({
          'net.netfilter.nf_conntrack_count': '200000',
          'net.netfilter.nf_conntrack_max': '262144',
        }),
      },
      said: '200,000 of 262,144 entries of net.netfilter.nf_conntrack_max (the namespace); 62,144 left; this binds first',
    },
    {
      fact: 'is not a queue, which fills and drains',
      changes: {
        sockets: sockets({ listeners: [listener({ backlog: 9, waiting: 9 })], destinations: [to(1)] }),
      },
      said: '1 of 28,232 ports to 10.0.0.5:9092; 28,231 left; no limit is half used, this one most',
    },
    { fact: 'is nothing where nothing is used', changes: {}, said: 'nothing that holds connections is used' },
    {
      fact: 'is nothing that the kernel tells by its upper bound alone',
      changes: { processes: [gateway({ descriptors: 1024, soft: 1024, exactness: 'UpperBound' as const })] },
      said: 'nothing that holds connections is used',
    },
  ])('$fact', ({ changes, said }) => {
    expect(headlineOf(changes)).toBe(said);
  });

  it('has no other half full one with fewer left', () => {
    const row = fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 1000 })).map(([used, capacity]) =>
      usedLimit({
        limit: 'RLIMIT_NOFILE',
        scope: 'Process',
        subject: 'a',
        unit: 'descriptors',
        kind: 'Count',
        used,
        capacity,
      }),
    );
    fc.assert(
      fc.property(fc.array(row, { minLength: 1 }), (rows) => {
        const half = rows.filter(({ used, capacity }) => (used ?? 0) * 2 >= (capacity ?? 0) && used !== 0);
        const fewest = Math.min(...half.map(({ left }) => left ?? 0));
        const binding = bindingAmong(rows);
        expect(half.length === 0 || binding?.left === fewest).toBe(true);
        expect(binding === null).toBe(rows.every(({ used }) => used === 0));
      }),
    );
  });
});

describe('the descriptors of a process', () => {
  it.each([
    { told: { descriptors: 1000, exactness: 'Exact' }, counted: { descriptors: 1000, exactness: 'Exact' } },
    { told: { descriptors: 256, exactness: 'UpperBound' }, counted: { descriptors: 256, exactness: 'UpperBound' } },
    { told: { descriptors: 1024, exactness: 'UpperBound' }, counted: { descriptors: 900, exactness: 'Estimate' } },
  ] as const)('of a limit of 1,024 told as $told are $counted', ({ told, counted }) => {
    expect(countedDescriptors(told, 1024, () => 900)).toEqual(counted);
  });
});

describe('the ports for connect()', () => {
  it.each([
    { fact: 'are the range', range: '40000 40099', usable: 100 },
    { fact: 'are one fewer in an odd range', range: '40000 40098', usable: 98 },
    { fact: 'lack what is reserved', range: '40000 40099', reserved: '80,40000-40009,40050', usable: 89 },
    { fact: 'lack what listens or is bound', range: '40000 40099', taken: [22, 40_001, 40_002], usable: 98 },
    { fact: 'lack once what is both', range: '40000 40099', reserved: '40001', taken: [40_001], usable: 99 },
  ])('$fact', ({ range, reserved = '', taken = [], usable }) => {
    const settings = withSettings({
      'net.ipv4.ip_local_port_range': range,
      'net.ipv4.ip_local_reserved_ports': reserved,
    });
    expect(diagnose(observation({ settings, sockets: sockets({ takenPorts: taken }) })).supply.usable).toBe(usable);
  });

  it.each([
    { reuse: '0', address: '10.0.0.5', used: 30 },
    { reuse: '2', address: '10.0.0.5', used: 30 },
    { reuse: '2', address: '127.0.0.1', used: 10 },
    { reuse: '1', address: '10.0.0.5', used: 10 },
    { reuse: '0', address: '::1', used: 30 },
  ])('to $address with tcp_tw_reuse $reuse are used by TIME_WAIT or not', ({ reuse, address, used }) => {
    const settings = withSettings({ 'net.ipv4.tcp_tw_reuse': reuse });
    const destinations = [destination({ address, established: 10, timeWait: 20 })];
    const ports = diagnose(observation({ settings, sockets: sockets({ destinations }) })).limits.find(
      ({ unit }) => unit === 'ports',
    );
    expect(ports).toMatchObject({ used, left: 28_232 - used });
  });

  it('name the local address where two reach the same destination, and IPv6 in brackets', () => {
    const destinations = [
      destination({ established: 9 }),
      destination({ established: 8, localAddress: '10.0.0.3' }),
      destination({ established: 7, address: '2001:db8::5' }),
    ];
    const { limits } = diagnose(observation({ sockets: sockets({ destinations }) }));
    expect(limits.filter(({ unit }) => unit === 'ports').map(({ subject }) => subject)).toEqual([
      '10.0.0.5:9092 from 10.0.0.2',
      '10.0.0.5:9092 from 10.0.0.3',
      '[2001:db8::5]:9092',
    ]);
  });
});

it('an accept queue takes one more than the backlog', () => {
  const { limits } = diagnose(
    observation({ sockets: sockets({ listeners: [listener({ backlog: 128, waiting: 29 })] }) }),
  );
  expect(limits.find(({ limit }) => limit === 'AcceptQueue')).toMatchObject({ used: 29, capacity: 129, left: 100 });
});

describe('the notes', () => {
  const overflowed = { listenOverflows: 40, listenDrops: 41 };
  it.each([
    {
      kind: 'LimitNear',
      changes: { sockets: sockets({ destinations: [to(24_100), to(23_000, '10.0.0.6')] }) },
      said: '85 % used: 24,100 of 28,232 ports to 10.0.0.5:9092; 4,132 left; and 1 more like it',
    },
    {
      kind: 'PortCliff',
      changes: { sockets: sockets({ destinations: [to(14_117)] }) },
      said: 'more than half of the ports to 10.0.0.5:9092 are used',
    },
    {
      kind: 'QueueFull',
      changes: { sockets: sockets({ listeners: [listener({ backlog: 128, waiting: 129 })] }) },
      said: 'the accept queue of 0.0.0.0:8080 is full: 129 wait, the backlog is 128',
    },
    {
      kind: 'QueueOverflowed',
      changes: { totals: { listenOverflows: 28 }, totalsAfter: overflowed },
      said: 'accept queues overflowed 40 times since the namespace was made, 12 of them in the last 1.0 s',
    },
    {
      kind: 'QueueOverflowed',
      changes: { totals: overflowed, totalsAfter: overflowed },
      said: 'none of them in the last 1.0 s',
    },
    {
      kind: 'BacklogSmall',
      changes: { totalsAfter: overflowed, sockets: sockets({ listeners: [listener({ backlog: 128 }), listener()] }) },
      said: 'backlogs below net.core.somaxconn 4,096: 0.0.0.0:8080 (128); somaxconn does nothing',
    },
    {
      kind: 'TimeWaitHoldsPorts',
      changes: { sockets: sockets({ destinations: [destination({ timeWait: 8000 })] }) },
      said: '8,000 of the ports to 10.0.0.5:9092 are in TIME_WAIT',
    },
    {
      kind: 'TimeWaitSkipped',
      changes: { totalsAfter: { timeWaitOverflows: 3 } },
      said: 'TIME_WAIT was skipped 3 times',
    },
    {
      kind: 'OrphansNear',
      changes: { settings: withSettings({ 'net.ipv4.tcp_max_orphans': '100' }), totals: { machineTcpOrphans: 80 } },
      said: '80 of 100 orphans',
    },
    {
      kind: 'BoundEarly',
      changes: { sockets: sockets({ destinationCount: 20, ephemeralConnections: 9000, distinctPorts: 9000 }) },
      said: 'no two of 9,000 connections to 20 destinations have the same port',
    },
    {
      kind: 'DescriptorsInexact',
      changes: { processes: [gateway({ exactness: 'UpperBound' as const })] },
      said: 'an estimate from 256 descriptors',
    },
    { kind: 'ProcessesUnreadable', changes: { unreadableProcesses: 3 }, said: '3 processes may not be looked at' },
    { kind: 'SocketsChanged', changes: { sockets: sockets({ wasInterrupted: true }) }, said: 'some may be missing' },
  ])('say $kind: $said', ({ kind, changes, said }) => {
    const { notes } = diagnose(observation(changes));
    expect(notes).toContainEqual(expect.objectContaining({ kind, message: expect.stringContaining(said) as string }));
  });

  it.each([
    { fact: 'nothing of what is well', changes: { sockets: sockets({ destinations: [to(14_116)] }) } },
    {
      fact: 'nothing of TIME_WAIT that is used again',
      changes: {
        settings: withSettings({ 'net.ipv4.tcp_tw_reuse': '1' }),
        sockets: sockets({ destinations: [destination({ timeWait: 20_000 })] }),
      },
    },
    {
      fact: 'nothing of small backlogs where no queue overflowed',
      changes: { sockets: sockets({ listeners: [listener({ backlog: 5 })] }) },
    },
    {
      fact: 'nothing of early binding where two destinations share a port',
      changes: { sockets: sockets({ destinationCount: 20, ephemeralConnections: 9000, distinctPorts: 8999 }) },
    },
  ])('say $fact', ({ changes }) => {
    expect(diagnose(observation(changes)).notes).toEqual([]);
  });
});

const page = (most: number): string =>
  doctorText(
    diagnose(
      observation({
        sockets: sockets({
          states: states({ established: 24_107, listen: 1, timeWait: 3 }),
          sendQueueBytes: 2500,
          destinations: [to(24_100), ...Array.from({ length: 4 }, (_, at) => to(2, `10.0.1.${at}`))],
          destinationCount: 9,
          listeners: [listener({ connections: 7 })],
        }),
        processes: [gateway({ descriptors: 24_120 }), gateway({ pid: 4712, command: 'worker' })],
      }),
    ),
    most,
  );

describe('the page', () => {
  it('begins with what binds, has a bar for each row and says what it leaves out', () => {
    const lines = page(2).split('\n');
    expect(lines[0]).toBe(
      'process 4711 (gateway) and 1 below it: 24,100 of 28,232 ports to 10.0.0.5:9092; 4,132 left; this binds first',
    );
    expect(lines).toContain('Wrong');
    expect(lines).toContain(
      'Sockets of the network namespace: 24,107 established, 1 listening, 3 in TIME_WAIT; 0 B to be read, 2.5 KB to be sent',
    );
    expect(lines).toContain(
      '  [####################----]  85 %      4,132 left  24,100 of 28,232 ports to 10.0.0.5:9092',
    );
    expect(lines).toContain('  … and 3 more: --all');
    expect(lines).toContain('  0.0.0.0:8080             backlog 4,096, 0 wait, 7 connections');
  });

  it('with all rows leaves nothing out of what was read', () => {
    expect(page(Infinity)).not.toContain('more: --all');
  });
});
