import type { Diagnosis } from './doctor-diagnosis.ts';
import { portsUsedTo, type UsedLimit } from './doctor-limits.ts';
import type { ProcessUse } from './doctor-processes.ts';

const limitJson = ({ limit, scope, subject, used, capacity, left, unit }: UsedLimit) => ({
  limit,
  scope,
  subject,
  used,
  capacity,
  left,
  unit,
});

const destinationsJson = ({ observation: { sockets }, ports: { supply, reuse } }: Diagnosis) =>
  sockets.destinations.map((destination) => {
    const { localAddress, address, port, established, timeWait, other, outside } = destination;
    const used = portsUsedTo(destination, reuse);
    const left = Math.max(0, supply.usable - used);
    return { localAddress, address, port, established, timeWait, other, outsideRange: outside, used, left };
  });

const processJson = ({ pid, command, descriptors, exactness, soft, hard }: ProcessUse) => ({
  pid,
  command,
  descriptors,
  exactness,
  soft,
  hard,
  left: Math.max(0, soft - descriptors),
});

const portsJson = ({ supply: { range, reserved, taken, usable } }: Diagnosis) => ({
  low: range.low,
  high: range.high,
  reserved,
  taken,
  usable,
});

/** Totals since the namespace was made (machine…: of the whole machine, now); null: this kernel does not say it. */
const countersJson = ({ observation: { totalsAfter } }: Diagnosis) => ({
  activeOpens: totalsAfter.activeOpens ?? null,
  passiveOpens: totalsAfter.passiveOpens ?? null,
  listenOverflows: totalsAfter.listenOverflows ?? null,
  listenDrops: totalsAfter.listenDrops ?? null,
  timeWaitOverflows: totalsAfter.timeWaitOverflows ?? null,
  machineTcpAllocated: totalsAfter.machineTcpAllocated ?? null,
  machineTcpOrphans: totalsAfter.machineTcpOrphans ?? null,
  machineTcpMemoryPages: totalsAfter.machineTcpMemoryPages ?? null,
});

/** The stable JSON of `doctor -o json`; docs/doctor.md says what each field means. */
export const doctorJson = (diagnosis: Diagnosis) => {
  const { observation, limits, bindsFirst, notes } = diagnosis;
  const { target, sockets } = observation;
  const { receiveQueueBytes, sendQueueBytes } = sockets;
  return {
    kind: 'Doctor',
    target: { kind: target.kind, pid: target.pid, command: target.command, networkNamespace: target.netnsPath },
    sockets: { ...sockets.states, receiveQueueBytes, sendQueueBytes },
    settings: Object.fromEntries(observation.settings),
    ports: portsJson(diagnosis),
    limits: limits.map(limitJson),
    bindsFirst: bindsFirst === null ? null : limitJson(bindsFirst),
    destinationCount: sockets.destinationCount,
    destinations: destinationsJson(diagnosis),
    listeners: sockets.listeners,
    processes: observation.processes.map(processJson),
    counters: countersJson(diagnosis),
    notes,
    seconds: Math.round(observation.seconds * 1000) / 1000,
  };
};
