import type { UsedLimit } from './doctor-limits.ts';
import { usedLimit } from './doctor-limits.ts';
import type { Observation, SettingName } from './doctor-observe.ts';

/** A number among the settings; undefined where there is none. */
export const settingNumber = ({ settings }: Observation, name: SettingName): number | undefined => {
  const value = settings.get(name);
  return value === undefined || !/^\d+$/.test(value) ? undefined : Number(value);
};

/** conntrack is counted in each namespace and held against the machine's maximum; 0 is no limit. */
const conntrackLimits = (observation: Observation): readonly UsedLimit[] => {
  const { target, node } = observation;
  const max = settingNumber(observation, 'net.netfilter.nf_conntrack_max') ?? node.conntrackMax;
  if (max === undefined || max === 0) return [];
  const row = { limit: 'net.netfilter.nf_conntrack_max', unit: 'entries', kind: 'Count', capacity: max } as const;
  const here = usedLimit({
    ...row,
    scope: target.isOwnNamespace ? 'Node' : 'Pod',
    subject: '',
    used: settingNumber(observation, 'net.netfilter.nf_conntrack_count'),
  });
  if (target.isOwnNamespace || node.conntrackUsed === undefined) return [here];
  return [here, usedLimit({ ...row, scope: 'Node', subject: 'the machine', used: node.conntrackUsed })];
};

/** systemd sets fs.file-max to 2^63 − 1: no limit, read as 2^53 − 1. */
const fileLimit = ({ node }: Observation): readonly UsedLimit[] => {
  if (node.fileMax === undefined || node.fileMax === Number.MAX_SAFE_INTEGER) return [];
  const row = { limit: 'fs.file-max', scope: 'Node', subject: '', unit: 'descriptors', kind: 'Count' } as const;
  return [usedLimit({ ...row, used: node.filesUsed, capacity: node.fileMax })];
};

/** What the namespace and the machine have one of. The kernel does not say how many epoll watches are used. */
export const tableLimits = (observation: Observation): readonly UsedLimit[] => {
  const { node, totals, sockets } = observation;
  return [
    ...conntrackLimits(observation),
    ...fileLimit(observation),
    usedLimit({
      limit: 'net.ipv4.tcp_mem',
      scope: 'Node',
      subject: '',
      unit: 'pages',
      kind: 'Momentary',
      used: totals.machineTcpMemoryPages,
      capacity: node.tcpMemMaximumPages,
    }),
    usedLimit({
      limit: 'net.ipv4.tcp_max_tw_buckets',
      scope: 'Pod',
      subject: '',
      unit: 'entries',
      kind: 'Momentary',
      used: sockets.states.timeWait,
      capacity: settingNumber(observation, 'net.ipv4.tcp_max_tw_buckets'),
    }),
    usedLimit({
      limit: 'fs.epoll.max_user_watches',
      scope: 'Node',
      subject: '',
      unit: 'entries',
      kind: 'Momentary',
      used: undefined,
      capacity: node.epollMaxUserWatches,
    }),
  ];
};
