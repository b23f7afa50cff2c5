import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { runFlow } from '../../src/prove/flow-run.ts';
import { type Holder, startHolder } from '../../src/prove/holder.ts';
import { startRecord } from '../../src/prove/leftovers.ts';
import { makeNamespaces } from '../../src/prove/namespaces.ts';
import { openCounters } from '../../src/prove/phase-run.ts';
import { type FlowWiring, topologyFor } from '../../src/prove/topology.ts';
import { stateOf } from '../kernel/experiment.ts';
import { container, demand, inbound } from '../planner/demands.ts';

const portsOfAClient = 60_000;
const unlimited = { adopt: undefined, reservedDescriptors: 0, room: undefined, descriptorsPerConnection: 1 };
export const heldPort = 500;

export interface BothEnds {
  /** Of the process that accepted them, and of the one that opened them. */
  readonly serverPid: number;
  readonly clientPid: number;
}

/** Both ends of so many connections in one namespace, while `use` runs. */
export const withBothEnds = async (
  connections: number,
  use: (ends: BothEnds) => Promise<void> | void,
): Promise<void> => {
  const clients = { addresses: Math.ceil(connections / portsOfAClient), portsPerAddress: portsOfAClient };
  const flow = inbound({ connections, clients, port: heldPort });
  const state = stateOf(demand({ containers: [container({ reservedDescriptors: 0 })], inbound: [flow] }), 4_000_000);
  const topology = topologyFor(state);
  const signal = AbortSignal.timeout(1_200_000);
  await using made = new AsyncDisposableStack();
  const closing = made.adopt(new AbortController(), (controller) => controller.abort());
  const worker = createNamespaceWorker({ signal: closing.signal });
  const record = made.use(startRecord());
  const namespaces = made.use(await makeNamespaces(topology, { worker, record, signal }));
  const counters = made.use(openCounters());
  const start = async (listeners: (typeof topology)['peerListeners']): Promise<Holder> => {
    const holder = made.use(await startHolder({ counterFd: counters.fd, record, signal }));
    await holder.prepare({ ...unlimited, netnsPath: namespaces.pathOf('peer'), listeners });
    return holder;
  };
  const server = await start(topology.podListeners[0] ?? []);
  const client = await start([]);
  const first = topology.flows[0]!;
  const target = { ip: first.open.sourceIps[0]!, port: heldPort };
  const wiring: FlowWiring = { ...first, open: { ...first.open, targets: [target] } };
  await runFlow(wiring, { openers: [client], acceptors: [server] }, { counters, signal });
  await use({ serverPid: server.pid, clientPid: client.pid });
};
