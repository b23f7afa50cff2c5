import { setTimeout as delay } from 'node:timers/promises';

import { type CurveRecorder, type Sample, startCurve } from './curve.ts';
import type { Holder } from './holder.ts';
import type { Ended } from './holder-protocol.ts';
import { errnos } from './prediction.ts';
import type { FlowWiring } from './topology.ts';

/** Both sides of a flow: as many processes as hold it, filled one after the other. */
export interface FlowSides {
  readonly openers: readonly Holder[];
  readonly acceptors: readonly Holder[];
}

export interface FlowResult {
  readonly flow: string;
  readonly opened: number;
  readonly accepted: number;
  readonly seconds: number;
  /** Connections that both sides held while it ran, at most 512 samples; the last one is after `seconds`. */
  readonly curve: readonly Sample[];
  /** What the first side that could not go on was told; undefined: all that is declared is open. */
  readonly stop: { readonly side: 'Opener' | 'Acceptor'; readonly errno: number; readonly syscall: string } | undefined;
}

export interface SharedCounters {
  readonly reset: () => void;
  readonly opened: () => number;
  readonly accepted: () => number;
}

export interface FlowContext {
  readonly counters: SharedCounters;
  readonly signal: AbortSignal;
  /** How often both sides are compared; default 20. */
  readonly lookMs?: number;
}

const defaultLookMs = 20;
/** Longer than all SYN retries that a holder makes behind a translator: nothing more will come. */
const stalledMs = 12_000;
const drainedMs = 1000;

type Last = Pick<Ended, 'count' | 'errno' | 'syscall'>;

/** One process after the other, each from where the last one was full. */
const fillInTurn = async (
  holders: readonly Holder[],
  start: (holder: Holder, from: number) => Promise<Ended>,
  isStopped: () => boolean,
): Promise<Last> => {
  let last: Last = { count: 0, errno: 0, syscall: '' };
  for (const holder of holders) {
    last = await start(holder, last.count);
    if (last.errno !== errnos.EMFILE || isStopped()) break;
  }
  return last;
};

const stopAll = (holders: readonly Holder[]): void => {
  for (const holder of holders) holder.stop();
};

/** For how long a number has not changed, in milliseconds. */
const stillness = (read: () => number) => {
  let seen = read();
  let since = performance.now();
  return (): number => {
    const now = read();
    if (now !== seen) since = performance.now();
    seen = now;
    return performance.now() - since;
  };
};

interface Run {
  readonly began: number;
  readonly curve: CurveRecorder;
  /** Until the last connection: waiting for an error that comes late is no part of it. */
  seconds: number;
  opened: Last | undefined;
  accepted: Last | undefined;
  isStopped: boolean;
  isStalled: boolean;
}

/** Ends each side when the other can do no more: an acceptor without room, an opener that is done. */
const oversee = async (run: Run, sides: FlowSides, context: FlowContext): Promise<void> => {
  const { counters, signal } = context;
  const stillMs = stillness(() => counters.opened() + counters.accepted());
  const drainingMs = stillness(() => counters.accepted());
  while (run.opened === undefined || run.accepted === undefined) {
    await delay(context.lookMs ?? defaultLookMs, undefined, { signal });
    run.curve.record({
      ms: performance.now() - run.began,
      held: Math.min(counters.opened(), counters.accepted()),
    });
    const drained = drainingMs() > drainedMs;
    const unchangedMs = stillMs();
    run.seconds = (performance.now() - unchangedMs - run.began) / 1000;
    const still = unchangedMs > stalledMs;
    const caughtUp = run.opened !== undefined && (drained || counters.accepted() >= run.opened.count);
    const full = run.accepted !== undefined && run.accepted.errno !== 0;
    run.isStalled ||= still && run.opened === undefined;
    if (!(caughtUp || full || still)) continue;
    run.isStopped = true;
    if (run.opened === undefined) stopAll(sides.openers);
    if (run.accepted === undefined) stopAll(sides.acceptors);
  }
};

const stopFor = (run: Run, until: number): FlowResult['stop'] => {
  const { opened, accepted, isStalled } = run;
  if (accepted !== undefined && accepted.errno !== 0) return { side: 'Acceptor', ...accepted };
  if (opened !== undefined && opened.errno !== 0) return { side: 'Opener', ...opened };
  if (isStalled || (accepted?.count ?? 0) < until)
    return { side: 'Opener', errno: errnos.ETIMEDOUT, syscall: 'connect' };
  return undefined;
};

/** Opens the connections of one flow until they are all there or a side is stopped. */
export const runFlow = async (wiring: FlowWiring, sides: FlowSides, context: FlowContext): Promise<FlowResult> => {
  const { open: plan, listeners, window, connections: until } = wiring;
  context.counters.reset();
  const run: Run = {
    began: performance.now(),
    curve: startCurve(),
    seconds: 0,
    opened: undefined,
    accepted: undefined,
    isStopped: false,
    isStalled: false,
  };
  const isStopped = (): boolean => run.isStopped;
  const opening = fillInTurn(
    sides.openers,
    async (holder, from) => holder.open({ plan, from, until, window }),
    isStopped,
  );
  const accepting = fillInTurn(
    sides.acceptors,
    async (holder, from) => holder.accept({ listeners, from, until }),
    isStopped,
  );
  const watch = async (side: 'opened' | 'accepted', filling: Promise<Last>): Promise<void> => {
    run[side] = await filling;
  };
  await Promise.all([watch('opened', opening), watch('accepted', accepting), oversee(run, sides, context)]);
  const [opened, accepted] = [run.opened?.count ?? 0, run.accepted?.count ?? 0];
  const curve = run.curve.until({ ms: run.seconds * 1000, held: Math.min(opened, accepted) });
  return { flow: wiring.flow, opened, accepted, seconds: run.seconds, curve, stop: stopFor(run, until) };
};
