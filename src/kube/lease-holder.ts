import type { KubeClient } from './client.ts';
import { isKubeError, KubeError } from './kube-error.ts';
import { claimed, freeInMs, type LeaseTiming, type Observation, observe, released } from './lease-record.ts';
import type { Lease, Target } from './resources.ts';

/** A Lease that is ours, and when (our monotonic clock) the request began that made it so. */
export interface Held {
  readonly lease: Lease;
  readonly sinceMs: number;
}

/** The Lease calls of one candidate. Each is short, for there is another one two seconds later. */
export interface LeaseHolder {
  /** The Lease if it could be taken; else who holds it, and until when if it is not renewed. Throws KubeError. */
  readonly tryToTake: (signal: AbortSignal) => Promise<Held | { readonly heldBy: string; readonly freeInMs: number }>;
  /** Throws KubeError NotLeading when the Lease is not ours any more, other kinds when it could not be found out. */
  readonly renew: (held: Held, call: { readonly signal: AbortSignal; readonly timeoutMs: number }) => Promise<Held>;
  readonly release: (held: Held) => Promise<void>;
}

export interface LeaseHolderOptions {
  readonly client: KubeClient;
  readonly target: Target<Lease>;
  readonly holder: string;
  readonly timing: LeaseTiming;
}

export function createLeaseHolder(options: LeaseHolderOptions): LeaseHolder {
  const { client, target, holder, timing } = options;
  const timeoutMs = timing.retryPeriodMs;
  let observation: Observation | undefined;
  return {
    tryToTake: async (signal) => {
      const lease = await readLease(options, { signal, timeoutMs });
      const nowMs = performance.now();
      observation = observe(lease, observation, nowMs);
      const waitMs = freeInMs(lease, holder, { observation, nowMs });
      if (waitMs > 0) return { heldBy: lease.spec?.holderIdentity ?? '', freeInMs: waitMs };
      return claim(options, lease, { signal, timeoutMs });
    },
    renew: async (held, call) => {
      try {
        return await claim(options, held.lease, call);
      } catch (error) {
        if (isKubeError(error, 'NotFound')) throw lost(error);
        if (!isKubeError(error, 'Conflict')) throw error;
      }
      // Somebody wrote: another holder, or an earlier renewal of ours whose answer was lost.
      const lease = await readLease(options, call);
      if (lease.spec?.holderIdentity !== holder) throw lost();
      return claim(options, lease, call);
    },
    release: async (held) => {
      await client.update(target, released(held.lease, new Date()), {
        signal: new AbortController().signal,
        timeoutMs,
      });
    },
  };
}

function lost(cause?: unknown): KubeError {
  return new KubeError('somebody else holds the lease', { kind: 'NotLeading', cause });
}

interface ShortCall {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

async function readLease({ client, target }: LeaseHolderOptions, call: ShortCall): Promise<Lease> {
  const { name, namespace = 'default' } = target;
  try {
    return await client.get(target, call);
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error;
    return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace } };
  }
}

/** Writes us as the holder, if nobody wrote since `lease` was read. */
async function claim(options: LeaseHolderOptions, lease: Lease, call: ShortCall): Promise<Held> {
  const { client, target, holder, timing } = options;
  const sinceMs = performance.now();
  const body = claimed(lease, { holder, leaseDurationMs: timing.leaseDurationMs, now: new Date() });
  const isNew = lease.metadata?.resourceVersion === undefined;
  const written = isNew ? client.create(target.resource, body, call) : client.update(target, body, call);
  return { lease: await written, sinceMs };
}
