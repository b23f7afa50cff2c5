import { randomUUID } from 'node:crypto';
import { createKubeClient } from './client.ts';
import { sleep } from './deadline.ts';
import type { KubeConfig } from './kube-config.ts';
import { isKubeError } from './kube-error.ts';
import { createLeaseHolder, type Held, type LeaseHolder } from './lease-holder.ts';
import { defaultLeaseTiming, type LeaseTiming } from './lease-record.ts';
import { startTenure } from './lease-tenure.ts';
import { leases } from './resources.ts';
import type { TransportOptions } from './transport.ts';

/** The time during which we lead. */
export interface Term {
  /** Fires when the term ends: the Lease is lost or could not be renewed, or the program stops. */
  readonly signal: AbortSignal;
  /** Asks the clock, so that no pause of this process can fool it (`writingOnlyWhile`). */
  readonly holds: () => boolean;
}

export type ElectionReport =
  | { readonly type: 'Leading' | 'Following'; readonly holder: string }
  | { readonly type: 'Released' }
  | { readonly type: 'Lost' | 'CallFailed' | 'LeadFailed'; readonly error: unknown };

export interface LeaderElection {
  /** The election makes a client of its own: no busy connection can hold up a renewal. */
  readonly config: KubeConfig;
  readonly namespace: string;
  readonly name: string;
  /** Who we are, e.g. the pod's name; a random part is added, for a restarted process is somebody else. */
  readonly identity: string;
  readonly timing?: LeaseTiming;
  /** What the leader does; it must end soon after `term.signal` fired, and its end ends the election. */
  readonly lead: (term: Term) => Promise<void>;
  /** Each call to the API server, for metrics. Must not throw. */
  readonly answered?: TransportOptions['answered'];
  /** Must not throw. */
  readonly report?: (report: ElectionReport) => void;
  readonly signal: AbortSignal;
}

interface Candidate {
  readonly election: LeaderElection;
  readonly holder: LeaseHolder;
  readonly holderName: string;
  readonly timing: LeaseTiming;
}

/**
 * Leads whenever it holds the Lease, and stands for election again when it lost it. Resolves when the signal fired or
 * `lead` returned, rejects with what `lead` threw of itself; in each case after the Lease was given back.
 */
export async function runAsLeader(election: LeaderElection): Promise<void> {
  const { namespace, name, identity, timing = defaultLeaseTiming } = election;
  const { answered } = election;
  const client = createKubeClient(election.config, { connections: 1, ...(answered === undefined ? {} : { answered }) });
  const holderName = `${identity}_${randomUUID()}`;
  const target = { resource: leases, namespace, name };
  const holder = createLeaseHolder({ client, target, holder: holderName, timing });
  const candidate: Candidate = { election, holder, holderName, timing };
  try {
    for (;;) {
      const held = await acquire(candidate);
      if (held === undefined || (await serve(candidate, held)) === 'Finished') return;
    }
  } finally {
    await client.close();
  }
}

/** Waits until the Lease is ours; undefined when the signal fired first. */
async function acquire({ election, holder, timing }: Candidate): Promise<Held | undefined> {
  const { signal, report } = election;
  let following: string | undefined;
  while (!signal.aborted) {
    let waitMs = timing.retryPeriodMs * (1 + Math.random() / 5);
    try {
      const taken = await holder.tryToTake(signal);
      if ('sinceMs' in taken) return taken;
      // Not a period later than it may be.
      waitMs = Math.min(waitMs, Math.ceil(taken.freeInMs));
      if (taken.heldBy !== following) report?.({ type: 'Following', holder: taken.heldBy });
      following = taken.heldBy;
    } catch (error) {
      const isExpected = signal.aborted || isKubeError(error, 'Conflict', 'AlreadyExists');
      if (!isExpected) report?.({ type: 'CallFailed', error });
    }
    await sleep(waitMs, signal);
  }
  return undefined;
}

/** One term, from taking the Lease to giving it back or losing it; `lead` has ended when it returns. */
async function serve({ election, holder, holderName, timing }: Candidate, first: Held): Promise<'Finished' | 'Lost'> {
  const { signal, report } = election;
  const tenure = startTenure({
    holder,
    first,
    timing,
    signal,
    lost: (error) => report?.({ type: 'Lost', error }),
    callFailed: (error) => report?.({ type: 'CallFailed', error }),
  });
  report?.({ type: 'Leading', holder: holderName });
  const failure = await failureOf(election.lead({ signal: tenure.signal, holds: tenure.holds }));
  const failedWhileLeading = tenure.holds() && !tenure.signal.aborted;
  await tenure.giveBack();
  if (!tenure.isLost()) report?.({ type: 'Released' });
  if (failure !== undefined && failedWhileLeading) throw failure.error;
  if (failure !== undefined) report?.({ type: 'LeadFailed', error: failure.error });
  return tenure.isLost() && !signal.aborted ? 'Lost' : 'Finished';
}

async function failureOf(work: Promise<void>): Promise<{ readonly error: unknown } | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return { error };
  }
}
