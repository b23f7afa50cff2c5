import { enabledLabel } from '../api/names.ts';
import type { PodState } from './planned.ts';
import type { Situation, Verdict } from './situation.ts';
import { isStarting, patienceMs } from './patience.ts';
import { agreeing, counted, listed } from './wording.ts';

const namesOf = (states: readonly PodState[]): string => listed(states.map(({ name }) => name));

const noPods: Verdict = { status: 'Unknown', reason: 'NoPods', message: 'No running pod matches the selector.' };

/** What the plan does not reach in pods that match, and why. */
const exceptions = ({ untouchable }: Situation, states: readonly PodState[]): string => {
  const onHost = states.filter(({ observed }) => observed.hostNetwork);
  const sentences = [
    ...(onHost.length === 0
      ? []
      : [`${namesOf(onHost)}: the network is the node's, so limits are set, sysctls and addresses are not.`]),
    ...(untouchable === 0 ? [] : [`${counted(untouchable, 'Windows or static pod')} that match are left alone.`]),
  ];
  return sentences.map((sentence) => ` ${sentence}`).join('');
};

/** Whether every running pod that matches carries the current plan. */
export const appliedVerdict = (situation: Situation, states: readonly PodState[]): Verdict => {
  const verdict = carriedVerdict(situation, states);
  return { ...verdict, message: verdict.message + exceptions(situation, states) };
};

/** No pod at all is no answer; pods that all have the plan of another budget are one. */
const nonOwn = ({ pods, rivals }: Situation): Verdict => {
  const winners = rivals.filter(({ wins }) => wins).map(({ name }) => name);
  if (pods.length > 0 || winners.length === 0) return noPods;
  const message = `Every pod that matches has the plan of an older budget: ${listed(winners)}.`;
  return { status: 'False', reason: 'OlderBudgetWins', message };
};

/** No pod runs, for kubelets refuse them: their owner makes one after the other. */
const refusedVerdict = ({ pods }: Situation): Verdict | undefined => {
  const refused = pods.filter(({ refusal }) => refusal !== undefined);
  if (refused.length === 0) return undefined;
  const names = listed(refused.map(({ name }) => name));
  const message = `${counted(refused.length, 'pod')} ${agreeing(refused.length, 'was', 'were')} refused by the kubelet for a sysctl that was set by hand: ${names}. ${refused[0]?.refusal ?? ''}. Leave out what the agent sets.`;
  return { status: 'False', reason: 'PodsRefused', message };
};

const carriedVerdict = (situation: Situation, states: readonly PodState[]): Verdict => {
  const { namespace, spec } = situation.budget;
  const current = states.filter(({ isCurrent }) => isCurrent).length;
  const share = `${current} of ${states.length} running pods ${agreeing(current, 'carries', 'carry')} the current plan`;
  if (spec.updatePolicy.mode === 'Off')
    return { status: 'False', reason: 'ModeOff', message: `Mode Off only plans: no pod is changed; ${share}.` };
  if (!situation.isNamespaceEnabled) {
    const command = `kubectl label namespace ${namespace} ${enabledLabel}=true`;
    return {
      status: 'False',
      reason: 'NamespaceNotEnabled',
      message: `The webhook does not see this namespace; ${share}. Enable it: ${command}`,
    };
  }
  if (states.length === 0) return refusedVerdict(situation) ?? nonOwn(situation);
  const outdated = states.filter(({ isCurrent }) => !isCurrent);
  if (outdated.length === 0) return { status: 'True', reason: 'AllPodsCurrent', message: `${share}.` };
  return {
    status: 'False',
    reason: 'PodsOutdated',
    message: `${share}; outdated: ${namesOf(outdated)}. Mode Initial changes pods when they are created: restart them.`,
  };
};

const failureReasons = [
  {
    reason: 'SignatureInvalid',
    of: ['SignatureInvalid'],
    one: 'carries',
    many: 'carry',
    what: ' a plan whose signature does not verify',
  },
  {
    reason: 'LimitNotSettable',
    of: ['LimitNotSettable', 'SysctlNotSettable'],
    one: 'could',
    many: 'could',
    what: ' not be given what is planned',
  },
  {
    reason: 'AddressesMissing',
    of: ['AddressesMissing'],
    one: 'runs',
    many: 'run',
    what: ' without the planned source addresses',
  },
  {
    reason: 'SpreadNotAvailable',
    of: ['SpreadNotAvailable'],
    one: 'runs',
    many: 'run',
    what: ' without what spreads its connections',
  },
] as const;

/** A pod whose node has too few addresses left does not start: no running pod tells of it, only its agent. */
const waitingVerdict = ({ pods }: Situation): Verdict | undefined => {
  const waiting = pods.filter(({ isRunning, report }) => !isRunning && report?.reason === 'AddressesMissing');
  if (waiting.length === 0) return undefined;
  const names = listed(waiting.map(({ name }) => name));
  const first = waiting[0]?.report?.message ?? '';
  const message = `${counted(waiting.length, 'pod')} cannot start without the planned source addresses: ${names}. ${first}`;
  return { status: 'False', reason: 'AddressesMissing', message };
};

const failureVerdict = (states: readonly PodState[]): Verdict | undefined => {
  for (const { reason, of, one, many, what } of failureReasons) {
    const failed = states.filter(({ report }) => of.some((kind) => kind === report?.reason));
    if (failed.length === 0) continue;
    const first = failed[0]?.report?.message ?? '';
    const message = `${counted(failed.length, 'pod')} ${agreeing(failed.length, one, many)}${what}: ${namesOf(failed)}. ${first}`;
    return { status: 'False', reason, message };
  }
  return undefined;
};

/** Multus adds interfaces before a container starts: what is missing then does not come later. */
const addressVerdict = (states: readonly PodState[]): Verdict | undefined => {
  const [first, ...others] = states.filter(({ addressesMissing }) => addressesMissing > 0);
  if (first === undefined) return undefined;
  const planned = first.carried?.section.sourceAddresses.extra ?? 0;
  const message = `${counted(1 + others.length, 'pod')} ${agreeing(1 + others.length, 'lacks', 'lack')} extra source addresses: ${namesOf([first, ...others])}. Of ${first.name} ${first.addressesMissing} of ${planned} are missing in its network-status.`;
  return { status: 'False', reason: 'AddressesMissing', message };
};

const seenShare = (seen: number, all: number): string =>
  `${seen} of ${all} running pods ${agreeing(seen, 'was', 'were')} seen with the plan`;

const unattendedNodes = (states: readonly PodState[]): string => {
  const nodes = [...new Set(states.map(({ nodeName = '' }) => nodeName))];
  const told = states.find(({ agentObstacle = '' }) => agentObstacle !== '');
  const why = told === undefined ? '' : ` The agent of ${told.nodeName ?? ''} says: ${told.agentObstacle ?? ''}.`;
  return `no agent serves ${counted(nodes.length, 'node')}: ${listed(nodes)}.${why}`;
};

const unverifiedVerdict = (states: readonly PodState[], now: Date): Verdict | undefined => {
  const unverified = states.filter(({ isVerified }) => !isVerified);
  if (unverified.length === 0) return undefined;
  const share = seenShare(states.length - unverified.length, states.length);
  const unattended = unverified.filter(({ hasAgent }) => !hasAgent);
  if (unattended.length > 0) {
    return { status: 'False', reason: 'AgentAbsent', message: `${share}; ${unattendedNodes(unattended)}` };
  }
  const overdue = unverified.filter((state) => !isStarting(state, now));
  if (overdue.length > 0)
    return { status: 'False', reason: 'PodsUnverified', message: `${share}; not yet: ${namesOf(overdue)}.` };
  const message = `${share}; started less than ${patienceMs / 1000} s ago: ${namesOf(unverified)}.`;
  return { status: 'Unknown', reason: 'Pending', message };
};

/** Whether the agents saw every running pod as planned. */
export const verifiedVerdict = (
  situation: Situation,
  states: readonly PodState[],
  { needsAgent }: { readonly needsAgent: boolean },
): Verdict => {
  const { budget, now } = situation;
  if (budget.spec.updatePolicy.mode === 'Off')
    return { status: 'Unknown', reason: 'ModeOff', message: 'Mode Off only plans: there is nothing to verify.' };
  const waiting = waitingVerdict(situation);
  if (waiting !== undefined) return waiting;
  if (states.length === 0) return noPods;
  if (!needsAgent)
    return { status: 'True', reason: 'NothingToVerify', message: 'The plan has nothing for an agent to set.' };
  const failure = failureVerdict(states) ?? addressVerdict(states) ?? unverifiedVerdict(states, now);
  if (failure !== undefined) return failure;
  const share = seenShare(states.length, states.length);
  const late = states.filter(({ report }) => report?.reason === 'AppliedLate');
  if (late.length === 0) return { status: 'True', reason: 'AllPodsVerified', message: `${share}.` };
  return {
    status: 'True',
    reason: 'AppliedLate',
    message: `${share}; it came after the start of ${namesOf(late)}: a program that read its limits before has the old ones.`,
  };
};
