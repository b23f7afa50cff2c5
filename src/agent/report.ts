import { type ConnectionNodeStatus, plannedFacts, type PodReport } from '../api/connection-node.ts';
import type { Rlimit } from '../linux/libc.ts';
import type { NodeFacts } from '../linux/node-facts.ts';
import { settableNofileFor } from './adjust.ts';
import type { LateBefore } from './late-before.ts';
import type { PlannedPod } from './planned-pods.ts';
import { podReportFor } from './pod-report.ts';

/** All that the status of the ConnectionNode is made of. */
export interface AgentState {
  readonly version: string;
  /** Name and version; "" while the agent is not registered. */
  readonly runtime: string;
  readonly isConnected: boolean;
  readonly keyIds: readonly string[];
  readonly facts: NodeFacts;
  /** What a sandbox was last seen to have from the runtime. */
  readonly sandboxNofile: Rlimit | undefined;
  readonly maximumNofile: number;
  readonly pods: readonly PlannedPod[];
  readonly lateBefore: LateBefore;
}

/** Of the schema. */
const mostPods = 1024;
const mostKeys = 8;

/** The same state gives the same status, in the same order. */
export function statusFor(state: AgentState): ConnectionNodeStatus {
  const { facts, version, isConnected } = state;
  return {
    facts: factsFor(state),
    agent: {
      version,
      runtime: state.runtime.slice(0, 128),
      connected: isConnected,
      canRaiseNofile: facts.canRaiseNofile || facts.runtimeCanRaiseNofile === true,
      keyIds: state.keyIds.toSorted().slice(-mostKeys),
    },
    pods: reportsFor(state),
  };
}

const usageFields: ReadonlySet<string> = new Set(['usedPercent', 'connections', 'flows'] satisfies (keyof PodReport)[]);

/** For comparing: without what changes with every connection. */
export function textWithoutUsage(status: ConnectionNodeStatus): string {
  return JSON.stringify(status, (key, value: unknown) => (usageFields.has(key) ? undefined : value));
}

function factsFor({ facts, sandboxNofile, maximumNofile }: AgentState): ConnectionNodeStatus['facts'] {
  const nofile = sandboxNofile ?? facts.runtimeNofile;
  const settable = settableNofileFor(facts, sandboxNofile);
  const allowed = settable === undefined ? undefined : Math.min(settable, Math.max(maximumNofile, nofile?.hard ?? 0));
  return {
    ...plannedFacts(facts),
    runtimeNofile: nofile && { soft: finite(nofile.soft), hard: finite(nofile.hard) },
    settableNofile: allowed,
  };
}

const finite = (limit: number): number => Math.min(limit, Number.MAX_SAFE_INTEGER);

/** A pod whose sandbox was made anew is told once: by the sandbox that came last. */
export function reportsFor({ pods, lateBefore }: Pick<AgentState, 'pods' | 'lateBefore'>): PodReport[] {
  const byUid = new Map(pods.filter(({ uid }) => uid !== '').map((pod) => [pod.uid, pod]));
  const reports = [...byUid.values()].map((pod) => podReportFor(pod, lateBefore));
  return reports.toSorted((a, b) => (a.uid < b.uid ? -1 : 1)).slice(0, mostPods);
}
