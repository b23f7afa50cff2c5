import { getSystemErrorName } from 'node:util';
import { demandFor } from '../api/demand.ts';
import type { ConnectionBudget } from '../api/budget-object.ts';
import { assumptionText } from '../planner/assumptions.ts';
import { bytesText, numberText } from '../planner/explain.ts';
import type { Demand, InboundFlow, OutboundFlow } from '../planner/demand.ts';
import type { HostShortage } from '../prove/machine.ts';
import type { Reach } from '../prove/prediction.ts';
import type { PhaseProof, Proof } from '../prove/proof.ts';
import { ProveError } from '../prove/prove-error.ts';
import { barText, limitLine } from './plan-text.ts';
import { nameOf } from './plan-wording.ts';
import { InputError } from './input-file.ts';
import { readBudgets } from './read-budgets.ts';

type Flow = InboundFlow | OutboundFlow;

/** What a command may do while it runs, besides its outcome. */
export interface Terminal {
  readonly signal: AbortSignal;
  readonly writeProgress: (line: string) => void;
  /** spread.bpf.c, compiled; undefined: a proof spreads nothing. */
  readonly spreadObjectPath?: string | undefined;
}

export interface ProveCommandOptions {
  readonly file: string;
  readonly scale: string;
  readonly raiseHostLimits?: boolean;
}

export interface ProvenBudget {
  readonly budget: ConnectionBudget;
  readonly demand: Demand;
  readonly proof: Proof;
}

/** @throws InputError */
const parseScale = (text: string): number => {
  const scale = Number(text);
  if (scale > 0 && scale <= 1) return scale;
  throw new InputError(`--scale ${text}: must be a number above 0 and at most 1`);
};

const raisedText = ({ name, before, value }: HostShortage): string =>
  `${name} of this machine is ${numberText(value)} while the proof runs, ${numberText(before)} before and after: both ends are here`;

/** The proof of each budget in the file, one after the other. @throws InputError, ProveError */
export const proveBudgets = async (
  { file, scale: scaleText, raiseHostLimits = false }: ProveCommandOptions,
  { signal, writeProgress, spreadObjectPath }: Terminal,
): Promise<readonly ProvenBudget[]> => {
  const scale = parseScale(scaleText);
  const { budgets, observedFor } = await readBudgets(file);
  const { prove } = await import('../prove/proof.ts');
  const proven: ProvenBudget[] = [];
  for (const budget of budgets) {
    const demand = demandFor(budget.spec, observedFor(budget));
    const name = nameOf({ budget });
    const proof = await prove(demand, {
      scale,
      signal,
      spreadObjectPath,
      raisesHostLimits: raiseHostLimits,
      onRaised: (raised) => raised.forEach((limit) => writeProgress(`${name}: ${raisedText(limit)}\n`)),
      onProgress: (phase, { flow, accepted, declared }) =>
        writeProgress(`${name} ${phase}: ${flow} ${numberText(accepted)} of ${numberText(declared)}\n`),
    });
    proven.push({ budget, demand, proof });
  }
  return proven;
};

export const isProven = ({ proof }: ProvenBudget): boolean => proof.before.isAsPredicted && proof.after.isAsPredicted;

/** Said of a demand where it is so: what the proof does not show, or shows in another way than the pod would have it. */
const demandNotes: readonly (readonly [isSo: (demand: Demand, flows: readonly Flow[]) => boolean, note: string])[] = [
  [
    ({ scale }, flows) => scale.pods > 1 && flows.some(({ path }) => path.some(({ sharedBy }) => sharedBy !== 'Pod')),
    "one pod is proven: it gets its part of the translators' ports",
  ],
  [
    ({ scale, outbound }) => scale.pods > 1 && outbound.some((flow) => flow.maxConnectionsPerAddress !== undefined),
    'one pod is proven: it gets its part of what the far end takes',
  ],
  [
    ({ inbound }) => inbound.some(({ path }) => path.some(({ type }) => type === 'Sidecar')),
    'of what passes a sidecar to the program, the way from the sidecar on is proven, not that to it',
  ],
  [
    ({ outbound }) => outbound.some(({ path }) => path.some(({ type }) => type === 'Sidecar')),
    'sidecars on the way out are left out',
  ],
  [
    ({ outbound }) => outbound.some(({ families }) => families.includes('IPv6')),
    'what goes to IPv6 addresses is opened over IPv4, which has the same limits',
  ],
  [(_, flows) => flows.length > 1, 'flows are opened one after the other'],
  [
    ({ inbound }, flows) =>
      flows.some(({ closesPerSecond }) => closesPerSecond > 0) ||
      inbound.some(({ opensPerSecond }) => opensPerSecond > 0),
    'connections are opened and held: bursts, and what closes and lingers, are planned, not proven',
  ],
  [
    ({ queuedReceiveBytes, queuedSendBytes }) => queuedReceiveBytes + queuedSendBytes > 0,
    'connections are idle: queuedBytes are planned, not proven',
  ],
];

/** What the proof does not show, or shows in another way than the pod would have it, and why a curve becomes flat. */
export const notesFor = ({ demand, proof }: ProvenBudget): readonly string[] => {
  const flows = [...demand.inbound, ...demand.outbound];
  const largest = Math.max(...proof.after.state.plan.containers.map(({ descriptors }) => descriptors.hard));
  return [
    ...proof.notes,
    ...proof.raised.map(raisedText),
    ...(proof.scale < 1 ? [`scale ${proof.scale}: ranges, limits and counts are that part of what is declared`] : []),
    ...(largest > proof.hardNofile
      ? [
          `a process may have ${numberText(proof.hardNofile)} descriptors on this machine, the plan gives ${numberText(largest)}: several processes stand in for one`,
        ]
      : []),
    ...proof.after.state.plan.assumptions.filter(({ kind }) => kind === 'KernelPortCliff').map(assumptionText),
    ...demandNotes.filter(([isSo]) => isSo(demand, flows)).map(([, note]) => note),
  ];
};

const reachJson = ({ reached, stoppedBy }: Reach): Reach => ({ reached, stoppedBy });

const perSecondOf = ({ seen, result }: PhaseProof): number =>
  Math.round(seen.reached / Math.max(0.001, result.seconds));

/** The stable JSON of `prove -o json`. Seconds and rates are of the planned pod; bytes are those of one end. */
export const proofJson = (proven: ProvenBudget) => {
  const { budget, proof } = proven;
  const { before, after } = proof;
  return {
    kind: 'Proof',
    budget: { namespace: budget.namespace, name: budget.name },
    scale: proof.scale,
    before: reachJson(before.seen),
    after: reachJson(after.seen),
    predicted: { before: reachJson(before.predicted), after: reachJson(after.predicted) },
    processesUsed: after.result.processes,
    seconds: Math.round(after.result.seconds * 1000) / 1000,
    connectionsPerSecond: perSecondOf(after),
    kernelBytesPerConnection: after.result.kernelBytesPerEnd,
    notes: notesFor(proven),
  };
};

export const stopText = ({ reached, stoppedBy }: Reach): string =>
  stoppedBy === null
    ? numberText(reached)
    : `${numberText(reached)}, stopped by ${stoppedBy.limit} (${stoppedBy.stage}) with ${getSystemErrorName(-stoppedBy.errno)}`;

export const proofVerdict = (proven: ProvenBudget): string => (isProven(proven) ? 'as predicted' : 'NOT as predicted');

export const toBeOpenedText = ({ proof: { after } }: ProvenBudget): string =>
  `${numberText(after.state.plan.connections.declared)} connections were to be opened`;

export const measuredText = ({ proof: { after } }: ProvenBudget): string =>
  `${numberText(perSecondOf(after))} connections/s for ${numberText(after.result.seconds)} s, ${bytesText(after.result.kernelBytesPerEnd)} of kernel memory for each end, ${numberText(after.result.processes)} processes`;

const phaseLines = (label: string, { state, seen, predicted, isAsPredicted }: PhaseProof): readonly string[] => {
  const declared = state.plan.connections.declared;
  const bar = barText({ capacity: declared, needed: seen.reached });
  return [
    `  ${label.padEnd(8)}${bar} ${stopText(seen)}`,
    `  ${''.padEnd(8)}predicted: ${stopText(predicted)}${isAsPredicted ? '' : '   <- NOT as predicted'}`,
  ];
};

export const proofText = (proven: ProvenBudget): string => {
  const { before, after } = proven.proof;
  const notes = notesFor(proven);
  return [
    `${nameOf(proven)}: ${proofVerdict(proven)}. ${toBeOpenedText(proven)}`,
    '',
    ...phaseLines('before', before),
    ...phaseLines('planned', after),
    '',
    `  ${measuredText(proven)}`,
    '',
    'Limits of the planned pod on this machine: needed of what is there',
    ...after.state.plan.limits.map(limitLine),
    ...(notes.length === 0 ? [] : ['', 'Note', ...notes.map((note) => `  - ${note}`)]),
  ].join('\n');
};

export const isImpossibleHere = (error: unknown): error is ProveError =>
  error instanceof ProveError && error.kind === 'CannotHere';
