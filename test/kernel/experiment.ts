import type { Demand, NodeFacts, PortRange } from '../../src/planner/demand.ts';
import { plan } from '../../src/planner/plan.ts';
import { type PhaseResult, runPhase } from '../../src/prove/phase-run.ts';
import { predictionFor, type Reach } from '../../src/prove/prediction.ts';
import type { ProofState } from '../../src/prove/proof-state.ts';
import { reachFor } from '../../src/prove/proof.ts';
import { openProofSpreader, spreadingFor } from '../../src/prove/proof-spread.ts';
import { topologyFor } from '../../src/prove/topology.ts';
import { ensureBpfObject } from '../cluster/lab/bpf-object.ts';

/** A range of a hundred ports, so that an experiment ends in a second. */
export const hundredPorts: PortRange = { low: 40_000, high: 40_099 };

export interface Experiment {
  readonly predicted: Reach;
  readonly seen: Reach;
  readonly result: PhaseResult;
}

/** The state of a small pod: the planner's answer to `demand` where processes may have `nofile` descriptors. */
export const stateOf = (demand: Demand, nofile = 1024): ProofState => {
  const facts: NodeFacts = { runtimeNofile: { soft: nofile, hard: nofile }, settableNofile: nofile, nrOpen: 1_048_576 };
  const planned = plan(demand, facts);
  const { low, high } = planned.portRange;
  return {
    phase: 'after',
    demand,
    plan: planned,
    mostNofile: nofile,
    sysctls: [...planned.sysctls, { name: 'net.ipv4.ip_local_port_range', value: `${low} ${high}` }],
  };
};

/**
 * The same where no late RST ends TIME_WAIT (RFC 1337): a far end that sends its FIN twice, on a busy machine, answers the second
 * ACK by one.
 */
export const withWholeTimeWait = (state: ProofState): ProofState => ({
  ...state,
  sysctls: [...state.sysctls, { name: 'net.ipv4.tcp_rfc1337', value: '1' }],
});

/** The same where we spread what the pod's program opens. Throws where this machine cannot. */
export const spreadExperiment = async (demand: Demand): Promise<Experiment & { readonly note: string | undefined }> => {
  const signal = AbortSignal.timeout(60_000);
  const objectPath = await ensureBpfObject('spread', { signal, onProgress: () => undefined });
  const planned = stateOf(demand, 1_000_000);
  const spreading = spreadingFor(demand, planned.plan);
  using proof = openProofSpreader(spreading, objectPath);
  const state = { ...planned, spreading: proof.spreader && spreading };
  const topology = topologyFor(state);
  const predicted = predictionFor(state);
  const result = await runPhase(state, topology, { signal, spreader: proof.spreader, onProgress: () => undefined });
  return { predicted, seen: reachFor(result, topology, predicted), result, note: proof.note };
};

/** Predicts, then opens the connections for real. */
export const experiment = async (demand: Demand, nofile?: number): Promise<Experiment> => {
  const state = stateOf(demand, nofile);
  const topology = topologyFor(state);
  const predicted = predictionFor(state);
  const result = await runPhase(state, topology, {
    signal: AbortSignal.timeout(60_000),
    onProgress: () => undefined,
  });
  return { predicted, seen: reachFor(result, topology, predicted), result };
};
