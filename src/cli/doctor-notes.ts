import type { SocketTotals } from '../linux/sockets.ts';
import type { TcpDestination, TcpListener } from '../linux/tcp-sockets.ts';
import { numberText } from '../planner/explain.ts';
import { areBoundEarly, endpointText, type PortUse, portsUsedTo, type UsedLimit } from './doctor-limits.ts';
import type { Observation } from './doctor-observe.ts';
import { settingNumber } from './doctor-tables.ts';
import { useText } from './doctor-wording.ts';

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
  | 'DescriptorsUpperBound'
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

const nearNotes = ({ limits }: Judged): readonly DoctorNote[] =>
  limits
    .filter((limit) => limit.limit !== 'AcceptQueue' && isNear(limit))
    .map((limit) => wrong('LimitNear', useText(limit)));

type Counter = 'listenOverflows' | 'listenDrops' | 'timeWaitOverflows';

/** "1,234 since the namespace was made, 12 of them in these 0.4 s"; undefined: it never happened. */
const countedText = (observation: Observation, counter: Counter): string | undefined => {
  const { totalsAfter, totals, seconds } = observation;
  const sum = (of: SocketTotals): number => of[counter] ?? 0;
  if (sum(totalsAfter) === 0) return undefined;
  const now = sum(totalsAfter) - sum(totals);
  const lately = `${now === 0 ? 'none' : numberText(now)} of them in these ${seconds.toFixed(1)} s`;
  return `${numberText(sum(totalsAfter))} times since the namespace was made, ${lately}`;
};

const listenerText = ({ address, port }: TcpListener): string => endpointText(address, port);

const queueNotes = (observation: Observation): readonly DoctorNote[] => {
  const { listeners } = observation.sockets;
  const full = listeners.filter(({ waiting, backlog }) => waiting > backlog);
  const overflowed = countedText(observation, 'listenOverflows');
  const somaxconn = settingNumber(observation, 'net.core.somaxconn') ?? 0;
  const small = overflowed === undefined ? [] : listeners.filter(({ backlog }) => backlog < somaxconn);
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
    ...small.map((listener) =>
      remark(
        'BacklogSmall',
        `${listenerText(listener)} listens with a backlog of ${numberText(listener.backlog)}: net.core.somaxconn ${numberText(somaxconn)} does nothing for it, its program must ask for more and listen again`,
      ),
    ),
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
const cliffNotes = ({ limits }: Judged): readonly DoctorNote[] =>
  limits
    .filter(
      ({ limit, used, capacity }) => limit === 'net.ipv4.ip_local_port_range' && (used ?? 0) > (capacity ?? 0) / 2,
    )
    .map(({ subject }) =>
      remark(
        'PortCliff',
        `more than half of the ports to ${subject} are used: where the kernel picks the port, connect() is slow from here on (IP_LOCAL_PORT_RANGE on the socket, or more destinations, avoid it)`,
      ),
    );

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
  ...(processes.some(({ exactness }) => exactness === 'UpperBound')
    ? [
        remark(
          'DescriptorsUpperBound',
          'this kernel (before 6.2) tells the size of a descriptor table, not how much of it is used: descriptors are at most what is shown',
        ),
      ]
    : []),
  ...(unreadableProcesses > 0
    ? [
        remark(
          'ProcessesUnreadable',
          `${numberText(unreadableProcesses)} processes ended meanwhile or may not be looked at: root sees all`,
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
