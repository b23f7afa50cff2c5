import { isDeepStrictEqual } from 'node:util';

import type { ConnectionNodeStatus, PodReport } from '../api/connection-node.ts';
import { plannedFacts } from '../api/node-report.ts';
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
  /** Why it is not; "" where it is. */
  readonly obstacle: string;
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
const longestMessage = 512;

/** The same state gives the same status, in the same order. */
export function statusFor(state: AgentState): ConnectionNodeStatus {
  const { facts, version, isConnected } = state;
  return {
    facts: factsFor(state),
    agent: {
      version,
      runtime: state.runtime.slice(0, 128),
      connected: isConnected,
      ...(state.obstacle === '' ? {} : { message: state.obstacle.slice(0, longestMessage) }),
      canRaiseNofile: facts.canRaiseNofile || facts.runtimeCanRaiseNofile === true,
      keyIds: state.keyIds.toSorted().slice(-mostKeys),
    },
    pods: reportsFor(state),
  };
}

/** Usage changes with every connection, facts do not. */
export type Difference = 'None' | 'Usage' | 'Facts';

/** What of two statuses differs most. Reports of pods that have not changed are the same objects, so this is quick. */
export function differenceBetween(now: ConnectionNodeStatus, before: ConnectionNodeStatus): Difference {
  const isSameNode = isDeepStrictEqual([now.facts, now.agent], [before.facts, before.agent]);
  if (!isSameNode || now.pods.length !== before.pods.length) return 'Facts';
  const differences = new Set(now.pods.map((pod, index) => differenceOfPods(pod, before.pods[index])));
  return differences.has('Facts') ? 'Facts' : differences.has('Usage') ? 'Usage' : 'None';
}

function differenceOfPods(now: PodReport, before: PodReport | undefined): Difference {
  if (now === before) return 'None';
  if (before === undefined || !isDeepStrictEqual(withoutUsage(now), withoutUsage(before))) return 'Facts';
  return isDeepStrictEqual(now, before) ? 'None' : 'Usage';
}

const withoutUsage = (pod: PodReport): PodReport => ({
  ...pod,
  usedPercent: undefined,
  connections: undefined,
  flows: undefined,
});

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
  const reports = [...byUid.values()].map((pod) => reportOf(pod, lateBefore));
  return reports.toSorted((a, b) => (a.uid < b.uid ? -1 : 1)).slice(0, mostPods);
}

interface Said {
  readonly wasLate: boolean;
  readonly report: PodReport;
}

/** A pod is a value: what was said of it holds until another takes its place. */
const said = new WeakMap<PlannedPod, Said>();

function reportOf(pod: PlannedPod, lateBefore: LateBefore): PodReport {
  const { uid, plan } = pod;
  const wasLate = plan.state === 'Verified' && lateBefore.has({ uid, sectionHash: plan.hash });
  const known = said.get(pod);
  if (known?.wasLate === wasLate) return known.report;
  const report = podReportFor(pod, wasLate);
  said.set(pod, { wasLate, report });
  return report;
}
