import { bytesText, numberText } from '../planner/explain.ts';
import type { TcpListener } from '../linux/tcp-sockets.ts';
import type { Diagnosis } from './doctor-diagnosis.ts';
import { endpointText, processText, type UsedLimit } from './doctor-limits.ts';
import type { DoctorNote } from './doctor-notes.ts';
import { percentText, shareOf, shareText, useText } from './doctor-wording.ts';
import { barText } from './plan-text.ts';

/** The diagnosis for people: what binds first, what is wrong, then the tables with at most so many rows each. */

const targetText = ({ observation: { target, processes } }: Diagnosis): string => {
  if (target.kind === 'Machine') return 'this machine';
  if (target.kind === 'Namespace') return `namespace ${target.netnsPath}`;
  const below = processes.length > 1 ? ` and ${numberText(processes.length - 1)} below it` : '';
  return `${processText({ pid: target.pid ?? 0, command: target.command ?? '' })}${below}`;
};

/** "24,100 of 28,232 ports to 10.0.0.5:9092; 4,132 left; this binds first" */
export const headline = ({ bindsFirst }: Pick<Diagnosis, 'bindsFirst'>): string => {
  if (bindsFirst === null) return 'nothing that holds connections is used';
  const isFar = shareOf(bindsFirst) < 0.5;
  return `${useText(bindsFirst)}; ${isFar ? 'no limit is half used, this one most' : 'this binds first'}`;
};

const noteLines = (title: string, notes: readonly DoctorNote[]): readonly string[] =>
  notes.length === 0 ? [] : ['', title, ...notes.map(({ message }) => `  - ${message}`)];

const stateNames = {
  established: 'established',
  listen: 'listening',
  timeWait: 'in TIME_WAIT',
  closeWait: 'in CLOSE_WAIT',
  synSent: 'opening (SYN_SENT)',
  synReceived: 'being accepted (SYN_RECV)',
  finWait1: 'in FIN_WAIT1',
  finWait2: 'in FIN_WAIT2',
  lastAck: 'in LAST_ACK',
  closing: 'in CLOSING',
  bound: 'bound only',
} as const;

const stateLine = ({ observation: { sockets } }: Diagnosis): string => {
  const names = Object.entries(stateNames) as [keyof typeof stateNames, string][];
  const parts = names.filter(([state]) => sockets.states[state] > 0);
  return `Sockets of the network namespace: ${parts.map(([state, name]) => `${numberText(sockets.states[state])} ${name}`).join(', ') || 'none'}; ${bytesText(sockets.receiveQueueBytes)} to be read, ${bytesText(sockets.sendQueueBytes)} to be sent`;
};

const portLine = ({ supply: { range, reserved, taken, usable } }: Diagnosis): string =>
  `Ports: ${range.low}–${range.high} less ${numberText(reserved)} reserved and ${numberText(taken)} of listening and bound sockets: ${numberText(usable)} for connect() to each destination`;

const limitLine = (limit: UsedLimit): string => {
  const { used, capacity } = limit;
  const bar = barText(
    used === null || capacity === null ? { capacity: undefined, needed: 0 } : { capacity, needed: used },
  );
  const left = limit.left === null ? '?' : numberText(limit.left);
  return `  ${bar} ${percentText(limit).padStart(5)} ${left.padStart(10)} left  ${shareText(limit)}`;
};

const isQueue = ({ limit }: UsedLimit): boolean => limit === 'AcceptQueue';
const isTable = ({ subject, limit }: UsedLimit): boolean => subject === '' || limit.includes('conntrack');

const table = (title: string, lines: readonly string[], most: number): readonly string[] => {
  if (lines.length === 0) return [];
  const more = lines.length > most ? [`  … and ${numberText(lines.length - most)} more: --all`] : [];
  return ['', title, ...lines.slice(0, most), ...more];
};

const listenerLine = ({ address, port, sockets, backlog, waiting, connections }: TcpListener): string => {
  const several = sockets === 1 ? '' : `, ${numberText(sockets)} sockets`;
  return `  ${endpointText(address, port).padEnd(24)} backlog ${numberText(backlog)}, ${numberText(waiting)} wait, ${numberText(connections)} connections${several}`;
};

const moreDestinations = ({ observation: { sockets } }: Diagnosis): readonly string[] => {
  const rest = sockets.destinationCount - sockets.destinations.length;
  return rest > 0 ? [`  … and ${numberText(rest)} destinations with no more than the least of these: --all`] : [];
};

const limitTables = (diagnosis: Diagnosis, most: number): readonly string[] => {
  const lines = (has: (limit: UsedLimit) => boolean): readonly string[] => diagnosis.limits.filter(has).map(limitLine);
  return [
    ...table(
      'Ports to each destination',
      lines(({ unit }) => unit === 'ports'),
      most,
    ),
    ...moreDestinations(diagnosis),
    ...table(
      'Descriptors of each process',
      lines(({ limit }) => limit === 'RLIMIT_NOFILE'),
      most,
    ),
    ...table('Tables of the namespace and the machine', lines(isTable), Infinity),
    ...table(
      'Accept queues',
      lines((limit) => isQueue(limit) && (limit.used ?? 0) > 0),
      most,
    ),
  ];
};

const settingLines = ({ observation: { settings } }: Diagnosis): readonly string[] =>
  [...settings].map(([name, value]) => `  ${name} = ${value === '' ? '(none)' : value}`);

export const doctorText = (diagnosis: Diagnosis, most: number): string => {
  const { notes, observation } = diagnosis;
  const ofSeverity = (severity: DoctorNote['severity']) => notes.filter((note) => note.severity === severity);
  return [
    `${targetText(diagnosis)}: ${headline(diagnosis)}`,
    ...noteLines('Wrong', ofSeverity('Wrong')),
    '',
    stateLine(diagnosis),
    portLine(diagnosis),
    ...limitTables(diagnosis, most),
    ...table('Listening', observation.sockets.listeners.map(listenerLine), most),
    ...table('Set', settingLines(diagnosis), Infinity),
    ...noteLines('Note', ofSeverity('Remark')),
    '',
    `Read in ${observation.seconds.toFixed(2)} s`,
  ].join('\n');
};
