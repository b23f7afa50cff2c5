import type { TcpDestination, TcpListener } from '../linux/tcp-sockets.ts';
import { numberText } from '../planner/explain.ts';
import { areBoundEarly, endpointText, type PortUse, portsUsedTo, type UsedLimit } from './doctor-limits.ts';
import type { Observation } from './doctor-observe.ts';
import { settingNumber } from './doctor-tables.ts';
import { percentText, useText } from './doctor-wording.ts';

/** Wrong: it loses connections now, or will soon. Remark: what one should know to read the numbers. */
export interface DoctorNote {
  readonly kind: NoteKind;
  readonly severity: 'Wrong' | 'Remark';
  readonly message: string;
}

export type NoteKind =
  | 'LimitNear'
  | 'QueueOverflowed'
  | 'QueueFull'
  | 'BacklogSmall'
  | 'TimeWaitHoldsPorts'
  | 'TimeWaitSkipped'
  | 'OrphansNear'
  | 'PortCliff'
  | 'BoundEarly'
  | 'DescriptorsInexact'
  | 'ProcessesUnreadable'
  | 'SocketsChanged'
  | 'OtherNamespaces';

interface Judged {
  readonly ports: PortUse;
  readonly limits: readonly UsedLimit[];
}

const wrong = (kind: NoteKind, message: string): DoctorNote => ({ kind, severity: 'Wrong', message });
const remark = (kind: NoteKind, message: string): DoctorNote => ({ kind, severity: 'Remark', message });

const nearShare = 0.8;

const isNear = ({ used, capacity }: UsedLimit): boolean =>
  used !== null && capacity !== null && used >= nearShare * capacity;

/** The fullest of each kind of limit, and how many there are besides. */
const nearNotes = ({ limits }: Judged): readonly DoctorNote[] => {
  const near = limits.filter((limit) => limit.limit !== 'AcceptQueue' && limit.kind !== 'UpperBound' && isNear(limit));
  return [...Map.groupBy(near, ({ limit }) => limit).values()].flatMap(([fullest, ...others]) => {
    if (fullest === undefined) return [];
    const more = others.length === 0 ? '' : `; and ${numberText(others.length)} more like it`;
    return [wrong('LimitNear', `${percentText(fullest)} used: ${useText(fullest)}${more}`)];
  });
};

type Counter = 'listenOverflows' | 'listenDrops' | 'timeWaitOverflows';

/** "1,234 times since the namespace was made, 12 of them in the last 1.0 s"; undefined: it never happened. */
const countedText = ({ totals, totalsAfter, watchedSeconds }: Observation, counter: Counter): string | undefined => {
  const [before = 0, after = 0] = [totals[counter], totalsAfter[counter]];
  if (after === 0) return undefined;
  const lately = `${after === before ? 'none' : numberText(after - before)} of them in the last ${watchedSeconds.toFixed(1)} s`;
  return `${numberText(after)} times since the namespace was made, ${lately}`;
};

const listenerText = ({ address, port }: TcpListener): string => endpointText(address, port);

const mostNamed = 5;

/** Which queue overflowed the kernel does not say: those that could be longer come into question. */
const backlogNotes = (listeners: readonly TcpListener[], somaxconn: number): readonly DoctorNote[] => {
  const small = listeners.filter(({ backlog }) => backlog < somaxconn).toSorted((a, b) => a.backlog - b.backlog);
  const named = small
    .slice(0, mostNamed)
    .map((listener) => `${listenerText(listener)} (${numberText(listener.backlog)})`);
  const more = small.length > mostNamed ? ` and ${numberText(small.length - mostNamed)} more` : '';
  if (small.length === 0) return [];
  return [
    remark(
      'BacklogSmall',
      `backlogs below net.core.somaxconn ${numberText(somaxconn)}: ${named.join(', ')}${more}; somaxconn does nothing for them, their programs must ask for more and listen again`,
    ),
  ];
};

const queueNotes = (observation: Observation): readonly DoctorNote[] => {
  const { listeners } = observation.sockets;
  const full = listeners.filter(({ waiting, backlog }) => waiting > backlog);
  const overflowed = countedText(observation, 'listenOverflows');
  const somaxconn = settingNumber(observation, 'net.core.somaxconn') ?? 0;
  return [
    ...full.map((listener) =>
      wrong(
        'QueueFull',
        `the accept queue of ${listenerText(listener)} is full: ${numberText(listener.waiting)} wait, the backlog is ${numberText(listener.backlog)}; its program does not accept (out of descriptors, or too slow), and clients that connect now wait for their SYN to be sent again`,
      ),
    ),
    ...(overflowed === undefined
      ? []
      : [wrong('QueueOverflowed', `accept queues overflowed ${overflowed}; every retry counts again`)]),
    ...(overflowed === undefined ? [] : backlogNotes(listeners, somaxconn)),
  ];
};

const holdsByTimeWait = 0.25;

const timeWaitNote = (destination: TcpDestination, { supply, reuse }: PortUse): readonly DoctorNote[] => {
  const { address, port, timeWait } = destination;
  const counts = portsUsedTo(destination, reuse) > portsUsedTo({ ...destination, timeWait: 0 }, reuse);
  if (!counts || timeWait < holdsByTimeWait * supply.usable) return [];
  return [
    wrong(
      'TimeWaitHoldsPorts',
      `${numberText(timeWait)} of the ports to ${endpointText(address, port)} are in TIME_WAIT for 60 s each: this side closes first; keep connections open, let the far end close, or set net.ipv4.tcp_tw_reuse to 1 (it is ${reuse ?? 'unknown'})`,
    ),
  ];
};

const timeWaitNotes = (observation: Observation, { ports }: Judged): readonly DoctorNote[] => {
  const skipped = countedText(observation, 'timeWaitOverflows');
  return [
    ...observation.sockets.destinations.flatMap((destination) => timeWaitNote(destination, ports)),
    ...(skipped === undefined
      ? []
      : [wrong('TimeWaitSkipped', `TIME_WAIT was skipped ${skipped}, for net.ipv4.tcp_max_tw_buckets was reached`)]),
  ];
};

const orphanNotes = (observation: Observation): readonly DoctorNote[] => {
  const most = settingNumber(observation, 'net.ipv4.tcp_max_orphans');
  const orphans = observation.totals.machineTcpOrphans ?? 0;
  if (most === undefined || orphans < nearShare * most) return [];
  return [
    wrong(
      'OrphansNear',
      `${numberText(orphans)} of ${numberText(most)} orphans (net.ipv4.tcp_max_orphans): above it the kernel resets connections that programs have closed`,
    ),
  ];
};

/** Where the kernel picks the port, connect() looks at those of one parity first (measured, docs/kernel-limits.md). */
const cliffNotes = ({ limits }: Judged): readonly DoctorNote[] => {
  const [fullest, ...others] = limits.filter(
    ({ unit, used, capacity }) => unit === 'ports' && (used ?? 0) > (capacity ?? 0) / 2,
  );
  if (fullest === undefined) return [];
  const more = others.length === 0 ? '' : ` and ${numberText(others.length)} more`;
  return [
    remark(
      'PortCliff',
      `more than half of the ports to ${fullest.subject}${more} are used: where the kernel picks the port, connect() is slow from here on; IP_LOCAL_PORT_RANGE on the socket, or more destinations, avoid it`,
    ),
  ];
};

const earlyNotes = ({ sockets }: Observation, { ports }: Judged): readonly DoctorNote[] =>
  areBoundEarly(sockets, ports.supply.usable)
    ? [
        remark(
          'BoundEarly',
          `no two of ${numberText(sockets.ephemeralConnections)} connections to ${numberText(sockets.destinationCount)} destinations have the same port, as after bind() to port 0: all destinations share the range; IP_BIND_ADDRESS_NO_PORT gives each its own`,
        ),
      ]
    : [];

const readingNotes = ({ processes, unreadableProcesses, sockets, target }: Observation): readonly DoctorNote[] => [
  ...(processes.some(({ exactness }) => exactness !== 'Exact')
    ? [
        remark(
          'DescriptorsInexact',
          'this kernel (before 6.2) tells the size of a descriptor table, not how much of it is used: where that is less than half of the limit it is what is shown, else an estimate from 256 descriptors',
        ),
      ]
    : []),
  ...(unreadableProcesses > 0
    ? [
        remark(
          'ProcessesUnreadable',
          `${numberText(unreadableProcesses)} processes may not be looked at: root sees all`,
        ),
      ]
    : []),
  ...(sockets.wasInterrupted
    ? [remark('SocketsChanged', 'the sockets changed while they were read: some may be missing or counted twice')]
    : []),
  ...(target.kind === 'Machine'
    ? [
        remark(
          'OtherNamespaces',
          'sockets are those of this network namespace; for those of a pod give --pid or --netns',
        ),
      ]
    : []),
];

export const notesFor = (observation: Observation, judged: Judged): readonly DoctorNote[] => [
  ...queueNotes(observation),
  ...nearNotes(judged),
  ...timeWaitNotes(observation, judged),
  ...orphanNotes(observation),
  ...cliffNotes(judged),
  ...earlyNotes(observation, judged),
  ...readingNotes(observation),
];
