import { randomUUID } from 'node:crypto';
import type { Event } from './resources.ts';

export interface Happening {
  readonly regarding: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
  };
  readonly type: 'Normal' | 'Warning';
  /** Why, in CamelCase; at most 128 bytes. */
  readonly reason: string;
  /** What was done or failed, in CamelCase; at most 128 bytes. */
  readonly action: string;
  readonly note: string;
  /** e.g. "connectionbudget.io/controller" */
  readonly reportingController: string;
  /** e.g. the pod's name */
  readonly reportingInstance: string;
}

/** The API server's own limit (validation of events.k8s.io/v1). */
const noteMaximumBytes = 1024;
const nameMaximum = 253;

/** An events.k8s.io/v1 Event; events about cluster-scoped objects are in the namespace "default". */
export function eventFor(happening: Happening, now: Date): Event {
  const { regarding, type, reason, action, note, reportingController, reportingInstance } = happening;
  const suffix = `.${randomUUID().slice(0, 13)}`;
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: {
      name: regarding.name.slice(0, nameMaximum - suffix.length) + suffix,
      namespace: regarding.namespace ?? 'default',
    },
    eventTime: microTime(now),
    regarding,
    type,
    reason,
    action,
    note: truncateBytes(note, noteMaximumBytes),
    reportingController,
    reportingInstance: reportingInstance.slice(0, 128),
  };
}

/** meta/v1 MicroTime has six digits: "2026-11-23T12:00:00.123000Z". */
export function microTime(time: Date): string {
  return time.toISOString().replace('Z', '000Z');
}

/** Whole characters only; what is cut off is shown as "…" (3 bytes). */
export function truncateBytes(text: string, maximumBytes: number): string {
  if (Buffer.byteLength(text) <= maximumBytes) return text;
  const kept = Buffer.from(text).subarray(0, maximumBytes - 3);
  return `${new TextDecoder().decode(kept, { stream: true })}…`;
}
