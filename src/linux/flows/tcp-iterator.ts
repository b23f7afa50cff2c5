import { closeSync } from 'node:fs';

import { type BpfObject, mapOf } from '../bpf/bpf-object.ts';
import { libbpf, type Libbpf } from '../bpf/libbpf.ts';
import { countsOf, type FlowCount, type FlowMatch, mappedAddress, portSlots, slotCount, slotOf } from './flow-match.ts';

// flows.bpf.c
const programName = 'count_flows';
const remoteBytes = 20;
const countsBytes = slotCount * 16;
const only = Buffer.alloc(4);

/** The program of flows.bpf.c in the kernel. One pass at a time: rules are set, a file of `link` is read, counts are read. */
export interface TcpIterator extends Disposable {
  /** Libbpf.openIterator makes of it a file of the sockets of one network namespace. */
  readonly link: number;
  /** What is counted next; the counts begin at 0. */
  readonly prepare: (matches: readonly FlowMatch[]) => void;
  readonly counts: (matches: readonly FlowMatch[]) => readonly FlowCount[];
}

/** Throws LinuxError NotFound (no libbpf, no compiled object, no types of the kernel), NotPermitted, or what the kernel says. */
export function loadTcpIterator(objectPath: string): TcpIterator {
  const bpf = libbpf();
  const object = bpf.load({ path: objectPath, programs: [programName], maps: new Map() });
  try {
    return iteratorOf(bpf, object);
  } catch (error) {
    object.close();
    throw error;
  }
}

function iteratorOf(bpf: Libbpf, object: BpfObject): TcpIterator {
  const rules = mapOf(object.maps, 'flow_rules');
  const remotes = mapOf(object.maps, 'flow_remotes');
  const counts = mapOf(object.maps, 'flow_counts');
  const link = bpf.linkIterator(object.programs.get(programName) ?? -1);
  return {
    link,
    prepare: (matches) => {
      bpf.update(rules, only, Buffer.from(portSlots(matches)));
      for (const key of bpf.keys(remotes, remoteBytes)) bpf.remove(remotes, key);
      for (const [key, slot] of remotesOf(matches)) bpf.update(remotes, key, slot);
      bpf.update(counts, only, Buffer.alloc(countsBytes));
    },
    counts: (matches) => {
      const value = Buffer.alloc(countsBytes);
      bpf.lookUp(counts, only, value);
      return countsOf(matches, (slot) => countAt(value, slot));
    },
    [Symbol.dispose]: () => {
      closeSync(link);
      object.close();
    },
  };
}

/** struct remote of each, and the number that stands for its flow. */
function remotesOf(matches: readonly FlowMatch[]): readonly (readonly [key: Buffer, slot: Buffer])[] {
  return matches.flatMap(({ remotes }, index) =>
    remotes.map(({ ip, port }) => [Buffer.concat([mappedAddress(ip), numberBytes(port)]), numberBytes(slotOf(index))]),
  );
}

function numberBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** struct counts: first the established ones of all slots. */
function countAt(counts: Buffer, slot: number): FlowCount {
  const numberAt = (index: number): number => Number(counts.readBigUInt64LE(index * 8));
  return { established: numberAt(slot), timeWait: numberAt(slotCount + slot) };
}
