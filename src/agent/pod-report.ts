import type { PodReport } from '../api/connection-node.ts';
import type { PlanSection } from '../api/pod-annotation.ts';
import type { Finding } from './finding.ts';
import type { Outcome, PlannedPod } from './planned-pods.ts';
import { needsSpread } from './pod-spread.ts';
import { furtherAddressesOf, sourceAddressesOf } from './source-addresses.ts';

/** Of the schema. */
const longestMessage = 512;

type Verdict = Pick<PodReport, 'verified' | 'reason' | 'message'>;

/** What the agent says of one pod, from what it last saw. `wasLate`: an earlier run of the agent has called it late. */
export function podReportFor(pod: PlannedPod, wasLate: boolean): PodReport {
  const { namespace, name, uid, plan, usage } = pod;
  const identity = { namespace, name, uid };
  if (plan.state === 'Rejected') {
    const verdict = { verified: false, reason: 'SignatureInvalid', message: shortened(plan.message) } as const;
    return { ...identity, budget: '', sectionHash: '', ...verdict, sourceAddresses: [] };
  }
  const { section, hash } = plan;
  const { message, ...verdict } = verdictFor(pod, section, wasLate);
  return {
    ...identity,
    budget: section.budget.name,
    sectionHash: hash,
    ...verdict,
    message: shortened(message),
    sourceAddresses: [...sourceAddressesOf(pod)],
    ...usage,
  };
}

function verdictFor(pod: PlannedPod, section: PlanSection, wasLate: boolean): Verdict {
  const outcomes = [pod.sysctls, pod.addresses, pod.spread, ...outcomesOf(pod, section)];
  const findings = outcomes.flatMap((outcome) => outcome.findings);
  const [first] = findings;
  if (first !== undefined) return { verified: false, reason: first.kind, message: sentenceOf(findings) };
  const waiting = waitingFor(pod, section);
  if (waiting.length > 0) return { verified: false, reason: 'Pending', message: `not seen yet: ${waiting.join(', ')}` };
  const isLate = wasLate || outcomes.some((outcome) => outcome.isLate);
  if (isLate)
    return { verified: true, reason: 'AppliedLate', message: 'as planned, but set after the pod had started' };
  return { verified: true, reason: 'Applied', message: 'limits, sysctls and addresses are as planned' };
}

const outcomesOf = ({ containers }: PlannedPod, section: PlanSection): readonly Outcome[] =>
  section.containers.flatMap(({ name }) => containers.get(name)?.nofile ?? []);

function waitingFor(pod: PlannedPod, section: PlanSection): readonly string[] {
  const { sysctls, addresses, spread, containers } = pod;
  const unseen = section.containers.filter(({ name }) => containers.get(name)?.nofile.isChecked !== true);
  return [
    ...(sysctls.isChecked ? [] : ['sysctls']),
    ...(addresses.isChecked || furtherAddressesOf(pod) === 0 ? [] : ['addresses']),
    ...(spread.isChecked || !needsSpread(pod) ? [] : ['spread']),
    ...unseen.map(({ name }) => `container ${name}`),
  ];
}

const sentenceOf = (findings: readonly Finding[]): string => findings.map(({ message }) => message).join('; ');

const shortened = (text: string): string =>
  text.length <= longestMessage ? text : `${text.slice(0, longestMessage - 1)}…`;
