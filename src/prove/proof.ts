import type { NodeFacts } from '../planner/demand.ts';
import type { Demand } from '../planner/demand.ts';
import type { Spreader } from '../linux/spread/spreader.ts';
import { plan as planFor } from '../planner/plan.ts';
import type { FlowResult } from './flow-run.ts';
import { endLeftovers } from './leftovers.ts';
import { changeHostSettings, restoreHostSettings } from './host-settings.ts';
import {
  checkHostLimits,
  checkMemory,
  checkPlatform,
  hostShortages,
  type HostShortage,
  type Machine,
  readMachine,
} from './machine.ts';
import { type PhaseOptions, type PhaseResult, type Progress, runPhase } from './phase-run.ts';
import { errnos, isAsPredicted, predictionFor, type Reach, type StoppedBy } from './prediction.ts';
import { openProofSpreader, spreadingFor } from './proof-spread.ts';
import { type Phase, type ProofInput, type ProofState, stateFor } from './proof-state.ts';
import { ProveError } from './prove-error.ts';
import { type FlowWiring, topologyFor, type Topology } from './topology.ts';

export interface PhaseProof {
  readonly state: ProofState;
  readonly predicted: Reach;
  readonly seen: Reach;
  readonly result: PhaseResult;
  readonly isAsPredicted: boolean;
}

export interface Proof {
  readonly scale: number;
  readonly facts: NodeFacts;
  readonly hardNofile: number;
  /** Limits of the machine that were raised while it ran. */
  readonly raised: readonly HostShortage[];
  readonly before: PhaseProof;
  readonly after: PhaseProof;
  /** What the proof shows in another way than a cluster would. */
  readonly notes: readonly string[];
}

export interface ProveOptions extends Omit<PhaseOptions, 'onProgress' | 'spreader'> {
  readonly scale: number;
  /** spread.bpf.c, compiled; undefined: nothing is spread. */
  readonly spreadObjectPath?: string | undefined;
  /** Whether limits of the machine that are too low for both ends are raised while the proof runs. */
  readonly raisesHostLimits: boolean;
  readonly onRaised: (raised: readonly HostShortage[]) => void;
  readonly onProgress: (phase: Phase, progress: Progress) => void;
}

type Stop = NonNullable<FlowResult['stop']>;

const portLimit = (wiring: FlowWiring): Pick<StoppedBy, 'stage' | 'limit'> => {
  if (wiring.sidecar !== undefined) return { stage: 'Sidecar', limit: 'net.ipv4.ip_local_port_range' };
  if (wiring.direction === 'Inbound') return { stage: 'Clients', limit: 'ClientPorts' };
  const isExplicit = wiring.open.source.kind === 'Ports';
  return { stage: 'Socket', limit: isExplicit ? 'SourcePorts' : 'net.ipv4.ip_local_port_range' };
};

/** Which limit an errno is the sign of, by the side that met it. */
const limitOf = ({ errno }: Stop, wiring: FlowWiring): Pick<StoppedBy, 'stage' | 'limit'> => {
  if (errno === errnos.EMFILE) return { stage: 'Process', limit: 'RLIMIT_NOFILE' };
  if (errno === errnos.ENFILE) return { stage: 'Node', limit: 'fs.file-max' };
  if (errno === errnos.ENOSPC) return { stage: 'Node', limit: 'fs.epoll.max_user_watches' };
  if (errno === errnos.ECONNREFUSED) return { stage: 'Destination', limit: 'MaxConnectionsPerAddress' };
  if (errno === errnos.EADDRINUSE || errno === errnos.EADDRNOTAVAIL) return portLimit(wiring);
  if (errno !== errnos.ETIMEDOUT) return { stage: 'Node', limit: 'MemoryTotal' };
  const translator = wiring.translators.toSorted((a, b) => (a.portsPerAddress ?? 0) - (b.portsPerAddress ?? 0))[0];
  if (translator === undefined) return { stage: 'Namespace', limit: 'AcceptQueue' };
  return { stage: translator.type, limit: 'TranslatorPorts' };
};

/** The pod holds what both sides have; of several stops the foretold one is told. */
export const reachFor = (result: PhaseResult, topology: Topology, predicted: Reach): Reach => {
  const stops = result.flows.flatMap(({ stop }, at) => {
    const wiring = topology.flows[at];
    return stop === undefined || wiring === undefined ? [] : [{ ...limitOf(stop, wiring), errno: stop.errno }];
  });
  const reached = result.flows.reduce((sum, { opened, accepted }) => sum + Math.min(opened, accepted), 0) - result.lost;
  const foretold = stops.find(({ limit }) => limit === predicted.stoppedBy?.limit);
  return { reached: Math.max(0, reached), stoppedBy: foretold ?? stops[0] ?? null };
};

const provePhase = async (
  state: ProofState,
  options: ProveOptions,
  spreader: Spreader | undefined,
): Promise<PhaseProof> => {
  const topology = topologyFor(state);
  const predicted = predictionFor(state);
  const { onProgress, ...rest } = options;
  const result = await runPhase(state, topology, {
    ...rest,
    spreader,
    onProgress: (progress) => onProgress(state.phase, progress),
  });
  const seen = reachFor(result, topology, predicted);
  return { state, predicted, seen, result, isAsPredicted: isAsPredicted(predicted, seen) };
};

const statesFor = (
  demand: Demand,
  { facts }: Machine,
  rest: Pick<ProofInput, 'scale' | 'spreading'>,
): Readonly<Record<Phase, ProofState>> => {
  const input = { demand, plan: planFor(demand), facts, ...rest };
  return { before: stateFor('before', input), after: stateFor('after', input) };
};

/** Without the limits that are to be raised: what is reached then says how far. */
const shortagesOf = (demand: Demand, machine: Machine, { scale, raisesHostLimits }: ProveOptions) => {
  const unbound = { fileMax: undefined, epollMaxUserWatches: undefined, conntrackMax: undefined };
  const facts = raisesHostLimits ? { ...machine.facts, ...unbound } : machine.facts;
  const { after } = statesFor(demand, { ...machine, facts }, { scale });
  const { reached } = predictionFor(after);
  checkMemory(after.demand, reached, machine);
  return hostShortages(after.demand, reached, machine);
};

const proveOn = async (demand: Demand, machine: Machine, options: ProveOptions): Promise<Omit<Proof, 'raised'>> => {
  const { scale, spreadObjectPath } = options;
  const wanted = spreadingFor(demand, planFor(demand));
  using spread = openProofSpreader(wanted, spreadObjectPath);
  const states = statesFor(demand, machine, { scale, spreading: spread.spreader && wanted });
  const before = await provePhase(states.before, options, undefined);
  const after = await provePhase(states.after, options, spread.spreader);
  const notes = spread.note === undefined ? [] : [spread.note];
  return { scale, facts: machine.facts, hardNofile: machine.hardNofile, before, after, notes };
};

const proveRaised = async (demand: Demand, machine: Machine, options: ProveOptions): Promise<Proof> => {
  const raised = shortagesOf(demand, machine, options);
  if (raised.length === 0) return { ...(await proveOn(demand, machine, options)), raised };
  if (!options.raisesHostLimits) checkHostLimits(raised);
  using made = new DisposableStack();
  made.use(await changeHostSettings(raised, options));
  options.onRaised(raised);
  return { ...(await proveOn(demand, await readMachine(demand, options.signal), options)), raised };
};

/**
 * Opens the declared connections of a demand for real, in namespaces of its own: first in the pod as Kubernetes makes it,
 * then as planned, and holds both against what the planner foretold for this machine.
 * @throws ProveError
 */
export const prove = async (demand: Demand, options: ProveOptions): Promise<Proof> => {
  const { signal } = options;
  try {
    checkPlatform();
    endLeftovers();
    restoreHostSettings();
    return await proveRaised(demand, await readMachine(demand, signal), options);
  } catch (error) {
    if (signal.aborted)
      throw new ProveError('Aborted', 'the proof was stopped; what it made is gone', { cause: error });
    throw error;
  }
};
