import { enabledLabel } from '../api/names.ts';
import type { PodState } from './planned.ts';
import type { Situation, Verdict } from './situation.ts';
import { counted, listed } from './wording.ts';

const namesOf = (states: readonly PodState[]): string => listed(states.map(({ name }) => name));

const noPods: Verdict = { status: 'Unknown', reason: 'NoPods', message: 'No running pod matches the selector.' };

/** What the plan does not reach in pods that match, and why. */
const exceptions = ({ untouchable }: Situation, states: readonly PodState[]): string => {
  const onHost = states.filter(({ observed }) => observed.hostNetwork);
  const sentences = [
    ...(onHost.length === 0
      ? []
      : [`${namesOf(onHost)}: the network is the node's, so limits are set and sysctls are not.`]),
    ...(untouchable === 0 ? [] : [`${counted(untouchable, 'Windows or static pod')} that match are left alone.`]),
  ];
  return sentences.map((sentence) => ` ${sentence}`).join('');
};

/** Whether every running pod that matches carries the current plan. */
export const appliedVerdict = (situation: Situation, states: readonly PodState[]): Verdict => {
  const verdict = carriedVerdict(situation, states);
  return { ...verdict, message: verdict.message + exceptions(situation, states) };
};

const carriedVerdict = ({ budget, isNamespaceEnabled }: Situation, states: readonly PodState[]): Verdict => {
  const { namespace, spec } = budget;
  const current = states.filter(({ isCurrent }) => isCurrent).length;
  const share = `${current} of ${states.length} running pods carry the current plan`;
  if (spec.updatePolicy.mode === 'Off')
    return { status: 'False', reason: 'ModeOff', message: `Mode Off only plans: no pod is changed; ${share}.` };
  if (!isNamespaceEnabled) {
    const command = `kubectl label namespace ${namespace} ${enabledLabel}=true`;
    return {
      status: 'False',
      reason: 'NamespaceNotEnabled',
      message: `The webhook does not see this namespace; ${share}. Enable it: ${command}`,
    };
  }
  if (states.length === 0) return noPods;
  const outdated = states.filter(({ isCurrent }) => !isCurrent);
  if (outdated.length === 0) return { status: 'True', reason: 'AllPodsCurrent', message: `${share}.` };
  return {
    status: 'False',
    reason: 'PodsOutdated',
    message: `${share}; outdated: ${namesOf(outdated)}. Mode Initial changes pods when they are created: restart them.`,
  };
};

const failureReasons = [
  { reason: 'SignatureInvalid', of: ['SignatureInvalid'], what: 'carry a plan whose signature does not verify' },
  {
    reason: 'LimitNotSettable',
    of: ['LimitNotSettable', 'SysctlNotSettable'],
    what: 'could not be given what is planned',
  },
] as const;

const failureVerdict = (states: readonly PodState[]): Verdict | undefined => {
  for (const { reason, of, what } of failureReasons) {
    const failed = states.filter(({ report }) => of.some((one) => one === report?.reason));
    if (failed.length === 0) continue;
    const first = failed[0]?.report?.message ?? '';
    const message = `${counted(failed.length, 'pod')} ${what}: ${namesOf(failed)}. ${first}`;
    return { status: 'False', reason, message };
  }
  return undefined;
};

const unverifiedVerdict = (states: readonly PodState[]): Verdict | undefined => {
  const unverified = states.filter(({ isVerified }) => !isVerified);
  if (unverified.length === 0) return undefined;
  const share = `${states.length - unverified.length} of ${states.length} running pods were seen with the plan`;
  const unattended = unverified.filter(({ hasAgent }) => !hasAgent);
  if (unattended.length > 0) {
    const nodes = [...new Set(unattended.map(({ nodeName = '' }) => nodeName))];
    return {
      status: 'False',
      reason: 'AgentAbsent',
      message: `${share}; no agent serves ${counted(nodes.length, 'node')}: ${listed(nodes)}.`,
    };
  }
  return { status: 'False', reason: 'PodsUnverified', message: `${share}; not yet: ${namesOf(unverified)}.` };
};

/** Whether the agents saw every running pod as planned. */
export const verifiedVerdict = (
  { budget }: Situation,
  states: readonly PodState[],
  { needsAgent }: { readonly needsAgent: boolean },
): Verdict => {
  if (budget.spec.updatePolicy.mode === 'Off')
    return { status: 'Unknown', reason: 'ModeOff', message: 'Mode Off only plans: there is nothing to verify.' };
  if (states.length === 0) return noPods;
  if (!needsAgent)
    return { status: 'True', reason: 'NothingToVerify', message: 'The plan has nothing for an agent to set.' };
  const failure = failureVerdict(states) ?? unverifiedVerdict(states);
  if (failure !== undefined) return failure;
  const share = `${states.length} of ${states.length} running pods were seen with the plan`;
  const late = states.filter(({ report }) => report?.reason === 'AppliedLate');
  if (late.length === 0) return { status: 'True', reason: 'AllPodsVerified', message: `${share}.` };
  return {
    status: 'True',
    reason: 'AppliedLate',
    message: `${share}; it came after the start of ${namesOf(late)}: a program that read its limits before has the old ones.`,
  };
};
