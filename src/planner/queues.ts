import type { Demand, InboundFlow } from './demand.ts';
import { assumedHandshakeSeconds, defaultSomaxconn } from './kernel.ts';
import { type Limit, limitFor, noTerms, type StageOutcome, type Terms } from './limit.ts';
import { type Load, type Loads, rateWithHeadroom } from './load.ts';

const openTerms = (demand: Demand, { flow }: Load<InboundFlow>, seconds: number): Terms => ({
  ...noTerms,
  rate: rateWithHeadroom(flow.opensPerSecond, demand.headroomPercent),
  declaredRate: flow.opensPerSecond,
  seconds,
});

/**
 * Accept queue: min(listen backlog, somaxconn) + 1 per listening socket, exactly (measured); it must take what arrives
 * while the program does not accept: 2,200/s × 1 s = 2,200 > min(1,024, 4,096) + 1. Only somaxconn can be raised by us.
 */
const acceptQueueFor = (demand: Demand, load: Load<InboundFlow>): Limit => {
  const { name, listenBacklog, listenSockets, acceptStallMilliseconds } = load.flow;
  const settable = demand.pod.hostNetwork ? defaultSomaxconn : listenBacklog;
  return limitFor({
    stage: 'Namespace',
    limit: 'AcceptQueue',
    scope: 'Pod',
    flow: name,
    unit: 'connections',
    kind: 'Rate',
    terms: openTerms(demand, load, acceptStallMilliseconds / 1000),
    capacity: listenSockets * (Math.min(listenBacklog, defaultSomaxconn) + 1),
    raisable: listenSockets * (Math.min(listenBacklog, settable) + 1),
  });
};

/** SYN queue: as long as the accept queue; beyond it SYN cookies answer, so it never binds (tcp_syncookies 1, measured). */
const synQueueFor = (demand: Demand, load: Load<InboundFlow>): Limit => {
  const { name, listenBacklog, listenSockets } = load.flow;
  return limitFor({
    stage: 'Namespace',
    limit: 'SynQueue',
    scope: 'Pod',
    flow: name,
    unit: 'connections',
    kind: 'Advice',
    terms: openTerms(demand, load, assumedHandshakeSeconds),
    capacity: listenSockets * (Math.min(listenBacklog, defaultSomaxconn) + 1),
  });
};

export const planQueues = (demand: Demand, loads: Loads): StageOutcome => {
  const busy = loads.inbound.filter((load) => load.flow.opensPerSecond > 0);
  const accept = busy.map((load) => acceptQueueFor(demand, load));
  const syn = busy.map((load) => synQueueFor(demand, load));
  const raised = busy.flatMap(({ flow }, position) => {
    const limit = accept[position];
    return limit?.status === 'Raised' ? [Math.ceil(limit.needed / flow.listenSockets) - 1] : [];
  });
  return {
    limits: [...accept, ...syn],
    sysctls:
      raised.length === 0 ? [] : [{ name: 'net.core.somaxconn', value: String(Math.max(...raised)), setBy: 'Agent' }],
    assumptions: [
      ...syn
        .filter(({ status }) => status === 'Unknown')
        .map(({ flow, needed }) => ({ kind: 'SynCookies', subject: flow, value: needed }) as const),
      ...busy
        .filter(({ flow }) => flow.listenSockets > 1)
        .map(({ flow }) => ({ kind: 'EvenQueues', subject: flow.name, value: flow.listenSockets }) as const),
    ],
  };
};
