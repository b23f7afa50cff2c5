import type { SocketTotals } from '../linux/sockets.ts';

/** Of one core, for looking at totals and at flows together: the agent may take 1 %, and what else it does took 0.1 to 0.2 %. */
const budgetShare = 0.007;
/** For flows at least, where totals alone take nearly all: a node with very many processes. */
const leastFlowShare = 0.002;
const shortestMs = 15_000;

/** What looking costs: milliseconds of CPU time. */
export interface LookingCost {
  /** Of one look at the totals of all pods, and how long it is until the next. */
  readonly totalsCpuMs: number;
  readonly totalsEveryMs: number;
  /** Of one round of passes over the sockets. */
  readonly flowsCpuMs: number;
}

/**
 * How long the next round of passes waits, so that all looking stays within 0.7 % of a core. Totals of 15 ms every 15 s are
 * 0.1 %, a round of 540 ms then fits every 540 ÷ 0.6 % = 90 s.
 */
export function flowsEveryMs({ totalsCpuMs, totalsEveryMs, flowsCpuMs }: LookingCost): number {
  const share = Math.max(leastFlowShare, budgetShare - totalsCpuMs / totalsEveryMs);
  return Math.max(shortestMs, flowsCpuMs / share);
}

/** Whether flows may have changed by what would be told: 1 % of the pod's sockets came or went. Unknown totals have. */
export function hasChanged(now: SocketTotals, before: SocketTotals | undefined): boolean {
  if (before === undefined || now.tcpInUse === undefined) return true;
  const moved = Math.abs(inUse(now) - inUse(before)) + Math.abs(waiting(now) - waiting(before));
  return moved + opens(now) - opens(before) >= Math.max(1, inUse(before) / 100);
}

const inUse = ({ tcpInUse = 0, tcp6InUse = 0 }: SocketTotals): number => tcpInUse + tcp6InUse;
const waiting = ({ tcpTimeWait = 0 }: SocketTotals): number => tcpTimeWait;
const opens = ({ activeOpens = 0, passiveOpens = 0 }: SocketTotals): number => activeOpens + passiveOpens;
