import { type FlowCounter, openFlowCounter } from '../../src/linux/flows/flow-counter.ts';
import type { FlowMatch } from '../../src/linux/flows/flow-match.ts';
import { createNamespaceWorker, type NamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { ensureBpfObject } from '../cluster/lab/bpf-object.ts';
import { type Connector, startConnector, startServer } from '../kernel/spread-setting.ts';
import { makeNetworkNamespace } from './network-namespace.ts';

export const flowsObject = (): Promise<string> =>
  ensureBpfObject('flows', { signal: AbortSignal.timeout(120_000), onProgress: () => undefined });

/** SockDiag is what is left where there is no program to load. */
const objectPathFor = async (source: FlowCounter['source']): Promise<string> =>
  source === 'Iterator' ? flowsObject() : '/nowhere/flows.bpf.o';

/** `entered` is called after each visit to a namespace. */
export const openTestCounter = async (
  source: FlowCounter['source'],
  entered: () => void = () => undefined,
): Promise<FlowCounter> => {
  const closing = new AbortController();
  const visitor = createNamespaceWorker({ signal: closing.signal });
  const run: NamespaceWorker['run'] = async (...args) => visitor.run(...args).finally(entered);
  const worker: NamespaceWorker = {
    run,
    get failuresInARow() {
      return visitor.failuresInARow;
    },
    close: () => visitor.close(),
  };
  const counter = openFlowCounter({ objectPath: await objectPathFor(source), worker });
  return {
    source: counter.source,
    reason: counter.reason,
    count: async (...args) => counter.count(...args),
    [Symbol.dispose]: () => {
      counter[Symbol.dispose]();
      closing.abort();
    },
  };
};

export const match = (changes: Partial<FlowMatch>): FlowMatch => ({
  localPorts: [],
  remotes: [],
  remotePorts: [],
  hasRest: false,
  ...changes,
});

export interface Pod extends AsyncDisposable {
  readonly path: string;
  readonly connector: Connector;
}

/** A namespace that has both ends of its connections: a server at peerPorts, and a program that connects to it. */
export const makePod = async (): Promise<Pod> => {
  await using made = new AsyncDisposableStack();
  const netns = made.use(makeNetworkNamespace());
  made.use(await startServer(netns.path));
  const connector = made.use(startConnector(netns.path));
  const kept = made.move();
  return { path: netns.path, connector, [Symbol.asyncDispose]: async () => kept.disposeAsync() };
};
