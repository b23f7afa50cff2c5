import { expect, it } from 'vitest';
import type { Translator } from '../../src/planner/demand.ts';
import { plan } from '../../src/planner/plan.ts';
import { stateFor } from '../../src/prove/proof-state.ts';
import { predictionFor } from '../../src/prove/prediction.ts';
import { reachFor } from '../../src/prove/proof.ts';
import { runPhase } from '../../src/prove/phase-run.ts';
import { topologyFor } from '../../src/prove/topology.ts';
import { container, demand, inbound } from '../planner/demands.ts';

const sidecar: Translator = {
  type: 'Sidecar',
  name: 'proxy',
  addresses: 1,
  portsPerAddress: undefined,
  sharedBy: 'Pod',
  lingerSeconds: 0,
  idleTimeoutSeconds: undefined,
};
const clients = { addresses: 1, portsPerAddress: 10 };
const portRange = { low: 40_000, high: 40_099 };

it.each([
  {
    fact: 'has the ports of the pod once, from its one address',
    containers: [container()],
    addresses: 1,
    expected: { reached: 100, stoppedBy: { stage: 'Sidecar', limit: 'net.ipv4.ip_local_port_range', errno: 99 } },
  },
  {
    fact: 'has them twice from two addresses',
    containers: [container()],
    addresses: 2,
    expected: { reached: 200, stoppedBy: { stage: 'Sidecar', limit: 'net.ipv4.ip_local_port_range', errno: 99 } },
  },
  {
    fact: 'that is a container of the budget has two descriptors for each connection',
    containers: [container(), container({ name: 'proxy', reservedDescriptors: 904 })],
    addresses: 1,
    expected: { reached: 60, stoppedBy: { stage: 'Process', limit: 'RLIMIT_NOFILE', errno: 24 } },
  },
])('a sidecar $fact', async ({ containers, addresses, expected }) => {
  const flow = inbound({ connections: 300, path: [{ ...sidecar, addresses }], clients });
  const base = demand({
    containers,
    inbound: [flow],
    pod: { hostNetwork: false, declaredPorts: [], portRange, kubeletReservesPorts: true },
  });
  const state = stateFor('before', { demand: base, plan: plan(base), facts: { nrOpen: 1_048_576 }, scale: 1 });
  const topology = topologyFor(state);
  const predicted = predictionFor(state);
  expect(predicted).toEqual(expected);
  const result = await runPhase(state, topology, {
    signal: AbortSignal.timeout(60_000),
    onProgress: () => undefined,
  });
  expect(reachFor(result, topology, predicted)).toEqual(predicted);
});
