import { LinuxError } from '../linux-error.ts';
import { AF_INET, ipBytes } from '../ip-bytes.ts';

/** What tells the sockets of one flow from those of the others in its network namespace. */
export interface FlowMatch {
  /** It has what was accepted at these. */
  readonly localPorts: readonly number[];
  /** It has what goes to these, "ip:port" each. */
  readonly remotes: readonly Remote[];
  /** It has what goes to these ports, whatever the address, but for the remotes of others. */
  readonly remotePorts: readonly number[];
  /** It has what was opened and no other has. */
  readonly hasRest: boolean;
}

export interface Remote {
  readonly ip: string;
  readonly port: number;
}

/** TIME_WAIT without what is in FIN_WAIT2. */
export interface FlowCount {
  readonly established: number;
  readonly timeWait: number;
}

/** 32 flows, and what none of them has. */
const mostMatches = 33;
export const slotCount = mostMatches + 2;
/** The rest has slot 0, the match at `index` the slot index + 1, the last is for what others listen on. */
export const slotOf = (index: number): number => index + 1;
export const undeclaredSlot = slotCount - 1;

export const portCount = 65_536;

/** Slots by port: of local ports, and after them of remote ones. 0: nothing is said of the port. */
export function portSlots(matches: readonly FlowMatch[]): Uint8Array {
  checkMatches(matches);
  const slots = new Uint8Array(2 * portCount);
  for (const [index, { localPorts, remotePorts }] of matches.entries()) {
    for (const port of localPorts) slots[port] = slotOf(index);
    for (const port of remotePorts) slots[portCount + port] = slotOf(index);
  }
  return slots;
}

/** 16 bytes in network order; an IPv4 address is mapped into IPv6 (RFC 4291, 2.5.5.2), as sockets of IPv6 name it. */
export function mappedAddress(ip: string): Buffer {
  const { family, bytes } = ipBytes(ip);
  return family === AF_INET ? Buffer.concat([Buffer.alloc(10), Buffer.from([0xff, 0xff]), bytes]) : bytes;
}

/** From the slots' counts to those of the matches, in their order. */
export function countsOf(matches: readonly FlowMatch[], slots: (slot: number) => FlowCount): readonly FlowCount[] {
  const rest = slots(0);
  return matches.map(({ hasRest }, index) => {
    const { established, timeWait } = slots(slotOf(index));
    if (!hasRest) return { established, timeWait };
    return { established: established + rest.established, timeWait: timeWait + rest.timeWait };
  });
}

function checkMatches(matches: readonly FlowMatch[]): void {
  if (matches.length > mostMatches) throw invalid(`flows: ${matches.length}, at most ${mostMatches} are counted`);
  const ports = matches.flatMap(({ localPorts, remotePorts, remotes }) => [
    ...localPorts,
    ...remotePorts,
    ...remotes.map(({ port }) => port),
  ]);
  const wrong = ports.find((port) => !Number.isInteger(port) || port < 1 || port >= portCount);
  if (wrong !== undefined) throw invalid(`port: ${wrong}, must be 1 to ${portCount - 1}`);
}

const invalid = (message: string): LinuxError => new LinuxError({ kind: 'InvalidInput', syscall: 'bpf', message });
